"""Slice sampling on a bounded interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._types import Array

MOST = 200
"""Shrinkings, after which the old value is kept: the interval is then far below rounding."""


def slice_within(key: jax.Array, log_density: Callable[[Array], Array], x: Array, low: Array, high: Array) -> jax.Array:
    """Return the next values of chains on (low, high), one for each entry of x, that leave exp(log_density) as it is.

    The interval shrinks towards x from its whole length until a point is as high as the slice (Neal 2003, Annals of
    Statistics 31, 705): about log2(length / width) evaluations, and no width to choose.
    """
    key, own = jax.random.split(key)
    height = log_density(x) - jax.random.exponential(own, jnp.shape(x), x.dtype)

    def outside(carry: Any) -> Array:
        return ~jnp.all(carry[3]) & (carry[4] < MOST)

    def shrink(carry: Any) -> Any:
        left, right, new, inside, count = carry
        tried = jax.random.uniform(jax.random.fold_in(key, count), jnp.shape(x), x.dtype, left, right)
        new = jnp.where(inside, new, tried)
        inside = inside | (log_density(new) >= height)
        return jnp.where(new < x, new, left), jnp.where(new < x, right, new), new, inside, count + 1

    begin = jnp.full_like(x, low), jnp.full_like(x, high), x, jnp.zeros_like(x, bool), jnp.int32(0)
    _, _, new, inside, _ = jax.lax.while_loop(outside, shrink, begin)
    return jnp.where(inside, new, x)
