"""What the semantic side of the objective reads: fixed text embeddings, never trained (SPEC section 5)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..errors import InputError


@dataclass(frozen=True)
class SemanticInputs:
    """Embedded titles, and the explicit interests where they are needed.

    Attributes:
        item_text: float32 [N + 1, T], title embeddings; row 0 (padding) is never read.
        interests: float32 [G, M, T], H_ex of each exemplar, its interests in any order; None where only item texts
            are aligned (the three user fields go together).
        mask: bool [G, M], True on interests that exist. An exemplar may have none.
        cluster: int64 [U_train], the exemplar (row of ``interests``) of each training user, in the order of the
            training users.

    Raises:
        InputError: the shapes do not fit together, or a cluster number names no exemplar.
    """

    item_text: Tensor
    interests: Tensor | None = None
    mask: Tensor | None = None
    cluster: Tensor | None = None

    def __post_init__(self) -> None:
        _require(self.item_text.ndim == 2, "item_text is not [N + 1, T]")
        given = [part is not None for part in (self.interests, self.mask, self.cluster)]
        _require(all(given) or not any(given), "interests, mask and cluster must be given together")
        if self.interests is None or self.mask is None or self.cluster is None:
            return
        _require(self.interests.ndim == 3, "interests is not [G, M, T]")
        _require(self.interests.shape[2] == self.item_text.shape[1], "interests and item_text differ in T")
        _require(self.mask.shape == self.interests.shape[:2], "mask does not fit the interests")
        _require(self.cluster.ndim == 1 and not self.cluster.is_floating_point(), "cluster is not a row of numbers")
        if len(self.cluster):
            low, high = int(self.cluster.min()), int(self.cluster.max())
            _require(low >= 0 and high < len(self.interests), "cluster names an exemplar that has no interests row")

    @property
    def text_dim(self) -> int:
        """T, the text embedding width."""
        return self.item_text.shape[1]


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise InputError(f"semantic inputs: {problem}", hint="rebuild the interests for this dataset and encoder")
