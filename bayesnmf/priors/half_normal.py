"""Half-normal prior: an l2 penalty."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from .._pytree import pytree
from .._types import Array, Number
from ._base import Prior


@pytree
@dataclass(frozen=True)
class HalfNormal(Prior):
    """``p(w) ~ exp(-rate w^2 / 2)`` with ``rate = 2 / (pi mean^2)``: dense entries, an l2 penalty.

    Parameters
    ----------
    mean : float, optional
        Mean, in the unit of the side it is put on. Left out: ``sqrt(mean(X) / rank)``.

    Examples
    --------
    >>> from bayesnmf import HalfNormal
    >>> round(float(HalfNormal(mean=2.0).rate(2.0)), 4)
    0.1592
    """

    power = 2
    mean: Number | None = None

    def rate(self, level: Array) -> Array:
        """Return 2 / (pi level^2)."""
        return 2 / (jnp.pi * level**2)
