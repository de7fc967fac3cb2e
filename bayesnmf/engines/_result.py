"""What every engine returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .._types import Side
from ..likelihoods import Likelihood
from ..model import Model
from ..priors import Exponential, Gamma, HalfNormal, Prior, Shrinkage
from ._chains import Kept
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
    draws : Kept or None
        Draws, where the engine has them; `W` and `H` are then the means of each chain.
    at_shapes : function or None
        Where shapes of priors were learned: what the best start leads to with given ones, ``{"H": 0.8}``; True for a
        trial that may end a little early.
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
    draws: Kept | None = None
    at_shapes: Callable[[dict[Side, float], bool], EngineResult] | None = None


def of_draws(
    kept: Kept, start: EngineResult, model: Model, likelihood: Likelihood, rate_W: np.ndarray, steps: int
) -> EngineResult:
    """Return the outcome of chains that began at a fit: each chain in the place of a start, at the mean of its draws.

    `kept` is aligned; `rate_W` (k,) is that of W's prior for rows of H that sum to 1. Shrinkage keeps the components
    that it kept in the fit.
    """
    W, H = kept.W.mean(1), kept.H.mean(1)
    mass = W.sum(1)
    relevance = mass / mass.sum(1, keepdims=True)
    if model.shrinkage is not None:
        relevance = np.broadcast_to(start.relevance[start.best], relevance.shape)
    priors = []
    for side, prior in zip(("W", "H"), start.priors, strict=True):
        shape, rate = (kept.others.get(f"{name}_{side}") for name in ("shape", "rate"))
        if model.shrinkage is None and rate is not None:
            prior = with_numbers(prior, float(np.mean(prior.shape if shape is None else shape)), float(rate.mean()))
        elif shape is not None:
            prior = replace(prior, shape=float(shape.mean()))  # type: ignore[type-var]
        priors.append(prior)
    log_joint = kept.others["log_joint"]
    chains, objective = len(W), -log_joint.mean(1)
    best = best_of(objective)
    info = EngineInfo(
        objective, np.zeros(chains), np.full(chains, steps), ("sampled",) * chains, -log_joint[best]
    )  # fmt: skip
    return EngineResult(
        W, H, relevance, best, likelihood, start.shrinkage, (priors[0], priors[1]), rate_W, info,
        learned=start.learned, draws=kept,
    )  # fmt: skip


def with_numbers(prior: Prior, shape: float, rate: float | None) -> Prior:
    """Return a prior of the same kind with this shape and rate; None where shrinkage owns the rate."""
    if isinstance(prior, HalfNormal):
        return HalfNormal(None if rate is None else float(np.sqrt(2 / (np.pi * rate))))
    if isinstance(prior, Exponential):
        return Exponential(None if rate is None else 1 / rate)
    return Gamma(shape, None if rate is None else shape / rate) if isinstance(prior, Gamma) else prior


def best_of(objective: np.ndarray) -> int:
    """Return the start with the least finite objective."""
    return int(np.argmin(np.where(np.isfinite(objective), objective, np.inf)))
