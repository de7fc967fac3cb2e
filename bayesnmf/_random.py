"""Seeds: what a user gives, and the keys and generators that are made of it."""

from __future__ import annotations

import jax
import numpy as np

from ._errors import DataError

Seed = int | jax.Array
"""A whole number or a JAX key."""


def key_of(seed: Seed) -> jax.Array:
    """Return the JAX key of a seed, or raise DataError for what is none."""
    if isinstance(seed, jax.Array) and (jax.dtypes.issubdtype(seed.dtype, jax.dtypes.prng_key) or seed.shape == (2,)):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not -(2**63) <= seed < 2**63:
        raise DataError(f"Expected seed to be a whole number of 64 bits, or a JAX key (jax.random.key); got {seed!r}.")
    return jax.random.key(seed)


def generator(seed: Seed, *stream: int) -> np.random.Generator:
    """Return NumPy's generator of a seed; with other numbers after it another, independent one.

    Zeros at the end are no other numbers: streams 1 and 1, 0 are the same.
    """
    return np.random.default_rng([*np.ravel(jax.random.key_data(key_of(seed))).tolist(), *stream])
