"""The parts of a bundle in order: inputs checked, wheels, licences, bill of materials, digests, one tar."""

from __future__ import annotations

import importlib.resources
import platform
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from eimf_local.disk import storage_errors
from eimf_local.errors import EimfError
from eimf_local.esim.encoder import DEFAULT_ENCODER, DEFAULT_WEIGHTS_SHA256

from .commands import Commands
from .contents import Contents, data_files, digest_list, digest_of, model_files, write_tar
from .licences import licence_files
from .llama_wheel import LLAMA, portable_wheel
from .lock import check_complete, read_lock, requirements
from .sbom import CarriedFile, sbom
from .wheels import Wheel, wheels_in

_PIP = "pip==26.3"  # carried, since a system's Python may come without one
_DEMO_BYTES = 200_000_000
_COMPILED = 1.3  # what Python's byte code adds to the wheels' own files
_VALIDATOR = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(problem and f"the bill of materials is not valid CycloneDX: {problem}")
"""
Say = Callable[[str], None]


def make_bundle(*, root: Path, models: Sequence[Path], data: Path | None, out: Path, work: Path, say: Say) -> Path:
    """Write ``out``/eimf-local-VERSION-cpXY-MACHINE.tar from the source tree ``root``; returns its path.

    ``work`` keeps wheels between calls. Raises :class:`EimfError`; then no tar is written.
    """
    files = {**model_files(models), **(data_files(data) if data else {})}
    pins = read_lock(root / "requirements.lock")
    with storage_errors(work):
        work.mkdir(parents=True, exist_ok=True)
    commands = Commands(work)
    commands.install_tools()
    say("collecting the locked wheels")
    locked = _locked_wheels(pins, work / "wheels", commands)
    say(f"{LLAMA} for every processor (compiled once: some twenty minutes on two cores)")
    llama, native_licences = portable_wheel(pins[LLAMA], cache=work / "llama", commands=commands)
    own = _own_wheel(root, work / "own", commands)
    wheels = [*locked, llama]
    check_complete(pins, wheels)
    say("licences, bill of materials, digests")
    materials = sbom(own, wheels, _carried(files), made=datetime.now(UTC))
    commands.run(["-c", _VALIDATOR], stdin=materials, tools=True)
    pip = next(wheel for wheel in locked if wheel.name == "pip")
    contents: Contents = {
        **{f"wheels/{wheel.path.name}": wheel.path for wheel in [own, *wheels] if wheel is not pip},
        f"pip/{pip.path.name}": pip.path,
        **files,
        **licence_files([own, *wheels], native_licences),
        "requirements.txt": requirements([wheel for wheel in [own, *wheels] if wheel is not pip]).encode(),
        "sbom.cdx.json": materials.encode(),
        "install.sh": importlib.resources.files(__package__).joinpath("install.sh").read_bytes(),
    }
    name = f"eimf-local-{own.version}-cp{sys.version_info.major}{sys.version_info.minor}-{platform.machine()}"
    contents["bundle.env"] = _environment(name, [own, *wheels], pip, files)
    contents["SHA256SUMS"] = digest_list(contents)
    tar = out / f"{name}.tar"
    write_tar(contents, folder=name, out=tar)
    return tar


def _locked_wheels(pins: Mapping[str, str], folder: Path, commands: Commands) -> list[Wheel]:
    """Wheels of every pin but llama-cpp-python, and of pip; what is there and of the locked version stays."""
    lines = [*(f"{name}=={version}" for name, version in pins.items() if name != LLAMA), _PIP]
    wanted = dict(line.split("==") for line in lines)
    try:
        check_complete(wanted, wheels_in(folder))
    except EimfError:
        shutil.rmtree(folder, ignore_errors=True)
        commands.run(["pip", "download", "--no-deps", "--only-binary", ":all:", "-d", folder, *lines])
    wheels = wheels_in(folder)
    check_complete(wanted, wheels)
    return wheels


def _own_wheel(root: Path, folder: Path, commands: Commands) -> Wheel:
    """The project's wheel, through its sdist, so that nothing left in build/ gets into it."""
    shutil.rmtree(folder, ignore_errors=True)
    commands.run(["build", "--outdir", folder, root])
    return wheels_in(folder)[0]


def _carried(files: Mapping[str, Path]) -> list[CarriedFile]:
    """The models inside wheels, then the chosen models and data."""
    manifest = tomllib.loads(
        importlib.resources.files("eimf_local_models").joinpath("manifest.toml").read_text("utf-8")
    )
    inside = [(model["name"], model["sha256"], model["licence"]) for model in manifest["model"]]
    inside.append((DEFAULT_ENCODER, DEFAULT_WEIGHTS_SHA256, "Apache-2.0"))
    model_type = "machine-learning-model"
    return [
        *(CarriedFile(name, sha256, licence, model_type) for name, sha256, licence in inside),
        *(
            CarriedFile(path, digest_of(file), "", model_type if path.startswith("models/") else "data")
            for path, file in files.items()
        ),
    ]


def _environment(name: str, wheels: Sequence[Wheel], pip: Wheel, files: Mapping[str, Path]) -> bytes:
    """What install.sh must know, as assignments of the shell."""
    installed = sum(wheel.installed_bytes for wheel in wheels) * _COMPILED
    carried = sum(path.stat().st_size for path in files.values())
    values = {
        "BUNDLE_NAME": name,
        "BUNDLE_PYTHON": f"{sys.version_info.major}.{sys.version_info.minor}",
        "BUNDLE_MACHINE": platform.machine(),
        "BUNDLE_GLIBC": f"2.{max(map(oldest_glibc, wheels))}",
        "BUNDLE_KB": str(int(installed + carried + _DEMO_BYTES) // 1024),
        "BUNDLE_PIP": pip.path.name,
    }
    return "".join(f"{key}={value}\n" for key, value in values.items()).encode()


def oldest_glibc(wheel: Wheel) -> int:
    """The minor version of the oldest glibc (2.N) that the wheel's name admits; 0 for pure Python."""
    return min((int(minor) for minor in re.findall(r"manylinux_2_(\d+)_", wheel.path.name)), default=0)
