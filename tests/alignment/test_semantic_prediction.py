import numpy as np
import pytest
import torch

from eimf_local.alignment.semantic_prediction import SelfAttention, SemanticPrediction, prediction_loss
from eimf_local.ibim.sampled_softmax import accidental_hits
from tests.reference import losses as reference

N, T, D, G, M, B = 15, 7, 4, 5, 6, 9
COUNTS = torch.tensor([6, 3, 1, 0, 4])  # interests of each exemplar; one has none


def case(space="model", target_aware=True, exemplars=G, rows=B):
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    module = SemanticPrediction(text_dim=T, dim=D, target_aware=target_aware, semantic_space=space).double()
    interests = torch.randn(exemplars, M, T, dtype=torch.float64, generator=generator)
    mask = torch.arange(M) < COUNTS[torch.arange(exemplars) % G][:, None]
    clusters = torch.arange(rows) % exemplars
    item_text = torch.randn(N + 1, T, dtype=torch.float64, generator=generator)
    target = torch.randint(1, N + 1, (rows,), generator=generator)
    return module, interests, mask, clusters, item_text, target


def expected_interests(module, interests, mask, clusters, query, space):
    """H'_ex by the oracle, row by row."""
    weight, bias = module.projection.weight.detach().numpy(), module.projection.bias.detach().numpy()
    qkv = np.split(module.self_attention.projections.weight.detach().numpy(), 3)
    rows = []
    for cluster, q in zip(clusters.tolist(), query, strict=True):
        values, exists = interests[cluster].numpy(), mask[cluster].numpy()
        values = values @ weight.T + bias if space == "model" else values
        attended = reference.self_attention(values, exists, *qkv)
        if not len(attended):
            rows.append(np.zeros(len(q)))
        elif module.target_aware:
            rows.append(reference.target_aware(attended, q))
        else:
            rows.append(attended.mean(0))
    return np.array(rows), weight, bias


@pytest.mark.parametrize("space", ["model", "text"])
@pytest.mark.parametrize("target_aware", [True, False])
@pytest.mark.parametrize(("exemplars", "rows"), [(5, 9), (12, 4)])  # fewer and more exemplars than rows
def test_user_interest_and_full_prediction_equal_reference(space, target_aware, exemplars, rows):
    module, interests, mask, clusters, item_text, target = case(space, target_aware, exemplars, rows)
    catalogue = module.titles(item_text, target, "all")
    found = module.user_interest(interests, mask, clusters, catalogue.target)
    query = catalogue.target.detach().numpy()
    expected, weight, bias = expected_interests(module, interests, mask, clusters, query, space)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-12)
    titles = item_text.numpy()
    titles = titles @ weight.T + bias if space == "model" else titles
    np.testing.assert_allclose(query, titles[target.numpy()], atol=1e-12)
    loss = prediction_loss(found, catalogue, target, None, full=True)
    assert loss.item() == pytest.approx(reference.full_softmax(expected, titles[1:], target.numpy()))


@pytest.mark.parametrize("space", ["model", "text"])
def test_sampled_prediction_equals_reference(space):
    module, interests, mask, clusters, item_text, target = case(space)
    negatives = torch.randint(1, N + 1, (20,), generator=torch.Generator().manual_seed(1))
    catalogue = module.titles(item_text, target, negatives)
    user = module.user_interest(interests, mask, clusters, catalogue.target)
    hits = accidental_hits(target, negatives)
    loss = prediction_loss(user, catalogue, target, hits, full=False)
    parts = [part.detach().numpy() for part in (user, catalogue.target, catalogue.others)]
    assert loss.item() == pytest.approx(reference.sampled_softmax(*parts, hits.numpy(), 0.0))


def test_titles_without_rivals_are_the_targets_alone():
    module, _, _, _, item_text, target = case()
    catalogue = module.titles(item_text, target, None)
    assert catalogue.others is None
    torch.testing.assert_close(catalogue.target, module.titles(item_text, target, "all").target)


def test_padding_row_of_the_texts_is_never_read():
    module, _, _, _, item_text, target = case()
    other = item_text.clone()
    other[0] = torch.nan
    assert module.titles(other, target, "all").others.isfinite().all()


def test_content_of_missing_interests_never_matters():
    module, interests, mask, clusters, item_text, target = case()
    query = module.titles(item_text, target, None).target
    dirty = torch.where(mask[:, :, None], interests, 50.0)
    torch.testing.assert_close(
        module.user_interest(dirty, mask, clusters, query), module.user_interest(interests, mask, clusters, query)
    )


def test_order_of_interests_never_matters():
    module, interests, mask, clusters, item_text, target = case()
    query = module.titles(item_text, target, None).target
    order = torch.randperm(M, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        module.user_interest(interests[:, order], mask[:, order], clusters, query),
        module.user_interest(interests, mask, clusters, query),
    )


def test_an_exemplar_without_interests_gives_zero_and_finite_gradients():
    module, interests, mask, _, item_text, target = case()
    clusters = torch.full((B,), 3)
    catalogue = module.titles(item_text, target, "all")
    user = module.user_interest(interests, mask, clusters, catalogue.target)
    assert not user.any()
    (prediction_loss(user, catalogue, target, None, full=True) + torch.nn.functional.normalize(user).sum()).backward()
    for parameter in module.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


def test_self_attention_has_neither_residual_nor_norm():
    attention = SelfAttention(D).double()
    with torch.no_grad():
        attention.projections.weight[2 * D :] = 0  # V
    values = torch.randn(2, M, D, dtype=torch.float64)
    assert not attention(values, torch.ones(2, M, dtype=torch.bool)).any()


def test_projection_is_idle_in_text_space_until_something_is_aligned():
    module, interests, mask, clusters, item_text, target = case("text")
    catalogue = module.titles(item_text, target, "all")
    user = module.user_interest(interests, mask, clusters, catalogue.target)
    prediction_loss(user, catalogue, target, None, full=True).backward()
    assert module.projection.weight.grad is None
    assert module.align(user).shape == (B, D)
    module.align(user.detach()).sum().backward()
    assert module.projection.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("exemplars", "rows"), [(5, 9), (12, 4)])
def test_distinct_and_static_forms_have_equal_values_and_gradients(exemplars, rows):
    found = []
    for form in ("_attend", "_attend_distinct"):
        module, interests, mask, clusters, *_ = case(exemplars=exemplars, rows=rows)
        attended, kept = getattr(module, form)(interests, mask, clusters)
        torch.where(kept.unsqueeze(2), attended, 0).square().sum().backward()
        found.append([torch.where(kept.unsqueeze(2), attended, 0), kept, *(p.grad for p in module.parameters())])
    torch.testing.assert_close(*found)


def test_distinct_form_when_no_exemplar_of_the_batch_has_interests():
    module, interests, mask, _, item_text, target = case()
    catalogue = module.titles(item_text, target, None)
    found = module.user_interest(interests, mask, torch.full((B,), 3), catalogue.target)
    assert torch.equal(found, torch.zeros(B, D, dtype=torch.float64))


def test_attention_gradient_equals_numerical_differences():
    generator = torch.Generator().manual_seed(0)
    projected = torch.randn(3, M, 3 * D, dtype=torch.float64, generator=generator, requires_grad=True)
    mask = torch.arange(M) < torch.tensor([[6], [2], [1]])
    assert torch.autograd.gradcheck(lambda x: SelfAttention(D).attend(x, mask), projected)
