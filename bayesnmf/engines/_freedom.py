"""Degrees of freedom: learned noise, and what W and H have spent on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from .._types import Array
from ..data import Data, Moments
from ..likelihoods import Likelihood

STEPS, MOST = 10, 0.5
"""Newton steps from the uncorrected optimum, which is near, and the largest change of a logarithm in one."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Profile(Likelihood):
    """A likelihood in its noise parameters, less what fitting W and H took out of the noise.

    ``bound + spent / 2 log variance``: for Gaussian noise it divides the squared residuals by n m (1 - spent) in the
    place of n m (Cox and Reid 1987, JRSS B 49, 1).
    """

    likelihood: Likelihood
    spent: Array

    def bound(self, x: Array, lo: Array, hi: Array) -> jax.Array:
        """Return the bound of an entry, corrected."""
        return self.likelihood.bound(x, lo, hi) + self.spent / 2 * jnp.log(self.likelihood.variance_at(hi))


def learned(likelihood: Likelihood) -> list[Any]:
    """Return the noise parameters that were learned."""
    if isinstance(likelihood.learned, str):
        return [getattr(likelihood, likelihood.learned)]
    return jax.tree.leaves(likelihood) if likelihood.learned else []


def moved(likelihood: Likelihood, logs: list[Array]) -> Likelihood:
    """Return the likelihood with the logarithms of what was learned moved."""
    leaves, tree = jax.tree.flatten(likelihood)
    by = {id(leaf): log for leaf, log in zip(learned(likelihood), logs, strict=True)}
    return jax.tree.unflatten(tree, [leaf * jnp.exp(by[id(leaf)]) if id(leaf) in by else leaf for leaf in leaves])


def corrected_noise(data: Data, likelihood: Likelihood, W: Moments, H: Moments, spent: Array) -> Likelihood:
    """Return the likelihood with its learned parameters at the optimum of the profile."""

    def gradient(logs: list[Array]) -> list[Array]:
        return jax.grad(lambda logs: data.value(Profile(moved(likelihood, logs), spent), W, H))(logs)

    def step(_: Array, logs: list[Array]) -> list[Array]:
        first, columns = [], []
        for i in range(len(logs)):
            along = [jnp.full_like(t, float(i == j)) for j, t in enumerate(logs)]
            first, column = jax.jvp(gradient, (logs,), (along,))
            columns.append(column)
        slope = jnp.stack(first, -1)
        curvature = jnp.stack([jnp.stack(column, -1) for column in columns], -1)
        values, axes = jnp.linalg.eigh((curvature + curvature.swapaxes(-1, -2)) / 2)
        scale = jnp.maximum(jnp.abs(values), jnp.finfo(slope.dtype).tiny)
        move = jnp.einsum("...ab,...b->...a", axes, jnp.einsum("...ab,...a->...b", axes, slope) / scale)
        move = move / jnp.maximum(jnp.max(jnp.abs(move), -1, keepdims=True) / MOST, 1)
        return [t + move[..., i] for i, t in enumerate(logs)]

    return moved(likelihood, jax.lax.fori_loop(0, STEPS, step, [jnp.zeros_like(a) for a in learned(likelihood)]))
