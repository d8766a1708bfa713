"""DNN: the user tower of YouTube's candidate generation (SPEC section 4)."""

from __future__ import annotations

from torch import Tensor, nn

from .backbone import Backbone, Encoded


class DNN(Backbone):
    """One interest, a Linear over the mean of the items (Covington et al., 2016); the order does not matter.

    ``interests`` is taken for the contract's sake and replaced by 1.
    """

    def __init__(self, *, n_items: int, dim: int, interests: int = 1, max_length: int) -> None:
        super().__init__(n_items=n_items, dim=dim, interests=1, max_length=max_length)
        self.tower = nn.Linear(dim, dim)

    def encode_embedded(self, embedded: Tensor, mask: Tensor) -> Encoded:
        """The interest [B, 1, D]; that of an empty history is the bias."""
        real = embedded.masked_fill(~mask.unsqueeze(2), 0)
        mean = real.sum(1, keepdim=True) / mask.sum(1).clamp(min=1)[:, None, None]  # [B, 1, D]
        return Encoded(self.tower(mean))
