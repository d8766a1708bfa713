from __future__ import annotations

import os
from pathlib import Path

import pytest

from eimf_local.errors import StorageError
from eimf_local.esim.journal import Journal


def test_records_survive_reopening(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append("a", {"x": "caf\u00e9\u2028\n"})
    journal.append("b", {"x": 2})
    again = Journal(tmp_path / "j")
    assert "a" in again
    assert "c" not in again
    assert (again["a"], again["b"]) == ({"x": "caf\u00e9\u2028\n"}, {"x": 2})


def test_cut_at_any_byte_the_whole_lines_stay_and_appending_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    for key in "abc":
        journal.append(key, {"value": key * 3})
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        torn = Journal(path)
        whole = data[:cut].count(b"\n")
        assert [key for key in "abc" if key in torn] == list("abc"[:whole])
        torn.append("z", {"value": 1})
        assert "z" in Journal(path)


@pytest.mark.parametrize("line", [b"not json\n", b"[]\n", b'{"key": 1}\n', b"\xff\n"])
def test_a_damaged_line_costs_itself_alone(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    journal.append("a", {})
    good = path.read_bytes()
    path.write_bytes(good + line + good.replace(b'"a"', b'"b"'))
    again = Journal(path)
    assert "a" in again
    assert "b" in again


def test_when_the_disk_is_full_it_is_one_error_and_no_torn_line_stays(small_disk: Path) -> None:
    journal = Journal(small_disk / "j")
    journal.append("a", {"x": 1})
    with pytest.raises(StorageError, match="No space left"):
        journal.append("b", {"x": os.urandom(64_000).hex()})
    assert "b" not in journal
    assert "a" in Journal(small_disk / "j")
    assert (small_disk / "j").read_bytes().endswith(b"\n")
