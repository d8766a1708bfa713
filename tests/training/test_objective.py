import numpy as np
import pytest
import torch

from eimf_local.alignment.semantic_inputs import SemanticInputs
from eimf_local.config import LossConfig, ObjectiveConfig
from eimf_local.errors import ConfigError
from eimf_local.ibim.registry import build_backbone
from eimf_local.ibim.sampled_softmax import accidental_hits, draw_negatives
from eimf_local.training.objective import build_objective
from eimf_local.training.sampling import Batch
from tests.reference import backbones, comirec, losses

N, D, K, L, T, G, M, U, B = 25, 6, 3, 5, 8, 4, 5, 12, 7
NEGATIVES = 40


def inputs(**changes):
    generator = torch.Generator().manual_seed(0)
    parts = {
        "item_text": torch.randn(N + 1, T, generator=generator, dtype=torch.float64),
        "interests": torch.randn(G, M, T, generator=generator, dtype=torch.float64),
        "mask": torch.arange(M) < torch.tensor([5, 2, 0, 3])[:, None],
        "cluster": torch.randint(0, G, (U,), generator=generator),
    }
    return SemanticInputs(**(parts | changes))


def setup(name="remi", *, semantic=True, loss=None, **objective):
    backbone = build_backbone(name, n_items=N, dim=D, interests=K, max_length=L, seed=1).double()
    built = build_objective(
        backbone,
        loss=LossConfig(**({"negatives": NEGATIVES} | (loss or {}))).model_dump(),
        objective=ObjectiveConfig(**objective).model_dump(),
        semantic_inputs=inputs() if semantic is True else semantic or None,
        seed=2,
    )
    return backbone, built.double()


def weights_of(module):
    """Parameters and buffers by name, as NumPy arrays."""
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def batch():
    generator = torch.Generator().manual_seed(3)
    mask = torch.arange(L) < torch.tensor([5, 4, 4, 5, 4, 5, 5])[:, None]
    history = torch.randint(1, N + 1, (B, L), generator=generator) * mask
    return Batch(history, mask, torch.tensor([3, 9, 3, 20, 1, 25, 9]), torch.arange(B) + 2)


def evaluate(backbone, objective, seed=4):
    return objective(backbone, batch(), torch.Generator().manual_seed(seed))


def expected_terms(backbone, objective, *, loss, settings):
    """The whole objective by the oracle."""
    table = backbone.item_vectors().detach().numpy()
    weights = [p.detach().numpy() for p in (backbone.position, backbone.hidden.weight, backbone.heads.weight)]
    b = batch()
    interests, attention = comirec.encode(b.history.numpy(), table, *weights)
    target = b.target.numpy()
    e = table[target]
    negatives = draw_negatives(N, NEGATIVES, generator=torch.Generator().manual_seed(4))
    hits = None if loss.reference_hits else accidental_hits(b.target, negatives).numpy()
    read = {
        "soft": losses.target_aware,
        "mean": lambda h, t: h.mean(0),
        "hard": lambda h, t: h[(h @ t).argmax()],
    }[objective.recommendation.readout]
    user = np.array([read(h, t) for h, t in zip(interests, e, strict=True)])
    beta = loss.hard_negative_beta if backbone.hard_negatives else 0.0
    terms = {
        "recommendation": losses.full_softmax(user, table[1:], target)
        if loss.kind == "full"
        else losses.sampled_softmax(user, e, table[negatives], hits, beta)
    }
    if backbone.routing_regularised:
        terms["routing"] = loss.routing_weight * losses.routing(attention, D)
        terms["routing"] /= B if loss.routing_reduction == "mean" else 1
    if objective.semantic is None:
        return terms
    module = objective.semantic.prediction
    w, c = module.projection.weight.detach().numpy(), module.projection.bias.detach().numpy()
    given = inputs()
    project = lambda x: x @ w.T + c  # noqa: E731
    enter = project if settings.semantic_space == "model" else lambda x: x
    align = project if settings.semantic_space == "text" else lambda x: x
    titles = enter(given.item_text.numpy())
    qkv = np.split(module.self_attention.projections.weight.detach().numpy(), 3)
    explicit = []
    for row, t in zip(b.users.tolist(), target, strict=True):
        exists = given.mask[given.cluster[row]].numpy()
        if not exists.any():
            explicit.append(np.zeros(titles.shape[1]))
            continue
        attended = losses.self_attention(enter(given.interests[given.cluster[row]].numpy()), exists, *qkv)
        explicit.append(losses.target_aware(attended, titles[t]) if settings.target_aware else attended.mean(0))
    explicit = np.array(explicit)
    if settings.predict:
        full = settings.full_softmax_up_to >= N
        terms["prediction"] = (
            losses.full_softmax(explicit, titles[1:], target)
            if full
            else losses.sampled_softmax(explicit, titles[target], titles[negatives], hits, 0.0)
        )
    pairs = [(align(explicit), user)] * settings.align_users + [(align(titles[target]), e)] * settings.align_items
    if pairs:
        terms["alignment"] = sum(
            settings.alpha * losses.contrastive(x, y, target, settings.temperature)
            + settings.beta * losses.cosine_distance(x, y)
            for x, y in pairs
        )
    return terms


