from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import eimf_local_models.bundle
import pytest
from eimf_local_models.bundle.assemble import oldest_glibc
from eimf_local_models.bundle.contents import Contents, data_files, digest_list, model_files, write_tar
from eimf_local_models.bundle.licences import licence_files
from eimf_local_models.bundle.lock import check_complete, read_lock, requirements
from eimf_local_models.bundle.sbom import CarriedFile, sbom
from eimf_local_models.bundle.wheels import Wheel

from eimf_local.errors import EimfError, InputError, ModelFileError

ROOT = Path(__file__).parents[2]
INSTALLER = Path(eimf_local_models.bundle.__file__).with_name("install.sh")


def wheel(folder: Path, name: str, version: str, *, headers: str = "License-Expression: MIT\n") -> Wheel:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{name}-{version}.dist-info/METADATA",
            f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{headers}\n",
        )
        archive.writestr(f"{name}-{version}.dist-info/licenses/LICENSE", "do as you like")
        archive.writestr(f"{name}/licence.py", "code = 1")
        archive.mkdir(f"{name}-{version}.dist-info/licenses/vendored")
    return Wheel(path)


def test_the_projects_lock_is_read_whole() -> None:
    pins = read_lock(ROOT / "requirements.lock")
    assert pins["torch"] == "2.13.0"
    assert pins["llama-cpp-python"] == "0.3.36"
    assert len(pins) == sum("==" in line for line in (ROOT / "requirements.lock").read_text().splitlines())


def test_a_lock_line_that_pins_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("# comment\nnumpy>=2\n")
    with pytest.raises(InputError, match="line 2: 'numpy>=2' pins no version"):
        read_lock(tmp_path / "lock")


def test_a_local_version_satisfies_the_lock_and_another_version_does_not(tmp_path: Path) -> None:
    check_complete({"torch": "2.13.0"}, [wheel(tmp_path, "torch", "2.13.0+cpu")])
    with pytest.raises(InputError, match=r"torch==2\.12\.0"):
        check_complete({"torch": "2.12.0"}, [wheel(tmp_path, "torch", "2.13.0+cpu")])


def test_requirements_carry_each_wheels_digest(tmp_path: Path) -> None:
    one = wheel(tmp_path, "Two_words", "1.0")
    digest = hashlib.sha256(one.path.read_bytes()).hexdigest()
    assert requirements([one]) == f"two-words==1.0 --hash=sha256:{digest}\n"


def test_what_is_no_wheel_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a-1-py3-none-any.whl").write_text("no zip")
    with pytest.raises(InputError, match="not a readable wheel"):
        _ = Wheel(tmp_path / "a-1-py3-none-any.whl").name


