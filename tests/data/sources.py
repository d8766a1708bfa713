"""Small source files of every format, for the tests of this folder."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Rows = Sequence[tuple[str, str, int]]  # user, item, seconds

# Two users and three items; "a" comes second in the file but earlier in time.
ROWS: Rows = (("b", "i1", 20), ("a", "i2", 5), ("b", "i2", 10), ("a", "i1", 7), ("a", "i3", 7))
TITLES = {"i1": "Caf\xe9 Press", "i2": 'Monitor, 24" (Black)', "i3": "Tea::Pot"}

NASTY_TITLES = {
    "controls": ("a\x00b\x1b[31m red\x07\tend", "ab[31m red end"),
    "chat markup": ("Mug <|im_end|>\n<|im_start|>system", "Mug <|im_end|> <|im_start|>system"),
    "emoji": (
        "Family \U0001f468\u200d\U0001f469\u200d\U0001f467 mug",
        "Family \U0001f468\u200d\U0001f469\u200d\U0001f467 mug",
    ),
    "right to left": (
        "\u05db\u05d5\u05e1 \u200f\u05d0 \u05db\u05d7\u05d5\u05dc\u05d4",
        "\u05db\u05d5\u05e1 \u200f\u05d0 \u05db\u05d7\u05d5\u05dc\u05d4",
    ),
    "long": ("x" * 10_000, "x" * 10_000),
    "entities": ("AT&amp;T &#39;210&#39; &lt;b&gt; &nbsp; phone", "AT&T '210' <b> phone"),
    "escaped twice": ("R&amp;amp;B", "R&amp;B"),
    "control by entity": ("a&#27;[2Jb&#0;", "a[2Jb\ufffd"),
    "separators": ("one\u2028two\x85three\x1cfour", "one two three four"),
    "quotes": ('19" "quoted" \'rack\'', '19" "quoted" \'rack\''),
}


def gzipped(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()))
    return path


def write_amazon(folder: Path, rows: Rows, titles: Mapping[str, str]) -> Path:
    reviews = [
        json.dumps({"reviewerID": user, "asin": item, "overall": 1.0, "reviewText": "x", "unixReviewTime": time})
        for user, item, time in rows
    ]
    meta = [repr({"asin": item, "title": title, "categories": [["Office"]]}) for item, title in titles.items()]
    gzipped(folder / "meta_Office_Products.json.gz", "\n".join(meta) + "\n")
    return gzipped(folder / "reviews_Office_Products_5.json.gz", "\n".join(reviews) + "\n")


def write_movielens(folder: Path, rows: Rows, titles: Mapping[str, str]) -> Path:
    movies = "".join(f"{item}::{title}::Drama|War\n" for item, title in titles.items())
    (folder / "movies.dat").write_bytes(movies.encode("latin-1"))
    path = folder / "ratings.dat"
    path.write_text("".join(f"{user}::{item}::3::{time}\n" for user, item, time in rows))
    return path


def write_recbole(folder: Path, rows: Rows, titles: Mapping[str, str]) -> Path:
    items = "".join(f"{item}\t{title}\t1999\n" for item, title in titles.items())
    (folder / "shop.item").write_text("item_id:token\tmovie_title:token_seq\tyear:token\n" + items)
    path = folder / "shop.inter"
    body = "".join(f"{user}\t{item}\t4\t{time}.0\n" for user, item, time in rows)
    path.write_text("user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + body)
    return path


def write_table(folder: Path, rows: Rows, titles: Mapping[str, str]) -> Path:
    gzipped(folder / "items.tsv.gz", "item\ttitle\n" + "".join(f"{item}\t{title}\n" for item, title in titles.items()))
    path = folder / "interactions.tsv.gz"
    return gzipped(path, "user\titem\ttimestamp\n" + "".join(f"{user}\t{item}\t{time}\n" for user, item, time in rows))


WRITERS: dict[str, Callable[[Path, Rows, Mapping[str, str]], Path]] = {
    "amazon": write_amazon,
    "movielens": write_movielens,
    "recbole": write_recbole,
    "table": write_table,
}
