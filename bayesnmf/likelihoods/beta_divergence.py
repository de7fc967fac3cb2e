"""Beta divergences: a family of losses without a noise model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from .._pytree import pytree
from .._types import Array, Number
from ._base import Likelihood, Support


@pytree
@dataclass(frozen=True)
class BetaDivergence(Likelihood):
    """The loss ``d_beta(x | v)``: 2 is Frobenius, 1 Kullback-Leibler, 0 Itakura-Saito.

    For plain NMF with a loss between the named ones, under `MAP` only. It is not a likelihood, so it has no
    uncertainty and no draws: use `Poisson` or `Gaussian` where those are wanted.

    ``d_beta(x | v) = x^b / (b (b - 1)) + v^b / b - x v^(b - 1) / (b - 1)``, with its limits at b = 0 and 1
    (Févotte and Idier 2011, Neural Computation 23, 2421).

    Parameters
    ----------
    beta : float
        Shape of the loss. Zeros in X need beta > 0.
    dispersion : float
        Divides the loss, in units of mean(X)^beta, and so weighs it against priors and shrinkage whatever the unit of
        X.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from bayesnmf import BetaDivergence
    >>> round(float(BetaDivergence(0.5).divergence(jnp.array(1.0), jnp.array(4.0))), 4)
    1.0
    """

    is_density = False
    beta: float = field(default=1.0, metadata={"static": True})
    dispersion: Number = 1.0

    @property
    def support(self) -> Support:  # type: ignore[override]
        """Zeros are allowed for beta > 0."""
        return "non-negative" if self.beta > 0 else "positive"

    @property
    def powers(self) -> tuple[float, float]:
        """(min(beta - 1, 1), max(beta, 1))."""
        return min(self.beta - 1, 1.0), max(self.beta, 1.0)

    def bound(self, x: Array, lo: Array, hi: Array) -> jax.Array:
        """Return minus the divergence, with v in its two places kept apart."""
        b = self.beta
        positive = x > 0
        log_x = jnp.log(jnp.where(positive, x, 1))
        if b == 1:
            loss = x * (log_x - jnp.log(lo)) - (x - hi)
        elif b == 0:
            loss = x / lo - log_x + jnp.log(hi) - 1
        else:
            own = jnp.where(positive, jnp.exp(b * log_x), 0) / (b * (b - 1))
            loss = own + hi**b / b - x * lo ** (b - 1) / (b - 1)
        return -loss / self.dispersion

    def halves(self, x: Array, lo: Array, hi: Array) -> tuple[jax.Array, jax.Array]:
        """Return (x lo^(beta - 2), hi^(beta - 1)) / dispersion."""
        return x * lo ** (self.beta - 2) / self.dispersion, hi ** (self.beta - 1) / self.dispersion

    def divergence(self, x: Array, v: Array) -> jax.Array:
        """Return d_beta(x | v), without the dispersion."""
        return -self.bound(x, v, v) * self.dispersion

    def check(self) -> None:
        """Raise ModelError for a beta or a dispersion out of range."""
        if not np.isfinite(self.beta):
            raise ModelError(f"Expected BetaDivergence(beta=...) to be a finite number; got {self.beta!r}.")
        if not (np.ndim(self.dispersion) == 0 and 0 < float(self.dispersion) < np.inf):
            raise ModelError(f"Expected a positive dispersion; got {self.dispersion!r}.")

    def in_units(self, unit: float, level: float) -> Self:
        """Return it with the dispersion of x / unit."""
        return type(self)(self.beta, self.dispersion * (level / unit) ** self.beta)
