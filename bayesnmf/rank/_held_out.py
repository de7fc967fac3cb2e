"""How well one part of X predicts an independent other part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._fit import Seed, fit_table
from .._input import Table
from ..engines import CAVI
from ..engines._prepare import dense_rows
from ..likelihoods import Likelihood
from ..model import Model
from ..result import Fit

SHARE = 0.75
"""Of X, that is learned from."""

CHUNK = 2**22
"""Entries that are dense at a time."""


@dataclass(frozen=True)
class Held:
    """Log density of what was left out by rank, standard errors of differences to the best, and the answer."""

    score: dict[int, float]
    error: dict[int, float]
    best: int


def held_out(table: Table, fits: dict[int, Fit], best: int, likelihood: Likelihood, engine: CAVI, seed: Seed) -> Held:
    """Return held-out scores for the ranks of some fits; the noise is that of the best of them.

    `likelihood` is the one that was asked for: what it learns is learned again from the part.
    """
    noise = fits[best].model.parts[0]
    own = likelihood if likelihood.learned else noise.of_part(SHARE)
    key = jax.random.key(seed) if isinstance(seed, (int, np.integer)) else seed
    draw, start = jax.random.split(key)
    part = thinned(table, noise, fits[best].mean, SHARE, draw)
    rest = replace(table, X=table.X - part.X)
    units = {}
    for k in fits:
        found = fit_table(part, Model(k, own), engine, start)
        units[k] = log_density(noise.of_part(1 - SHARE), found.mean * (1 - SHARE) / SHARE, rest)
    score = {k: float(each.sum()) for k, each in units.items()}
    top = max(score, key=lambda k: score[k])
    error = {k: standard_error(each - units[top]) for k, each in units.items()}
    return Held(score, error, min(k for k in score if score[k] >= score[top] - error[k]))


def thinned(table: Table, likelihood: Likelihood, mean: np.ndarray, share: float, key: jax.Array) -> Table:
    """Return the table with a part of X of the stated share in its place. The rest of X is independent of it."""
    n, m = table.shape
    step = max(1, CHUNK // m)
    parts: list[Any] = []
    for start in range(0, n, step):
        rows = dense_rows(table, slice(start, min(start + step, n)))
        v = jnp.asarray(np.maximum(mean[start : start + step] * rows.factor, 1e-12 * table.level))
        drawn = likelihood.thin(jax.random.fold_in(key, start), jnp.asarray(rows.x), v, share)
        part = np.where(rows.weight > 0, np.asarray(drawn, float), 0)
        parts.append(part if not table.is_sparse else _sparse(part))
    if not table.is_sparse:
        return replace(table, X=np.concatenate(parts))
    import scipy.sparse as sp

    return replace(table, X=sp.csr_array(sp.vstack(parts)))


def log_density(likelihood: Likelihood, mean: np.ndarray, table: Table) -> np.ndarray:
    """Return log p(X | mean) of each sample, or of each group where there are groups; weights count."""
    n, m = table.shape
    found, step = np.zeros(n), max(1, CHUNK // m)
    for start in range(0, n, step):
        rows = dense_rows(table, slice(start, min(start + step, n)))
        v = np.maximum(mean[start : start + step] * rows.factor, 1e-12 * table.level)
        each = np.asarray(likelihood.log_density(jnp.asarray(rows.x), jnp.asarray(v)), float)
        found[start : start + step] = np.where(rows.weight > 0, rows.weight * each, 0).sum(1)
    if table.groups is None:
        return found
    return np.bincount(np.unique(table.groups, return_inverse=True)[1], found)


def standard_error(each: np.ndarray) -> float:
    """Return that of the sum over units that are independent."""
    return float(np.std(each) * np.sqrt(len(each)))


def _sparse(part: np.ndarray) -> Any:
    import scipy.sparse as sp

    return sp.csr_array(part)
