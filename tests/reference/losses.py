"""Every loss term of SPEC sections 4 and 5, literally, row by row, in float64."""

import numpy as np


def softmax(x):
    e = np.exp(x - np.max(x))
    return e / e.sum()


def sampled_softmax(vectors, positives, negatives, hits, beta):
    """-s+ + log(exp(s+) + sum_i w_i exp(s_i)), w_i = exp(beta s_i) / mean_j exp(beta s_j), over i not masked."""
    losses = []
    for b, u in enumerate(vectors):
        s = np.array([u @ e for i, e in enumerate(negatives) if hits is None or not hits[b, i]])
        plus = u @ positives[b]
        mass = 0.0
        if len(s):
            weights = np.exp(beta * s) / np.exp(beta * s).mean()
            mass = (weights * np.exp(s)).sum()
        losses.append(-plus + np.log(np.exp(plus) + mass))
    return np.mean(losses)


def full_softmax(vectors, table, target):
    """Cross-entropy over items 1..N; ``table`` [N, D] without padding."""
    return np.mean([-np.log(softmax(table @ u)[t - 1]) for u, t in zip(vectors, target, strict=True)])


def routing(attention, dim):
    """sum over the batch of sum_k C_kk^2, with the whole matrix C."""
    total = 0.0
    for a in attention:
        centred = a - a.mean(1, keepdims=True)
        total += (np.diag(centred @ centred.T / dim) ** 2).sum()
    return total


def target_aware(values, query, mask=None):
    """Eqs. 6 and 8 for one row: values [K, D], query [D]."""
    if mask is not None:
        values = values[mask]
    if not len(values):
        return np.zeros_like(query)
    return softmax(values @ query / np.sqrt(len(query))) @ values


def self_attention(values, mask, wq, wk, wv):
    """Eq. 7 for one user, over the interests that exist: returns those only."""
    x = values[mask]
    q, k, v = x @ wq.T, x @ wk.T, x @ wv.T
    return np.array([softmax(row) @ v for row in q @ k.T / np.sqrt(x.shape[1])])


def cosine(a, b):
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return 0.0 if norm == 0 else a @ b / norm


def contrastive(anchors, others, target, temperature):
    """Eq. 10; a row with the same target is no negative."""
    losses = []
    for i in range(len(anchors)):
        logits = {j: cosine(anchors[i], others[j]) / temperature for j in range(len(others))}
        kept = [v for j, v in logits.items() if j == i or target[j] != target[i]]
        losses.append(-logits[i] + np.log(np.exp(kept).sum()))
    return np.mean(losses)


def cosine_distance(anchors, others):
    """Eq. 11."""
    return np.mean([1 - cosine(a, b) for a, b in zip(anchors, others, strict=True)])
