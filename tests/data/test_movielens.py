from __future__ import annotations

from pathlib import Path

import pytest

from eimf_local.data.movielens import read_movielens
from eimf_local.errors import InputError

from .sources import ROWS, write_movielens


def test_bad_rating_lines_are_counted_and_the_first_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ratings.dat"
    path.write_bytes(b"1::2::5::9\n\n1::2::5\nxx\xe9\x01::2::3::4\n1::3::5::soon\n1::2::3::4::5\r\n2::4::1::8\r\n")
    raw = read_movielens(path, titles=None)
    assert raw.events.rows() == [("1", "2", 9, 9), ("2", "4", 8, 8)]
    assert (raw.lines.read, raw.lines.unparsable, raw.lines.first_unparsable) == (6, 4, 3)


def test_titles_are_latin_1_or_utf_8(tmp_path: Path) -> None:
    write_movielens(tmp_path, ROWS, {})
    movies = "1::Misérables, Les (1995)::Drama\n".encode("latin-1") + "2::Été: La fin (2001)::Drama\n".encode()
    (tmp_path / "movies.dat").write_bytes(movies)
    assert read_movielens(tmp_path, titles=None).titles == {"1": "Misérables, Les (1995)", "2": "Été: La fin (2001)"}


def test_bad_movie_lines_are_counted(tmp_path: Path) -> None:
    write_movielens(tmp_path, ROWS, {})
    (tmp_path / "movies.dat").write_text("1::A (1990)::Drama\nnonsense\n2::No genres\n")
    raw = read_movielens(tmp_path, titles=None)
    assert raw.titles == {"1": "A (1990)"}
    count = raw.title_lines
    assert (count.read, count.unparsable, count.first_unparsable) == (3, 2, 2)


def test_when_no_line_is_a_rating_error_says_the_form(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("userId,movieId,rating,timestamp\n1,2,3,4\n")
    with pytest.raises(InputError, match=r"none of its 2 lines reads UserID::MovieID::Rating::Timestamp"):
        read_movielens(tmp_path, titles=None)
