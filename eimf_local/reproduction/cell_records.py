"""A grid's finished runs as small JSON files: all that reports need of a run, without its weights.

Some ten kilobytes a run, so that the cells of a long experiment can be kept under version control, and a grid goes on
from them on another machine. What was restored cannot serve recommendations; everything else takes it for finished.
Values of single users are float64, column after column, by LZMA and base64: two fifths of the Parquet file.

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

from ..artifacts import Artifact, load, write, write_json, write_text
from ..errors import ArtifactError, EimfError
from .folder import MADE_WITH, STAGES

_USERS = "users.json"
_REPORT = ("grid.json", "metrics.json")  # of the grid, from which the page of results is made
_OWN = (STAGES, MADE_WITH)  # of the grid, by which it knows itself
_KEPT = ("metrics.json", "timing.json")


def keep_cells(grid: Path, out: Path) -> int:
    """Write OUT/CONDITION/seed-N.json for each finished run of a grid folder; returns how many there are.

    Beside them OUT/users.json, and the grid's own small files.

    Raises :class:`ArtifactError` where a run is damaged, or ranks for other users than the rest.
    """
    users: list[str] | None = None
    count = 0
    for folder in sorted((grid / "runs").glob("*/seed-*/artifact.json")):
        run = load(folder.parent, "run")
        table = pl.read_parquet(run.file("per_user.parquet"))
        mine = table["user"].to_list()
        if users not in (None, mine):
            raise ArtifactError(
                f"{run.path} ranks for other users than the runs before it", hint="keep each grid apart"
            )
        users = mine
        write_json(_made(out / run.path.parent.name) / f"{run.path.name}.json", _cell(run, table.drop("user")))
        count += 1
    if users is not None:
        write_json(out / _USERS, users)
    for name in (*_REPORT, *_OWN):
        if (grid / name).exists():
            write_json(out / name, json.loads((grid / name).read_text("utf-8")))
    return count


def restore_cells(cells: Path, grid: Path) -> int:
    """Put the runs that :func:`keep_cells` wrote into a grid folder, those that are not there yet; how many were put.

    Raises :class:`ArtifactError` where a file is damaged.
    """
    count = 0
    for path in sorted(cells.glob("*/seed-*.json")):
        out = grid / "runs" / path.parent.name / path.stem
        if out.exists():
            continue
        try:
            cell, users = (json.loads(file.read_text("utf-8")) for file in (path, cells / _USERS))
            table = _table(cell["per_user"], users)
            versions = {key: cell[key] for key in ("version", "packages")}
            write(out, "run", cell["config"], cell["inputs"], partial(_fill, cell, table), versions=versions)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, lzma.LZMAError) as error:
            raise ArtifactError(f"{path} is damaged ({error})", hint="fetch it again, or delete it") from None
        count += 1
    for name in _OWN:
        if (cells / name).exists() and not (grid / name).exists():
            write_text(_made(grid) / name, (cells / name).read_text("utf-8"))
    return count


def _cell(run: Artifact, values: pl.DataFrame) -> dict[str, Any]:
    kept = {name.removesuffix(".json"): json.loads(run.file(name).read_text("utf-8")) for name in _KEPT}
    packed = lzma.compress(values.to_numpy().astype("<f8").T.tobytes(), preset=9)
    return {
        "config": run.config,
        "inputs": run.inputs,
        "version": run.version,
        "packages": run.packages,
        **kept,
        "curve": list(_rounded(run.file("curves.jsonl").read_text("utf-8"))),
        "per_user": {"columns": values.columns, "values": base64.b64encode(packed).decode()},
    }


def _rounded(curve: str) -> Iterator[dict[str, Any]]:
    """The points of a learning curve, to six digits."""
    for line in curve.splitlines():
        yield json.loads(line, parse_float=lambda number: float(f"{float(number):.6g}"))


def _table(packed: dict[str, Any], users: list[str]) -> pl.DataFrame:
    columns = packed["columns"]
    values = np.frombuffer(lzma.decompress(base64.b64decode(packed["values"])), "<f8").reshape(-1, len(users))
    return pl.DataFrame({"user": users, **dict(zip(columns, values, strict=True))})


def _fill(cell: dict[str, Any], table: pl.DataFrame, folder: Path) -> None:
    for name in _KEPT:
        write_json(folder / name, cell[name.removesuffix(".json")])
    write_text(folder / "curves.jsonl", "".join(json.dumps(point) + "\n" for point in cell["curve"]))
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
    except EimfError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return 1
    print(f"{options.action}: {done} runs from {options.source} to {options.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
