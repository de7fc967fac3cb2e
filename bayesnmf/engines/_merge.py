"""Two components that hold one true part."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from .._types import Array
from ..penalty import Penalty

TWIN_COSINE = 0.95
"""Rows of H with at least this cosine are taken for one component split in two."""


def merge_twins(penalty: Penalty, W: Array, H: Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return W and H with twins added up, and whether there were any.

    Shrinkage has optima where a component stays split, since each half alone is needed. Each component
    joins the first one it is close to; what joins leaves zeros behind.
    """
    assert penalty.shrinkage is not None
    kept = penalty.shrunk & (penalty.relevance(W, H) > penalty.shrinkage.threshold)
    norm = jnp.sqrt(jnp.sum(H**2, 1, keepdims=True))
    unit = H / jnp.where(norm > 0, norm, 1)
    close = (unit @ unit.T >= TWIN_COSINE) & kept[:, None] & kept[None, :]
    own = jnp.arange(H.shape[0])
    first = jnp.where(kept, jnp.argmax(close, 1), own)
    first = first[first]
    moved = first != own
    size = jnp.sum(H, 1)
    mass = jnp.sum(W, 0) * size
    join = (first[:, None] == own[None, :]).astype(W.dtype)
    merged_mass = mass @ join
    # rows of H with unit sums, averaged by mass; columns of W in the unit of X, added
    merged_H = join.T @ (jnp.sum(W, 0)[:, None] * H) / jnp.where(merged_mass > 0, merged_mass, 1)[:, None]
    merged_W = (W * size[None]) @ join
    touched = (jnp.sum(join, 0) > 1) | moved
    new_W = jnp.where(touched[None], merged_W, W)
    new_H = jnp.where(touched[:, None], merged_H, H)
    return new_W, new_H, jnp.any(moved)
