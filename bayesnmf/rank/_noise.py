"""Which noise: by entries that were left out, with more components than there can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._fit import Seed, fit_table
from .._input import Table
from ..engines import MAP
from ..engines._prepare import dense_rows
from ..likelihoods import CompoundPoisson, Gaussian, Likelihood, NegativeBinomial, Poisson
from ..model import Model
from ..priors import ARD
from ..result import Fit
from ._held_out import log_density, standard_error
from ._selection import Noise
from ._stability import numbers_of, some_rows

LEFT_OUT = 0.1
"""Share of the entries that noise is judged by."""

SURE, LEAST_GAIN = 2.0, 1.0
"""Standard errors, and nats, by which a more general noise must gain."""

BLUR = 0.05
"""Share of independent rows and columns in what is predicted."""

MOST_ENTRIES = 2**23
"""Entries that noise is judged on; of larger X some samples."""


def choose_noise(
    table: Table, likelihood: Likelihood | None, top: int, starts: int, seed: Seed
) -> tuple[Likelihood, Noise, Fit]:
    """Return the likelihood with nothing learned yet, how it was chosen, and the mode under shrinkage with it."""
    if likelihood is None and table.least < 0:
        likelihood = Gaussian()
    if likelihood is None and not table.is_counts:
        likelihood = CompoundPoisson()

    def shrunk(table: Table, likelihood: Likelihood) -> Fit:
        return fit_table(table, Model(top, likelihood, shrinkage=ARD()), MAP(starts=starts), seed)

    if likelihood is not None:
        return likelihood, Noise(type(likelihood).__name__), shrunk(table, likelihood)
    learned, left = _split(table, np.random.default_rng([3, *np.ravel(numbers_of(seed))]))
    fits = [shrunk(learned, noise) for noise in (Poisson(), NegativeBinomial())]
    plain, general = (log_density(f.model.parts[0], _blurred(f), left) for f in fits)
    gain, error = float((general - plain).sum()), standard_error(general - plain)
    if gain > max(SURE * error, LEAST_GAIN):
        return NegativeBinomial(), Noise("NegativeBinomial", "Poisson", gain, error), fits[1]
    return Poisson(), Noise("Poisson", "NegativeBinomial", gain, error), fits[0]


def _blurred(fit: Fit) -> np.ndarray:
    """Return W H with a little of what rows and columns make by themselves: a mode has zeros where X need not."""
    W, H = fit.W, fit.H
    alone = np.outer(W @ H.sum(1), W.sum(0) @ H)
    return (1 - BLUR) * fit.mean + BLUR * alone / max(alone.sum(), 1e-300) * fit.mean.sum()


def _split(table: Table, rng: np.random.Generator) -> tuple[Table, Table]:
    """Return the table, dense, without some entries; and with these alone."""
    n, m = table.shape
    if n * m > MOST_ENTRIES:
        table = some_rows(table, np.sort(rng.choice(n, max(MOST_ENTRIES // m, 2), replace=False)))
    left = rng.random(table.shape) < LEFT_OUT
    for axis in (0, 1):  # no sample and no feature is left out whole
        whole = left.all(axis)
        left &= ~np.expand_dims(whole, axis)
    x = table.X.toarray() if table.is_sparse else table.X
    bare = replace(table, row_weight=None, row_factor=None, col_weight=None, col_factor=None)
    weight = dense_rows(bare, slice(None)).weight
    parts = [replace(table, X=np.where(keep, x, 0), weight=weight * keep) for keep in (~left, left)]
    return parts[0], parts[1]
