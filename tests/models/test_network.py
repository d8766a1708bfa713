from __future__ import annotations

import pytest
import torch
from eimf_local_models.builder.network import Network, NetworkConfig
from torch.nn import functional as F


@pytest.fixture
def network() -> Network:
    torch.manual_seed(1)
    config = NetworkConfig(vocabulary_size=90, width=96, heads=3, kv_heads=3, feed_forward=64, context=64)
    return Network(config, stem_of=torch.arange(90) % 40, form_of=torch.arange(90) // 40)


def test_factored_cross_entropy_equals_the_full_softmax(network: Network) -> None:
    hidden, targets = torch.randn(7, 96) * 3, torch.randint(0, 90, (7,))
    expected = F.cross_entropy(network.embedding.logits(hidden), targets)
    torch.testing.assert_close(network.embedding.cross_entropy(hidden, targets), expected)


def test_later_tokens_never_change_earlier_states(network: Network) -> None:
    tokens = torch.randint(0, 90, (1, 12))
    changed = tokens.clone()
    changed[0, 8:] = (changed[0, 8:] + 1) % 90
    torch.testing.assert_close(network.hidden(tokens)[:, :8], network.hidden(changed)[:, :8])
    assert not torch.allclose(network.hidden(tokens)[:, 8:], network.hidden(changed)[:, 8:])


def test_the_start_copies_what_followed_a_repeated_token(network: Network) -> None:
    drawn = torch.randperm(40)[:20]
    sequence = torch.cat((drawn, drawn[:10]))[None]
    scores = network(sequence)[0, 20:29, :40]
    ranks = (scores > scores.gather(1, sequence[0, 21:30, None])).sum(1)
    assert ranks.float().median() <= 4  # chance: 20
