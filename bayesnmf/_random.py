"""Seeds: what a user gives, and the keys and generators that are made of it."""

from __future__ import annotations

import jax
import numpy as np

Seed = int | jax.Array
"""A whole number or a JAX key."""


def key_of(seed: Seed) -> jax.Array:
    """Return the JAX key of a seed."""
    return jax.random.key(seed) if isinstance(seed, (int, np.integer)) else seed


def generator(seed: Seed, *stream: int) -> np.random.Generator:
    """Return NumPy's generator of a seed; with other numbers after it another, independent one.

    Zeros at the end are no other numbers: streams 1 and 1, 0 are the same.
    """
    return np.random.default_rng([*np.ravel(jax.random.key_data(key_of(seed))).tolist(), *stream])
