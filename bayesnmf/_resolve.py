"""What a user left out of a model, decided once, from X and the engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ._errors import DataError, ModelError
from ._input import Table
from .align import by_name
from .engines import CAVI, MAP, Engine, Gibbs
from .likelihoods import CompoundPoisson, Gaussian, Likelihood, Poisson
from .model import Model
from .priors import Compressive, Dirichlet, Exponential, Flat, Gamma, HalfNormal, Inclusion, Prior, Scaling


def resolve(model: Model, table: Table, engine: Engine) -> Model:
    """Return the model with its likelihood and priors filled in for an engine, or raise for what does not go together.

    Under `MAP` priors are flat, so that it is plain NMF; under posterior engines they are `Gamma` with what is left out
    learned.
    """
    model.check(table.shape[1])
    if model.known is not None:
        model = replace(model, known=_known(model.known, table))
    likelihood = model.likelihood
    if likelihood is None:
        likelihood = _likelihood_for(table, engine)
    if isinstance(model.shrinkage, Inclusion) and not isinstance(engine, Gibbs):
        raise ModelError("Inclusion is drawn by engine=bn.Gibbs() alone: use that, or shrinkage=bn.ARD().")
    missing: Prior
    scaled = isinstance(model.shrinkage, Scaling)
    if scaled:
        missing = Exponential()
    else:
        missing = Flat() if isinstance(engine, MAP) else Gamma(shape=None)
        if not isinstance(engine, MAP) and likelihood.background == "quadratic":
            missing = Exponential()
    if isinstance(model.shrinkage, Compressive):
        W, H = model.W or missing, model.H or Dirichlet(0.5)
    else:
        W = model.W or (model.H if scaled and model.H is not None else missing)
        H = model.H or (model.W if scaled and model.W is not None else missing)
    model = replace(model, likelihood=likelihood, W=W, H=H)
    model.check(table.shape[1])
    check_support(likelihood, table)
    if not np.any(table.values > 0):
        raise DataError(
            "X has no entry above 0, so there is nothing to explain by parts. Check that it was read correctly."
        )
    if isinstance(engine, MAP):
        _check_mode(model, W, H)
    else:
        _check_posterior(model, W, H, table)
        if isinstance(engine, (CAVI, Gibbs)):
            _check_conjugate(likelihood, W, H)
        if isinstance(model.shrinkage, Inclusion) and likelihood.background == "quadratic":
            raise ModelError("Inclusion is not for Gaussian noise: use shrinkage=bn.ARD(), or bn.select_rank(X).")
    if model.shrinkage is not None:
        model.shrinkage.check(W, H)
    return model


def _known(known: Any, table: Table) -> np.ndarray:
    """Return known rows as an array, a data frame's in the order of the features of X."""
    names = list(map(str, known.columns)) if hasattr(known, "columns") else None
    if names is not None and table.features is not None and names != list(table.features):
        order = by_name(table.features, names)
        if order is None:
            unknown = sorted(set(names) - set(table.features))
            raise ModelError(
                f"Expected the columns of known to be the features of X, each once; {', '.join(unknown[:3]) or 'some'} "
                "are not. Give an array in the order of the columns of X, or rename them."
            )
        known = known.iloc[:, order]
    return np.asarray(known, float)


def _likelihood_for(table: Table, engine: Engine) -> Likelihood:
    """Return what X is taken for where nothing is said."""
    if table.least < 0:
        return Gaussian()
    return Poisson() if isinstance(engine, MAP) or table.is_counts else CompoundPoisson()


def check_support(likelihood: Likelihood, table: Table) -> None:
    """Raise for entries that the likelihood cannot have, and for parameters of other features."""
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


def _check_posterior(model: Model, W: Prior, H: Prior, table: Table) -> None:
    likelihood = model.parts[0]
    if likelihood.support == "counts" and not table.is_counts:
        raise DataError(
            f"X is not counts, and the noise of {type(likelihood).__name__} has no scale to learn: its uncertainty "
            "and its rank would come from the unit that X happens to be in. Use CompoundPoisson() for zeros and "
            "positive intensities, Gaussian() for real values, or leave the likelihood out."
        )
    for name, prior in (("W", W), ("H", H)):
        if isinstance(prior, Flat):
            raise ModelError(
                f"A posterior needs a proper prior, and {name}=Flat() has none: the scale of W against H "
                "would be free. Use Gamma() or Exponential(), or leave it out."
            )
    if isinstance(W, Dirichlet):
        raise ModelError("Dirichlet is for rows of H; use Gamma() for W.")
    if isinstance(model.shrinkage, Scaling) and (W.shape is None or H.shape is None):
        raise ModelError("Under shrinkage shapes are not learned: use Gamma(shape=...) with a number.")
    if isinstance(model.shrinkage, Compressive) and likelihood.support != "counts":
        raise ModelError(f"Compressive is for counts, not for {type(likelihood).__name__}: use ARD().")


def _check_conjugate(likelihood: Likelihood, W: Prior, H: Prior) -> None:
    for name, prior in (("W", W), ("H", H)):
        if isinstance(prior, HalfNormal) and likelihood.background != "quadratic":
            raise ModelError(
                f"HalfNormal on {name} goes with Gaussian noise; with {type(likelihood).__name__} use Gamma() or "
                "Exponential()."
            )
        if likelihood.background == "quadratic" and not isinstance(prior, (Exponential, HalfNormal)):
            raise ModelError(
                f"With Gaussian noise the posterior of {name} is exact for Exponential() and HalfNormal(); "
                f"got {prior!r}."
            )


def _check_mode(model: Model, W: Prior, H: Prior) -> None:
    if isinstance(model.shrinkage, Compressive):
        raise ModelError("Compressive needs a posterior: use engine=bn.CAVI(), or shrinkage=bn.ARD().")
    for name, prior in (("W", W), ("H", H)):
        if isinstance(prior, Dirichlet):
            raise ModelError("Dirichlet rows of H need a posterior: use engine=bn.CAVI(), or Gamma() on H.")
        if prior.shape is None:
            raise ModelError(f"MAP does not learn the shape of {name}={prior!r}: give a number of at least 1.")
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
