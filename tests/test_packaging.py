from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAPPED = {"cli": "eimf_local_cli", "models": "eimf_local_models"}


def test_declared_packages_equal_those_on_disk() -> None:
    declared = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    on_disk = set()
    for top in ("eimf_local", *MAPPED):
        for init in (ROOT / top).rglob("__init__.py"):
            first, *rest = init.parent.relative_to(ROOT).parts
            on_disk.add(".".join([MAPPED.get(first, first), *rest]))
    assert declared == on_disk


def test_the_package_carries_the_lock() -> None:
    assert (ROOT / "eimf_local" / "requirements.lock").read_bytes() == (ROOT / "requirements.lock").read_bytes()


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_serving_imports_neither_esim_nor_llama_cpp() -> None:
    modules = loaded_after("import eimf_local.serving.recommend")
    assert not [
        name
        for name in modules
        if name.startswith(("eimf_local.esim", "llama_cpp", "outlines", "eimf_local.alignment"))
    ]


def test_help_loads_nothing_heavy() -> None:
    modules = loaded_after("from eimf_local_cli.app import app; app(['--help'], standalone_mode=False)")
    heavy = {"torch", "numpy", "polars", "numba", "sklearn", "faiss", "llama_cpp", "sentence_transformers", "pydantic"}
    assert not heavy & modules


def test_esim_and_ibim_do_not_know_each_other() -> None:
    assert not [name for name in loaded_after("import eimf_local.ibim.registry") if name.startswith("eimf_local.esim")]
    assert not [name for name in loaded_after("import eimf_local.esim.interests") if name.startswith("eimf_local.ibim")]


def test_the_package_sets_the_switches_before_heavy_imports_and_keeps_the_users() -> None:
    names = ["OMP_WAIT_POLICY", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"]
    code = f"import os, eimf_local; print(*(os.environ[name] for name in {names}))"
    environment = {"OMP_WAIT_POLICY": "active"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["active", "1", "1", "1", "1"]


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "LICENSE", "models/MODEL_CARD.md", "docs/cli.md"])
def test_the_house_is_complete(name: str) -> None:
    assert (ROOT / name).read_text("utf-8").strip()
