"""GRU4Rec: a gated recurrent unit over the history (SPEC section 4)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from .backbone import Backbone, Encoded
from .positions import last_position, packing_pays, rows_at

HIDDEN = 128


class GRU4Rec(Backbone):
    """One interest, the state at the last item (Hidasi et al., 2016): dropout, GRU D -> 128, Linear 128 -> D.

    ``interests`` is taken for the contract's sake and replaced by 1.
    """

    options: ClassVar[tuple[str, ...]] = ("dropout",)

    def __init__(self, *, n_items: int, dim: int, interests: int = 1, max_length: int, dropout: float = 0.2) -> None:
        super().__init__(n_items=n_items, dim=dim, interests=1, max_length=max_length)
        self.dropout = dropout
        self.drop = nn.Dropout(dropout)
        self.gru = nn.GRU(dim, HIDDEN, batch_first=True)
        self.output = nn.Linear(HIDDEN, dim)

    def encode_embedded(self, embedded: Tensor, mask: Tensor) -> Encoded:
        """The interest [B, 1, D]; an empty history's is that of one zero item."""
        real = embedded.masked_fill(~mask.unsqueeze(2), 0)
        lengths = last_position(mask) + 1
        if not packing_pays(embedded.device):
            states, _ = self.gru(self.drop(real))  # [B, L, HIDDEN]; padding stands after the last item
            return Encoded(self.output(rows_at(states, lengths - 1)).unsqueeze(1))
        packed = pack_padded_sequence(real, lengths, batch_first=True, enforce_sorted=False)
        _, states = self.gru(packed._replace(data=self.drop(packed.data)))  # [1, B, HIDDEN]
        return Encoded(self.output(states[0]).unsqueeze(1))
