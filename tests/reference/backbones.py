"""The backbones' forward passes, one user and one position at a time, in float64.

``items``: the user's real items' vectors, oldest first, each [D]. ``w``: a backbone's weights by their PyTorch names.
"""

import math

import numpy as np

from .losses import softmax


def dnn(items, w):
    return w["tower.weight"] @ (sum(items) / len(items)) + w["tower.bias"]


def gru4rec(items, w):
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    h = np.zeros(w["output.weight"].shape[1])
    for x in items:
        to_reset, to_update, to_new = np.split(w["gru.weight_ih_l0"] @ x + w["gru.bias_ih_l0"], 3)
        of_reset, of_update, of_new = np.split(w["gru.weight_hh_l0"] @ h + w["gru.bias_hh_l0"], 3)
        update = sigmoid(to_update + of_update)
        new = np.tanh(to_new + sigmoid(to_reset + of_reset) * of_new)
        h = (1 - update) * new + update * h
    return w["output.weight"] @ h + w["output.bias"]


def _norm(x, w, name):
    return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def _gelu(x):
    return np.array([z * (1 + math.erf(z / math.sqrt(2))) / 2 for z in x])


def _layer(x, w, name, *, causal, heads=2):
    """x: a list of vectors [D]."""
    dim = len(x[0])
    wq, wk, wv = np.split(w[f"{name}.projections.weight"], 3)
    out = []
    for i, here in enumerate(x):
        seen = x[: i + 1] if causal else x
        joined = []
        for part in np.split(np.arange(dim), heads):
            weights = softmax(
                np.array([(wq @ here)[part] @ (wk @ other)[part] for other in seen]) / math.sqrt(len(part))
            )
            joined.append(sum(a * (wv @ other)[part] for a, other in zip(weights, seen, strict=True)))
        attended = w[f"{name}.output.weight"] @ np.concatenate(joined) + w[f"{name}.output.bias"]
        y = _norm(here + attended, w, f"{name}.attention_norm")
        hidden = _gelu(w[f"{name}.inner.weight"] @ y + w[f"{name}.inner.bias"])
        y = _norm(y + w[f"{name}.outer.weight"] @ hidden + w[f"{name}.outer.bias"], w, f"{name}.inner_norm")
        out.append(y)
    return out


def _transform(x, w, *, causal):
    x = [_norm(v + w["position"][len(x) - 1 - i], w, "norm") for i, v in enumerate(x)]
    for number in range(2):
        x = _layer(x, w, f"layers.{number}", causal=causal)
    return x


def sasrec(items, w):
    return _transform(items, w, causal=True)[-1]


def bert4rec(items, w, hidden=()):
    """States of all items and of the appended mask token [len + 1, D]; ``hidden``: positions behind the token."""
    x = [w["mask_token"] if i in hidden else v for i, v in enumerate(items)]
    return np.array(_transform([*x, w["mask_token"]], w, causal=False))


def routing(votes, b, *, over_interests):
    """votes[k][l] is a vector [D], b [K, L]. Gives [K, D]."""
    n_interests, length = b.shape
    b = b.copy()
    for _ in range(3):
        c = np.array([softmax(row) for row in (b.T if over_interests else b)])
        c = c.T if over_interests else c
        capsules = []
        for k in range(n_interests):
            z = sum(c[k, j] * votes[k][j] for j in range(length))
            capsules.append((z @ z) / (1 + z @ z) * z / np.sqrt(z @ z))
        b += np.array([[votes[k][j] @ capsules[k] for j in range(length)] for k in range(n_interests)])
    return np.array(capsules)


def mind(items, w, *, over_interests=True):
    b = w["logits"][:, : len(items)]
    return routing([[w["bilinear"] @ e for e in items]] * len(b), b, over_interests=over_interests)


def comirec_dr(items, w, n_interests, *, over_interests=True):
    dim = len(items[0])
    maps = w["bilinear"].reshape(-1, dim, n_interests, dim)  # [L, D, K, D]
    votes = [[e @ maps[j, :, k] for j, e in enumerate(items)] for k in range(n_interests)]
    return routing(votes, np.zeros((n_interests, len(items))), over_interests=over_interests)


def item_knn(histories, n_items, neighbours):
    """W [N, N] from lists of item numbers."""
    sets = [{u for u, history in enumerate(histories) if i + 1 in history} for i in range(n_items)]
    w = np.zeros((n_items, n_items))
    for i in range(n_items):
        for j in range(n_items):
            if i != j and sets[i] and sets[j]:
                w[i, j] = len(sets[i] & sets[j]) ** 2 / (len(sets[i]) * len(sets[j]))
        w[i, w[i] < np.sort(w[i])[-neighbours]] = 0
    return np.sqrt(w)


def ease(histories, n_items, regularisation):
    """W [N, N], column by column as the ridge regression it is: item j from all others."""
    x = np.array([[float(i + 1 in history) for i in range(n_items)] for history in histories])
    w = np.zeros((n_items, n_items))
    for j in range(n_items):
        others = [i for i in range(n_items) if i != j]
        a = x[:, others]
        w[others, j] = np.linalg.solve(a.T @ a + regularisation * np.eye(n_items - 1), a.T @ x[:, j])
    return w
