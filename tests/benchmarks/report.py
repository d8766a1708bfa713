"""Turns what the benchmarks printed into a section of docs/results.md.

``python -m tests.benchmarks.report TITLE --out docs/results/NAME.md [--curve CURVE.json] OUTPUT.txt ...``: the outputs
stand in the section as they are (Markdown as such); the curve of ``sparse_propagation --scale`` is drawn beside it, as
NAME.svg.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from eimf_local.evaluation.plots import STYLE


def machine() -> str:
    """Processor, cores and memory, in words."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{cpu}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB"


def draw_curve(points: list[dict[str, Any]], out: Path) -> None:
    """Seconds and peak memory over the number of users, both logarithmic."""
    users = [point["users"] for point in points]
    with mpl.rc_context({**STYLE, "svg.hashsalt": "eimf-local"}):
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        time, memory = figure.subplots(1, 2)
        time.plot(users, [point["seconds"] for point in points], "o-", label="all")
        time.plot(users, [point["search_seconds"] for point in points], "s--", label="search for neighbours")
        time.set(xscale="log", yscale="log", xlabel="users", ylabel="seconds")
        time.legend(frameon=False)
        memory.plot(users, [point["peak_gb"] for point in points], "o-", label="peak")
        memory.plot(users, [point["vectors_gb"] for point in points], "s--", label="the users' vectors")
        memory.set(xscale="log", yscale="log", xlabel="users", ylabel="GB")
        memory.legend(frameon=False)
        figure.savefig(out, format="svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("title")
    parser.add_argument("outputs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--curve", type=Path)
    arguments = parser.parse_args()
    lines = [f"## {arguments.title}", "", f"Measured on: {machine()}."]
    for output in arguments.outputs:
        text = output.read_text().rstrip()
        lines += ["", text] if output.suffix == ".md" else ["", "```text", text, "```"]
    if arguments.curve:
        points = json.loads(arguments.curve.read_text())
        picture = arguments.out.with_suffix(".svg")
        draw_curve(points, picture)
        lines += ["", "The choice of 3 % exemplars by the sparse engine: search, calibration and assignment.", ""]
        lines += ["| users | seconds | of them search | microseconds a user | peak GB | recall | exemplars |"]
        lines += ["| ---: " * 7 + "|"]
        for point in points:
            lines.append(
                f"| {point['users']:,} | {point['seconds']:.1f} | {point['search_seconds']:.1f} | "
                f"{1e6 * point['seconds'] / point['users']:.0f} | {point['peak_gb']:.2f} | {point['recall']:.3f} | "
                f"{point['exemplars']:,} ({point['fraction']:.2%}) |"
            )
        lines += ["", f"![Seconds and memory over the number of users](results/{picture.name})"]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
