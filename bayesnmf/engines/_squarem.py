"""Jumps ahead of a slow fixed-point iteration: SQUAREM (Varadhan and Roland 2008, Scand. J. Stat. 35, 335)."""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from .._types import Array

FIRST, GROWTH = 16.0, 4.0
"""Longest jump at first, in steps, and what it grows by when it was short, and shrinks by when it was too long."""

Point = TypeVar("Point")


def jump(before: Point, last: Point, now: Point, longest: Array) -> tuple[Point, jax.Array]:
    """Return the point ahead on the curve through three successive ones, and how many steps it is ahead of the first.

    With r the first of the two steps between them and v the change from it to the second, in logarithms where values
    are positive, it is ``before + 2 a r + a^2 v``, a = |r| / |v|; at a = 1 this is `now`, and a is never less.
    """
    flat, restore = ravel_pytree(now)
    points = jnp.stack([ravel_pytree(before)[0], ravel_pytree(last)[0], flat])
    positive = jnp.all(points > 0, 0)
    a, b, c = jnp.where(positive, jnp.log(jnp.where(positive, points, 1)), points)
    r, v = b - a, c - 2 * b + a
    tiny = jnp.finfo(flat.dtype).tiny
    length = jnp.clip(jnp.linalg.norm(r) / jnp.maximum(jnp.linalg.norm(v), tiny), 1, longest)
    ahead = a + length * (2 * r + length * v)
    return restore(jnp.where(positive, jnp.exp(ahead), ahead)), length
