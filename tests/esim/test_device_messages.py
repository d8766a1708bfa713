"""The accelerator's messages, run by torch wherever the test runs: the processor's, but for the last places."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from eimf_local.errors import ConfigError
from eimf_local.esim.affinity_propagation import DenseProblem, similarities
from eimf_local.esim.device_messages import pass_messages_on
from eimf_local.esim.message_passing import Messages, pass_messages
from eimf_local.esim.propagation import Settings

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def blobs(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return similarities(3 * np.repeat(rng.normal(size=(n // 20, 6)), 20, axis=0) + rng.normal(size=(n, 6)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_evidence_is_the_processors(dtype: Any) -> None:
    S = blobs(400, seed=0).astype(dtype)
    np.fill_diagonal(S, -40)
    whole = Messages(S.copy(), np.zeros_like(S), np.zeros_like(S))
    with (
        closing(pass_messages_on(DEVICE, S, damping=0.6)) as ours,
        closing(pass_messages(whole, damping=0.6)) as theirs,
    ):
        for here, there in islice(zip(ours, theirs, strict=True), 30):
            assert here.dtype == dtype
            np.testing.assert_allclose(here, there, rtol=2e-4 if dtype == np.float32 else 1e-10, atol=1e-4)


def test_exemplars_are_the_processors() -> None:
    settings = Settings(0.5, 200, 15)
    for seed in range(5):
        S = blobs(600, seed)
        there = DenseProblem(S.copy(), random_state=0).run(-60.0, settings, None)
        here = DenseProblem(S, random_state=0, device=DEVICE).run(-60.0, settings, None)
        assert np.array_equal(here.exemplars, there.exemplars)
        assert np.array_equal(here.labels, there.labels)


def test_when_there_is_no_such_device_it_is_one_error() -> None:
    with pytest.raises(ConfigError, match="device 'cuda:99' cannot be used"):
        next(pass_messages_on("cuda:99", np.zeros((2, 2), np.float32), damping=0.5))
