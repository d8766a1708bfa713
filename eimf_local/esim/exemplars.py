"""The choice of exemplars: the few users whose interests the LLM infers, and who stands for whom (SPEC 3.2).

Affinity propagation is the method; k-means and a random draw are controls with as many exemplars (SPEC section 7).
Whatever chose them, every user is assigned to its most similar exemplar, and an exemplar to itself.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from ..errors import ConfigError, InputError
from .affinity_propagation import DenseProblem, similarities
from .hierarchical_propagation import HierarchicalProblem, sparse_problem
from .neighbours import similarities_to
from .preference import calibrate_preference
from .propagation import AffinityPropagationResult, Progress, Settings, run_settled
from .sparse_propagation import Engine, SparseProblem

Vectors = NDArray[np.float32]
Record = dict[str, Any]
Method = Literal["affinity-propagation", "kmeans", "random"]

_ELEMENTS = 1 << 22  # similarities held at once while users are assigned


@dataclass(frozen=True, eq=False)
class Exemplars:
    """G exemplars among U users.

    ``rows``: int64 [G], distinct users, ascending; ``assignment``: int64 [U], each user's exemplar as an index into
    ``rows``; ``similarity``: float32 [U], -||T_u - T_exemplar||^2, 0 for exemplars; ``record``: how they were chosen,
    plain values for JSON.
    """

    rows: NDArray[np.int64]
    assignment: NDArray[np.int64]
    similarity: Vectors
    record: Record


def choose_exemplars(
    T: Vectors,
    *,
    method: Method = "affinity-propagation",
    fraction: float = 0.03,
    preference: float | None = None,
    settings: Settings = Settings(0.5, 200, 15),  # noqa: B008  immutable
    seed: int = 0,
    engine: Engine = "dense",
    device: str = "cpu",
    callback: Progress | None = None,
    search_callback: Progress | None = None,
) -> Exemplars:
    """Choose exemplars among U users.

    ``T``: float32 [U, T], the users' text vectors. The wanted number is round(``fraction`` U), at least 1.
    ``affinity-propagation`` reaches it nearly, by calibration, unless ``preference`` is given, and then whatever that
    gives; ``settings`` are :func:`affinity_propagation`'s, damping raised if exemplars do not settle; ``engine``
    as :func:`choose_engine` says, ``device`` torch's name of the dense one's. ``kmeans`` takes the member nearest to
    each mean, ``random`` a draw; both reach the number exactly. ``callback(iteration, n_exemplars)`` hears the
    iterations of affinity propagation, ``search_callback(done, total)`` the search for neighbours that comes before
    it in the sparse engine.

    The record has method, users, wanted and reached number, seed, ``repaired`` (clusters whose centre was not one of
    their members and went to the member nearest their mean; every one under k-means) and for affinity propagation
    engine, preference, damping, n_iter, converged, net_similarity; if calibrated, the trials and whether they were
    monotone; of the sparse engine the recall of its search, and the number of groups if it went by way of these.

    Raises :class:`InputError` for vectors that are empty or not finite; :class:`ConfigError` for a number of exemplars
    out of range or an unknown method.
    """
    _check_vectors(T)
    if not 0 < fraction <= 1:
        raise ConfigError(f"exemplar fraction is {fraction}", hint="choose it above 0, up to 1")
    wanted = max(1, round(fraction * len(T)))
    if method == "affinity-propagation":
        settings.checked()
        aim = wanted if preference is None else None
        problem = _problem(
            T, engine, wanted=aim, preference=preference, seed=seed, device=device, callback=search_callback
        )
        result, record = _propagate(
            problem, fraction=wanted / len(T), preference=preference, settings=settings, callback=callback
        )
        rows, repaired = complete_centres(T, result.labels, result.exemplars)
    elif method == "kmeans":
        labels = _k_means_labels(T, wanted, seed)
        rows, repaired = complete_centres(T, labels, np.full(labels.max() + 1, -1))
        rows, record = _filled_up(T, rows, wanted), {}
    elif method == "random":
        rows, repaired, record = np.random.default_rng(seed).choice(len(T), wanted, replace=False), 0, {}
    else:
        raise ConfigError(f"unknown method {method!r}", hint="affinity-propagation, kmeans or random")
    rows = np.sort(rows).astype(np.int64)
    if method == "affinity-propagation" and engine == "sparse":  # users beyond number: each has its most similar one
        similarity = similarities_to(T, T, result.exemplar_of[:, None])[:, 0].astype(np.float32)
        assignment = result.labels
    else:
        assignment, similarity = assign_to(T[rows], T, rows=rows)
    common = {"method": method, "users": len(T), "wanted": wanted, "exemplars": len(rows), "seed": seed}
    fractions = {"fraction": len(rows) / len(T), "repaired": repaired}
    return Exemplars(rows, assignment, similarity, common | fractions | record)


def assign_to(
    T_exemplars: Vectors, T: Vectors, *, rows: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], Vectors]:
    """Assign every user to its most similar exemplar, the first of equals.

    ``T_exemplars``: float32 [G, T]; ``T``: float32 [U, T]; ``rows``: int64 [G], the exemplars' places among the users,
    if they are users: an exemplar is then its own, even if another has the same text. Returns ``assignment``, int64 [U]
    (index of an exemplar), and ``similarity``, float32 [U] (-||T_u - T_exemplar||^2, at most 0).
    """
    _check_vectors(T_exemplars)
    _check_vectors(T)
    # Of exemplars with the same text the first is meant, whatever rounding makes of their products.
    _, first, same = np.unique(T_exemplars, axis=0, return_index=True, return_inverse=True)
    centres = T_exemplars.astype(np.float64)
    squares = np.einsum("ij,ij->i", centres, centres)
    assignment = np.empty(len(T), np.int64)
    similarity = np.empty(len(T), np.float32)
    step = max(1, _ELEMENTS // len(centres))
    for lo in range(0, len(T), step):
        users = T[lo : lo + step].astype(np.float64)
        nearness = 2 * users @ centres.T - squares  # [users, G]; ||T_u||^2 is the same for all exemplars
        nearest = first[same[nearness.argmax(axis=1)]]
        assignment[lo : lo + step] = nearest
        similarity[lo : lo + step] = -((users - centres[nearest]) ** 2).sum(axis=1)
    if rows is not None:
        assignment[rows] = np.arange(len(rows))
        similarity[rows] = 0
    return assignment, similarity


def complete_centres(
    T: Vectors, labels: NDArray[np.int64], centres: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """Give each cluster whose centre is missing the member nearest its mean (SPEC 3.2).

    ``labels``: int64 [U], clusters 0..G-1, none empty; ``centres``: int64 [G], a user each, -1 where there is none. A
    centre that is not a member of its own cluster is missing too. Returns centres, int64 [G], and how many missed.
    """
    completed = centres.copy()
    missing = np.flatnonzero((centres < 0) | (labels[centres] != np.arange(len(centres))))
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(len(centres) + 1))
    for cluster in missing:
        members = order[starts[cluster] : starts[cluster + 1]]
        vectors = T[members].astype(np.float64)
        completed[cluster] = members[((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return completed, len(missing)


_Problem = DenseProblem | SparseProblem | HierarchicalProblem


def _problem(
    T: Vectors,
    engine: Engine,
    *,
    wanted: int | None,
    preference: float | None,
    seed: int,
    device: str,
    callback: Progress | None,
) -> _Problem:
    if engine == "sparse":
        return sparse_problem(T, wanted=wanted, preference=preference, seed=seed, callback=callback)
    return DenseProblem(similarities(T), random_state=seed, device=None if device == "cpu" else device)


def _propagate(
    problem: _Problem,
    *,
    fraction: float,
    preference: float | None,
    settings: Settings,
    callback: Progress | None,
) -> tuple[AffinityPropagationResult, Record]:
    """Affinity propagation of the users, with the preference given or calibrated; the result and its record."""
    record: Record = {"engine": "dense"}
    if not isinstance(problem, DenseProblem):
        record = {"engine": "sparse", "recall": problem.recall}
    if isinstance(problem, HierarchicalProblem):
        record["groups"] = problem.groups
    if preference is None:
        calibrated = calibrate_preference(problem, fraction=fraction, settings=settings, callback=callback)
        result = calibrated.result
        record |= {"trials": [trial._asdict() for trial in calibrated.trials], "monotone": calibrated.monotone}
    else:
        result = run_settled(problem, preference, settings, callback)
    return result, record | {
        "preference": result.preference,
        "damping": result.damping,
        "n_iter": result.n_iter,
        "converged": result.converged,
        "net_similarity": result.net_similarity,
    }


def _k_means_labels(T: Vectors, clusters: int, seed: int) -> NDArray[np.int64]:
    """int64 [U]: k-means clusters, numbered without gaps; fewer than wanted where users have the same text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # "fewer distinct clusters": they are filled up
        labels = KMeans(clusters, n_init=1, random_state=seed).fit_predict(T)
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _filled_up(T: Vectors, rows: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Add the users least similar to any exemplar, the first of equals, until there are as many as wanted."""
    if len(rows) == wanted:
        return rows
    _, similarity = assign_to(T[rows], T)
    similarity[rows] = np.inf  # not again
    return np.concatenate([rows, np.argsort(similarity, kind="stable")[: wanted - len(rows)]])


def _check_vectors(T: Vectors) -> None:
    if T.ndim != 2 or not T.size or not np.isfinite(T).all():
        raise InputError(
            f"text vectors of shape {list(T.shape)} are not a finite, non-empty matrix",
            hint="encode the users' titles again",
        )
