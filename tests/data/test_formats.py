from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from eimf_local.data.formats import READERS, read_interactions
from eimf_local.data.prepare import prepare
from eimf_local.data.raw import RawInteractions
from eimf_local.errors import ConfigError, InputError

from .sources import NASTY_TITLES, ROWS, TITLES, WRITERS, gzipped

FORMATS = sorted(WRITERS)


def triples(raw: RawInteractions) -> list[tuple[str, str, int]]:
    return raw.events.select("user", "item", "timestamp").rows()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("by_folder", [True, False])
def test_reads_interactions_in_file_order_and_titles(tmp_path: Path, format: str, by_folder: bool) -> None:
    file = WRITERS[format](tmp_path, ROWS, TITLES)
    raw = read_interactions(tmp_path if by_folder else file, format=format)
    assert triples(raw) == list(ROWS)
    assert raw.titles == TITLES
    assert raw.events["position"].to_list() == [time for _, _, time in ROWS]
    assert raw.lines.read == len(ROWS)
    assert raw.lines.unparsable == 0
    assert raw.title_lines.read == len(TITLES)
    assert [path.parent for path in raw.sources] == [tmp_path, tmp_path]


@pytest.mark.parametrize("format", FORMATS)
def test_titles_option_names_another_file(tmp_path: Path, format: str) -> None:
    file = WRITERS[format](tmp_path, ROWS, TITLES)
    other = tmp_path / "other"
    other.mkdir()
    WRITERS[format](other, ROWS, {"i1": "Elsewhere"})
    [title_file] = [path for path in other.iterdir() if path.name != file.name]
    assert read_interactions(file, format=format, titles=title_file).titles == {"i1": "Elsewhere"}


@pytest.mark.parametrize("format", FORMATS)
def test_without_a_title_file_there_are_no_titles(tmp_path: Path, format: str) -> None:
    file = WRITERS[format](tmp_path, ROWS, TITLES)
    for path in tmp_path.iterdir():
        if path != file:
            path.unlink()
    raw = read_interactions(tmp_path, format=format)
    assert raw.titles == {}
    assert raw.sources == (file,)


@pytest.mark.parametrize("format", FORMATS)
def test_rows_with_a_blank_id_are_counted_and_dropped(tmp_path: Path, format: str) -> None:
    WRITERS[format](tmp_path, [("", "i1", 1), *ROWS, ("a", "  ", 2)], TITLES)
    raw = read_interactions(tmp_path, format=format)
    assert triples(raw) == list(ROWS)
    assert raw.blank_ids == 2
    assert raw.lines.read == len(ROWS) + 2


@pytest.mark.parametrize("format", ["amazon", "recbole", "table"])
@pytest.mark.parametrize("name", NASTY_TITLES)
def test_nasty_titles_pass_safely_through_preparation(tmp_path: Path, format: str, name: str) -> None:
    raw, expected = NASTY_TITLES[name]
    if format != "amazon":  # a line-based table cannot hold line breaks
        raw = re.sub(r"[\t\n\x1c\x85]", " ", raw)
    rows = [(f"u{user}", f"i{item}", item) for user in range(10) for item in range(5)]
    WRITERS[format](tmp_path, rows, {"i0": raw})
    dataset = prepare(tmp_path, format=format)
    assert dataset.titles[dataset.items.index("i0")] == expected
    assert dataset.titles[dataset.items.index("i1")] == "i1"


@pytest.mark.parametrize("format", FORMATS)
def test_when_the_file_is_empty_error_names_it(tmp_path: Path, format: str) -> None:
    file = WRITERS[format](tmp_path, ROWS, TITLES)
    gzipped(file, "") if file.suffix == ".gz" else file.write_text("")
    with pytest.raises(InputError, match=f"{re.escape(str(file))} holds no interactions"):
        read_interactions(tmp_path, format=format)


@pytest.mark.parametrize("format", FORMATS)
def test_when_the_source_is_missing_error_names_it(tmp_path: Path, format: str) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such file or folder"):
        read_interactions(tmp_path / "nowhere", format=format)


@pytest.mark.parametrize("format", FORMATS)
def test_when_the_folder_holds_nothing_error_says_what_is_looked_for(tmp_path: Path, format: str) -> None:
    with pytest.raises(InputError, match=r"holds no file named .*(reviews|ratings|inter)"):
        read_interactions(tmp_path, format=format)


@pytest.mark.parametrize("format", ["amazon", "table"])
@pytest.mark.parametrize("damage", ["truncated", "overwritten", "plain"])
def test_when_gzip_is_corrupt_one_error_names_the_file(tmp_path: Path, format: str, damage: str) -> None:
    rows = [(f"user{number}", f"item{number * 7919 % 1000}", number) for number in range(3000)]
    file = WRITERS[format](tmp_path, rows, TITLES)
    blob = file.read_bytes()
    middle = len(blob) // 2
    damaged = {"truncated": blob[:middle], "overwritten": blob[:middle] + b"\xff" * 64 + blob[middle + 64 :]}
    file.write_bytes(damaged.get(damage, b"not a gzip file, whatever its name says\n" * 3))
    with pytest.raises(InputError, match=re.escape(str(file))):
        read_interactions(tmp_path, format=format)


@pytest.mark.parametrize(("format", "other"), [(a, b) for a in FORMATS for b in FORMATS if a != b])
def test_when_the_format_is_wrong_one_named_error(tmp_path: Path, format: str, other: str) -> None:
    file = WRITERS[other](tmp_path, ROWS, TITLES)
    with pytest.raises(InputError) as caught:
        read_interactions(file, format=format)
    assert str(file) in caught.value.message
    assert "\n" not in str(caught.value)


def test_when_the_format_is_unknown_error_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="amazon, movielens, recbole, table"):
        read_interactions(tmp_path, format="csv")


@pytest.mark.parametrize("format", ["amazon", "movielens"])
def test_when_a_fixed_format_gets_column_names_it_is_refused(tmp_path: Path, format: str) -> None:
    WRITERS[format](tmp_path, ROWS, TITLES)
    with pytest.raises(ConfigError, match=r"--user-column who has no meaning"):
        read_interactions(tmp_path, format=format, user_column="who")


def test_when_a_directory_has_the_title_files_name_one_named_error(tmp_path: Path) -> None:
    WRITERS["table"](tmp_path, ROWS, TITLES)
    with pytest.raises(InputError):
        read_interactions(tmp_path, format="table", titles=tmp_path)


def test_every_format_has_a_fixture() -> None:
    assert sorted(READERS) == FORMATS


@pytest.mark.parametrize("format", FORMATS)
def test_schema_is_the_same_for_every_format(tmp_path: Path, format: str) -> None:
    WRITERS[format](tmp_path, ROWS, TITLES)
    events = read_interactions(tmp_path, format=format).events
    assert dict(events.schema) | {"position": None} == {
        "user": pl.String,
        "item": pl.String,
        "position": None,
        "timestamp": pl.Int64,
    }
    assert events.schema["position"] in (pl.Int64, pl.Float64)
