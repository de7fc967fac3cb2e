"""What every engine returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..likelihoods import Likelihood
from ..priors import Prior, Shrinkage
from ._variational import Beliefs


class EngineInfo(NamedTuple):
    """How each start ended, (starts,) each, and the course of the best: what `Fit` reports."""

    objective: np.ndarray
    residual: np.ndarray
    steps: np.ndarray
    status: tuple[str, ...]
    trace: np.ndarray


class EngineResult(NamedTuple):
    """Factors and relevance of every start, in the units of X and without padding; of the best start all the rest.

    Attributes
    ----------
    W, H, relevance : arrays of shape (starts, n, rank), (starts, rank, m), (starts, rank)
        Points, or means of the posterior.
    best : int
        The start that is returned.
    likelihood, shrinkage, priors
        With what was learned.
    rate_W : array of shape (rank,)
        Rate of the prior of each column of W.
    beliefs : Beliefs or None
        The posterior, where the engine has one.
    learned : tuple of str
        Parameters of the priors that were learned.
    """

    W: np.ndarray
    H: np.ndarray
    relevance: np.ndarray
    best: int
    likelihood: Likelihood
    shrinkage: Shrinkage | None
    priors: tuple[Prior, Prior]
    rate_W: np.ndarray
    info: EngineInfo
    beliefs: Beliefs | None = None
    learned: tuple[str, ...] = ()


def best_of(objective: np.ndarray) -> int:
    """Return the start with the least finite objective."""
    return int(np.argmin(np.where(np.isfinite(objective), objective, np.inf)))
