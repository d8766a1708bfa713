"""The report's section on exemplars: how each set was chosen, how large its clusters are, and where its users lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import exemplar_plots as plots
from .exemplar_data import Choice, ExemplarSet, load_exemplars
from .report_blocks import Block, Figure, Heading, Paragraph
from .report_data import GridRecord


def exemplars(grid_folder: Path, grid: GridRecord) -> Iterator[Block]:
    """Plots for every set of interests; what does not apply to one, or was not stored, is left out and said.

    Raises :class:`ArtifactError` for a damaged artefact.
    """
    if not grid.interests:
        return
    yield Heading(2, "Exemplars")
    yield Paragraph(
        "Exemplars are the users whose interests the LLM infers; every other user has those of its cluster's exemplar."
    )
    drawn: dict[str, str] = {}
    for record in grid.interests:
        yield Heading(3, record.name)
        found = load_exemplars(grid_folder, record)
        if found is None:
            yield Paragraph("Nothing is drawn: these interests are not stored with the grid.")
        elif record.exemplars_digest in drawn:
            yield Paragraph(f"The same exemplars as those of {drawn[record.exemplars_digest]}.")
        else:
            if record.exemplars_digest is not None:
                drawn[record.exemplars_digest] = record.name
            yield from _drawings(found)


def _drawings(found: ExemplarSet) -> Iterator[Block]:
    search = plots.preference_plot(found)
    if search is not None:
        yield Figure(search, _search_caption(found.choice))
    yield Figure(plots.sizes_plot(found), _sizes_caption(found))
    drawn = plots.map_plot(found)
    if drawn is None:
        yield Paragraph("There is no map: these interests were stored by a version that did not make one.")
    else:
        yield Figure(drawn, _map_caption(found))


def _search_caption(choice: Choice) -> str:
    outcome = "converged" if choice.converged else "not converged"
    chosen = f"preference {choice.preference:.4g}, which makes {choice.fraction:.2%} of the users exemplars ({outcome})"
    if choice.wanted_fraction is None:
        return f"Exemplar fraction against preference. Given: {chosen}."
    rehearsals = sum(choice.is_rehearsal(trial) for trial in choice.trials)
    trials = _count(len(choice.trials), "trial") + (f", {rehearsals} on a sample of the users" if rehearsals else "")
    remarks = "" if all(trial.converged for trial in choice.trials) else " Hollow: not converged."
    remarks += "" if all(trial.fraction for trial in choice.trials) else " Triangle: stopped without any exemplar."
    remarks += " A larger preference did not always make more exemplars." if choice.monotone is False else ""
    wanted = f"Wanted: {choice.wanted_fraction:.2%}. Chosen: {chosen}."
    return f"Exemplar fraction against preference: {trials}. {wanted}{remarks}"


def _sizes_caption(found: ExemplarSet) -> str:
    sizes = found.sizes
    users, clusters, singles = _count(int(sizes.sum()), "user"), _count(len(sizes), "cluster"), int((sizes == 1).sum())
    median, largest = float(np.median(sizes)), int(sizes.max())
    return (
        f"Cluster sizes: {users} in {clusters}, median {median:g}, largest {largest:,}; {singles:,} with a single user."
    )


def _map_caption(found: ExemplarSet) -> str:
    assert found.map is not None  # called for a map that was drawn
    points, users = len(found.map.cluster), int(found.sizes.sum())
    if points == users:
        which = f"all {users:,} users"
    elif found.map.is_exemplar.sum() == len(found.sizes):
        which = f"{points:,} of {users:,} users, all exemplars and some others drawn at random"
    else:
        which = f"{points:,} of {users:,} users, the exemplars of the largest clusters"
    named = min(plots.NAMED, len(found.sizes))
    return (
        f"Map of {which}, by t-SNE of their text vectors: users near each other have similar texts, distances between "
        f"groups mean little. The largest clusters ({named}) are in colour, each named by the newest title of its "
        "exemplar; rings are the other exemplars."
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
