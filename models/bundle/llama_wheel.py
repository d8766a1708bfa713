"""llama-cpp-python as a wheel for any x86-64 processor: llama.cpp's CPU code once for each family, chosen at run time.

The source is upstream's, unchanged. The switches make each family a library of its own (``libggml-cpu-*.so``), put all
of them beside ``libllama.so``, and drop what Python does not load. ``eimf_local.esim.llama_backends`` loads the best.
auditwheel then adds the OpenMP library that a bare system lacks, and names the oldest C library that will do.
"""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

from eimf_local.artifacts import digest_of
from eimf_local.disk import storage_errors
from eimf_local.errors import InputError

from .commands import Commands
from .wheels import Wheel

LLAMA = "llama-cpp-python"
_LIBRARIES = "llama_cpp/lib"
_SWITCHES = {
    "GGML_NATIVE": "OFF",
    "GGML_BACKEND_DL": "ON",
    "GGML_CPU_ALL_VARIANTS": "ON",
    "LLAVA_BUILD": "OFF",
    "CMAKE_PLATFORM_NO_VERSIONED_SONAME": "ON",  # or a wheel, which has no links, carries each library three times
    "CMAKE_INSTALL_RPATH": "$ORIGIN",
    "CMAKE_INSTALL_BINDIR": _LIBRARIES,  # where ggml installs the variants
    "CMAKE_INSTALL_LIBDIR": _LIBRARIES,
    "CMAKE_INSTALL_INCLUDEDIR": "llama_cpp/include",
}
_UPSTREAM_LICENCES = ("vendor/llama.cpp/LICENSE", "vendor/llama.cpp/licenses/")
_GCC_LICENCE = Path("/usr/share/doc/libgomp1/copyright")


def portable_wheel(version: str, *, cache: Path, commands: Commands) -> tuple[Wheel, dict[str, bytes]]:
    """The wheel and the licence texts of what is compiled into it; compiled once for a version and these switches.

    Raises :class:`InputError` where the compilation fails or the cache is damaged.
    """
    folder = cache / f"{version}-{digest_of(_SWITCHES)[:12]}"
    if not list(folder.glob("*.whl")):
        with storage_errors(cache):
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as work:
                _compile(version, Path(work), commands)
                (Path(work) / "portable").rename(folder)
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise InputError(f"{folder} holds {len(wheels)} wheels", hint="delete this folder and build the bundle again")
    texts = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return Wheel(wheels[0]), {name: text for name, text in texts.items() if not name.endswith(".whl")}


def _compile(version: str, work: Path, commands: Commands) -> None:
    """Leave in ``work``/portable the wheel and, beside it, licence texts."""
    source = ["--no-deps", "--no-binary", LLAMA, f"{LLAMA}=={version}"]
    commands.run(["pip", "download", *source, "-d", work / "source"])
    sdist = next((work / "source").glob("*.tar.gz"))
    switches = [part for name, value in _SWITCHES.items() for part in ("-C", f"cmake.define.{name}={value}")]
    # Without pip's cache, which would take this wheel for the plain one's equal.
    commands.run(["pip", "wheel", "--no-deps", "--no-cache-dir", sdist, "-w", work / "plain", *switches])
    plain = next((work / "plain").glob("*.whl"))
    commands.run(["auditwheel", "repair", "--wheel-dir", work / "portable", plain], tools=True)
    _keep_licences(sdist, work / "portable")


def _keep_licences(sdist: Path, folder: Path) -> None:
    with tarfile.open(sdist) as archive:
        for entry in archive:
            inside = entry.name.partition("/")[2]
            stream = archive.extractfile(entry) if inside.startswith(_UPSTREAM_LICENCES) else None
            if stream:
                place = folder / "llama.cpp" / inside.removeprefix("vendor/llama.cpp/")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(stream.read())
    if _GCC_LICENCE.is_file():
        (folder / "libgomp").mkdir()
        (folder / "libgomp" / "copyright").write_bytes(_GCC_LICENCE.read_bytes())
