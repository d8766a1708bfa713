import numpy as np
import pytest
import torch

from eimf_local.errors import ConfigError
from eimf_local.ibim.initialisation import text_table
from eimf_local.ibim.registry import BACKBONES, build_backbone

N, T, D = 50, 16, 4


@pytest.fixture
def item_text():
    text = torch.randn(N + 1, T, generator=torch.Generator().manual_seed(0))
    return text * torch.linspace(2, 0.1, T)  # distinct variances


def test_equals_numpy_svd(item_text):
    x = item_text[1:].double().numpy()
    x = x - x.mean(0)
    _, _, components = np.linalg.svd(x, full_matrices=False)
    components = components[:D]
    components *= np.sign(components[np.arange(D), np.abs(components).argmax(1)])[:, None]
    scores = x @ components.T
    expected = scores / scores.std()
    np.testing.assert_allclose(text_table(item_text, D)[1:].numpy(), expected, atol=1e-6)


def test_deviation_is_one(item_text):
    table = text_table(item_text, D)
    assert table[1:].std(correction=0).item() == pytest.approx(1, rel=1e-5)
    assert not table[0].any()


def test_columns_fall_in_variance_and_are_uncorrelated(item_text):
    covariance = text_table(item_text, D)[1:].double().T.cov()
    variances = covariance.diagonal()
    assert (variances.diff() < 0).all()
    assert (covariance - variances.diag()).abs().max() < 1e-6


def test_padding_row_of_the_texts_is_ignored(item_text):
    other = item_text.clone()
    other[0] = 100
    assert torch.equal(text_table(other, D), text_table(item_text, D))


@pytest.mark.parametrize("name", [name for name, kind in BACKBONES.items() if kind.trainable])
def test_backbone_takes_the_table_and_stays_trainable(name, item_text):
    sizes = {"n_items": N, "dim": D, "interests": 2, "max_length": 5}
    backbone = build_backbone(name, **sizes, item_text=item_text)
    assert torch.equal(backbone.item_vectors().detach(), text_table(item_text, D) * 0.02)
    assert backbone.item_embedding.weight.requires_grad
    plain = build_backbone(name, **sizes).state_dict()
    others = {key: value for key, value in backbone.state_dict().items() if key != "item_embedding.weight"}
    assert all(torch.equal(plain[key], value) for key, value in others.items())  # only the table differs


def test_unusable_texts_are_refused(item_text):
    with pytest.raises(ConfigError, match="cannot make 17 dimensions of 16"):
        text_table(item_text, T + 1)
    with pytest.raises(ConfigError, match="same text embedding"):
        text_table(torch.ones(N + 1, T), D)
    with pytest.raises(ConfigError, match="51 rows for 49 items"):
        build_backbone("remi", n_items=49, dim=D, interests=2, max_length=5, item_text=item_text)


@pytest.mark.parametrize("with_text", [True, False])
def test_the_table_starts_at_the_deviation_asked_for(item_text, with_text):
    text = item_text if with_text else None
    for std in (0.02, 0.125):
        backbone = build_backbone("remi", n_items=N, dim=D, interests=2, max_length=5, item_text=text, item_std=std)
        table = backbone.item_vectors().detach()
        assert table.std().item() == pytest.approx(std, rel=0.15)
        assert not backbone.item_embedding.weight[0].any()
