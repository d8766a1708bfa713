"""The network in plain PyTorch: Qwen2's architecture in small, with one embedding table for input and output.

Shapes: B samples, T tokens, d width, H heads, G key-value heads, h = d / H head width, V vocabulary size.
The exported file holds exactly what llama.cpp's ``qwen2`` graph expects; nothing here is specific to a corpus.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_STEM_SCALE = 0.08
_PREDECESSOR_STRENGTH = 0.06  # of what a head of the first layer reads, when it writes at the start
_COPY_STRENGTH = 0.6  # the same of the second layer
_MATCH_GAIN = 2.0  # so that a match stands some 6 logits above chance
_OFFSET_SHARPNESS = 5.0  # of the first layer's initial biases: some 3 logits between neighbouring offsets
_OFFSET_QUIET = 0.2  # keeps the tokens' own noise below that


@dataclass(frozen=True)
class NetworkConfig:
    """The hyper-parameters that the GGUF file repeats. ``width`` is a multiple of 32 (Q8_0 blocks) and of ``heads``."""

    vocabulary_size: int
    width: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 4
    feed_forward: int = 640
    rope_base: float = 1_000_000.0
    norm_epsilon: float = 1e-6
    context: int = 4096


class SharedStemEmbedding(nn.Module):
    """Token vectors as the sum of a stem's and a written form's vector: E[v] = stem[stem_of[v]] + form[form_of[v]].

    " Gel", " gel" and "gel" share one stem, so what is learned about one of them holds for all, and copying a
    title's word in lower case is a change of form only. The export writes the sums: the file holds an ordinary table.
    """

    stem_of: Tensor
    form_of: Tensor
    has_form: Tensor

    def __init__(self, *, stem_of: Tensor, form_of: Tensor, width: int) -> None:
        """Take the stem and form numbers of every token, both int64 ``[V]``."""
        super().__init__()
        self.register_buffer("stem_of", stem_of, persistent=False)
        self.register_buffer("form_of", form_of, persistent=False)
        self.stem = nn.Parameter(torch.empty(int(stem_of.max()) + 1, width))
        self.form = nn.Parameter(torch.empty(int(form_of.max()) + 1, width))
        has_form = torch.zeros(len(self.stem), len(self.form))  # [stems, forms]: number of tokens of that stem and form
        has_form.index_put_((stem_of, form_of), torch.ones(len(stem_of)), accumulate=True)
        self.register_buffer("has_form", has_form, persistent=False)

    def table(self) -> Tensor:
        """Return E, float32 ``[V, d]``."""
        return F.embedding(self.stem_of, self.stem) + F.embedding(self.form_of, self.form)

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed int64 ``[B, T]`` as float32 ``[B, T, d]``."""
        return F.embedding(self.stem_of[tokens], self.stem) + F.embedding(self.form_of[tokens], self.form)

    def logits(self, hidden: Tensor) -> Tensor:
        """Score ``[n, d]`` against every token, ``[n, V]``."""
        return F.linear(hidden, self.table())

    def cross_entropy(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats of ``targets`` int64 ``[n]`` given ``[n, d]``, without building ``[n, V]`` scores.

        A token's score is its stem's plus its form's, so the partition sum is one over stems, weighted by forms.
        """
        stems = F.linear(hidden, self.stem).float()  # [n, stems]
        forms = F.linear(hidden, self.form).float()  # [n, forms]
        chosen = stems.gather(1, self.stem_of[targets, None]) + forms.gather(1, self.form_of[targets, None])
        peak_stem, peak_form = stems.detach().amax(1, keepdim=True), forms.detach().amax(1, keepdim=True)
        weights = (forms - peak_form).exp() @ self.has_form.T  # [n, stems]
        partition = ((stems - peak_stem).exp() * weights).sum(1, keepdim=True)
        return (partition.clamp_min(1e-30).log() + peak_stem + peak_form - chosen).mean()


def rope_tables(*, length: int, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """Return cosine and sine, float32 ``[length, head_width]``, of the rotary position embedding (halves layout)."""
    rates = base ** (-torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), rates).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn ``x`` ``[B, H, T, h]`` by its positions; halves are paired, as in Qwen2 and llama.cpp's NEOX order."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Attention(nn.Module):
    """Causal grouped-query self-attention with biases on query, key and value, as in Qwen2."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = config.heads, config.kv_heads, config.width // config.heads
        self.query = nn.Linear(config.width, config.width)
        self.key = nn.Linear(config.width, config.kv_heads * self.head_width)
        self.value = nn.Linear(config.width, config.kv_heads * self.head_width)
        self.output = nn.Linear(config.width, config.width, bias=False)

    def start_as_copier(self, strength: float, *, rotation: Tensor | None = None) -> None:
        """Tie the initial output to the value weights: a head writes what it reads, turned by ``rotation`` (d x d)."""
        nn.init.orthogonal_(self.value.weight)
        written = self._per_head(self.value.weight).T * strength  # [d, d]
        self.output.weight.copy_(written if rotation is None else rotation @ written)

    def start_at_offsets(self, *, base: float) -> None:
        """Begin by looking one token back (the last group of heads: two), by query and key biases alone."""
        cos, sin = rope_tables(length=3, head_width=self.head_width, base=base)
        self.query.weight.mul_(_OFFSET_QUIET)
        self.key.weight.mul_(_OFFSET_QUIET)
        anchor = torch.zeros(self.head_width)
        anchor[: self.head_width // 2] = _OFFSET_SHARPNESS
        self.key.bias.copy_(anchor.repeat(self.kv_heads))
        group = self.heads // self.kv_heads
        offsets = [2 if head >= self.heads - group else 1 for head in range(self.heads)]
        # turning the query back by n makes its product with the key largest n tokens before it
        self.query.bias.copy_(torch.cat([rotate(anchor, cos[offset], -sin[offset]) for offset in offsets]))

    def start_matching(self, written: Tensor, *, rotation: Tensor) -> None:
        """Begin by attending where an earlier layer with value weights ``written`` has put the current token."""
        # the fast rotary pairs (the first of each half) would scramble a match at a distance: they start silent
        half = self.head_width // 2
        slow = (torch.arange(half) >= half * 0.3).float().repeat(2 * self.kv_heads)[:, None] * _MATCH_GAIN
        self.key.weight.copy_(slow * (written @ rotation.T))
        self.query.weight.copy_(self._per_head(slow * written))

    def _per_head(self, grouped: Tensor) -> Tensor:
        """Repeat weights of key-value heads, ``[G h, d]``, for every query head, ``[d, d]``."""
        width, group = self.query.in_features, self.heads // self.kv_heads
        return grouped.view(self.kv_heads, self.head_width, width).repeat_interleave(group, dim=0).reshape(-1, width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map ``[B, T, d]`` to ``[B, T, d]``; right padding needs no mask, for nothing before it sees it."""
        batch, length, width = x.shape
        q = self.query(x).view(batch, length, self.heads, self.head_width).transpose(1, 2)
        k = self.key(x).view(batch, length, self.kv_heads, self.head_width).transpose(1, 2)
        v = self.value(x).view(batch, length, self.kv_heads, self.head_width).transpose(1, 2)
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        # written out: at some hundred tokens PyTorch's fused attention takes twice as long backwards on a CPU
        scores = (q * self.head_width**-0.5) @ k.transpose(-1, -2)  # [B, H, T, T]
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(future, float("-inf")).softmax(-1).to(v.dtype) @ v
        result: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, length, width))
        return result


class Block(nn.Module):
    """Pre-norm attention and SwiGLU feed-forward, each added to the residual stream."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        self.gate = nn.Linear(config.width, config.feed_forward, bias=False)
        self.up = nn.Linear(config.width, config.feed_forward, bias=False)
        self.down = nn.Linear(config.feed_forward, config.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map ``[B, T, d]`` to ``[B, T, d]``."""
        x = x + self.attention(self.attention_norm(x), cos, sin)
        y = self.feed_forward_norm(x)
        result: Tensor = x + self.down(F.silu(self.gate(y)) * self.up(y))
        return result


class Network(nn.Module):
    """Embedding, blocks, final norm; the output table is the input table."""

    cos: Tensor
    sin: Tensor

    def __init__(
        self, config: NetworkConfig, *, stem_of: Tensor, form_of: Tensor, stem_vectors: Tensor | None = None
    ) -> None:
        """Build with weights drawn from torch's global generator (seed it first).

        ``stem_vectors`` float32 ``[stems, d]``, of mean square 1 or zero a row, are a half of what stems start with.
        """
        super().__init__()
        self.config = config
        self.embedding = SharedStemEmbedding(stem_of=stem_of, form_of=form_of, width=config.width)
        blocks = [Block(config) for _ in range(config.layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        cos, sin = rope_tables(length=config.context, head_width=config.width // config.heads, base=config.rope_base)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise([block.attention for block in blocks], stem_vectors)

    def _initialise(self, attentions: list[Attention], stem_vectors: Tensor | None) -> None:
        nn.init.normal_(self.embedding.stem, std=_STEM_SCALE)
        if stem_vectors is not None:
            with torch.no_grad():
                known = stem_vectors.abs().sum(dim=1, keepdim=True) > 0
                mixed = (self.embedding.stem + _STEM_SCALE * stem_vectors) * 0.5**0.5
                self.embedding.stem.copy_(torch.where(known, mixed, self.embedding.stem))
        nn.init.normal_(self.embedding.form, std=0.02)
        for name, parameter in self.blocks.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:
                # residual branches start small, so that a deep sum keeps the embedding's scale
                scale = 0.05 if name.endswith("down.weight") else 1.0
                nn.init.normal_(parameter, std=scale * parameter.shape[1] ** -0.5)
        with torch.no_grad():
            self._start_with_induction(attentions)

    def _start_with_induction(self, attentions: list[Attention]) -> None:
        """Give the first two layers an induction circuit to begin with.

        Copying from the context is the task's core; from a random start it had not emerged after a million tokens.
        Layer 0 writes each token's predecessor, turned into a space of its own; layer 1 attends where that equals the
        current token, and copies what stands there.
        """
        width = self.config.width
        rotation = nn.init.orthogonal_(torch.empty(width, width))
        first, second, *rest = attentions
        first.start_as_copier(_PREDECESSOR_STRENGTH, rotation=rotation)
        first.start_at_offsets(base=self.config.rope_base)
        second.start_as_copier(_COPY_STRENGTH)
        second.start_matching(first.value.weight, rotation=rotation)
        for attention in rest:
            attention.start_as_copier(_PREDECESSOR_STRENGTH)

    def states(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states half-way up and the normed last ones, both ``[B, T, d]``, of int64 ``[B, T]``."""
        length = tokens.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        x = middle = self.embedding(tokens)
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, cos, sin)
            if number == (len(self.blocks) + 1) // 2:
                middle = x
        return middle, self.norm(x)

    def hidden(self, tokens: Tensor) -> Tensor:
        """Return the normed last states, ``[B, T, d]``, of int64 ``[B, T]``."""
        return self.states(tokens)[1]

    def forward(self, tokens: Tensor) -> Tensor:
        """Return float32 logits ``[B, T, V]``."""
        return self.embedding.logits(self.hidden(tokens).flatten(0, 1)).view(*tokens.shape, -1)
