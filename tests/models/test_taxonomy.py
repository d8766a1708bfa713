"""The taxonomy of the next corpus: large enough, well-formed, and its faults named."""

from __future__ import annotations

from pathlib import Path

import pytest
from eimf_local_models.builder.taxonomy import FOLDER, read_taxonomy

from eimf_local.errors import InputError


def test_it_has_the_domains_and_interests_that_the_corpus_needs() -> None:
    domains = read_taxonomy()
    interests = [interest for domain in domains for interest in domain.interests]
    assert len(domains) >= 40
    assert len(interests) >= 600
    phrases = [phrase for interest in interests for phrase in interest.phrases]
    assert len(set(phrases)) == len(phrases)
    assert {domain.kind for domain in domains} == {"product", "media"}


def test_a_phrase_that_breaks_the_format_is_named_with_its_file(tmp_path: Path) -> None:
    text = (FOLDER / "fitness.toml").read_text("utf-8")
    first = read_taxonomy()[[domain.name for domain in read_taxonomy()].index("fitness")].interests[0].phrases[0]
    (tmp_path / "fitness.toml").write_text(text.replace(first, "gym", 1))
    with pytest.raises(InputError, match=r"fitness\.toml"):
        read_taxonomy(tmp_path)
