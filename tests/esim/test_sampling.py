from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eimf_local.esim.sampling import draw


def reference_nucleus(logits: np.ndarray, temperature: float, top_p: float) -> dict[int, float]:
    """Probability of each index, by sorting everything in float64."""
    weights = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    weights /= weights.sum()
    kept: dict[int, float] = {}
    for index in np.argsort(-weights, kind="stable"):
        if sum(kept.values()) >= top_p:
            break
        kept[int(index)] = float(weights[index])
    return {index: weight / sum(kept.values()) for index, weight in kept.items()}


def drawn(logits: np.ndarray, temperature: float, draws: int, seed: int = 0) -> list[int]:
    """``draws`` rows of the same logits at once."""
    uniform = np.random.default_rng(seed).random(draws)
    rows = np.broadcast_to(logits, (draws, len(logits)))
    return draw(rows, temperature=np.full(draws, temperature), uniform=uniform).tolist()


@pytest.mark.parametrize(("n", "temperature"), [(1, 0.7), (2, 0.7), (40, 0.7), (40, 3.0), (1000, 0.2)])
def test_draws_follow_the_reference_distribution(n: int, temperature: float) -> None:
    logits = np.random.default_rng(n).normal(0, 2, n).astype(np.float32)
    expected = reference_nucleus(logits, temperature, 0.9)
    draws = 4000
    chosen = drawn(logits, temperature, draws)
    assert set(chosen) <= set(expected)
    for index, probability in expected.items():
        assert abs(chosen.count(index) / draws - probability) < 4 * np.sqrt(probability / draws) + 1 / draws


def test_flat_logits_and_certain_ones() -> None:
    flat = drawn(np.zeros(1000, np.float32), 1.0, 300)
    assert max(flat) < 901  # of equals the first are the nucleus
    assert len(set(flat)) > 200
    certain = np.full(1000, -np.inf, np.float32)
    certain[7] = 3.0
    assert set(drawn(certain, 0.01, 20)) == {7}


def test_temperature_zero_takes_the_first_of_the_largest() -> None:
    logits = np.array([[1.0, 5.0, 5.0], [-np.inf, -np.inf, -4.0]], np.float32)
    assert draw(logits, temperature=np.zeros(2), uniform=np.array([0.99, 0.0])).tolist() == [1, 2]


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 60))
def test_a_row_is_drawn_as_if_it_were_alone(seed: int, rows: int, columns: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (rows, columns)).round(1).astype(np.float32)  # rounded: ties occur
    logits[generator.random(logits.shape) < 0.3] = -np.inf
    temperature, uniform = generator.choice([0.0, 0.5, 2.0], rows), generator.random(rows)
    together = draw(logits, temperature=temperature, uniform=uniform)
    for row in range(rows):
        one = slice(row, row + 1)
        assert draw(logits[one], temperature=temperature[one], uniform=uniform[one])[0] == together[row]
