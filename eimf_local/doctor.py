"""``eimf-local doctor``: whether this machine and this installation can run the method, one line a check.

Only the standard library is imported at the top: a package that is missing, or that kills its process, is one of the
things to be found out. Packages are loaded in a child process for that reason.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from . import machine
from .doctor_probe import Loaded, load_packages
from .errors import ModelFileError
from .versions import installed, locked_versions, normalised

if TYPE_CHECKING:
    from .esim.model_files import ModelEntry

INSTALL = "run 'make install', or 'pip install -r requirements.lock'"
_PYTHONS = ((3, 11), (3, 12))
# llama.cpp's names of what it was compiled for, and Linux's of what the processor has.
_FEATURES = {
    "SSE3": "pni",
    "SSSE3": "ssse3",
    "AVX": "avx",
    "AVX_VNNI": "avx_vnni",
    "AVX2": "avx2",
    "F16C": "f16c",
    "FMA": "fma",
    "BMI2": "bmi2",
    "AVX512": "avx512f",
    "AVX512_VBMI": "avx512vbmi",
    "AVX512_VNNI": "avx512_vnni",
    "AVX512_BF16": "avx512_bf16",
}
_FAST = ("AVX2", "FMA", "F16C")  # without these llama.cpp is several times slower


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, what was found, and what to do (empty where all is well).

    "blocked" means that the method cannot run as it is, "warning" that it runs slower or not as recorded elsewhere.
    """

    name: str
    state: Literal["ok", "warning", "blocked"]
    found: str
    remedy: str = ""


def examine(folder: Path) -> Iterator[Check]:
    """Every check, as it is made; ``folder`` is where the user works."""
    yield _python()
    yield from _packages()
    loaded = load_packages()
    yield _loading(loaded)
    yield _processor(loaded)
    yield _threads()
    yield _openmp(loaded)
    yield from _presets(folder)
    yield from _models()
    yield _encoder()
    yield from _places(folder)


def _python() -> Check:
    found = f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
    if sys.version_info[:2] in _PYTHONS and platform.python_implementation() == "CPython":
        return Check("python", "ok", found)
    return Check("python", "blocked", found, "install CPython 3.11 or 3.12 and make the environment anew")


def _packages() -> Iterator[Check]:
    """What eimf-local needs, directly or not, against the lock."""
    locked, agreed = locked_versions(), 0
    for name in sorted(required_packages()):
        version, wanted = installed(name), locked.get(normalised(name))
        if version is None:
            yield Check(f"package {name}", "blocked", f"not installed, locked at {wanted or 'no version'}", INSTALL)
        elif wanted is not None and version != wanted:
            yield Check(f"package {name}", "warning", f"{version}, locked at {wanted}: other numbers may come", INSTALL)
        else:
            agreed += 1
    yield Check("packages", "ok", f"{agreed} as locked")


