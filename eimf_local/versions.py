"""Versions of the packages that compute: recorded with every artefact, and compared with those locked."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
from collections.abc import Mapping
from functools import cache

# Another version of one of these may give other numbers.
COMPUTING = (
    "torch",
    "numpy",
    "numba",
    "llama-cpp-python",
    "sentence-transformers",
    "faiss-cpu",
    "polars",
    "scikit-learn",
    "outlines",
    "llguidance",
)


def installed(name: str) -> str | None:
    """A package's version without a build's suffix ("2.13.0+cpu" is 2.13.0); None where it is not installed."""
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def computing_versions() -> Mapping[str, str]:
    """The versions of :data:`COMPUTING` that are installed."""
    found = {name: installed(name) for name in COMPUTING}
    return {name: version for name, version in found.items() if version is not None}


def changed_versions(recorded: Mapping[str, str]) -> list[str]:
    """What is installed here in other versions than ``recorded``, as "name recorded -> installed"."""
    return [
        f"{name} {version} -> {installed(name) or 'not installed'}"
        for name, version in recorded.items()
        if installed(name) != version
    ]


def locked_versions() -> dict[str, str]:
    """The versions of requirements.lock, by normalised name; the package carries a copy of the file."""
    text = importlib.resources.files("eimf_local").joinpath("requirements.lock").read_text("utf-8")
    pins = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {normalised(name): version for name, version in pins}


def normalised(name: str) -> str:
    """A package's name as package indexes compare it.

    >>> normalised("Llama_CPP.python")
    'llama-cpp-python'
    """
    return re.sub(r"[-_.]+", "-", name).lower()
