"""The commands as a user types them: exit status, the one line of an error, and what was stored."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from eimf_local_cli.app import app
from typer.testing import CliRunner, Result

import eimf_local
from eimf_local.config import load_config
from eimf_local.esim.model_files import BUNDLED_MODEL, resolve_model
from eimf_local.stages.datasets import open_dataset

QUICK = ["--set", "train.max_steps=20", "--set", "train.evaluate_every=10", "--set", "train.batch_size=32"]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def one_line_error(result: Result) -> str:
    """The error line of a command that failed as promised: exit 1, one line on stderr, nothing on stdout."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in result.stderr
    assert " — " in errors[0]
    return errors[0]


@pytest.fixture(autouse=True)
def _own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EIMF_LOCAL_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def eimf_run(small_dataset: Path, small_interests: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "run"
    result = run("train", "--dataset", small_dataset, "--interests", small_interests, "--out", out, *QUICK)
    assert result.exit_code == 0, result.output
    return out


def csv_source(folder: Path) -> Path:
    """A small table of a user's own: 60 users of 8 interactions over 12 items, titles in a joined column."""
    folder.mkdir(exist_ok=True)
    rows = ["customer,sku,when,name"]
    for user in range(60):
        rows += [f"c{user},s{(user + step) % 12},{step},Thing {(user + step) % 12}" for step in range(8)]
    (folder / "log.csv").write_text("\n".join(rows) + "\n")
    return folder / "log.csv"


COLUMNS = ["--user-column", "customer", "--item-column", "sku", "--order-column", "when", "--title-column", "name"]


def test_prepare_takes_a_table_of_ones_own_and_says_what_it_kept(tmp_path: Path) -> None:
    result = run("prepare", csv_source(tmp_path), "--format", "table", *COLUMNS, "--out", tmp_path / "d")
    assert result.exit_code == 0, result.output
    assert "kept    60 users, 12 items, 480 interactions" in result.stderr
    again = run("prepare", csv_source(tmp_path), "--format", "table", *COLUMNS, "--out", tmp_path / "d")
    assert "is up to date" in again.stderr


WrongInput = Callable[[Path], tuple[list[object], str]]


def absent_source(tmp: Path) -> tuple[list[object], str]:
    return [tmp / "no.csv"], "no such file"


def empty_source(tmp: Path) -> tuple[list[object], str]:
    (tmp / "e.csv").write_text("")
    return [tmp / "e.csv"], "no interactions"


def missing_column(tmp: Path) -> tuple[list[object], str]:
    return [csv_source(tmp)], "no column 'user'"


def corrupt_gzip(tmp: Path) -> tuple[list[object], str]:
    data = gzip.compress(csv_source(tmp).read_bytes())
    (tmp / "log.csv.gz").write_bytes(data[: len(data) // 2])
    return [tmp / "log.csv.gz", *COLUMNS], "log.csv.gz"


def too_small(tmp: Path) -> tuple[list[object], str]:
    lines = csv_source(tmp).read_text().splitlines()
    (tmp / "s.csv").write_text("\n".join(lines[:30]))
    return [tmp / "s.csv", *COLUMNS], "pass the filter"


def foreign_titles(tmp: Path) -> tuple[list[object], str]:
    (tmp / "titles.csv").write_text("item,title\nelsewhere,Pens\n")
    return [csv_source(tmp), *COLUMNS, "--titles", tmp / "titles.csv"], "title"


@pytest.mark.parametrize(
    "wrong",
    [absent_source, empty_source, missing_column, corrupt_gzip, too_small, foreign_titles],
    ids=lambda f: f.__name__,
)
def test_prepare_when_the_input_is_wrong(wrong: WrongInput, tmp_path: Path) -> None:
    words, told = wrong(tmp_path)
    assert told in one_line_error(run("prepare", *words, "--format", "table", "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_prepare_without_titles_says_what_that_means_and_what_reads_titles_refuses(tmp_path: Path) -> None:
    text = csv_source(tmp_path).read_text().splitlines()
    (tmp_path / "t.csv").write_text("\n".join([text[0], *(line.rpartition(",")[0] + "," for line in text[1:])]))
    result = run("prepare", tmp_path / "t.csv", *COLUMNS, "--format", "table", "--out", tmp_path / "d")
    assert result.exit_code == 0
    assert "no titles" in result.stderr
    error = one_line_error(run("infer-interests", "--dataset", tmp_path / "d", "--out", tmp_path / "i"))
    assert "has no titles" in error
    assert "--titles" in error


def test_prepare_never_writes_over_a_folder_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    result = run("prepare", csv_source(tmp_path), "--format", "table", *COLUMNS, "--out", tmp_path / "mine")
    assert "is not an eimf-local artefact" in one_line_error(result)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "no-such-model"], "no such file or name"),
        (["--encoder", "no-such-encoder"], "modules.json"),
        (["--set", "exemplars.fractoin=1"], "unknown setting exemplars.fractoin"),
        (["--preset", "no-such-preset"], "unknown preset or TOML file 'no-such-preset'"),
        (["--users", "/dev/null"], "no user in it"),
    ],
    ids=str,
)
def test_infer_interests_when_an_option_is_wrong(
    words: list[str], told: str, small_dataset: Path, tmp_path: Path
) -> None:
    result = run("infer-interests", "--dataset", small_dataset, "--out", tmp_path / "i", *words)
    assert told in one_line_error(result)
    assert not (tmp_path / "i").exists()


def test_infer_interests_refuses_a_gguf_that_is_none_truncated_or_not_the_pinned_one(
    small_dataset: Path, tmp_path: Path
) -> None:
    whole = resolve_model(BUNDLED_MODEL).path.read_bytes()
    (tmp_path / "text.gguf").write_text("hello, I am no model")
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "mine.gguf").write_bytes(whole)
    assert run("models", "add", tmp_path / "mine.gguf").exit_code == 0
    (tmp_path / "mine.gguf").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for name, told in (("text", "is not a GGUF file"), ("cut", "cut.gguf"), ("mine", "is not the pinned one")):
        words = ["--dataset", small_dataset, "--out", tmp_path / "i", "--model", tmp_path / f"{name}.gguf"]
        assert told in one_line_error(run("infer-interests", *words))
        assert not list(tmp_path.glob("i*"))