def required_packages() -> set[str]:
    """Normalised names of all packages that eimf-local needs here, extras of its own apart."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return {"packaging"}
    found: set[str] = set()
    waiting: list[tuple[str, frozenset[str]]] = [("eimf-local", frozenset())]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        for line in _requirements_of(name):
            wanted = Requirement(line)
            asked = any(wanted.marker.evaluate({"extra": extra}) for extra in (*extras, "")) if wanted.marker else True
            step = (normalised(wanted.name), frozenset(wanted.extras))
            if asked and step not in seen:
                seen.add(step)
                found.add(step[0])
                waiting.append(step)
    return found


def _requirements_of(name: str) -> list[str]:
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _loading(loaded: Loaded) -> Check:
    if loaded.failed is None:
        return Check("loading", "ok", f"all {len(loaded.names)} computing packages load")
    name, reason = loaded.failed
    remedy = f"{INSTALL}; a package killed by SIGILL was built for another processor"
    return Check("loading", "blocked", f"{name}: {reason}", remedy)


def _processor(loaded: Loaded) -> Check:
    """What the processor has against what the loaded llama.cpp uses."""
    flags, used = machine.processor_flags(), loaded.llama_features
    if flags is None or not used:
        return Check("processor", "ok", f"{platform.machine()}, llama.cpp's features are not comparable here")
    shown = f"llama.cpp uses {', '.join(name for name in _FEATURES if name in used)}"
    lacking = [name for name in used if name in _FEATURES and _FEATURES[name] not in flags]
    if lacking:
        remedy = "reinstall llama-cpp-python from source on this machine"
        return Check("processor", "blocked", f"{shown}; the processor lacks {', '.join(lacking)}", remedy)
    idle = [name for name in _FAST if name not in used and _FEATURES[name] in flags]
    if idle:
        remedy = "for speed, reinstall llama-cpp-python from source on this machine"
        return Check("processor", "warning", f"{shown}, but not {', '.join(idle)}, which the processor has", remedy)
    return Check("processor", "ok", shown)


def _threads() -> Check:
    cores, wanted = machine.usable_cores(), os.environ.get("OMP_NUM_THREADS")
    if wanted is None:
        listed = len(os.sched_getaffinity(0))
        if listed > cores:
            found = f"{listed} cores are listed, a quota allows {cores}"
            return Check("threads", "warning", found, f"export OMP_NUM_THREADS={cores} NUMBA_NUM_THREADS={cores}")
        return Check("threads", "ok", f"{cores} cores")
    if not wanted.isdigit() or not 1 <= int(wanted) <= cores:
        found = f"OMP_NUM_THREADS={wanted}, {cores} cores are usable"
        return Check("threads", "warning", found, f"export OMP_NUM_THREADS={cores}, or unset it")
    return Check("threads", "ok", f"{cores} cores, OMP_NUM_THREADS={wanted}")


def _openmp(loaded: Loaded) -> Check:
    policy = os.environ.get("OMP_WAIT_POLICY", "")
    found = f"OMP_WAIT_POLICY={policy}; {', '.join(loaded.openmp) or 'no OpenMP library'} loaded"
    if policy.lower() == "passive":
        return Check("openmp", "ok", found)
    remedy = "unset OMP_WAIT_POLICY: threads that spin slow two processes on the same cores down 30 times and more"
    return Check("openmp", "warning", found, remedy)


def _presets(folder: Path) -> Iterator[Check]:
    """Memory and disk against what each preset's grid needs with one worker a core; only the demo's lack blocks."""
    text = importlib.resources.files("eimf_local").joinpath("needs.toml").read_text("utf-8")
    memory, disk = machine.available_memory(), shutil.disk_usage(_existing(folder)).free
    cores = machine.usable_cores()
    for preset, needs in tomllib.loads(text).items():
        wanted = (needs["parent_gb"] + cores * needs["worker_gb"]) * 1e9
        space = needs["disk_gb"] * 1e9
        have = "unknown" if memory is None else f"{memory / 1e9:.1f} GB"
        found = f"needs {wanted / 1e9:.1f} GB of memory ({have} free), {space / 1e9:.1f} GB of disk"
        found += f" ({disk / 1e9:.1f} GB free)"
        state: Literal["warning", "blocked"] = "blocked" if preset == "demo" else "warning"
        if disk < space:
            yield Check(f"preset {preset}", state, found, "free some disk, or work in another folder")
        elif memory is not None and memory < wanted:
            yield Check(f"preset {preset}", state, found, "close other programs, or --set reproduce.workers=1")
        else:
            yield Check(f"preset {preset}", "ok", found)


def _models() -> Iterator[Check]:
    try:
        from .esim.model_files import list_models

        entries = list_models()
    except (ModelFileError, ImportError) as error:
        hint = error.hint if isinstance(error, ModelFileError) else INSTALL
        yield Check("models", "blocked", getattr(error, "message", str(error)), hint)
        return
    for entry in entries:
        yield _model(entry)


def _model(entry: ModelEntry) -> Check:
    from .esim.model_files import verify_model

    try:
        verify_model(entry)
    except ModelFileError as error:
        state: Literal["warning", "blocked"] = "blocked" if entry.source == "bundled" else "warning"
        return Check(f"model {entry.name}", state, error.message, error.hint)
    return Check(f"model {entry.name}", "ok", f"SHA-256 {entry.sha256[:12]}, as pinned")


def _encoder() -> Check:
    try:
        from .esim.encoder import load_encoder

        encoder = load_encoder()
    except ModelFileError as error:
        return Check("encoder", "blocked", error.message, error.hint)
    except ImportError as error:
        return Check("encoder", "blocked", str(error), INSTALL)
    return Check("encoder", "ok", f"{encoder.name}, digest {encoder.digest[:12]}, its weights as pinned")


def _places(folder: Path) -> Iterator[Check]:
    yield _place("working folder", folder, "blocked", "change to a folder that you may write")
    yield _place("temporary folder", _temporary(), "blocked", "set TMPDIR to a folder that you may write")
    yield _place("compile cache", _compile_cache(), "warning", "set NUMBA_CACHE_DIR to a folder that you may write")
    yield _shared_memory()


def _place(name: str, place: Path, state: Literal["warning", "blocked"], remedy: str) -> Check:
    try:
        with tempfile.TemporaryFile(dir=_existing(place)) as stream:
            stream.write(b"x")
    except OSError as error:
        return Check(name, state, f"{place} cannot be written: {error.strerror or error}", remedy)
    return Check(name, "ok", f"{place} can be written")


def _shared_memory() -> Check:
    """What the grid's processes talk through: a semaphore, which Linux keeps in /dev/shm."""
    try:
        multiprocessing.get_context("spawn").Lock()
    except (OSError, ImportError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Check("shared memory", "blocked", f"no semaphore can be made: {reason}", "mount /dev/shm, mode 1777")
    return Check("shared memory", "ok", "semaphores can be made")


def _temporary() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path(os.environ.get("TMPDIR", "/tmp"))


def _compile_cache() -> Path:
    """Where numba keeps compiled loops: the place that was set, beside the code, or the user's cache."""
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(given)
    beside = Path(__file__).parent
    if os.access(beside, os.W_OK):
        return beside
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba"


def _existing(place: Path) -> Path:
    """The folder itself, or the nearest parent that exists: what is missing would be made there."""
    return next(folder for folder in (place, *place.absolute().parents) if folder.is_dir())