SETTINGS = [
    {},
    {"semantic_space": "text"},
    {"full_softmax_up_to": 0},
    {"full_softmax_up_to": 0, "semantic_space": "text"},
    {"target_aware": False},
    {"predict": False},
    {"align_users": False},
    {"align_items": False},
    {"align_users": False, "align_items": False},
    {"predict": False, "align_users": False},
    {"alpha": 0.1, "beta": 0.4, "temperature": 0.3, "gamma": 0.7},
]
LOSSES = [
    {},
    {"kind": "full"},
    {"readout": "soft"},
    {"reference_hits": True},
    {"hard_negative_beta": 2.0, "routing_weight": 7.0, "routing_reduction": "mean"},
    {"hard_negative_beta": 0.0},
]


class TestEqualsReference:
    @pytest.mark.parametrize("settings", SETTINGS, ids=str)
    def test_every_ablation(self, settings):
        self._check("remi", True, {}, settings)

    @pytest.mark.parametrize("loss", LOSSES, ids=str)
    @pytest.mark.parametrize("name", ["comirec-sa", "remi"])
    @pytest.mark.parametrize("semantic", [True, False])
    def test_every_loss(self, name, semantic, loss):
        self._check(name, semantic, loss, {})

    def _check(self, name, semantic, loss, settings):
        backbone, objective = setup(name, semantic=semantic, loss=loss, **settings)
        total, terms = evaluate(backbone, objective)
        expected = expected_terms(
            backbone, objective, loss=LossConfig(negatives=NEGATIVES, **loss), settings=ObjectiveConfig(**settings)
        )
        assert {k: v.item() for k, v in terms.items() if k != "loss"} == pytest.approx(expected, rel=1e-9)
        gamma = ObjectiveConfig(**settings).gamma
        weighted = sum(v * (gamma if k in ("prediction", "alignment") else 1) for k, v in expected.items())
        assert total.item() == pytest.approx(weighted, rel=1e-9)
        assert terms["loss"].item() == total.item()
        assert not any(term.requires_grad for term in terms.values())