def test_import_interests_names_the_broken_line(small_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"user": "u001", "interests": ["tea"]}\n{"user"\n')
    result = run("import-interests", tmp_path / "x.jsonl", "--dataset", small_dataset, "--out", tmp_path / "i")
    assert "line 2: broken JSON" in one_line_error(result)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--backbone", "rmi"], "did you mean 'remi'"),
        (["--set", "objective.alpha=3"], "eq. 12"),
        (["--interests", "no-such-folder"], "no such directory"),
    ],
    ids=str,
)
def test_train_when_an_option_is_wrong(words: list[str], told: str, small_dataset: Path, tmp_path: Path) -> None:
    result = run("train", "--dataset", small_dataset, "--out", tmp_path / "r", *QUICK, *words)
    assert told in one_line_error(result)
    assert not list(tmp_path.glob("r*"))


def test_when_the_disk_is_full_each_stage_says_so_and_leaves_nothing_half_written(
    small_dataset: Path, small_interests: Path, small_disk: Path
) -> None:
    source, file = small_dataset.parent / "source", small_disk / "mine.jsonl"
    file.write_text(json.dumps({"user": training_user(small_dataset), "interests": ["tea"]}))
    (small_disk / "ballast").write_bytes(b"x" * 48_000)
    commands = (
        ["prepare", source, "--format", "table"],
        ["import-interests", file, "--dataset", small_dataset],
        ["train", "--dataset", small_dataset, "--interests", small_interests, *QUICK],
        ["infer-interests", "--dataset", small_dataset],
    )
    for words in commands:
        assert "No space left on device" in one_line_error(run(*words, "--out", small_disk / "out"))
        assert not (small_disk / "out").exists()
        assert not [entry for entry in small_disk.rglob("*") if "partial" in entry.name]


