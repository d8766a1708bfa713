"""A grid's finished runs as small JSON files: all that reports need of a run, without its weights.

Some ten kilobytes a run, so that the cells of a long experiment can be kept under version control, and a grid goes on
from them on another machine. What was restored cannot serve recommendations; everything else takes it for finished.
Values of single users are float32: the rows that differ, and which of them each user has. They and the learning curve
are compressed by LZMA, in base85.

``python -m eimf_local.reproduction.cell_records keep GRID CELLS`` and ``... restore CELLS GRID``
"""

from __future__ import annotations

import argparse
import base64
import json
import lzma
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..artifacts import SCHEMA_VERSION, Artifact, load, write
from ..disk import locked, write_json, write_text
from ..errors import ArtifactError, EimfError, InputError
from .folder import MADE_WITH, STAGES, claim

_USERS = "users.json"
_GRID = ("grid.json", "metrics.json", STAGES, MADE_WITH)  # of the grid: for the page of results, and to go on
_KEPT = ("metrics.json", "timing.json")
_TEXT = [{"id": lzma.FILTER_LZMA2, "preset": 9}]
_NUMBERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 0, "lp": 2, "pb": 2}]  # of four bytes


def keep_cells(grid: Path, out: Path) -> int:
    """Write OUT/CONDITION/seed-N.json for each finished run of a grid folder; returns how many there are.

    Beside them OUT/users.json, and the grid's own small files. Raises :class:`ArtifactError` where a run is damaged or
    ranks for other users than the rest, kept ones too, and :class:`InputError` where there is no finished grid.
    """
    folders = [record.parent for record in sorted((grid / "runs").glob("*/seed-*/artifact.json"))]
    if not folders or not all((grid / name).exists() for name in _GRID):
        raise InputError(f"{grid} is no finished grid", hint="give a folder that 'eimf-local reproduce' reported on")
    users = _read(out / _USERS) if (out / _USERS).exists() else None
    for folder in folders:
        run = load(folder, "run")
        table = pl.read_parquet(run.file("per_user.parquet"))
        mine = table["user"].to_list()
        if users not in (None, mine):
            raise ArtifactError(f"{folder} ranks for other users than the runs kept in {out}", hint="keep grids apart")
        if users is None:
            users = mine
            _write(_made(out) / _USERS, users)
        _write(_made(out / folder.parent.name) / f"{folder.name}.json", _cell(run, table.drop("user")))
    for name in _GRID:
        _write(out / name, _read(grid / name))
    return len(folders)


def restore_cells(cells: Path, grid: Path) -> int:
    """Put the runs that :func:`keep_cells` wrote into a grid folder, those that are not there yet; how many were put.

    Raises :class:`ArtifactError` where a file is damaged or of another version, or the folder holds another grid or
    something else, and :class:`InputError` where nothing was kept.
    """
    kept = sorted(cells.glob("*/seed-*.json"))
    if not kept:
        raise InputError(f"{cells} holds no kept cells", hint="check the path")
    claim(grid)
    with locked(grid, grid):
        made_with = grid / MADE_WITH
        if made_with.exists() and _read(made_with) != _read(cells / MADE_WITH):
            raise ArtifactError(f"{grid} is a grid of another configuration than {cells}", hint="give another folder")
        for name in (STAGES, MADE_WITH):  # first: a folder without them is taken for somebody else's
            if not (grid / name).exists():
                write_json(grid / name, _read(cells / name))
        new = [path for path in kept if not _run_folder(grid, path).exists()]
        for path in new:
            _restore(path, _run_folder(grid, path))
    return len(new)


def _run_folder(grid: Path, cell: Path) -> Path:
    return grid / "runs" / cell.parent.name / cell.stem


def _restore(path: Path, out: Path) -> None:
    try:
        cell, users = _read(path), _read(path.parents[1] / _USERS)
        if cell["schema"] != SCHEMA_VERSION:
            raise ArtifactError(f"{path} was kept by another version", hint="run this cell again")
        versions = {key: cell[key] for key in ("version", "packages")}
        fill = partial(_fill, cell, _table(cell["per_user"], users))
        write(out, "run", cell["config"], cell["inputs"], fill, versions=versions)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, lzma.LZMAError) as error:
        raise ArtifactError(f"{path} is damaged ({error})", hint="fetch it again, or delete it") from None


def _cell(run: Artifact, values: pl.DataFrame) -> dict[str, Any]:
    kept = {name.removesuffix(".json"): json.loads(run.file(name).read_text("utf-8")) for name in _KEPT}
    rows, row_of_user = np.unique(values.to_numpy().astype("<f4"), axis=0, return_inverse=True)
    return {
        "schema": SCHEMA_VERSION,
        "config": run.config,
        "inputs": run.inputs,
        "version": run.version,
        "packages": run.packages,
        **kept,
        "curve": _packed("".join(map(_line, _rounded(run.file("curves.jsonl").read_text("utf-8")))).encode(), _TEXT),
        "per_user": {
            "columns": values.columns,
            "rows": _packed(rows.T.tobytes(), _NUMBERS),
            "row_of_user": _packed(row_of_user.astype("<u4").tobytes(), _TEXT),
        },
    }


def _rounded(curve: str) -> Iterator[dict[str, Any]]:
    """The points of a learning curve, to six digits."""
    for line in curve.splitlines():
        yield json.loads(line, parse_float=lambda number: float(f"{float(number):.6g}"))


def _table(packed: dict[str, Any], users: list[str]) -> pl.DataFrame:
    columns, row_of_user = packed["columns"], np.frombuffer(_unpacked(packed["row_of_user"]), "<u4")
    if len(row_of_user) != len(users):
        raise ValueError(f"values of {len(row_of_user)} users for {len(users)}")
    rows = np.frombuffer(_unpacked(packed["rows"]), "<f4").reshape(len(columns), -1)
    if rows.shape[1] != row_of_user.max() + 1:
        raise ValueError(f"{rows.shape[1]} rows for {row_of_user.max() + 1}")
    return pl.DataFrame({"user": users, **dict(zip(columns, rows[:, row_of_user], strict=True))})


def _packed(data: bytes, filters: list[dict[str, int]]) -> str:
    return base64.b85encode(lzma.compress(data, check=lzma.CHECK_CRC32, filters=filters)).decode()


def _unpacked(text: str) -> bytes:
    return lzma.decompress(base64.b85decode(text))


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _write(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n")


def _line(point: dict[str, Any]) -> str:
    return json.dumps(point) + "\n"


def _fill(cell: dict[str, Any], table: pl.DataFrame, folder: Path) -> None:
    for name in _KEPT:
        write_json(folder / name, cell[name.removesuffix(".json")])
    write_text(folder / "curves.jsonl", _unpacked(cell["curve"]).decode("utf-8"))
    table.write_parquet(folder / "per_user.parquet")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> int:
    """Keep or restore; exit 1 with one line where that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m eimf_local.reproduction.cell_records")
    parser.add_argument("action", choices=["keep", "restore"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    try:
        done = {"keep": keep_cells, "restore": restore_cells}[options.action](options.source, options.target)
    except (EimfError, OSError, ValueError) as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return 1
    print(f"{options.action}: {done} runs from {options.source} to {options.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
