"""What Stirling's formula leaves of log Gamma."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from .._types import Array

LARGE = 8
"""From here on the series has all digits of float64; smaller arguments are moved up by as much."""


def stirling(z: Array) -> jax.Array:
    """Return log Gamma(z) - ((z - 1/2) log z - z + log(2 pi) / 2), about 1 / (12 z).

    With elementary functions only, which differentiate and compile sooner than `gammaln`. The shift is
    ``Gamma(z + 8) = z (z + 1) ... (z + 7) Gamma(z)``.
    """
    small = z < LARGE
    near = jnp.where(small, z, 1)
    pairs = near * (near + 7)  # and (z + 1)(z + 6), (z + 2)(z + 5), (z + 3)(z + 4) are 6, 10 and 12 more
    product = pairs * (pairs + 6) * (pairs + 10) * (pairs + 12) / (near + LARGE) ** LARGE
    shift = (near - 0.5) * jnp.log1p(LARGE / near) - jnp.log(product) - LARGE
    inverse = 1 / jnp.where(small, z + LARGE, z)
    u = inverse * inverse
    series = inverse * (1 / 12 - u * (1 / 360 - u * (1 / 1260 - u * (1 / 1680 - u * (1 / 1188 - u * 691 / 360360)))))
    return series + jnp.where(small, shift, 0)
