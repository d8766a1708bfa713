"""The joint objective L = L_R + gamma (L_S + L_A) (eq. 15, SPEC section 5), with every ablation switch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..alignment.modality_alignment import ModalityAlignment
from ..alignment.semantic_inputs import SemanticInputs
from ..alignment.semantic_prediction import SemanticPrediction, prediction_loss
from ..errors import ConfigError
from ..ibim.backbone import Backbone, Cloze
from ..ibim.readout import hard_readout, mean_readout, target_aware_readout
from ..ibim.sampled_softmax import (
    accidental_hits,
    draw_negatives,
    full_softmax_loss,
    routing_regularisation,
    sampled_softmax_loss,
)
from .sampling import Batch

Terms = dict[str, Tensor]


class Negatives(NamedTuple):
    """The n item numbers int64 [n] that the batch shares, and where they hit a target: bool [B, n], None keeps all."""

    items: Tensor
    hits: Tensor | None


class RecommendationLoss:
    """L_R, the backbone's own loss on the read-out interest (SPEC section 4); settings of ``LossConfig``.

    ``hard_negative_beta`` acts on the sampled form of backbones with hard negatives, ``routing_weight`` on those with
    routing regularisation. ``readout`` is "hard" (the interest nearest the target), "soft" (target-aware attention,
    eq. 6) or "mean" (soft under the ablation w/o Tar).
    """

    def __init__(
        self,
        *,
        kind: Literal["sampled", "full"] = "sampled",
        negatives: int = 1280,
        hard_negative_beta: float = 0.1,
        routing_weight: float = 100.0,
        routing_reduction: Literal["sum", "mean"] = "sum",
        reference_hits: bool = False,
        readout: Literal["hard", "soft", "mean"] = "hard",
    ) -> None:
        self.kind = kind
        self.negatives = negatives
        self.hard_negative_beta = hard_negative_beta
        self.routing_weight = routing_weight
        self.routing_reduction = routing_reduction
        self.reference_hits = reference_hits
        self.readout = readout

    def of_guessing(self, n_items: int) -> float:
        """The catalogue loss, in nats, of equal scores for all items."""
        return math.log(n_items if self.kind == "full" else 1 + self.negatives)

    def draw(self, backbone: Backbone, target: Tensor, generator: torch.Generator) -> Negatives:
        """The batch's shared negatives for targets int64 [B]."""
        items = draw_negatives(backbone.n_items, self.negatives, generator=generator)
        return Negatives(items, None if self.reference_hits else accidental_hits(target, items))

    def read_out(self, interests: Tensor, target: Tensor) -> Tensor:
        """H'_im [B, D] from ``interests`` [B, K, D] for the target's vector [B, D]."""
        if self.readout == "hard":
            return hard_readout(interests, target)
        return target_aware_readout(interests, target) if self.readout == "soft" else mean_readout(interests)

    def ranking(
        self, backbone: Backbone, items: Tensor, user: Tensor, target: Tensor, negatives: Tensor, hits: Tensor | None
    ) -> Tensor:
        """The catalogue loss of ``user`` [B, D] for targets ``items`` int64 [B].

        ``target`` [B, D] and ``negatives`` [n, D] are looked-up vectors, ``hits`` bool [B, n] or None.
        """
        if self.kind == "full":
            return full_softmax_loss(user, backbone.item_vectors()[1:], items)
        beta = self.hard_negative_beta if backbone.hard_negatives else 0.0
        return sampled_softmax_loss(user, target, negatives, hits, beta=beta)

    def routing(self, backbone: Backbone, attention: Tensor | None) -> Tensor | None:
        """The weighted routing regularisation, None where the backbone has none."""
        if not backbone.routing_regularised or attention is None or self.routing_weight == 0:
            return None
        penalty = routing_regularisation(attention, dim=backbone.dim, reduction=self.routing_reduction)
        return self.routing_weight * penalty

    def cloze(
        self,
        backbone: Backbone,
        cloze: Cloze | None,
        histories: tuple[Tensor, Tensor],
        negatives: Tensor,
        drawn: Negatives | None,
    ) -> Tensor | None:
        """The catalogue loss of hidden history items (BERT4Rec), None where nothing was hidden.

        ``histories``: item numbers [B, L] and their looked-up vectors [B, L, D]; ``negatives`` [n, D] are ``drawn``'s.
        """
        if cloze is None:
            return None
        items, vectors = (part.flatten(0, 1).index_select(0, cloze.places) for part in histories)  # [M], [M, D]
        hits = None if drawn is None or drawn.hits is None else accidental_hits(items, drawn.items)
        return self.ranking(backbone, items, cloze.states, vectors, negatives, hits)


