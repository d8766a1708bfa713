from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from eimf_local.data.table import read_table
from eimf_local.errors import InputError

from .sources import gzipped


def read(folder: Path, text: str, *, name: str = "log.csv", **options: Any) -> Any:
    path = folder / name
    gzipped(path, text) if name.endswith(".gz") else path.write_text(text)
    return read_table(path, titles=None, **options)


def positions(raw: Any) -> list[float]:
    return raw.events["position"].to_list()


@pytest.mark.parametrize(
    ("header", "order"),
    [("timestamp,seq_pos", "seq_pos"), ("timestamp,other", "timestamp"), ("other,another", "file order")],
)
def test_order_column_is_seq_pos_else_timestamp_else_none(tmp_path: Path, header: str, order: str) -> None:
    raw = read(tmp_path, f"user,item,{header}\na,x,30,1\na,y,20,2\n")
    assert raw.order == order
    assert positions(raw) == {"seq_pos": [1, 2], "timestamp": [30, 20], "file order": [0, 0]}[order]
    assert raw.events["timestamp"].to_list() == ([30, 20] if "timestamp" in header else [None, None])


def test_options_rename_the_columns(tmp_path: Path) -> None:
    text = "who,what,rank,name\na,x,2,Ex\na,y,1,Why\n"
    options = {"user_column": "who", "item_column": "what", "order_column": "rank", "title_column": "name"}
    raw = read(tmp_path, text, **options)
    assert raw.events.select("user", "item", "position").rows() == [("a", "x", 2), ("a", "y", 1)]
    assert raw.titles == {"x": "Ex", "y": "Why"}
    assert raw.order == "rank"


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "LOG.CSV"])
def test_csv_has_standard_quoting(tmp_path: Path, name: str) -> None:
    raw = read(tmp_path, 'user,item,title\r\na,x,"Monitor, 24"" wide"\r\nb,x,\r\n', name=name)
    assert raw.titles == {"x": 'Monitor, 24" wide'}


@pytest.mark.parametrize("name", ["log.tsv", "log.tsv.gz"])
def test_tsv_has_no_quoting(tmp_path: Path, name: str) -> None:
    raw = read(tmp_path, 'user\titem\ttitle\na\tx\t"Half, 24" wide\nb\ty\t"quoted"\n', name=name)
    assert raw.titles == {"x": '"Half, 24" wide', "y": '"quoted"'}


def test_parquet_columns_of_any_scalar_type(tmp_path: Path) -> None:
    day = datetime.datetime(2014, 7, 14, 0, 0, 1, 500_000)
    frame = pl.DataFrame({"user": [1, 2], "item": ["x", None], "timestamp": [day, None], "title": ["Ex", "?"]})
    frame.write_parquet(tmp_path / "log.parquet")
    raw = read_table(tmp_path / "log.parquet", titles=None)
    assert raw.events.rows() == [("1", "x", 1_405_296_001_500_000, 1_405_296_001)]
    assert raw.blank_ids == 1
    assert raw.titles == {"x": "Ex"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("1405296000", "1405296001"), [1405296000, 1405296001]),
        ((" 2 ", ""), [2, None]),
        (("1.5", "1e3"), [1.5, 1000.0]),
        (("2014-07-14", "2014-07-15"), [1_405_296_000_000_000, 1_405_382_400_000_000]),
        (("2014-07-14T00:00:01Z", ""), [1_405_296_001_000_000, None]),
        (("2014-07-14 00:00:01", "2014-07-14 00:00:02"), [1_405_296_001_000_000, 1_405_296_002_000_000]),
    ],
)
def test_order_values_are_numbers_or_dates(tmp_path: Path, values: tuple[str, str], expected: list[float]) -> None:
    first, second = values
    assert positions(read(tmp_path, f"user,item,timestamp\na,x,{first}\na,y,{second}\n")) == expected


def test_dates_of_an_order_column_serve_as_timestamps(tmp_path: Path) -> None:
    raw = read(tmp_path, "user,item,day\na,x,2014-07-14\na,y,2014-07-15\n", order_column="day")
    assert raw.events["timestamp"].to_list() == [1_405_296_000, 1_405_382_400]


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "2014-99-99"])
def test_when_an_order_value_is_no_number_error_names_column_value_and_row(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError, match=f"column 'timestamp' holds '{value}' in row 2"):
        read(tmp_path, f"user,item,timestamp\na,x,3\na,y,{value}\na,z,also bad\n")


