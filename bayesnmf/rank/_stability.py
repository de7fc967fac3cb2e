"""Whether components come back, and what the literature reads from that: shown, without a vote."""

from __future__ import annotations

import numpy as np

from .._input import Table, observed_at
from .._random import generator
from ..align import match_rows
from ..engines._prepare import dense_rows
from ..result import NEAR, Fit
from ._held_out import log_density
from ._structure import blocks_of, some_rows
from ._work import Done, Recipe

RESAMPLES = 10
"""Times that rows, or groups, are drawn with replacement."""

MOST_SAMPLES = 1000
"""Samples that the cophenetic correlation looks at."""


def resampled(table: Table, fit: Fit, recipe: Recipe, index: int) -> Done:
    """Return which components come back in a fit to rows (groups, where these are given) drawn with replacement."""
    blocks = blocks_of(table) if table.groups is not None else [np.array([i]) for i in range(table.shape[0])]
    random = generator(recipe.seed, 1, index)
    drawn: list[np.ndarray] = []
    while sum(map(len, drawn)) < table.shape[0]:
        drawn.append(blocks[random.integers(len(blocks))])
    # as many rows as X has, so that nothing is compiled anew
    again = some_rows(table, np.concatenate(drawn)[: table.shape[0]])
    seen = observed_at(again, "column")
    match = match_rows(fit.H[:, seen], recipe.fit(again, fit.rank)[0].H[:, seen])
    back = np.zeros(fit.rank)
    back[match.own] = match.cosine >= NEAR
    return Done(None, back)


def bic(fit: Fit, table: Table) -> float:
    """Return ``-2 log p(X | W H) + parameters log(observations)``: k (n + m - 1), and one for each of the noise."""
    total = log_density(fit.model.parts[0], fit.mean, table).sum()
    parameters = fit.rank * (sum(table.shape) - 1) + sum(np.size(a) for a in fit.noise.values())
    return float(-2 * total + parameters * np.log(table.total_weight))


def reconstruction_error(fit: Fit, table: Table) -> float:
    """Return ``|X - W H|^2 / |X|^2`` over what was observed."""
    rows = dense_rows(table, slice(None))
    off = rows.weight * (rows.x - rows.factor * fit.mean) ** 2
    return float(off.sum() / (rows.weight * rows.x**2).sum())


def elbow(ranks: np.ndarray, error: np.ndarray) -> int:
    """Return the rank whose error is furthest below the line from the first to the last."""
    if len(ranks) < 3:
        return int(ranks[-1])
    x, y = ((a - a[0]) / (a[-1] - a[0]) if a[-1] != a[0] else np.zeros(len(a)) for a in (ranks.astype(float), error))
    return int(ranks[np.argmax(y - x)])


def cophenetic(W: np.ndarray, H: np.ndarray) -> float:
    """Return the cophenetic correlation of how starts cluster samples by their greatest part (Brunet et al. 2004).

    Distances are counts of starts. NaN where SciPy's tree is not valid, which was seen once, on 666 samples with ties.
    """
    from scipy.cluster.hierarchy import average, cophenet
    from scipy.spatial.distance import squareform

    share = W * H.sum(2)[:, None]
    own = share.argmax(2)[:, np.linspace(0, W.shape[1] - 1, min(W.shape[1], MOST_SAMPLES)).astype(int)]
    apart = np.sum(own[:, :, None] != own[:, None, :], 0, dtype=float)
    distance = squareform(apart, checks=False)
    if len(distance) == 0 or np.ptp(distance) == 0:
        return 1.0
    try:
        return float(cophenet(average(distance), distance)[0])
    except ValueError:
        return np.nan


def silhouette(H: np.ndarray, best: int) -> float:
    """Return the mean silhouette of all starts' components, each with those it is matched to (cosine distance)."""
    from sklearn.metrics import silhouette_score

    starts, k, m = H.shape
    if k == 1 or starts == 1:
        return np.nan
    labels = np.zeros((starts, k), int)
    for s in range(starts):
        match = match_rows(H[best], H[s])
        labels[s, match.other] = match.own
    return float(silhouette_score(H.reshape(-1, m), labels.ravel(), metric="cosine"))
