"""Noise parameters that are learned, whatever the likelihood."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .._types import Array
from ..likelihoods import Likelihood


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
