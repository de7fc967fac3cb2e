"""One step towards the most likely noise parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from .._types import Array
from ._base import Likelihood

MOST = 1.0
"""Largest change of a logarithm in one step."""


def log_derivatives(
    likelihood: Likelihood, names: Sequence[str], x: Array, lo: Array, hi: Array, spent: Array | float
) -> tuple[jax.Array, ...]:
    """Return the gradient and the Hessian, row by row, of `profile` in the logarithms of some parameters, by entry."""

    def bound(step: Array) -> jax.Array:
        moved = {name: getattr(likelihood, name) * jnp.exp(s) for name, s in zip(names, step, strict=True)}
        return replace(likelihood, **moved).profile(x, lo, hi, spent)  # type: ignore[type-var]

    def gradient(step: Array) -> tuple[jax.Array, jax.Array]:
        found = jax.jacfwd(bound)(step)
        return found, found

    hessian, first = jax.jacfwd(gradient, has_aux=True)(jnp.zeros(len(names), hi.dtype))
    both = jnp.concatenate([first, hessian.reshape(*first.shape[:-1], -1)], -1)
    return tuple(jnp.moveaxis(both, -1, 0))


def newton_step(likelihood: Likelihood, names: Sequence[str], total: Array) -> dict[str, Any]:
    """Return new values of some parameters, from sums of `log_derivatives` (terms, m): one for all features, or each.

    It is Newton's step where the curvature is negative, with the sign of the curvature turned where it is not, so that
    it always leads upwards; a factor e at most.
    """
    q = len(names)
    if jnp.ndim(getattr(likelihood, names[0])) == 0:
        total = jnp.sum(total, 1, keepdims=True)
    gradient, hessian = total[:q].T, total[q:].T.reshape(-1, q, q)
    curvature, axes = jnp.linalg.eigh(hessian)
    tiny = jnp.finfo(total.dtype).tiny
    along = jnp.einsum("fab,fa->fb", axes, gradient) / jnp.maximum(jnp.abs(curvature), tiny)
    step = jnp.einsum("fab,fb->fa", axes, along)
    step = step / jnp.maximum(jnp.max(jnp.abs(step), 1, keepdims=True) / MOST, 1)
    values = {name: getattr(likelihood, name) for name in names}
    return {
        name: value * jnp.exp(step[:, i].reshape(jnp.shape(value))) for i, (name, value) in enumerate(values.items())
    }