class TestSwitches:
    def test_eimf_reads_out_softly_and_plain_training_hard(self):
        assert setup()[1].recommendation.readout == "soft"
        assert setup(semantic=False)[1].recommendation.readout == "hard"
        assert setup(target_aware=False)[1].recommendation.readout == "mean"

    def test_gamma_zero_is_the_soft_readout_alone(self):
        none = setup(gamma=0.0)
        assert none[1].semantic is None
        soft = setup(semantic=False, loss={"readout": "soft"})
        assert torch.equal(evaluate(*none)[0], evaluate(*soft)[0])

    def test_nothing_switched_on_computes_nothing_semantic(self):
        assert setup(predict=False, align_users=False, align_items=False)[1].semantic is None

    def test_item_text_alignment_alone_needs_no_interests(self):
        only_texts = SemanticInputs(item_text=inputs().item_text)
        switches = {"predict": False, "align_users": False}
        alone = evaluate(*setup(semantic=only_texts, **switches))[0]
        assert torch.equal(alone, evaluate(*setup(**switches))[0])

    @pytest.mark.parametrize("switches", [{"predict": False}, {"align_users": False}])
    def test_item_texts_alone_are_refused_where_interests_are_needed(self, switches):
        with pytest.raises(ConfigError, match="need explicit interests"):
            setup(semantic=SemanticInputs(item_text=inputs().item_text), **switches)

    def test_another_catalogues_texts_are_refused(self):
        with pytest.raises(ConfigError, match="27 rows for 25 items"):
            setup(semantic=inputs(item_text=torch.zeros(N + 2, T, dtype=torch.float64)))

    def test_users_clusters_matter(self):
        other = inputs(cluster=(inputs().cluster + 1) % G)
        assert evaluate(*setup())[0] != evaluate(*setup(semantic=other))[0]

    def test_building_leaves_the_global_generator_alone_and_depends_on_the_seed(self):
        before = torch.get_rng_state()
        weights = [setup()[1].state_dict()["semantic.prediction.projection.weight"] for _ in range(2)]
        assert torch.equal(*weights)
        assert torch.equal(before, torch.get_rng_state())

    def test_semantic_inputs_are_not_stored_with_the_weights(self):
        assert not any("item_text" in key or "interests" in key for key in setup()[1].state_dict())


def gradients(backbone, objective):
    evaluate(backbone, objective)[0].backward()
    found = {f"backbone.{k}": p.grad for k, p in backbone.named_parameters()}
    found |= {f"objective.{k}": p.grad for k, p in objective.named_parameters()}
    return {k: grad is not None and bool(grad.any()) for k, grad in found.items()}


PROJECTION = {"objective.semantic.prediction.projection.weight", "objective.semantic.prediction.projection.bias"}
ATTENTION = {"objective.semantic.prediction.self_attention.projections.weight"}
BACKBONE = {f"backbone.{k}" for k in ("item_embedding.weight", "position", "hidden.weight", "heads.weight")}