def training_user(dataset: Path) -> str:
    opened = open_dataset(dataset, load_config())
    return opened.data.users[int(opened.split.train_users[0])]


@pytest.mark.parametrize("damage", ["flipped", "missing", "foreign version"])
def test_train_refuses_a_dataset_that_was_changed(damage: str, small_dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "d"
    shutil.copytree(small_dataset, copy)
    if damage == "flipped":
        data = bytearray((copy / "items.parquet").read_bytes())
        data[len(data) // 2] ^= 1
        (copy / "items.parquet").write_bytes(data)
    elif damage == "missing":
        (copy / "users.parquet").unlink()
    else:
        record = json.loads((copy / "artifact.json").read_text())
        (copy / "artifact.json").write_text(json.dumps(record | {"schema": 99, "version": "9.0"}))
    error = one_line_error(run("train", "--dataset", copy, "--out", tmp_path / "r", *QUICK))
    assert "eimf-local prepare" in error


def test_recommend_json_is_one_document_on_stdout_and_nothing_else(eimf_run: Path, tmp_path: Path) -> None:
    result = run("recommend", "--run", eimf_run, "--user", "u001", "-k", 3, "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    (answer,) = json.loads(result.stdout)
    assert answer["user"] == "u001"
    assert len(answer["items"]) == 3
    (tmp_path / "users.txt").write_text("u002\n\nu001\n")
    batch = json.loads(
        run("recommend", "--run", eimf_run, "--users-file", tmp_path / "users.txt", "-k", 3, "--json").stdout
    )
    assert [entry["user"] for entry in batch] == ["u002", "u001"]
    assert batch[1] == answer
    history = ",".join(item["item"] for item in answer["items"])
    assert len(json.loads(run("recommend", "--run", eimf_run, "--history", history, "--json").stdout)[0]["items"]) == 20


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--user", "nobody"], "'nobody'"),
        (["--history", "p001,nothing"], "'nothing'"),
        (["--users-file", "no"], "no: "),
    ],
    ids=str,
)
def test_recommend_when_user_item_or_file_does_not_exist(words: list[str], told: str, eimf_run: Path) -> None:
    assert told in one_line_error(run("recommend", "--run", eimf_run, *words))


@pytest.mark.parametrize(
    "words",
    [
        ["recommend", "--run", "r"],
        ["recommend", "--run", "r", "--user", "a", "--history", "b"],
        ["prepare", "x", "--format", "excel", "--out", "o"],
        ["reproduce", "paper-office", "--out", "o"],
        ["infer-interests", "--dataset", "d", "--out", "o", "--preference", "-1", "--exemplar-fraction", "0.1"],
        ["no-such-command"],
        ["prepare", "x", "--format", "table", "--out", "o", "--set", "train.seed=1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(words: list[str]) -> None:
    assert run(*words).exit_code == 2


def test_evaluate_json(eimf_run: Path) -> None:
    (result,) = json.loads(run("evaluate", eimf_run, "--json").stdout)
    assert result["backbone"] == "remi"
    for value in result["metrics"].values():
        assert value["low"] <= value["mean"] <= value["high"]


def test_verify_says_what_differs(eimf_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(eimf_run, copy)
    assert run("verify", copy).exit_code == 0
    with (copy / "metrics.json").open("a") as stream:
        stream.write(" ")
    (copy / "curves.jsonl").unlink()
    result = run("verify", copy)
    assert "2 problems, listed above" in one_line_error(result)
    assert f"{copy}: has a metrics.json that was changed" in result.stderr
    assert f"{copy}: lacks curves.jsonl" in result.stderr
    assert "is no directory" in one_line_error(run("verify", tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    assert "holds no artefact" in one_line_error(run("verify", tmp_path / "empty"))


def test_models_list_verify_add(tmp_path: Path) -> None:
    bundled = json.loads(run("models", "list", "--json").stdout)[0]
    assert bundled["name"] == BUNDLED_MODEL
    (tmp_path / "q.gguf").write_bytes(Path(bundled["path"]).read_bytes())
    assert run("models", "add", tmp_path / "q.gguf", "--name", "my-qwen").exit_code == 0
    here = [entry["name"] for entry in json.loads(run("models", "list", "--json").stdout) if entry["path"]]
    assert here == [BUNDLED_MODEL, "my-qwen"]
    assert run("models", "verify").exit_code == 0
    (tmp_path / "q.gguf").unlink()
    assert "is missing" in one_line_error(run("models", "verify"))
    assert "no such file" in one_line_error(run("models", "add", tmp_path / "q.gguf"))
    whole = Path(bundled["path"]).read_bytes()
    (tmp_path / "half.gguf").write_bytes(whole[: len(whole) // 2])
    assert "half.gguf" in one_line_error(run("models", "add", tmp_path / "half.gguf"))


def test_seeds_are_a_number_or_a_list(small_dataset: Path, tmp_path: Path) -> None:
    words = ["reproduce", "own-data", "--dataset", small_dataset, "--out", tmp_path / "g", "--seeds", "abc"]
    result = run(*words)
    assert result.exit_code == 2
    assert "give a number of seeds, or their list as 0,1,2" in result.stderr


def test_version_is_printed() -> None:
    assert run("--version").stdout.strip() == eimf_local.__version__


def test_train_takes_the_settings_that_a_search_found_and_says_so(small_dataset: Path, tmp_path: Path) -> None:
    preset = tmp_path / "found.toml"
    preset.write_text(
        "[tuned.remi]\ntrials = 8\nrecall_50 = 0.1\n"
        'settings = { "train.learning_rate" = 0.003, "model.item_std" = 0.1 }\n'
    )
    words = ["--dataset", small_dataset, "--out", tmp_path / "r", "--preset", preset, *QUICK]
    result = run("train", *words, "--set", "model.item_std=0.05")
    assert result.exit_code == 0, result.output
    assert "settings that a search found: train.learning_rate=0.003\n" in result.stderr
    made = json.loads((tmp_path / "r" / "artifact.json").read_text())["config"]
    assert made["train"]["learning_rate"] == 0.003
    assert made["model"]["item_std"] == 0.05  # what is said now counts more


def test_train_refuses_interests_for_a_model_that_learns_nothing_from_them(
    small_dataset: Path, small_interests: Path, tmp_path: Path
) -> None:
    words = ["--dataset", small_dataset, "--interests", small_interests, "--out", tmp_path / "r"]
    assert "ease learns nothing from interests" in one_line_error(run("train", *words, "--backbone", "ease"))


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = run("--debug", "verify", tmp_path)
    assert result.exception is not None
    assert type(result.exception).__name__ == "ArtifactError"


def checkpoints(work: Path) -> list[Path]:
    return [entry for entry in work.glob("*/*") if not entry.name.startswith(".")]


@pytest.mark.parametrize(
    ("words", "run"),
    [(["train"], "."), (["reproduce", "own-data", "--only", "remi", "--seeds", "1"], "runs/remi/seed-0")],
)
def test_ctrl_c_while_training_exits_130_and_the_run_goes_on(
    words: list[str], run: str, small_dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / run
    command = [sys.executable, "-m", "eimf_local_cli", *words, "--dataset", str(small_dataset)]
    settings = ["--set", "train.max_steps=100000", "--set", "train.evaluate_every=20", "--set", "train.patience=100000"]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "out"), *settings], stderr=subprocess.PIPE, text=True)
    work = out.with_name(f"{out.name}.work")
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and not checkpoints(work):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run the same command to go on" in said
    assert "Traceback" not in said
    assert not out.exists()
    assert checkpoints(work)
