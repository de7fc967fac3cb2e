"""The series of the compound Poisson density: Wright's function, scaled.

With ``d(n | mu) = n log(n / mu) - n + mu`` and Stirling's remainder c,

    sum_n z^n / (n! Gamma(shape n)) = exp((1 + shape) mu) sum_n w_n exp(-(1 + shape) d(n | mu)),    n = 1, 2, ...,
    w_n = sqrt(shape) / (2 pi) exp(-c(n) - c(shape n)),    mu = (shape z)^(1 / (1 + shape)) / shape

The sum on the right is what is computed here. Its terms are highest at n = mu, and ``sqrt(mu / (1 + shape))`` wide.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from .._numerics import stirling
from .._types import Array

TERMS, DENSE = 32, 8
"""Number of terms that are added up, and of those one apart. Later ones are further apart where terms are wide: as in a
trapezoidal rule, the error is ``2 exp(-2 pi^2 (width / gap)^2)``."""


def log_series(mu: Array, shape: Array) -> jax.Array:
    """Return the logarithm of the sum."""
    within, near, far = _split(mu, shape)
    return jnp.where(within, _log_sum(near, shape), _log_tail(far, shape))


def expected_number(mu: Array, shape: Array) -> jax.Array:
    """Return the mean of n, each with a probability in proportion to its term."""
    within, near, far = _split(mu, shape)
    return jnp.where(within, _mean(near, shape), _mean_tail(far, shape))


def draw_number(key: jax.Array, mu: Array, shape: Array) -> jax.Array:
    """Draw n with a probability in proportion to its term, by inversion outwards from the likeliest."""
    log_total, middle = log_series(mu, shape), jnp.maximum(jnp.round(mu), 1)
    place = jax.random.uniform(key, jnp.shape(mu), mu.dtype)

    def probability(n: Array) -> jax.Array:
        there = n >= 1
        n = jnp.maximum(n, 1)
        log_weight = jnp.log(jnp.sqrt(shape) / (2 * jnp.pi)) - stirling(n) - stirling(shape * n)
        distance = n * jnp.log(n / mu) - n + mu
        return jnp.where(there, jnp.exp(log_weight - (1 + shape) * distance - log_total), 0)

    def unfinished(carry: tuple[Array, Array, Array]) -> jax.Array:
        return jnp.any(carry[2] > 0) & (carry[0] < MOST_STEPS)

    def outwards(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        step, found, left = carry
        above, below = middle + step, middle - step
        of_above, of_below = probability(above), probability(below)
        rest = left - of_above
        found = jnp.where(left > 0, above, found)
        found = jnp.where((rest > 0) & (below >= 1), below, found)
        # probabilities have the series' six digits, and may add up to less than 1: what is left is the likeliest's
        ended = (rest > of_below) & (of_above + of_below < NEGLIGIBLE)
        return step + 1, jnp.where(ended, middle, found), jnp.where(ended, 0, rest - of_below)

    first = jnp.int32(1), middle, place - probability(middle)
    return jax.lax.while_loop(unfinished, outwards, first)[1]


MOST_STEPS = 2000
"""Numbers of events looked at on either side of the likeliest."""

NEGLIGIBLE = 1e-9
"""Probability of a number of events below which numbers further out are not looked at."""


def _split(mu: Array, shape: Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    limit = _limit(shape).astype(mu.dtype)
    within = mu < limit
    return within, jnp.where(within, mu, 1), jnp.where(within, limit, mu)


def _limit(shape: Array) -> jax.Array:
    """Return the mu above which the asymptotic series has six digits: Z is 5, and terms are as wide as their gaps."""
    return (1 + jax.lax.stop_gradient(shape)) * jnp.maximum(5 / jax.lax.stop_gradient(shape), 0.82)


def _numbers(shape: Array, dtype: jnp.dtype) -> tuple[jax.Array, jax.Array]:
    """Return the n that are added up, which reach 6 widths beyond the limit, and the gap at each."""
    i = jnp.arange(1, TERMS + 1, dtype=dtype)
    limit = _limit(shape)
    last = limit + 6 * jnp.sqrt(limit / (1 + jax.lax.stop_gradient(shape)))
    bend = (jnp.maximum(last - TERMS, 0) / (TERMS - DENSE) ** 2).astype(dtype)
    beyond = jax.nn.softplus(i - DENSE)
    return i + bend * beyond**2, 1 + 2 * bend * beyond * jax.nn.sigmoid(i - DENSE)


def _log_sum(mu: Array, shape: Array) -> jax.Array:
    total, _, top = _sums(mu, shape)
    return jnp.log(total) + (1 + shape) * (top - mu)


def _mean(mu: Array, shape: Array) -> jax.Array:
    total, weighted, _ = _sums(mu, shape)
    return weighted / total


def _sums(mu: Array, shape: Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the sums of terms and of n times terms, over about the greatest, exp((1 + shape) (top - mu)); and top."""
    n, gap = _numbers(shape, mu.dtype)
    log_weight = jnp.log(gap * jnp.sqrt(shape) / (2 * jnp.pi)) - stirling(n) - stirling(shape * n)
    constant = (1 + shape) * (n - n * jnp.log(n)) + log_weight
    log_mu = jnp.log(mu)
    top = jnp.where(mu < 1, log_mu + 1, mu)
    rise, start = (1 + shape) * log_mu, (1 + shape) * top

    def add(sums: tuple[Array, Array], at: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        n, constant = at
        term = jnp.exp(n * rise + (constant - start))
        return (sums[0] + term, sums[1] + n * term), None

    zero = jnp.zeros_like(mu)
    (total, weighted), _ = jax.lax.scan(add, (zero, zero), (n, constant), unroll=4)
    return total, weighted, top


def _tail(shape: Array) -> tuple[jax.Array, ...]:
    """Return coefficients of 1/Z, 1/Z^2, ... in the logarithm of the sum, Z = shape mu / (1 + shape).

    The logarithm of Wright's (1935) asymptotic series: in 1/Z it is a polynomial in shape / (1 + shape)^2.
    """
    u = shape / (1 + shape) ** 2
    first = -(1 + u / 2) / 12
    third = (1 - u * (7 / 4 + u * (85 / 4 + u * 161 / 16))) / 360
    fourth = u * (1 - u * (17 / 9 + u * (205 / 18 + u * 367 / 72))) / 80
    return first, u * first / 2, third, fourth


def _log_tail(mu: Array, shape: Array) -> jax.Array:
    z = shape * mu / (1 + shape)
    a, b, c, d = _tail(shape)
    return jnp.log(z / (2 * jnp.pi)) / 2 + (a + (b + (c + d / z) / z) / z) / z


def _mean_tail(mu: Array, shape: Array) -> jax.Array:
    z = shape * mu / (1 + shape)
    a, b, c, d = _tail(shape)
    return mu + (0.5 - (a + (2 * b + (3 * c + 4 * d / z) / z) / z) / z) / (1 + shape)
