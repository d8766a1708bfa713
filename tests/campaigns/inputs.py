"""Broken and odd logs in all four formats: what can be read is read as it stands, the rest is refused in a line."""

from __future__ import annotations

import gzip
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from eimf_local.data.formats import read_interactions
from eimf_local.data.prepare import prepare
from eimf_local.errors import EimfError
from tests.data.sources import WRITERS, Rows

from .harness import Count

ODD_IDS = (
    "007", "7", "../../etc/passwd", "C:\\x", "=1+1", "@SUM(A1)", "-5", "9223372036854775808", "1e5", "NaN", "null",
    "None", "true", "0x10", "a b", "\u05e9\u05dc\u05d5\u05dd", "e\u0301", "\xe9", "'; drop table users; --", "%s",
)  # fmt: skip
_BOMB = 100_000_000  # bytes of one line, a thousandth of that when packed
Harm = Callable[[bytes, random.Random], bytes]


def mutations(work: Path, *, rounds: int, seed: int) -> Count:
    """Damage the bytes of valid files, packed and not, ``rounds`` times in each way."""
    count, rng = Count("damaged logs"), random.Random(seed)
    for format, writer in WRITERS.items():
        for name, harm in _HARMS.items():
            for _ in range(rounds):
                folder = _fresh(work / "log")
                file = writer(folder, _rows(rng), {f"i{n}": f"Thing {n}" for n in range(12)})
                for path in sorted(folder.iterdir()):
                    if rng.random() < 0.7:
                        path.write_bytes(_packed_alike(path, harm, rng))
                told = f"{format}, {name}"
                _check(count, told, lambda file=file, format=format: prepare(file, format=format))
    return count


def odd_ids(work: Path) -> Count:
    """Users and items with odd names come back letter by letter, and none of them is taken for another."""
    count = Count("odd ids")
    rows = [(user, item, time) for user in ODD_IDS for time, item in enumerate(ODD_IDS)]
    for format, writer in WRITERS.items():
        kept = [row for row in rows if format != "movielens" or (row[0] + row[1]).isascii()]
        file = writer(_fresh(work / "log"), kept, {})
        try:
            events = read_interactions(file, format=format).events
            count.check(events.select("user", "item").rows() == [row[:2] for row in kept], f"{format}: {events}")
        except EimfError as error:
            count.check(False, f"{format}: {error.message}")
    return count


def times(work: Path) -> Count:
    """Seconds, milliseconds and dates give the same order of a user's items."""
    count = Count("times")
    seconds = [1_400_000_000 + 86_400 * day for day in (5, 1, 3, 2, 4)]
    forms: dict[str, Callable[[int], str]] = {
        "s": str,
        "ms": lambda second: str(second * 1000),
        "ISO": lambda second: f"2014-05-{18 + (second - seconds[1]) // 86_400:02}T10:00:00",
    }
    for name, form in forms.items():
        file = _fresh(work / "log") / "log.csv"
        lines = [f"u{user},i{n},{form(second)},Thing {n}" for user in range(12) for n, second in enumerate(seconds)]
        file.write_text("\n".join(["user,item,timestamp,title", *lines]) + "\n")
        data = prepare(file, format="table")
        order = [data.items[item - 1] for item in data.history(0, 5)]
        count.check(order == ["i1", "i3", "i2", "i4", "i0"], f"{name}: {order}")
    return count


def _check(count: Count, told: str, read: Callable[[], object]) -> None:
    try:
        read()
        count.check(True, told)
    except EimfError as error:
        count.check("\n" not in error.message and bool(error.hint), f"{told}: {error.message!r}")
    except Exception as error:  # what the campaign looks for
        count.check(False, f"{told}: {type(error).__name__}: {error}")


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _rows(rng: random.Random) -> Rows:
    return [(f"u{user}", f"i{rng.randrange(12)}", step) for user in range(12) for step in range(8)]


def _packed_alike(path: Path, harm: Harm, rng: random.Random) -> bytes:
    """A file's bytes harmed: those of a packed one now and then before packing."""
    data = path.read_bytes()
    if path.suffix == ".gz" and rng.random() < 0.7:
        return gzip.compress(harm(gzip.decompress(data), rng))
    return harm(data, rng)


def _at(rng: random.Random, data: bytes, piece: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + piece + data[place:]


def _flips(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 20)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _lines(data: bytes, rng: random.Random) -> bytes:
    ends = (b"\n", b"\r\n", b"\r", b"\n\n")
    return b"".join(line + rng.choice(ends) for line in data.split(b"\n"))


_HARMS: dict[str, Harm] = {
    "bytes flipped": _flips,
    "truncated": lambda data, rng: data[: rng.randrange(len(data))],
    "empty": lambda data, rng: b"",
    "NUL": lambda data, rng: _at(rng, data, b"\x00" * rng.randint(1, 9)),
    "invalid UTF-8": lambda data, rng: _at(rng, data, b"\xff\xfe\xc3\x28"),
    "byte order mark": lambda data, rng: b"\xef\xbb\xbf" + data,
    "mixed line ends": _lines,
    "a line too long": lambda data, rng: _at(rng, data, b"\n" + b"9" * (3 << 20) + b"\n"),
    "noise": lambda data, rng: rng.randbytes(rng.randint(1, 4000)),
    "quotes": lambda data, rng: _at(rng, data, b'"' * rng.randint(1, 3)),
}


def bombs(work: Path) -> Count:
    """Little files that unpack to one endless line."""
    count = Count("gzip bombs")
    names = {"amazon": "reviews_X_5.json.gz", "movielens": "ratings.dat", "recbole": "x.inter.gz", "table": "x.csv.gz"}
    for format, name in names.items():
        file = _fresh(work / "log") / name
        file.write_bytes(b"".join(_bomb(packed=file.suffix == ".gz")))
        _check(count, format, lambda file=file, format=format: prepare(file, format=format))
    return count


def _bomb(*, packed: bool) -> Iterator[bytes]:
    line = b"7" * _BOMB
    yield gzip.compress(line, 1) if packed else line