class TestGradients:
    @pytest.mark.parametrize(
        ("settings", "touched"),
        [
            ({}, BACKBONE | PROJECTION | ATTENTION),
            ({"predict": False}, BACKBONE | PROJECTION | ATTENTION),
            ({"align_users": False, "align_items": False}, BACKBONE | PROJECTION | ATTENTION),
            ({"predict": False, "align_users": False}, BACKBONE | PROJECTION),
            ({"semantic_space": "text"}, BACKBONE | PROJECTION | ATTENTION),
            ({"semantic_space": "text", "align_users": False, "align_items": False}, BACKBONE | ATTENTION),
        ],
        # not str of a set: each process that shares the tests would name them otherwise
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_reach_what_they_should_and_nothing_else(self, settings, touched):
        found = gradients(*setup(**settings))
        assert {k for k, reached in found.items() if reached} == touched

    def test_prediction_alone_teaches_the_items_nothing(self):
        backbone, objective = setup(align_users=False, align_items=False)
        evaluate(backbone, objective)[0].backward()
        plain, soft = setup(semantic=False, loss={"readout": "soft"})
        evaluate(plain, soft)[0].backward()
        torch.testing.assert_close(backbone.item_embedding.weight.grad, plain.item_embedding.weight.grad)

    @pytest.mark.parametrize("loss", [{}, {"kind": "full"}], ids=str)
    def test_padding_row_gets_none(self, loss):
        backbone, objective = setup(loss=loss)
        evaluate(backbone, objective)[0].backward()
        assert not backbone.item_embedding.weight.grad[0].any()

    def test_an_exemplar_without_interests_stays_finite(self):
        empty = inputs(cluster=torch.full((U,), 2))
        backbone, objective = setup(semantic=empty)
        total, _ = evaluate(backbone, objective)
        total.backward()
        assert total.isfinite()
        assert all(p.grad is None or p.grad.isfinite().all() for p in [*backbone.parameters(), *objective.parameters()])

    def test_equal_numerical_differences(self):
        backbone, objective = setup()
        total, _ = evaluate(backbone, objective)
        total.backward()
        generator = torch.Generator().manual_seed(5)
        for parameter in [*backbone.parameters(), *objective.parameters()]:
            direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            if parameter is backbone.item_embedding.weight:
                direction[0] = 0  # padding stays where it is
            values = []
            for step in (1e-6, -1e-6):
                with torch.no_grad():
                    parameter.add_(direction, alpha=step)
                    values.append(evaluate(backbone, objective)[0].item())
                    parameter.sub_(direction, alpha=step)
            slope = (parameter.grad * direction).sum().item()
            assert (values[0] - values[1]) / 2e-6 == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_permuting_the_batch_changes_nothing():
    backbone, objective = setup()
    order = torch.randperm(B, generator=torch.Generator().manual_seed(6))
    permuted = Batch(*(part[order] for part in batch()))
    found = objective(backbone, permuted, torch.Generator().manual_seed(4))[0]
    torch.testing.assert_close(found, evaluate(backbone, objective)[0])


class TestCloze:
    """BERT4Rec's own loss: next item and cloze, with the same negatives."""

    def build(self, loss, semantic=False):
        backbone = build_backbone("bert4rec", n_items=N, dim=D, interests=1, max_length=L, seed=1, dropout=0.0).double()
        objective = build_objective(
            backbone,
            loss=LossConfig(**({"negatives": NEGATIVES} | loss)).model_dump(),
            objective=ObjectiveConfig().model_dump(),
            semantic_inputs=inputs() if semantic else None,
            seed=2,
        ).double()
        return backbone, objective

    def evaluate(self, backbone, objective):
        torch.manual_seed(5)
        return evaluate(backbone, objective)

    @pytest.mark.parametrize("loss", [{}, {"kind": "full"}, {"reference_hits": True}], ids=str)
    def test_equals_reference(self, loss):
        backbone, objective = self.build(loss)
        total, terms = self.evaluate(backbone, objective)
        torch.manual_seed(5)
        b = batch()
        places = backbone.encode_embedded(backbone.embed_items(b.history), b.mask).cloze.places.tolist()
        table, w = backbone.item_vectors().detach().numpy(), weights_of(backbone)
        users, states, hidden_items = [], [], []
        for row in range(B):
            numbers = [item for item in b.history[row].tolist() if item]
            hidden = [place % L for place in places if place // L == row]
            *context, user = backbones.bert4rec([table[item] for item in numbers], w, hidden)
            users.append(user)
            states += [context[place] for place in hidden]
            hidden_items += [numbers[place] for place in hidden]
        negatives = draw_negatives(N, NEGATIVES, generator=torch.Generator().manual_seed(4)).numpy()

        def ranked(vectors, items):
            items = np.array(items)
            if loss.get("kind") == "full":
                return losses.full_softmax(vectors, table[1:], items)
            hits = None if loss.get("reference_hits") else items[:, None] == negatives
            return losses.sampled_softmax(vectors, table[items], table[negatives], hits, 0.0)

        assert terms["recommendation"].item() == pytest.approx(ranked(users, b.target.tolist()), rel=1e-9)
        assert terms["cloze"].item() == pytest.approx(ranked(states, hidden_items), rel=1e-9)
        assert total.item() == pytest.approx(terms["recommendation"].item() + terms["cloze"].item(), rel=1e-9)

    def test_eimf_adds_its_terms_to_both(self):
        plain, joint = (self.evaluate(*self.build({}, semantic)) for semantic in (False, True))
        assert joint[1].keys() == {*plain[1].keys(), "prediction", "alignment"}
        assert torch.equal(joint[1]["cloze"], plain[1]["cloze"])
        semantic = joint[1]["prediction"] + joint[1]["alignment"]
        assert joint[0].item() == pytest.approx(plain[0].item() + 0.1 * semantic.item(), rel=1e-9)


@pytest.mark.parametrize("name", ["bert4rec", "mind", "comirec-sa", "comirec-dr", "remi", "sasrec"])
def test_eimf_reaches_every_parameter_of_its_backbones(name):
    backbone, objective = setup(name)
    evaluate(backbone, objective)[0].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in backbone.parameters())
