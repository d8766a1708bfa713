"""The interests stage on the real encoder, affinity propagation and GGUF."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eimf_local.config import Config, load_config
from eimf_local.disk import work_folder
from eimf_local.errors import ArtifactError, InferenceError, InputError, ModelFileError
from eimf_local.esim.encoder import TextEncoder, load_encoder
from eimf_local.esim.llm import LocalLLM
from eimf_local.esim.model_files import BUNDLED_MODEL, resolve_model
from eimf_local.progress import Reporter
from eimf_local.stages import interests as module
from eimf_local.stages.datasets import OpenDataset, open_dataset
from eimf_local.stages.interest_artifact import Interests, exemplar_titles, open_interests
from eimf_local.stages.interests import import_file, infer

CONFIG = load_config(None, ["exemplars.fraction=0.06"])


@pytest.fixture(scope="module")
def dataset(small_dataset: Path) -> OpenDataset:
    return open_dataset(small_dataset, CONFIG)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_encoder()


@pytest.fixture(scope="module")
def interests(small_interests: Path, dataset: OpenDataset, encoder: TextEncoder) -> Interests:
    return open_interests(small_interests, dataset, CONFIG, encoder)


def infer_again(dataset: OpenDataset, encoder: TextEncoder, out: Path, **changes: object) -> Interests:
    order = {"users": None, "config": CONFIG, "reporter": Reporter(), **changes}
    return infer(dataset, encoder=encoder, model=resolve_model(BUNDLED_MODEL), out=out, **order)  # type: ignore[arg-type]


def test_every_exemplar_has_interests_and_every_training_user_an_exemplar(
    interests: Interests, dataset: OpenDataset
) -> None:
    training = {dataset.data.users[user] for user in dataset.split.train_users}
    assert {record.user for record in interests.records} <= training
    assert all(1 <= len(record.interests) <= CONFIG.llm.max_interests for record in interests.records)
    assert len(interests.cluster) == len(training)
    assert set(interests.cluster) <= set(range(len(interests.records)))
    assert interests.mask.sum(1).tolist() == [len(record.interests) for record in interests.records]
    wanted = CONFIG.exemplars.fraction * len(training)
    assert 0.5 * wanted <= len(interests.records) <= 1.5 * wanted


def test_each_line_tells_user_interests_digest_tokens_and_path(small_interests: Path) -> None:
    seconds = json.loads((small_interests / "timing.json").read_text())["users"]
    for line in (small_interests / "interests.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        assert record["model_sha256"] == resolve_model(BUNDLED_MODEL).sha256
        assert record["tokens"] > 0
        assert seconds[record["user"]] > 0
        assert record["path"] in {"constrained", "retry", "salvaged-items", "salvaged-titles"}


def test_esim_sees_only_the_first_four_fifths(interests: Interests, dataset: OpenDataset) -> None:
    for record, titles in zip(interests.records, exemplar_titles(dataset, interests, CONFIG), strict=True):
        user = dataset.data.users.index(record.user)
        items = dataset.data.history(user)
        visible = {dataset.data.titles[item - 1] for item in items[: int(0.8 * len(items))]}
        assert set(titles) <= visible


def test_exemplars_take_their_own_interests(interests: Interests, small_interests: Path) -> None:
    assignment = pl.read_parquet(small_interests / "assignment.parquet")
    own = dict(zip(assignment["user"], assignment["exemplar"], strict=True))
    assert all(own[record.user] == record.user for record in interests.records)


def test_a_finished_run_is_a_no_op(small_interests: Path, dataset: OpenDataset, encoder: TextEncoder) -> None:
    before = (small_interests / "artifact.json").stat().st_mtime_ns
    infer_again(dataset, encoder, small_interests)
    assert (small_interests / "artifact.json").stat().st_mtime_ns == before
    assert not work_folder(small_interests).exists()


def test_a_killed_inference_resumes_to_the_same_interests(
    small_dataset: Path, interests: Interests, dataset: OpenDataset, encoder: TextEncoder, tmp_path: Path
) -> None:
    out = tmp_path / "tiny"
    command = [sys.executable, "-m", "eimf_local_cli", "infer-interests", "--dataset", str(small_dataset)]
    process = subprocess.Popen(
        [*command, "--out", str(out), "--set", "exemplars.fraction=0.06", "--set", "llm.parallel=1"],
        stderr=subprocess.DEVNULL,
    )

    def answered() -> int:
        return sum(file.read_bytes().count(b"\n") for file in work_folder(out).glob("*/journal.jsonl"))

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and answered() < 2:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = answered()
    assert 2 <= kept < len(interests.records), "killed too late to prove anything"
    assert not out.exists()
    resumed = infer_again(dataset, encoder, out)
    assert [(r.user, r.interests, r.path, r.tokens) for r in resumed.records] == [
        (r.user, r.interests, r.path, r.tokens) for r in interests.records
    ]
    np.testing.assert_array_equal(resumed.embeddings, interests.embeddings)


def test_a_prompt_that_kills_the_worker_is_named_at_the_end_and_asked_again_by_the_next_run(
    interests: Interests,
    dataset: OpenDataset,
    encoder: TextEncoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    users = [record.user for record in interests.records[:5]]
    shown = exemplar_titles(dataset, interests, CONFIG)[:5]
    deadly = next(title for title in shown[2] if sum(title in titles for titles in shown) == 1)
    out, worker = tmp_path / "tiny", Path(__file__).parents[1] / "esim" / "crashing_worker.py"
    with monkeypatch.context() as patch:
        patch.setattr(LocalLLM, "_command", (sys.executable, str(worker), deadly))
        with pytest.raises(InferenceError, match=rf"1 of 5 users .*: {users[2]} \(llama.cpp failed twice .*SIGABRT"):
            infer_again(dataset, encoder, out, users=users)
    assert not out.exists()
    (journal,) = work_folder(out).glob("*/journal.jsonl")
    assert sorted(json.loads(line)["record"]["path"] for line in journal.read_text().splitlines())[-1] == "failed"
    repaired = infer_again(dataset, encoder, out, users=users)
    assert [r.interests for r in repaired.records] == [r.interests for r in interests.records[:5]]
    assert not work_folder(out).exists()


def test_a_damaged_model_by_its_path_is_refused_before_anybody_is_clustered(
    dataset: OpenDataset, encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "mine.gguf"
    damaged.write_bytes(resolve_model(BUNDLED_MODEL).path.read_bytes()[:1_000_000])
    monkeypatch.setattr(module, "choose_exemplars", lambda *_, **__: pytest.fail("the users were clustered"))
    with pytest.raises(ModelFileError, match=r"model .*mine\.gguf"):
        infer(
            dataset,
            encoder=encoder,
            model=resolve_model(str(damaged)),
            users=None,
            out=tmp_path / "tiny",
            config=CONFIG,
            reporter=Reporter(),
        )
    assert list(tmp_path.iterdir()) == [damaged]


def test_given_users_are_the_exemplars(
    interests: Interests, dataset: OpenDataset, encoder: TextEncoder, tmp_path: Path
) -> None:
    users = [record.user for record in interests.records[:3]]
    given = infer_again(dataset, encoder, tmp_path / "given", users=users)
    assert [record.user for record in given.records] == users
    assert [r.interests for r in given.records] == [r.interests for r in interests.records[:3]]
    test_user = dataset.data.users[int(dataset.split.test.users[0])]
    with pytest.raises(InputError, match=r"1 of the 2 users are not training users.*leak"):
        infer_again(dataset, encoder, tmp_path / "leak", users=[users[0], test_user])


def import_lines(dataset: OpenDataset, encoder: TextEncoder, tmp_path: Path, users: list[str], drop: bool) -> Interests:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps({"user": user, "interests": ["pens", "tea"]}) + "\n" for user in users))
    return import_file(
        dataset,
        file,
        encoder=encoder,
        llm="some LLM",
        drop_unknown=drop,
        out=tmp_path / "imported",
        config=CONFIG,
        reporter=Reporter(),
    )


def test_imported_interests_make_their_users_the_exemplars(
    dataset: OpenDataset, encoder: TextEncoder, tmp_path: Path
) -> None:
    users = [dataset.data.users[user] for user in dataset.split.train_users[:4]]
    imported = import_lines(dataset, encoder, tmp_path, users, drop=False)
    assert [record.user for record in imported.records] == users
    assert {(record.path, record.model) for record in imported.records} == {("imported", "some LLM")}
    assert imported.cluster[:4].tolist() == [0, 1, 2, 3]


def test_imported_users_outside_training_are_refused_with_their_number(
    dataset: OpenDataset, encoder: TextEncoder, tmp_path: Path
) -> None:
    train = dataset.data.users[int(dataset.split.train_users[0])]
    test = dataset.data.users[int(dataset.split.test.users[0])]
    with pytest.raises(InputError, match=r"2 of its 3 users are not training users.*--drop-unknown"):
        import_lines(dataset, encoder, tmp_path, [train, test, "nobody"], drop=False)
    kept = import_lines(dataset, encoder, tmp_path, [train, test, "nobody"], drop=True)
    assert [record.user for record in kept.records] == [train]
    with pytest.raises(InputError, match="1 of its 1 users"):
        import_lines(dataset, encoder, tmp_path, ["nobody"], drop=True)


def test_interests_of_another_split_or_dataset_are_refused(
    small_interests: Path, small_dataset: Path, dataset: OpenDataset, encoder: TextEncoder
) -> None:
    other = Config.model_validate({"split": {"seed": 7}})
    with pytest.raises(ArtifactError, match="could be test users here"):
        open_interests(small_interests, open_dataset(small_dataset, other), other, encoder)
    record = dataset.artifact.__class__(**{**vars(dataset.artifact), "fingerprint": "0" * 64})
    with pytest.raises(ArtifactError, match="from another dataset"):
        open_interests(small_interests, OpenDataset(record, dataset.data, dataset.split), CONFIG, encoder)


def test_interests_of_another_encoder_are_refused(
    small_interests: Path, dataset: OpenDataset, encoder: TextEncoder
) -> None:
    other = TextEncoder(encoder.folder, name="other", digest="0" * 64)
    with pytest.raises(ArtifactError, match=r"embedded by another encoder than other.*--encoder"):
        open_interests(small_interests, dataset, CONFIG, other)


def test_imports_under_global_time_are_refused(small_dataset: Path, encoder: TextEncoder, tmp_path: Path) -> None:
    config = load_config(None, ["split.protocol=global-time"])
    (tmp_path / "x.jsonl").write_text('{"user": "u001", "interests": ["tea"]}')
    with pytest.raises(InputError, match="could come from after the cut"):
        import_file(
            open_dataset(small_dataset, config),
            tmp_path / "x.jsonl",
            encoder=encoder,
            llm=None,
            drop_unknown=True,
            out=tmp_path / "i",
            config=config,
            reporter=Reporter(),
        )


@pytest.mark.parametrize("restart", [True, False])
def test_another_artefact_or_the_users_files_are_never_replaced(
    restart: bool, dataset: OpenDataset, encoder: TextEncoder, small_interests: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "x.tex").write_text("years")
    for out in (tmp_path / "thesis", dataset.artifact.path):
        with pytest.raises(ArtifactError, match="choose another --out"):
            infer_again(dataset, encoder, out, restart=restart)
    assert (tmp_path / "thesis" / "x.tex").read_text() == "years"


@pytest.mark.parametrize("restart", [True, False])
def test_unfinished_answers_of_another_model_and_the_users_files_are_kept(
    restart: bool, dataset: OpenDataset, encoder: TextEncoder, tmp_path: Path
) -> None:
    other = work_folder(tmp_path / "i") / "0123456789ab" / "journal.jsonl"
    other.parent.mkdir(parents=True)
    other.write_text("answers of a night\n")
    (work_folder(tmp_path / "i") / "notes.txt").write_text("mine")
    users = [dataset.data.users[int(dataset.split.train_users[0])]]
    infer_again(dataset, encoder, tmp_path / "i", users=users, restart=restart)
    assert other.read_text() == "answers of a night\n"
    assert (work_folder(tmp_path / "i") / "notes.txt").read_text() == "mine"
