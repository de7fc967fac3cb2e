"""The model: what is believed about X before an algorithm is chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ._errors import ModelError
from ._pytree import pytree
from .likelihoods import Likelihood
from .priors import Flat, Prior, Scaling, Shrinkage


@pytree
@dataclass(frozen=True)
class Model:
    """X ~ likelihood(W H), with priors on W (n, rank) and H (rank, m).

    What is left out is resolved when the model is fitted, from X and the engine; ``fit.model`` is the model that was
    used.

    Parameters
    ----------
    rank : int
        Number of components; under `shrinkage` the most there can be.
    likelihood : Likelihood, optional
        Left out: `Gaussian` where X has negative entries, else `Poisson`; under posterior engines `CompoundPoisson`
        for non-negative X that is not counts.
    W, H : Prior, optional
        Left out: `Flat` under `MAP`; under posterior engines `Gamma` with its shape and mean learned; `Exponential`
        under `ARD`.
    shrinkage : ARD, Compressive or Inclusion, optional
        Prior that finds the number of components.
    known : array or data frame of shape (r, m), optional
        The first r rows of H, kept as they are up to their scale.

    Examples
    --------
    >>> import bayesnmf as bn
    >>> bn.Model(rank=25, likelihood=bn.Poisson(), shrinkage=bn.ARD()).rank
    25
    """

    rank: int = field(metadata={"static": True})
    likelihood: Likelihood | None = None
    W: Prior | None = None
    H: Prior | None = None
    shrinkage: Shrinkage | None = None
    known: np.ndarray | None = None

    @property
    def parts(self) -> tuple[Likelihood, Prior, Prior]:
        """Return likelihood and priors of a resolved model."""
        if self.likelihood is None or self.W is None or self.H is None:
            raise ModelError("The model is not resolved yet: fit it, and look at fit.model.")
        return self.likelihood, self.W, self.H

    @property
    def known_rows(self) -> int:
        """How many rows of H are known."""
        return 0 if self.known is None else len(self.known)

    def check(self, m: int) -> None:
        """Raise ModelError for what no engine could fit to m features."""
        if isinstance(self.rank, bool) or not isinstance(self.rank, (int, np.integer)) or self.rank < 1:
            raise ModelError(f"Expected rank to be a whole number of at least 1; got {self.rank!r}.")
        for name, value, kind in (
            ("likelihood", self.likelihood, Likelihood),
            ("W", self.W, Prior),
            ("H", self.H, Prior),
            ("shrinkage", self.shrinkage, Shrinkage),
        ):
            if value is not None and not isinstance(value, kind):
                raise ModelError(
                    f"Expected {name} to be a {kind.__name__} object, such as bn.{_EXAMPLE[name]}; got {value!r}."
                )
        for part in (self.likelihood, self.W, self.H):
            if part is not None:
                part.check()
        if self.known is not None:
            _check_known(np.asarray(self.known), self.rank, m)
        if isinstance(self.shrinkage, Scaling):
            _check_scales(self)


def _check_known(known: np.ndarray, rank: int, m: int) -> None:
    if known.ndim != 2 or known.shape[1] != m or not 0 < known.shape[0] <= rank:
        raise ModelError(
            f"Expected known to have shape (r, m) with r <= rank = {rank} and m = {m} features; got {known.shape}."
        )
    if known.dtype.kind not in "buif" or not np.all(np.isfinite(known)) or np.any(known < 0):
        raise ModelError("Expected known to hold finite, non-negative numbers.")
    empty = np.flatnonzero(known.sum(axis=1) == 0)
    if empty.size:
        raise ModelError(f"Row {empty[0]} of known is zero everywhere. Drop it.")


def _check_scales(model: Model) -> None:
    for name, prior in (("W", model.W), ("H", model.H)):
        if isinstance(prior, Flat):
            raise ModelError(
                f"ARD scales a prior, and {name}=Flat() has no scale. Use Exponential() or HalfNormal(), or leave "
                f"it out."
            )
        if prior is not None and prior.mean is not None:
            raise ModelError(f"ARD owns the scale of a component: leave the mean out of {name}={prior!r}.")
    if model.W is not None and model.H is not None and model.W.power != model.H.power:
        raise ModelError(
            "ARD shares one scale between W and H, so both need the same form: "
            "Exponential or Gamma on both (l1), or HalfNormal on both (l2)."
        )


_EXAMPLE = {"likelihood": "Poisson()", "W": "Exponential()", "H": "Exponential()", "shrinkage": "ARD()"}
