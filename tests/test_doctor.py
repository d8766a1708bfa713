from __future__ import annotations

import json
from pathlib import Path

import pytest
from eimf_local_cli.app import app
from typer.testing import CliRunner

from eimf_local import doctor, machine, versions
from eimf_local.config import preset_names
from eimf_local.doctor import Check
from eimf_local.doctor_probe import Loaded, load_packages
from eimf_local.esim.model_files import BUNDLED_MODEL

FEATURES = frozenset({"AVX2", "FMA", "F16C", "OPENMP"})
FLAGS = frozenset({"avx2", "fma", "f16c"})
GOOD = Loaded(versions.COMPUTING, None, ("libgomp",), FEATURES)


@pytest.fixture(autouse=True)
def _sound_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that depends on the machine the tests run on, as on a sound one; each test breaks one thing."""
    monkeypatch.setenv("EIMF_LOCAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.setattr(doctor, "load_packages", lambda: GOOD)
    monkeypatch.setattr(machine, "processor_flags", lambda: FLAGS)
    monkeypatch.setattr(machine, "available_memory", lambda: 10**12)


def look(folder: Path) -> dict[str, Check]:
    return {check.name: check for check in doctor.examine(folder)}


def test_on_a_sound_machine_nothing_blocks_and_each_check_has_one_line(tmp_path: Path) -> None:
    checks = look(tmp_path)
    assert not [check for check in checks.values() if check.state == "blocked"]
    assert {"python", "packages", "loading", "processor", "threads", "openmp", "encoder"} < set(checks)
    assert {f"preset {name}" for name in preset_names()} < set(checks)
    assert all((check.state == "ok") == (check.remedy == "") for check in checks.values())
    assert not [check for check in checks.values() if "\n" in check.found + check.remedy]


def test_versions_are_compared_with_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = versions.installed
    other = {"numpy": "1.0", "polars": None}
    monkeypatch.setattr(doctor, "installed", lambda name: other[name] if name in other else real(name))
    checks = look(tmp_path)
    assert checks["package numpy"].state == "warning"
    assert f"1.0, locked at {versions.locked_versions()['numpy']}" in checks["package numpy"].found
    assert checks["package polars"].state == "blocked"
    assert "make install" in checks["package polars"].remedy


def test_what_is_needed_is_what_the_requirements_say_without_the_tools_of_development() -> None:
    needed = doctor.required_packages()
    assert set(versions.COMPUTING) <= needed
    assert {"llvmlite", "transformers"} <= needed  # needed by what is needed
    assert not {"pytest", "ruff", "mypy"} & needed
    assert needed <= set(versions.locked_versions()) | {"setuptools"}


@pytest.mark.parametrize(
    ("body", "told"),
    [("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "killed by SIGILL"), ("1 / 0", "ZeroDivisionError")],
    ids=["dies", "raises"],
)
def test_a_package_that_cannot_be_loaded_is_named(
    body: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    loaded = load_packages()
    assert loaded.names == ()
    assert loaded.failed is not None
    assert loaded.failed[0] == "torch"
    assert told in loaded.failed[1]
    monkeypatch.setattr(doctor, "load_packages", lambda: loaded)
    assert look(tmp_path)["loading"].state == "blocked"


@pytest.mark.parametrize(
    ("flags", "state", "told"),
    [
        (FLAGS | {"avx512f"}, "ok", "uses AVX2, F16C, FMA"),
        (FLAGS - {"avx2"}, "blocked", "lacks AVX2"),
        (None, "ok", "not comparable"),
    ],
    ids=["more", "less", "unknown"],
)
def test_the_processor_is_compared_with_llama_cpp(
    flags: frozenset[str] | None, state: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "processor_flags", lambda: flags)
    check = look(tmp_path)["processor"]
    assert check.state == state
    assert told in check.found


def test_features_that_lie_idle_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Loaded(versions.COMPUTING, None, (), frozenset({"SSE3"}))
    monkeypatch.setattr(doctor, "load_packages", lambda: slow)
    monkeypatch.setattr(machine, "processor_flags", lambda: FLAGS | {"pni"})
    check = look(tmp_path)["processor"]
    assert check.state == "warning"
    assert "not AVX2, FMA, F16C" in check.found


@pytest.mark.parametrize(
    ("name", "value", "check"),
    [
        ("OMP_NUM_THREADS", "4096", "threads"),
        ("OMP_NUM_THREADS", "many", "threads"),
        ("OMP_WAIT_POLICY", "active", "openmp"),
    ],
)
def test_settings_of_threads_that_harm_are_a_warning(
    name: str, value: str, check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    found = look(tmp_path)[check]
    assert found.state == "warning"
    assert value in found.found


def test_too_little_memory_blocks_the_demo_and_warns_of_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 10**8)
    checks = look(tmp_path)
    assert checks["preset demo"].state == "blocked"
    assert "(0.1 GB free)" in checks["preset demo"].found
    assert checks["preset paper-office"].state == "warning"


def test_a_changed_model_of_the_users_is_a_warning_and_a_damaged_list_blocks(tmp_path: Path) -> None:
    from eimf_local.esim.model_files import add_model, resolve_model, unpinned_model

    mine = tmp_path / "mine.gguf"
    mine.write_bytes(resolve_model(BUNDLED_MODEL).path.read_bytes())
    add_model(unpinned_model(mine))
    mine.write_bytes(b"GGUF")
    assert look(tmp_path)["model mine"].state == "warning"
    (tmp_path / "home" / "models.json").write_text("{")
    assert "damaged" in look(tmp_path)["models"].found


def test_other_weights_of_the_encoder_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eimf_local.esim.encoder.DEFAULT_WEIGHTS_SHA256", "0" * 64)
    assert look(tmp_path)["encoder"].state == "blocked"


def test_a_working_folder_that_cannot_be_written_blocks() -> None:
    check = look(Path("/proc"))["working folder"]  # nobody may write there, not even root
    assert check.state == "blocked"
    assert check.remedy == "change to a folder that you may write"


def test_without_shared_memory_the_grid_is_blocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("multiprocessing.context.BaseContext.Lock", refuse)
    check = look(tmp_path)["shared memory"]
    assert check.state == "blocked"
    assert "Permission denied" in check.found


def test_the_command_exits_1_where_something_blocks_and_json_is_one_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = CliRunner().invoke(app, ["doctor", "--json"])
    assert (good.exit_code, good.stderr) == (0, "")
    assert json.loads(good.stdout)["blocked"] is False
    monkeypatch.setattr(machine, "available_memory", lambda: 10**8)
    bad = CliRunner().invoke(app, ["doctor"])
    assert bad.exit_code == 1
    assert bad.stdout == ""
    assert "BLOCKED preset demo: " in bad.stderr
    document = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert document["blocked"] is True
    assert set(document["checks"][0]) == {"name", "state", "found", "remedy"}
