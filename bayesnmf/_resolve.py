"""What a user left out of a model, decided once, from X and the engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ._errors import DataError, ModelError
from ._input import Table, refuse_unobserved
from .likelihoods import Gaussian, Likelihood, Poisson
from .model import Model
from .priors import ARD, Exponential, Flat, Prior

DEFAULT_MAX_RANK = 25
"""Components that shrinkage starts from when the rank is to be found."""


def auto_model(model: Model | None, likelihood: Likelihood | None, shape: tuple[int, int]) -> Model:
    """Return the model that finds its rank by shrinkage."""
    if model is None:
        return Model(min(DEFAULT_MAX_RANK, *shape), likelihood, shrinkage=ARD())
    return model if model.shrinkage is not None else replace(model, shrinkage=ARD())


def resolve_for_mode(model: Model, table: Table) -> Model:
    """Return the model with its likelihood and priors filled in for a fit by posterior mode."""
    model.check(table.shape[1])
    # a projection may have such columns, a fit may not
    refuse_unobserved(table, "column")
    likelihood = model.likelihood
    if likelihood is None:
        likelihood = Gaussian() if table.least < 0 else Poisson()
    missing = Flat() if model.shrinkage is None else Exponential()
    W = model.W or (model.H if model.shrinkage is not None and model.H is not None else missing)
    H = model.H or (model.W if model.shrinkage is not None and model.W is not None else missing)
    model = replace(model, likelihood=likelihood, W=W, H=H)
    model.check(table.shape[1])
    _check_support(likelihood, table)
    _check_mode(model, W, H)
    if model.shrinkage is not None:
        model.shrinkage.check(W, H)
    return model


def _check_support(likelihood: Likelihood, table: Table) -> None:
    least = table.least
    name = type(likelihood).__name__
    variance = likelihood.variance if isinstance(likelihood, Gaussian) and likelihood.variance is not None else 1.0
    if np.ndim(variance) == 1 and np.shape(variance) != (table.shape[1],):
        raise ModelError(f"Expected one variance for each of the {table.shape[1]} features; got {np.shape(variance)}.")
    if likelihood.support == "positive" and least <= 0:
        raise DataError(
            f"{name} with these parameters needs entries above 0; the least is {least:.4g}. "
            "Use BetaDivergence(beta) with beta > 0, or mark zeros as missing (NaN)."
        )
    if not np.any(table.values > 0):
        raise DataError(
            "X has no entry above 0, so there is nothing to explain by parts. Check that it was read correctly."
        )


def _check_mode(model: Model, W: Prior, H: Prior) -> None:
    for name, prior in (("W", W), ("H", H)):
        if float(prior.shape) < 1:
            raise ModelError(
                f"A Gamma prior of shape {float(prior.shape):g} < 1 has no mode (its density is infinite at 0), so MAP "
                f"cannot use it for {name}. Use Exponential() or a shape of at least 1."
            )
    all_known = model.known is not None and len(model.known) == model.rank
    if model.shrinkage is None and not all_known and isinstance(W, Flat) != isinstance(H, Flat):
        flat, other = ("W", "H") if isinstance(W, Flat) else ("H", "W")
        raise ModelError(
            f"With a prior on {other} and Flat() on {flat}, the mode is not defined: {other} can shrink while {flat} "
            "grows and W H stays the same. Put a prior on both, or leave both out."
        )
