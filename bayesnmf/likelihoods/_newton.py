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

ASIDE = 0.05
"""How far to the sides of a logarithm its gradient is taken."""


def log_derivatives(
    likelihood: Likelihood, names: Sequence[str], x: Array, lo: Array, hi: Array, spent: Array | float
) -> tuple[jax.Array, ...]:
    """Return the gradient and the Hessian, row by row, of `profile` in the logarithms of some parameters, by entry.

    The Hessian is the difference of gradients a little to both sides: second derivatives are slow to compile.
    """

    def along(step: Array, axis: Array) -> jax.Array:
        def bound(step: Array) -> jax.Array:
            moved = {name: getattr(likelihood, name) * jnp.exp(s) for name, s in zip(names, step, strict=True)}
            return replace(likelihood, **moved).profile(x, lo, hi, spent)  # type: ignore[type-var]

        return jax.jvp(bound, (step,), (axis,))[1]

    q = len(names)
    axes = jnp.eye(q, dtype=hi.dtype)
    steps = jnp.concatenate([jnp.zeros((1, q), hi.dtype), ASIDE * axes, -ASIDE * axes])
    gradients = jax.vmap(along)(jnp.repeat(steps, q, 0), jnp.tile(axes, (2 * q + 1, 1)))
    ahead, behind = gradients[q : q + q * q], gradients[q + q * q :]
    return (*gradients[:q], *((ahead - behind) / (2 * ASIDE)))


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
