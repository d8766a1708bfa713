"""Named errors: what went wrong, where, and what to do about it.

The command line turns each of these into one line and exit status 1; anything else is a defect of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EimfError(Exception):
    """A failure that the user can act on.

    ``message`` says what happened and where (file, line, user ...); ``hint`` says what to do.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} — {self.hint}"


class InputError(EimfError):
    """A file, table, title, user or item given by the user cannot be used."""


class ConfigError(EimfError):
    """A preset, a ``--set`` override or a combination of options makes no sense."""


class ArtifactError(EimfError):
    """A stored artefact is missing, incomplete, altered, stale, or of another version."""


class ModelFileError(EimfError):
    """A GGUF or an encoder file is missing, malformed, or not the one its digest names."""


class InferenceError(EimfError):
    """The language model's process failed, or gave no usable answer."""


class TrainingError(EimfError):
    """Training diverged: the loss is no longer a finite number."""


class StorageError(EimfError):
    """The operating system refused to write: disk full, no permission, read-only."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a ``name`` that is none of the ``known`` ones; its hint names the nearest of them, then all."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return ConfigError(f"unknown {what} {name!r}", hint=f"{guess}known: {', '.join(names)}")
