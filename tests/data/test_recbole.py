from __future__ import annotations

from pathlib import Path

import pytest

from eimf_local.data.recbole import read_recbole
from eimf_local.errors import InputError

from .sources import ROWS, TITLES, write_recbole


def test_types_in_the_header_are_left_off(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text("uid:token\tpid:token\tweek:float\n1\t2\t3\n")
    raw = read_recbole(tmp_path, titles=None, user_column="uid", item_column="pid", order_column="week")
    assert raw.events.select("user", "item", "position").rows() == [("1", "2", 3)]
    assert raw.order == "week"
    assert raw.events["timestamp"].to_list() == [None]


def test_title_column_option_comes_before_the_usual_names(tmp_path: Path) -> None:
    write_recbole(tmp_path, ROWS, TITLES)
    assert read_recbole(tmp_path, titles=None, title_column="year").titles == dict.fromkeys(TITLES, "1999")


def test_without_a_time_the_file_order_counts(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text("user_id:token\titem_id:token\nb\t2\na\t1\n")
    assert read_recbole(tmp_path, titles=None).order == "file order"


def test_when_a_column_is_missing_error_lists_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text("user_id:token\trating:float\na\t1\n")
    with pytest.raises(InputError, match=r"no column 'item' or 'item_id'; its columns are 'user_id', 'rating'"):
        read_recbole(tmp_path, titles=None)


def test_when_several_inter_files_are_there_error_lists_them(tmp_path: Path) -> None:
    for name in ("a.inter", "b.inter"):
        (tmp_path / name).write_text("user_id:token\titem_id:token\na\t1\n")
    with pytest.raises(InputError, match=r"a.inter, b.inter"):
        read_recbole(tmp_path, titles=None)