@pytest.mark.parametrize(
    ("headers", "licence"),
    [
        ("License-Expression: MIT AND BSD-3-Clause\n", "MIT AND BSD-3-Clause"),
        ("License: BSD\n", "BSD"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        ("License: The whole text\n        over lines\n", ""),
    ],
)
def test_licence_is_what_the_metadata_says(tmp_path: Path, headers: str, licence: str) -> None:
    assert wheel(tmp_path, "part", "1", headers=headers).licence == licence


def test_licence_texts_are_collected_and_code_is_not(tmp_path: Path) -> None:
    files = licence_files([wheel(tmp_path, "part", "1")], {"llama.cpp/LICENSE": b"MIT"})
    assert set(files) == {"licences/INDEX.txt", "licences/part-1/LICENSE", "licences/llama.cpp/LICENSE"}
    assert b"part 1: MIT (1 texts)" in files["licences/INDEX.txt"]


def test_the_bill_of_materials_names_every_part_once(tmp_path: Path) -> None:
    own, other = wheel(tmp_path, "own", "1"), wheel(tmp_path, "torch", "2.13.0+cpu")
    model = CarriedFile("models/m.gguf", "ab" * 32, "", "machine-learning-model")
    document = json.loads(sbom(own, [other], [model], made=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["timestamp"] == "2026-01-02T03:04:05Z"
    refs = [part["bom-ref"] for part in document["components"]]
    assert refs == ["pkg:pypi/torch@2.13.0%2Bcpu", "file:models/m.gguf"]
    assert document["dependencies"][0] == {"ref": "pkg:pypi/own@1", "dependsOn": sorted(refs)}
    again = json.loads(sbom(own, [other], [model], made=datetime(2027, 1, 1, tzinfo=UTC)))
    assert again["serialNumber"] == document["serialNumber"]


def test_the_oldest_c_library_is_read_from_the_name() -> None:
    name = "x-1-py3-none-manylinux_2_34_x86_64.manylinux_2_17_x86_64.whl"
    assert oldest_glibc(Wheel(Path(name))) == 17
    assert oldest_glibc(Wheel(Path("x-1-py3-none-any.whl"))) == 0


def test_a_model_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"x" * 100)
    with pytest.raises(ModelFileError, match="not a GGUF"):
        model_files([tmp_path / "m.gguf"])


def test_missing_empty_and_broken_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        data_files(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no file"):
        data_files(tmp_path)
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(InputError, match="cannot be read"):
        data_files(tmp_path)


def test_equal_contents_give_equal_tars_and_digests_that_check(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"on disk")
    contents: Contents = {"data/ä b": tmp_path / "file", "a.txt": b"made here"}
    contents["SHA256SUMS"] = digest_list(contents)
    for name in ("one.tar", "two.tar"):
        write_tar(contents, folder="top", out=tmp_path / name)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        tar.extractall(tmp_path / "out", filter="data")
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "out" / "top", check=True)


def test_no_space_for_the_tar_leaves_nothing(small_disk: Path) -> None:
    with pytest.raises(EimfError, match="No space left"):
        write_tar({"a": b"x" * 200_000}, folder="top", out=small_disk / "bundle.tar")
    assert not list(small_disk.iterdir())


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """A bundle without wheels, whose install.sh gets as far as the first wheel."""
    folder = tmp_path / "bundle ü"
    folder.mkdir()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    environment = (
        f"BUNDLE_NAME=test\nBUNDLE_PYTHON={version}\nBUNDLE_MACHINE={platform.machine()}\n"
        "BUNDLE_GLIBC=2.17\nBUNDLE_KB=1\nBUNDLE_PIP=pip.whl\n"
    )
    seal(folder, environment)
    return folder


def seal(folder: Path, environment: str) -> None:
    contents: Contents = {"bundle.env": environment.encode(), "install.sh": INSTALLER.read_bytes()}
    for name, content in {**contents, "SHA256SUMS": digest_list(contents)}.items():
        assert isinstance(content, bytes)
        (folder / name).write_bytes(content)


def install(folder: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", "install.sh", "--no-demo", str(target)]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder.parent), "PYTHON": sys.executable}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def errors_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    return line


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("BUNDLE_PYTHON=3.99", "the bundle is for 3.99"),
        ("BUNDLE_MACHINE=vax", "vax"),
        ("BUNDLE_GLIBC=2.999", "needs glibc 2.999"),
        ("BUNDLE_KB=999999999999", "free some space"),
    ],
)
def test_what_does_not_suit_the_bundle_is_one_line_and_leaves_nothing(
    unpacked: Path, tmp_path: Path, value: str, message: str
) -> None:
    seal(unpacked, f"{(unpacked / 'bundle.env').read_text()}{value}\n")
    assert message in errors_of(install(unpacked, tmp_path / "target dir"))
    assert not (tmp_path / "target dir").exists()


def test_an_altered_file_stops_the_installation_before_it_is_used(unpacked: Path, tmp_path: Path) -> None:
    (unpacked / "bundle.env").write_text(f"touch {tmp_path / 'used'}\n")
    assert "changed or damaged (bundle.env" in errors_of(install(unpacked, tmp_path / "target"))
    assert not (tmp_path / "used").exists()
    assert not (tmp_path / "target").exists()


def test_a_target_in_use_or_unwritable_is_refused_untouched(unpacked: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine").write_text("kept")
    assert "not empty" in errors_of(install(unpacked, target))
    assert (target / "mine").read_text() == "kept"
    assert "cannot write" in errors_of(install(unpacked, target / "mine" / "below"))


def test_a_failed_installation_leaves_nothing(unpacked: Path, tmp_path: Path) -> None:
    assert "installing the wheels failed" in errors_of(install(unpacked, tmp_path / "zü target"))
    assert not (tmp_path / "zü target").exists()
