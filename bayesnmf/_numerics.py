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
    sums, slope = _inverse_pairs(jnp.where(small, z, 1.0))
    steps = jnp.where(small, slope**2 * sum(a * a for a in sums) - 2 * sum(sums), 0)
    inverse = 1 / jnp.where(small, z + LARGE, z)
    u = inverse**2
    series = inverse + u / 2 + inverse * u * (1 / 6 - u * (1 / 30 - u * (1 / 42 - u * (1 / 30 - u * 5 / 66))))
    return steps + series


def log_less_digamma(z: Array) -> jax.Array:
    """Return z (log z - digamma(z)), which falls from infinity to 1/2."""
    small = z < LARGE
    near = jnp.where(small, z, 1.0)
    # digamma(z) = digamma(z + 8) - sum of 1 / (z + i)
    sums, slope = _inverse_pairs(near)
    shift = near * (slope * sum(sums) - jnp.log1p(LARGE / near))
    inverse = 1 / jnp.where(small, z + LARGE, z)
    u = inverse**2
    series = 0.5 + inverse * (1 / 12 - u * (1 / 120 - u * (1 / 252 - u * (1 / 240 - u * (1 / 132 - u * 691 / 32760)))))
    return series * jnp.where(small, near * inverse, 1) + jnp.where(small, shift, 0)


def _inverse_pairs(z: Array) -> tuple[list[Array], Array]:
    """Return 1 / ((z + i) (z + 7 - i)) for i < 4, and 2 z + 7: the products add up to the eight 1 / (z + i)."""
    pairs = z * (z + 7)
    return [1 / (pairs + i * (7 - i)) for i in range(4)], 2 * z + 7
