from __future__ import annotations

import numpy as np
import pytest

from eimf_local.esim.sampling import nucleus


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


@pytest.mark.parametrize(("n", "temperature"), [(1, 0.7), (2, 0.7), (40, 0.7), (40, 3.0), (1000, 0.2)])
def test_draws_follow_the_reference_distribution(n: int, temperature: float) -> None:
    logits = np.random.default_rng(n).normal(0, 2, n).astype(np.float32)
    expected = reference_nucleus(logits, temperature, 0.9)
    generator, draws = np.random.default_rng(0), 4000
    drawn = [nucleus(logits, temperature=temperature, generator=generator) for _ in range(draws)]
    assert set(drawn) <= set(expected)
    for index, probability in expected.items():
        assert abs(drawn.count(index) / draws - probability) < 4 * np.sqrt(probability / draws) + 1 / draws


def test_flat_logits_and_certain_ones() -> None:
    generator = np.random.default_rng(0)
    flat = [nucleus(np.zeros(1000, np.float32), temperature=1.0, generator=generator) for _ in range(300)]
    assert max(flat) < 901  # of equals the first are the nucleus
    assert len(set(flat)) > 200
    certain = np.full(1000, -np.inf, np.float32)
    certain[7] = 3.0
    assert {nucleus(certain, temperature=0.01, generator=generator) for _ in range(20)} == {7}


def test_one_draw_takes_one_number() -> None:
    logits = np.arange(5, dtype=np.float32)
    generator, other = np.random.default_rng(3), np.random.default_rng(3)
    nucleus(logits, temperature=1.0, generator=generator)
    other.random()
    assert generator.random() == other.random()
