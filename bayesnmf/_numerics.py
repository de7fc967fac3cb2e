"""Special functions that keep their digits where terms cancel."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ._types import Array

LARGE = 8
"""From here on the series have all digits of float64; smaller arguments are moved up by as much."""


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


def log_gamma(z: Array) -> jax.Array:
    """Return log Gamma(z)."""
    return stirling(z) + (z - 0.5) * jnp.log(z) - z + 0.5 * jnp.log(2 * jnp.pi)


def trigamma(z: Array) -> jax.Array:
    """Return the derivative of digamma: a series, after steps up to where it holds."""
    small = z < LARGE
    steps = jnp.where(small, _inverse_powers(jnp.where(small, z, 1.0), 2), 0)
    inverse = 1 / jnp.where(small, z + LARGE, z)
    u = inverse**2
    series = inverse + u / 2 + inverse * u * (1 / 6 - u * (1 / 30 - u * (1 / 42 - u * (1 / 30 - u * 5 / 66))))
    return steps + series


def log_less_digamma(z: Array) -> jax.Array:
    """Return z (log z - digamma(z)), which falls from infinity to 1/2."""
    small = z < LARGE
    near = jnp.where(small, z, 1.0)
    # digamma(z) = digamma(z + 8) - sum of 1 / (z + i)
    shift = near * (_inverse_powers(near, 1) - jnp.log1p(LARGE / near))
    inverse = 1 / jnp.where(small, z + LARGE, z)
    u = inverse**2
    series = 0.5 + inverse * (1 / 12 - u * (1 / 120 - u * (1 / 252 - u * (1 / 240 - u * (1 / 132 - u * 691 / 32760)))))
    return series * jnp.where(small, near * inverse, 1) + jnp.where(small, shift, 0)


def _inverse_powers(z: Array, power: int) -> jax.Array:
    """Return the sum over i < 8 of (z + i)^-power."""
    return jnp.sum((z[..., None] + jnp.arange(LARGE, dtype=z.dtype).reshape((1,) * z.ndim + (-1,))) ** -power, -1)
