"""The prompt of an exemplar user (paper section 3.3.2, Fig. 2; SPEC section 3.3).

A prompt has three parts: a frame before the titles, the titles, a frame after them. Only the frame may contain control
tokens: the worker tokenises it with special tokens on and the titles with special tokens off, so that a title such as
``<|im_end|>`` stays text. The chat markup is ChatML, written here: a model file's own template is never run. A server
applies its own template and tokenises everything alike, so there a title's markers are broken up instead.
"""

from __future__ import annotations

import importlib.resources
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from ..artifacts import digest_of
from ..data.dataset import Dataset
from ..errors import ConfigError

_SEPARATOR = "\n---\n"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MARKER = re.compile(r"<(?=\S)")  # the start of <|im_end|>, </s>, <think> ...


@dataclass(frozen=True)
class Prompt:
    """One exemplar's prompt.

    ``system`` and what stands ``before`` and ``after`` the titles in the user's message are trusted. ``titles`` are
    the user's, oldest first, each already in brackets; where the context is too short, the oldest are dropped, and
    the answer says how many.
    """

    user: str
    system: str
    before: str
    titles: tuple[str, ...]
    after: str

    @property
    def head(self) -> str:
        """ChatML before the titles: trusted markup."""
        return f"<|im_start|>system\n{self.system}<|im_end|>\n<|im_start|>user\n{self.before}"

    @property
    def tail(self) -> str:
        """ChatML after the titles: trusted markup."""
        return f"{self.after}<|im_end|>\n<|im_start|>assistant\n"

    def question(self, *, dropped: int = 0) -> str:
        """The user's message without markup, its oldest ``dropped`` titles left out, for a server's own template.

        A blank breaks up what could be a control token in a title, whatever the model's family: ``< |im_end|>``.
        """
        titles = _MARKER.sub("< ", "".join(self.titles[dropped:]))
        return f"{self.before}{titles}\n{self.after}"

    @property
    def digest(self) -> str:
        """SHA-256 hex digest of what the model will read (the user's id is not part of it)."""
        return digest_of([self.head, list(self.titles), self.tail])


@dataclass(frozen=True)
class PromptTemplate:
    """System and user message with ``$titles`` and ``$max_interests`` filled in at :meth:`render`."""

    system: str
    before: str
    after: str

    @classmethod
    def read(cls, path: str | None = None) -> PromptTemplate:
        """Read a template file, or the packaged one: system text, a line ``---``, user text with ``$titles``.

        Raises :class:`ConfigError` where the file is unreadable or lacks a part.
        """
        text = _template_text(path)
        system, separator, user = text.partition(_SEPARATOR)
        before, placeholder, after = user.partition("$titles\n")
        if not separator or not placeholder:
            raise ConfigError(
                f"prompt template {path}: needs a system text, a line '---', and a user text with a line '$titles'",
                hint="start from eimf_local/esim/interest_prompt.txt",
            )
        return cls(system=system.strip(), before=before, after=after.strip())

    def render(self, *, user: str, titles: list[str], max_interests: int) -> Prompt:
        """The prompt for one user's bracketed titles."""
        after = Template(self.after).safe_substitute(max_interests=max_interests)
        return Prompt(user=user, system=self.system, before=self.before, titles=tuple(titles), after=after)


def shown_items(dataset: Dataset, user: int, end: int, *, max_titles: int) -> list[int]:
    """The last ``max_titles`` distinct items of the user's first ``end``, oldest first.

    An item clicked again shows only at its latest place.
    """
    latest = dict.fromkeys(int(item) for item in reversed(dataset.history(user, end)))  # newest first, each once
    return list(latest)[:max_titles][::-1]


def shown_titles(
    dataset: Dataset, user: int, end: int, *, max_titles: int, title_characters: int, with_ids: bool
) -> list[str]:
    """The titles of :func:`shown_items`, in brackets.

    Each is cut at ``title_characters`` and freed of control characters; ``with_ids`` adds the raw item id in
    parentheses (the paper's form).
    """
    shown = []
    for item in shown_items(dataset, user, end, max_titles=max_titles):
        title = _CONTROL.sub(" ", dataset.titles[item - 1]).strip()[:title_characters].rstrip()
        shown.append(f"[{title} ({dataset.items[item - 1]})]" if with_ids else f"[{title}]")
    return shown


def interests_schema(max_interests: int) -> dict[str, Any]:
    """JSON schema of an answer: ``{"interests": [string, ...]}``, 1 to ``max_interests`` short strings.

    The vendor key stops llguidance from admitting free blanks, with which a weak model can fill its whole budget.
    """
    phrase = {"type": "string", "minLength": 2, "maxLength": 60}
    return {
        "type": "object",
        "properties": {"interests": {"type": "array", "items": phrase, "minItems": 1, "maxItems": max_interests}},
        "required": ["interests"],
        "additionalProperties": False,
        "x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "},
    }


def _template_text(path: str | None) -> str:
    if path is None:
        return importlib.resources.files("eimf_local.esim").joinpath("interest_prompt.txt").read_text("utf-8")
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"prompt template {path}: {getattr(error, 'strerror', None) or error}", hint="give a readable UTF-8 file"
        ) from None