def test_a_titles_file_beside_is_read_where_no_title_column_is_joined(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item,title\nx,From the file\nz,Not bought\nx,Second\n")
    assert read(tmp_path, "user,item\na,x\n").titles == {"x": "From the file"}
    assert read(tmp_path, "user,item,title\na,x,Joined\n").titles == {"x": "Joined"}


def test_an_explicit_title_file_comes_before_a_joined_column(tmp_path: Path) -> None:
    (tmp_path / "names.tsv").write_text("item\ttitle\nx\tExplicit\n")
    (tmp_path / "log.csv").write_text("user,item,title\na,x,Joined\n")
    assert read_table(tmp_path / "log.csv", titles=tmp_path / "names.tsv").titles == {"x": "Explicit"}


def test_a_title_file_may_call_its_column_item_where_the_log_does_not(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item,title\nx,Ex\n")
    assert read(tmp_path, "user,sku\na,x\n", item_column="sku").titles == {"x": "Ex"}


def test_the_first_title_that_is_not_blank_counts(tmp_path: Path) -> None:
    assert read(tmp_path, 'user,item,title\na,x,\nb,x," "\nc,x,Third\nd,x,Fourth\n').titles == {"x": "Third"}


@pytest.mark.parametrize("column", ["user", "item"])
def test_when_a_column_is_missing_error_names_it_and_those_there_are(tmp_path: Path, column: str) -> None:
    text = "user,item,rating\n1,2,3\n".replace(column, "else")
    with pytest.raises(InputError, match=rf"no column '{column}'; its columns are .*'else'.*--{column}-column"):
        read(tmp_path, text)


def test_when_the_order_column_given_is_missing_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'when'; its columns are 'user', 'item'"):
        read(tmp_path, "user,item\na,b\n", order_column="when")


def test_when_the_title_file_lacks_its_columns_error_names_them(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item,name\nx,Ex\n")
    with pytest.raises(InputError, match=r"items.csv has no column 'title'; its columns are 'item', 'name'"):
        read(tmp_path, "user,item\na,x\n")


@pytest.mark.parametrize("columns", ["user,item,title", "user,title,item"])
@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_when_a_row_has_too_many_fields_error_gives_its_line(tmp_path: Path, columns: str, name: str) -> None:
    text = f'{columns}\na,"two\nlines",x\nb,Pot, large,y\n'
    with pytest.raises(InputError, match=r"line 4 has 4 fields, its header 3"):
        read(tmp_path, text, name=name)


def test_a_row_with_too_few_fields_is_a_blank_id(tmp_path: Path) -> None:
    raw = read(tmp_path, "user,item\na\nb,x\n\n")
    assert raw.events["user"].to_list() == ["b"]
    assert raw.blank_ids == raw.lines.read - 1 == 2


def test_when_the_text_is_not_utf_8_one_named_error(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes("user,item\na,café\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"log.csv: invalid utf-8.*UTF-8"):
        read_table(tmp_path / "log.csv", titles=None)


def test_a_byte_order_mark_is_no_part_of_the_name(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffuser,item\na,x\n").events.height == 1


@pytest.mark.parametrize("text", ["", "user,item\n"])
def test_when_there_is_no_row_error_names_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"log.csv holds no interactions"):
        read(tmp_path, text)


def test_when_the_extension_is_unknown_error_lists_those_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(".csv, .tsv or .parquet")):
        read(tmp_path, "user,item\na,x\n", name="log.xlsx")


def test_when_parquet_is_not_parquet_one_named_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*log.parquet"):
        read(tmp_path, "user,item\na,x\n", name="log.parquet")


def test_when_the_file_is_binary_the_error_stays_one_short_line(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(bytes(range(9)) + b"\xff\x00\x1b[2J" * 5000)
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / "log.csv", titles=None)
    assert len(str(caught.value)) < 2500
    assert str(caught.value).isprintable()


def test_when_several_interaction_files_are_there_error_lists_them(tmp_path: Path) -> None:
    for name in ("interactions.csv", "interactions.tsv"):
        (tmp_path / name).write_text("user\n")
    with pytest.raises(InputError, match=r"interactions.csv, interactions.tsv"):
        read_table(tmp_path, titles=None)


def test_a_path_with_glob_characters_is_taken_literally(tmp_path: Path) -> None:
    folder = tmp_path / "a[1]*"
    folder.mkdir()
    assert read(folder, "user,item\na,x\n").events.height == 1


def test_a_row_too_long_is_told_where_a_bare_carriage_return_stands_before_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"log.csv has a row with more fields than its header"):
        read(tmp_path, "user,item\na,x\rb,y\nc,z,surplus\n")


def test_the_one_value_that_is_no_date_is_named(tmp_path: Path) -> None:
    text = "user,item,when\nu,a,2025-03-15 01:52:00\nu,b,2025-03-16 01:52:00\nu,c,not-a-date\n"
    with pytest.raises(InputError, match="column 'when' holds 'not-a-date' in row 3, which is no number and no date"):
        read(tmp_path, text, order_column="when")


def test_a_table_in_utf_16_is_told_from_one_without_columns(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes("user,item\nu,a\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"log\.csv is not in UTF-8"):
        read_table(tmp_path / "log.csv", titles=None)
