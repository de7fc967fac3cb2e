"""How well one part of X predicts another: of the same samples by thinning, of new samples by bi-cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from .._fit import activities
from .._input import Table, observed_at
from .._random import generator
from .._types import Array
from ..engines._prepare import dense_rows
from ..likelihoods import Likelihood
from ..result import Fit
from ._structure import parted, some_rows
from ._work import Done, Recipe

SHARE = 0.75
"""Of X, that is learned from."""

CHUNK = 2**22
"""Entries that are dense at a time."""


@dataclass(frozen=True)
class Held:
    """Held-out log density by rank, standard errors of differences to the best, and the least rank within one."""

    score: dict[int, float]
    error: dict[int, float]
    least: int

    @classmethod
    def of(cls, found: dict[int, Done]) -> Held:
        """Compare the log densities of samples, or groups, by rank."""
        units = {k: done.values for k, done in found.items()}
        score = {k: float(each.sum()) for k, each in units.items()}
        best = max(score, key=lambda k: score[k])
        error = {k: standard_error(each - units[best]) for k, each in units.items()}
        return cls(score, error, min(k for k in score if score[k] >= score[best] - error[k]))


class Thinned:
    """X in two parts, independent given the noise: one to learn from, one to predict.

    The noise is that of a fit. What the recipe learns of it is learned again from the part.
    """

    def __init__(self, table: Table, fit: Fit, recipe: Recipe):
        self.noise = fit.model.parts[0]
        asked = recipe.model.likelihood
        own = asked if asked is not None and asked.learned else self.noise.of_part(SHARE)
        self.recipe = replace(recipe, model=replace(recipe.model, likelihood=own))
        self.part = thinned(table, self.noise, fit.mean, SHARE, generator(recipe.seed, 0))
        self.rest = replace(table, X=table.X - self.part.X)

    def score(self, k: int) -> Done:
        """Return the log density of what was left out, by sample or group, under k components."""
        mean = self.recipe.fit(self.part, k)[0].mean * (1 - SHARE) / SHARE
        return Done(None, log_density(self.noise.of_part(1 - SHARE), mean, self.rest))


class Crossed:
    """Half of the samples to learn H from, and of the others half of the features to predict by the other half.

    Bi-cross-validation (Owen and Perry 2009). Groups stay whole. Which half of the features is given is turned round.
    What was not observed in the samples to learn from is not predicted.
    """

    def __init__(self, table: Table, recipe: Recipe):
        random = generator(recipe.seed, 4)
        n, m = table.shape
        units = np.arange(n) if table.groups is None else np.unique(table.groups, return_inverse=True)[1]
        count = units.max() + 1
        learned = np.isin(units, random.permutation(count)[: -(-count // 2)])
        # repeated to as many rows as X has, so that nothing is compiled anew
        self.learned = some_rows(table, np.resize(np.flatnonzero(learned), n))
        half = random.permutation(m) < m // 2
        new = np.sort(random.permutation(np.flatnonzero(~learned))[: max(CHUNK // m, 1)])
        seen = observed_at(self.learned, "column")
        self.halves = parted(some_rows(table, new), np.tile(half, (len(new), 1)), seen)
        self.recipe = recipe

    @property
    def possible(self) -> bool:
        """Whether there is something in each part: X of one sample, or of one that is not all zeros, has no others."""
        return all(min(part.shape) > 0 and part.level > 0 for part in (self.learned, *self.halves))

    def score(self, k: int) -> Done:
        """Return the log density of what was left out, by sample or group, under k components."""
        fit, _ = self.recipe.fit(self.learned, k)
        total = []
        for given, rest in (self.halves, self.halves[::-1]):
            found, _ = activities(fit, given, pad=self.recipe.pad)
            total.append(log_density(fit.model.parts[0], found.W[0] @ found.H[0], rest))
        return Done(None, np.sum(total, 0))


def thinned(table: Table, likelihood: Likelihood, mean: np.ndarray, share: float, random: np.random.Generator) -> Table:
    """Return the table with a part of X of the stated share in its place. The rest of X is independent of it."""
    n, m = table.shape
    step = max(1, CHUNK // m)
    parts: list[Any] = []
    for start in range(0, n, step):
        rows = dense_rows(table, slice(start, min(start + step, n)))
        v = np.maximum(mean[start : start + step] * rows.factor, 1e-12 * table.level)
        part = np.where(rows.weight > 0, likelihood.thin(random, rows.x, v, share), 0.0)
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
        with jax.enable_x64(True):  # X comes in the user's unit, whose square may be beyond float32
            each = np.asarray(_log_density(likelihood, rows.x, v))
        found[start : start + step] = np.where(rows.weight > 0, rows.weight * each, 0).sum(1)
    if table.groups is None:
        return found
    return np.bincount(np.unique(table.groups, return_inverse=True)[1], found)


@jax.jit
def _log_density(likelihood: Likelihood, x: Array, v: Array) -> jax.Array:
    return likelihood.log_density(x, v)


def standard_error(each: np.ndarray) -> float:
    """Return that of the sum over units that are independent."""
    return float(np.std(each) * np.sqrt(len(each)))


def _sparse(part: np.ndarray) -> Any:
    import scipy.sparse as sp

    return sp.csr_array(part)
