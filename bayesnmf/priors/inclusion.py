"""Inclusion: whether a component is there at all."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from .._pytree import pytree
from .._types import Array
from ._base import Prior
from ._shrinkage import Shrinkage


@pytree
@dataclass(frozen=True)
class Inclusion(Shrinkage):
    """An indicator for each component: ``X ~ likelihood(sum_k z_k w_k h_k)``, ``z_k`` 0 or 1.

    Before X is seen, every number of components from 0 to `rank` is as probable as every other, and every set of that
    number as every other set: ``p(z) = 1 / ((rank + 1) (rank over sum z))``. `Gibbs` draws them with all else
    (Carlin and Chib 1995, JRSS B 57, 473), so that ``fit.inclusion`` is the probability that a component is there, and
    the draws of ``components`` give the probability of every number.

    For a probability, where a selection leaves a few numbers open, and for small data: after each sweep of `Gibbs` one
    component may come or go, which takes `steps` sweeps more. As good as the priors of W and H: with many samples of
    few events a component too many costs little, and the probability is wide. Chains begin with different numbers;
    where they do not meet, the fit says so. Not for Gaussian noise. For `Gibbs` alone.

    Parameters
    ----------
    steps : int
        Sweeps in which one component fades, or another appears, while the others take over: more of them, and more
        such moves are accepted.
    threshold : float
        Components with a greater probability of inclusion are kept: at 0.5 the median model (Barbieri and Berger 2004,
        Annals of Statistics 32, 870).

    Examples
    --------
    >>> from bayesnmf import Inclusion
    >>> Inclusion().threshold
    0.5
    """

    steps: int = field(default=1000, metadata={"static": True})
    threshold: float = 0.5

    def check(self, W: Prior, H: Prior) -> None:
        """Raise ModelError for a threshold that is no probability."""
        if not self.threshold < 1:
            raise ModelError(f"Expected Inclusion(threshold=...) to be a probability; got {self.threshold!r}.")
        if isinstance(self.steps, bool) or not isinstance(self.steps, (int, np.integer)) or self.steps < 1:
            raise ModelError(f"Expected Inclusion(steps=...) to be a whole number of at least 1; got {self.steps!r}.")


def log_inclusion(count: Array, rank: Array) -> jax.Array:
    """Return log p(z) of a set of `count` out of `rank` components."""

    def log_factorial(a: Array) -> jax.Array:
        return jax.lax.lgamma(a + 1.0)

    return log_factorial(count) + log_factorial(rank - count) - log_factorial(rank) - jnp.log(rank + 1.0)