class SemanticObjective(nn.Module):
    """L_S and L_A from the semantic inputs; holds the parameters of the text side.

    The inputs are buffers that move with the module and are not stored with it.

    Args:
        inputs: text embeddings; with users where ``predict`` or ``alignment.users``.
        prediction: eqs. 7-9; built but partly idle where an ablation needs less of it.
        alignment: eqs. 10-12.
        predict: False leaves L_S out (ablation w/o Predict).
        full: L_S over all items; False takes the batch's shared negatives.
    """

    def __init__(
        self,
        inputs: SemanticInputs,
        *,
        prediction: SemanticPrediction,
        alignment: ModalityAlignment,
        predict: bool,
        full: bool,
    ) -> None:
        super().__init__()
        self.prediction = prediction
        self.alignment = alignment
        self.predict = predict
        self.full = full
        self.item_text: Tensor
        self.interests: Tensor | None
        self.mask: Tensor | None
        self.cluster: Tensor | None
        for name in ("item_text", "interests", "mask", "cluster"):
            self.register_buffer(name, getattr(inputs, name), persistent=False)

    @property
    def needs_negatives(self) -> bool:
        """Whether L_S is computed against the batch's shared negatives."""
        return self.predict and not self.full

    def forward(self, batch: Batch, user: Tensor, items: Tensor, negatives: Negatives | None) -> Terms:
        """L_S as "prediction" and L_A as "alignment", those that are on.

        ``user`` [B, D] is H'_im, ``items`` [B, D] are the targets' vectors e_tar.
        """
        rivals, hits = self._rivals(negatives)
        titles = self.prediction.titles(self.item_text, batch.target, rivals)
        pairs: list[tuple[Tensor, Tensor]] = []
        terms: Terms = {}
        if self.predict or self.alignment.users:
            explicit = self._explicit(batch.users, titles.target)
            if self.predict:
                terms["prediction"] = prediction_loss(explicit, titles, batch.target, hits, full=self.full)
            if self.alignment.users:
                pairs.append((self.prediction.align(explicit), user))
        if self.alignment.items:
            pairs.append((self.prediction.align(titles.target), items))
        if pairs:
            terms["alignment"] = self.alignment.loss(pairs, batch.target)
        return terms

    def _explicit(self, users: Tensor, query: Tensor) -> Tensor:
        """H'_ex [B, S] of training users int64 [B] for the titles ``query`` [B, S]."""
        if self.interests is None or self.mask is None or self.cluster is None:
            raise ValueError("the semantic inputs hold item texts only")  # build_objective refuses this
        clusters = self.cluster.index_select(0, users)
        return self.prediction.user_interest(self.interests, self.mask, clusters, query)

    def _rivals(self, negatives: Negatives | None) -> tuple[Tensor | Literal["all"] | None, Tensor | None]:
        """What the target competes with in L_S, and the accidental hits among it."""
        if not self.predict:
            return None, None
        if self.full:
            return "all", None
        if negatives is None:
            raise ValueError("the sampled semantic prediction needs the batch's negatives")
        return negatives.items, negatives.hits


