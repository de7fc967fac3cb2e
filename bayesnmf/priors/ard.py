"""Automatic relevance determination: components that are not needed shrink to nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from .._pytree import pytree
from .._types import Array, Number
from ._base import Prior
from ._shrinkage import Scaling
from .dirichlet import Dirichlet


@pytree
@dataclass(frozen=True)
class ARD(Scaling):
    """One scale for each component, shared by its column of W and its row of H, and learned.

    ``w_ik, h_kj | scale_k ~ prior(scale_k)``, ``scale_k ~ InverseGamma(a, b)`` (Tan and Févotte 2013, IEEE TPAMI 35,
    1592).
    Exponential and Gamma priors give its l1 form, HalfNormal its l2 form. With f(u) = sum u (l1) or sum u^2 / 2 (l2),
    and
    c = (n + m) shape / power + a + 1, the scale at its mode and the least it can be are

    ``scale_k = (f(w_k) + f(h_k) + b) / c``,     ``bound = b / c``

    and the *relevance* of a component is ``(scale_k - bound) / bound``: 0 when nothing is left of it. It is kept when
    that is above `threshold`.

    For a first answer to "how many". Not for a probability over k, and not when counts are
    overdispersed under `Poisson`: it then splits components to explain the noise.

    Parameters
    ----------
    a : float, optional
        Shape of the scales' prior: larger prunes less. Above 2 (l1) or 1 (l2). Left out: (n + m) / 4, at least 10, so
        that the prior keeps its weight against the data as n grows. Otherwise the bound falls with n, and with
        many samples that hold few events each nothing survives.
    b : float, optional
        Scale of the scales' prior, in units of sqrt(X) (l1) or X (l2). Left out: the value at which the prior mean of
        W H is the mean of X.
    threshold : float
        Least relevance of a component that is kept.

    Examples
    --------
    >>> from bayesnmf import ARD
    >>> ARD().threshold
    0.05
    """

    a: Number | None = None
    b: Number | None = None
    threshold: float = 0.05

    def check(self, W: Prior, H: Prior) -> None:
        """Raise ModelError for constants out of range, or priors that it cannot scale."""
        least = 3 - W.power
        if self.a is not None and not (np.ndim(self.a) == 0 and least < float(self.a) < np.inf):
            raise ModelError(f"Expected ARD(a=...) above {least} for these priors; got {self.a!r}.")
        if self.b is not None and not (np.ndim(self.b) == 0 and 0 < float(self.b) < np.inf):
            raise ModelError(f"Expected ARD(b=...) to be positive; got {self.b!r}. Leave it out to take it from X.")
        if isinstance(H, Dirichlet):
            raise ModelError(
                "ARD scales W and H together, and rows of H=Dirichlet() have no scale. Use shrinkage=bn.Compressive(), "
                "or H=bn.Gamma(shape=...)."
            )
        if not 0 < self.threshold < np.inf:
            raise ModelError(f"Expected ARD(threshold=...) to be positive; got {self.threshold!r}.")

    def resolved(self, level: float, shape: tuple[int, int], rank: int, W: Prior, H: Prior) -> Self:
        """Return it with a for (n, m) = shape, and b such that the prior mean of W H is `level`."""
        a = max(LEAST_A, sum(shape) / 4) if self.a is None else float(self.a)
        if self.b is not None:
            return replace(self, a=a)
        if W.power == 2:
            return replace(self, a=a, b=np.pi * (a - 1) * level / (2 * rank))
        return replace(self, a=a, b=np.sqrt((a - 1) * (a - 2) * level / (rank * float(W.shape) * float(H.shape))))

    def count(self, n: int, m: int, W: Prior, H: Prior) -> Array:
        """Return c, the number that divides in the mode of the scale."""
        assert self.a is not None, "a is resolved at the door"
        return jnp.asarray((n * W.shape + m * H.shape) / W.power + self.a + 1)

    def scale(self, statistic: Array, count: Array) -> jax.Array:
        """Return the mode of each scale given f(w_k) + f(h_k)."""
        return (statistic + self._b) / count

    def energy(self, scale: Array, count: Array) -> jax.Array:
        """Return ``b / scale + c log(scale / bound)`` for each component: all terms of the scale but f / scale."""
        return self._b / scale + count * jnp.log(scale / self.bound(count))

    def bound(self, count: Array) -> jax.Array:
        """Return the least that a scale can be."""
        return self._b / count

    @property
    def _b(self) -> Array:
        assert self.b is not None, "b is resolved at the door"
        return jnp.asarray(self.b)


LEAST_A = 10.0
"""Shape of the scales' prior for small data."""
