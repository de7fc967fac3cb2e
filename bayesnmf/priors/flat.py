"""No prior."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from .._pytree import pytree
from .._types import Array
from ._base import Prior


@pytree
@dataclass(frozen=True)
class Flat(Prior):
    """The improper density ``p(w) = 1``: plain NMF. The default of `MAP`, and for `MAP` only.

    >>> from bayesnmf import Flat
    >>> Flat().energy(2.0, 0.0)
    0.0
    """

    def rate(self, level: Array) -> Array:
        """Return 0."""
        return jnp.zeros_like(level)

    def halves(self, w: Array, rate: Array) -> tuple[Array, jax.Array]:
        """Return (0, 0)."""
        return jnp.zeros_like(w), jnp.zeros_like(w)
