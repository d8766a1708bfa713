"""What every test gets: the network blocked, threads few, and the real data sets where they are present."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import eimf_local  # noqa: F401  (sets the process-wide switches before any heavy library loads)

# isort: split
import torch

torch.set_num_threads(1)  # as training sets it: rounding depends on it, and fixtures of one test serve another

SHARED_DATA = Path(os.environ.get("EIMF_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


class NetworkBlockedError(AssertionError):
    """A test tried to open a socket."""


@pytest.fixture(autouse=True)
def _sockets_are_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object, *rest: object) -> None:
        if self.family != socket.AF_UNIX:
            raise NetworkBlockedError(f"a test tried to reach {address!r}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB; skipped where this user may not mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def hold() -> Iterator[Callable[[Path], int]]:
    """Lets another process, whose number it returns, hold a folder's lock until the test ends."""
    code = (
        "import sys; from pathlib import Path; from eimf_local.disk import locked\n"
        "with locked(Path(sys.argv[1]), Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    holders: list[subprocess.Popen[str]] = []

    def start(folder: Path) -> int:
        folder.mkdir(parents=True, exist_ok=True)
        holder = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        return holder.pid

    yield start
    for holder in holders:
        holder.communicate()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data sets are not beside the project ({SHARED_DATA})")
    return SHARED_DATA


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared dataset artefact: the embedded demo with 200 users. Shared by all tests: do not change it."""
    from eimf_local.config import load_config
    from eimf_local.data.demo import write_demo_source
    from eimf_local.esim.encoder import load_encoder
    from eimf_local.progress import Reporter
    from eimf_local.stages.datasets import embed_items, open_dataset, prepare_dataset

    folder = tmp_path_factory.mktemp("small")
    write_demo_source(folder / "source", users=200, items=160)
    out, config = folder / "dataset", load_config()
    prepare_dataset(
        folder / "source", format="table", titles=None, columns={}, out=out, config=config, reporter=Reporter()
    )
    embed_items(open_dataset(out, config), load_encoder(), Reporter())
    return out


@pytest.fixture(scope="session")
def small_interests(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interests of the small dataset's exemplars by the bundled GGUF. Shared by all tests: do not change it."""
    from eimf_local.config import load_config
    from eimf_local.esim.encoder import load_encoder
    from eimf_local.esim.model_files import BUNDLED_MODEL, resolve_model
    from eimf_local.progress import Reporter
    from eimf_local.stages.datasets import open_dataset
    from eimf_local.stages.interests import infer

    config = load_config(None, ["exemplars.fraction=0.06"])
    out = tmp_path_factory.mktemp("interests") / "tiny"
    infer(
        open_dataset(small_dataset, config),
        encoder=load_encoder(),
        model=resolve_model(BUNDLED_MODEL),
        users=None,
        out=out,
        config=config,
        reporter=Reporter(),
    )
    return out
