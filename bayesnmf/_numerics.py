"""Special functions that keep their digits where terms cancel."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln

from ._types import Array

LARGE = 8.0
"""From here on the series below are exact to float64's digits, or nearly."""


def stirling(z: Array) -> jax.Array:
    """Return log Gamma(z) - ((z - 1/2) log z - z + log(2 pi) / 2), which falls as 1 / (12 z)."""
    large = z > LARGE
    u = 1 / jnp.where(large, z, LARGE) ** 2
    series = (1 / 12 - u * (1 / 360 - u * (1 / 1260 - u * (1 / 1680 - u * (1 / 1188 - u * 691 / 360360))))) * jnp.sqrt(
        u
    )
    small = jnp.where(large, 1.0, z)
    direct = gammaln(small) - ((small - 0.5) * jnp.log(small) - small + 0.5 * jnp.log(2 * jnp.pi))
    return jnp.where(large, series, direct)


def trigamma(z: Array) -> jax.Array:
    """Return the derivative of digamma: a series, after steps up to where it holds."""
    small = z < LARGE
    steps = sum(jnp.where(small, 1 / (z + i) ** 2, 0) for i in range(int(LARGE)))
    inverse = 1 / jnp.where(small, z + LARGE, z)
    u = inverse**2
    series = inverse + u / 2 + inverse * u * (1 / 6 - u * (1 / 30 - u * (1 / 42 - u * (1 / 30 - u * 5 / 66))))
    return steps + series


def log_less_digamma(z: Array) -> jax.Array:
    """Return z (log z - digamma(z)), which falls from infinity to 1/2."""
    large = z > LARGE
    inverse = 1 / jnp.where(large, z, LARGE)
    u = inverse**2
    series = 0.5 + inverse * (1 / 12 - u * (1 / 120 - u * (1 / 252 - u * (1 / 240 - u * (1 / 132 - u * 691 / 32760)))))
    small = jnp.where(large, 1.0, z)
    return jnp.where(large, series, small * (jnp.log(small) - digamma(small)))