class JointObjective(nn.Module):
    """L = L_R + gamma (L_S + L_A); without the semantic part, L_R alone."""

    def __init__(
        self, recommendation: RecommendationLoss, semantic: SemanticObjective | None = None, *, gamma: float = 0.0
    ) -> None:
        super().__init__()
        self.recommendation = recommendation
        self.semantic = semantic
        self.gamma = gamma

    def forward(self, backbone: Backbone, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Terms]:
        """The loss to differentiate, and its detached terms (scalars on the device).

        Terms: "loss" = "recommendation" + "routing" + "cloze" + gamma ("prediction" + "alignment"); "routing" carries
        its weight; a term that is off is absent.
        """
        negatives = self._draw(backbone, batch, generator)
        history, target, rivals = self._look_up(backbone, batch, negatives)
        encoded = backbone.encode_embedded(history, batch.mask)
        user = self.recommendation.read_out(encoded.interests, target)  # H'_im
        hits = None if negatives is None else negatives.hits
        own = {
            "recommendation": self.recommendation.ranking(backbone, batch.target, user, target, rivals, hits),
            "routing": self.recommendation.routing(backbone, encoded.attention),
            "cloze": self.recommendation.cloze(backbone, encoded.cloze, (batch.history, history), rivals, negatives),
        }
        terms: Terms = {name: term for name, term in own.items() if term is not None}
        total = torch.stack(list(terms.values())).sum()
        if self.semantic is not None:
            semantic: Terms = self.semantic(batch, user, target, negatives)
            terms.update(semantic)
            total = total + self.gamma * sum(semantic.values())
        return total, {"loss": total.detach()} | {name: term.detach() for name, term in terms.items()}

    def _draw(self, backbone: Backbone, batch: Batch, generator: torch.Generator) -> Negatives | None:
        if self.recommendation.kind == "sampled" or (self.semantic is not None and self.semantic.needs_negatives):
            return self.recommendation.draw(backbone, batch.target, generator)
        return None

    def _look_up(self, backbone: Backbone, batch: Batch, negatives: Negatives | None) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of the histories [B, L, D], the targets [B, D] and the negatives of L_R [n, D] (or none: [0, D]).

        One lookup for all, because each lookup's backward pass fills a gradient of the whole table.
        """
        wanted = [batch.history.flatten(), batch.target]
        if negatives is not None and self.recommendation.kind == "sampled":
            wanted.append(negatives.items)
        sizes = [batch.history.numel(), len(batch.target), sum(map(len, wanted[2:]))]
        history, target, rivals = torch.split(backbone.embed_items(torch.cat(wanted)), sizes)
        return history.view(*batch.history.shape, -1), target, rivals


def build_objective(
    backbone: Backbone,
    *,
    loss: Mapping[str, Any],
    objective: Mapping[str, Any],
    semantic_inputs: SemanticInputs | None = None,
    seed: int = 0,
) -> JointObjective:
    """The objective for a backbone, from the settings of ``LossConfig`` and ``ObjectiveConfig`` (by field name).

    With semantic inputs this is EIMF: the readout is soft (the mean under ``target_aware`` False), whatever
    ``loss["readout"]``. gamma = 0, or no semantic term switched on, leaves that readout alone and computes nothing
    semantic. Without them L_R alone is built and ``objective`` is not read. The initial weights depend on ``seed``;
    the global generator is left as it was.

    Raises:
        ConfigError: L_S or the user alignment is on and the inputs hold item texts only, or another catalogue's.
    """
    recommendation = RecommendationLoss(**loss)
    if semantic_inputs is None:
        return JointObjective(recommendation)
    recommendation.readout = "soft" if objective["target_aware"] else "mean"
    switches = ("predict", "align_users", "align_items")
    if objective["gamma"] == 0 or not any(objective[switch] for switch in switches):
        return JointObjective(recommendation)
    _check(semantic_inputs, backbone, objective)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        prediction = SemanticPrediction(
            text_dim=semantic_inputs.text_dim,
            dim=backbone.dim,
            target_aware=objective["target_aware"],
            semantic_space=objective["semantic_space"],
        )
    alignment = ModalityAlignment(
        alpha=objective["alpha"],
        beta=objective["beta"],
        temperature=objective["temperature"],
        users=objective["align_users"],
        items=objective["align_items"],
    )
    semantic = SemanticObjective(
        semantic_inputs,
        prediction=prediction,
        alignment=alignment,
        predict=objective["predict"],
        full=backbone.n_items <= objective["full_softmax_up_to"],
    )
    return JointObjective(recommendation, semantic, gamma=objective["gamma"])


def _check(inputs: SemanticInputs, backbone: Backbone, objective: Mapping[str, Any]) -> None:
    if len(inputs.item_text) != backbone.n_items + 1:
        raise ConfigError(
            f"item texts have {len(inputs.item_text)} rows for {backbone.n_items} items and padding",
            hint="encode the titles of the dataset that is trained on",
        )
    if inputs.interests is None and (objective["predict"] or objective["align_users"]):
        raise ConfigError(
            "objective.predict and objective.align_users need explicit interests, only item texts are given",
            hint="give --interests, or set objective.predict=false and objective.align_users=false",
        )
