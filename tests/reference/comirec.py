"""ComiRec-SA's forward pass, one user and one interest at a time, in float64."""

import numpy as np


def encode(history, item_table, position, w1, w2):
    """history: item numbers right-padded with 0, [B, L]; w1 [4D, D], w2 [K, 4D]. Gives V [B, K, D], A [B, K, L]."""
    batch, length = history.shape
    interests = np.zeros((batch, len(w2), item_table.shape[1]))
    attention = np.zeros((batch, len(w2), length))
    for b in range(batch):
        real = [j for j in range(length) if history[b, j] > 0]
        if not real:
            continue
        hidden = np.array([np.tanh(w1 @ (item_table[history[b, j]] + position[j])) for j in real])  # [len, 4D]
        for k in range(len(w2)):
            logits = hidden @ w2[k]
            weights = np.exp(logits - logits.max())
            weights /= weights.sum()
            attention[b, k, real] = weights
            interests[b, k] = sum(a * item_table[history[b, j]] for a, j in zip(weights, real, strict=True))
    return interests, attention
