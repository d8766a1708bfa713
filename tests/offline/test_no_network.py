"""The main commands, run twice without a network: in a network namespace that has not even loopback, and under an audit
hook that refuses every name look-up and socket in each process, workers included.

The hook sees what Python does; the namespace also what compiled libraries and other programs do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from eimf_local.config import load_config
from eimf_local.esim.model_files import BUNDLED_MODEL, resolve_model
from eimf_local.stages.datasets import open_dataset

HOOK = Path(__file__).parent / "hook"
NAMESPACE = ("unshare", "--map-root-user", "--net")
QUICK = ("--set", "train.max_steps=10", "--set", "train.evaluate_every=10", "--set", "train.batch_size=32")
GRID = ("--seeds", "1", "--set", 'reproduce.conditions=["remi","eimf"]', "--set", "reproduce.workers=2", *QUICK)


def commands(source: Path, interests_file: Path, place: Path) -> list[list[str]]:
    """Every command that reads a model or computes, each on what those before it wrote into ``place``."""
    shop, run, grid = (str(place / name) for name in ("shop", "run", "grid"))
    return [
        ["doctor", "--json"],
        ["models", "add", str(resolve_model(BUNDLED_MODEL).path)],
        ["models", "list", "--json"],
        ["models", "verify"],
        ["prepare", str(source), "--format", "table", "--out", shop],
        ["infer-interests", "--dataset", shop, "--out", str(place / "inferred"), "--exemplar-fraction", "0.03"],
        ["import-interests", str(interests_file), "--dataset", shop, "--out", str(place / "imported")],
        ["train", "--dataset", shop, "--interests", str(place / "inferred"), "--out", run, *QUICK],
        ["evaluate", run, "--json"],
        ["recommend", "--run", run, "--user", "u001", "--json"],
        ["verify", str(place)],
        ["reproduce", "paper-exact", "--dataset", shop, "--interests", str(place / "inferred"), "--out", grid, *GRID],
        ["verify", run, "--recompute"],
    ]


def run_all(small_dataset: Path, place: Path, prefix: Sequence[str], environment: dict[str, str]) -> None:
    dataset = open_dataset(small_dataset, load_config())
    user = dataset.data.users[int(dataset.split.train_users[0])]
    (place / "mine.jsonl").write_text(json.dumps({"user": user, "interests": ["green tea"]}))
    for words in commands(small_dataset.parent / "source", place / "mine.jsonl", place):
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "eimf_local_cli", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=place,
            env={**os.environ, "EIMF_LOCAL_HOME": str(place / "home"), **environment},
        )
        assert done.returncode == 0, f"{words[0]}: {done.stdout}{done.stderr}"
    assert (place / "grid" / "report.html").exists()


@pytest.fixture
def namespace() -> Sequence[str]:
    """What starts a command without any network; skipped where this user may not."""
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], check=False).returncode:
        pytest.skip("this machine does not let the user make a network namespace (unshare --map-root-user --net)")
    return NAMESPACE


@pytest.fixture
def audited(tmp_path: Path) -> dict[str, str]:
    """An environment whose Python processes load the hook. The user's own switches must not matter: hubs are "on"."""
    (tmp_path / "audit").mkdir()
    path = os.pathsep.join([str(HOOK), *filter(None, [os.environ.get("PYTHONPATH")])])
    on = {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"}
    return {"PYTHONPATH": path, "EIMF_AUDIT": str(tmp_path / "audit"), **on}


def test_the_namespace_has_not_even_loopback(namespace: Sequence[str]) -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=5)"
    done = subprocess.run([*namespace, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Network is unreachable" in done.stderr


def test_every_command_runs_in_a_namespace_without_a_network(
    namespace: Sequence[str], small_dataset: Path, tmp_path: Path
) -> None:
    run_all(small_dataset, tmp_path, namespace, {})


@pytest.mark.parametrize(
    "code", ["socket.socket()", "socket.getaddrinfo('localhost', 80)", "socket.socketpair()"], ids=str
)
def test_the_hook_refuses_and_records(code: str, audited: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import socket; {code}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **audited},
    )
    assert "is forbidden" in done.stderr
    assert "socket." in "".join(file.read_text() for file in Path(audited["EIMF_AUDIT"]).iterdir())


def test_no_process_of_any_command_looks_up_a_name_or_opens_a_socket(
    audited: dict[str, str], small_dataset: Path, tmp_path: Path
) -> None:
    run_all(small_dataset, tmp_path, (), audited)
    records = list(Path(audited["EIMF_AUDIT"]).iterdir())
    assert len(records) > len(commands(tmp_path, tmp_path, tmp_path)) + 2  # workers left their records too
    assert [file.read_text() for file in records if file.stat().st_size] == []
