"""Poisson counts: Kullback-Leibler NMF."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from .._pytree import pytree
from .._types import Array
from ._base import Likelihood


@pytree
@dataclass(frozen=True)
class Poisson(Likelihood):
    """Counts whose variance equals their mean: ``x ~ Poisson(v)``.

    For spike counts, UMI counts, mutation counts. Maximum likelihood is KL NMF (Lee and Seung 1999). Not
    for intensities (fluorescence, power, normalised expression): there the Poisson noise
    scale is whatever unit X happens to be in.

    ``log p(x | v) = x log v - v - log x!``

    >>> import jax.numpy as jnp
    >>> from bayesnmf import Poisson
    >>> round(float(Poisson().log_density(jnp.array(2.0), jnp.array(3.0))), 4)
    -1.4959
    """

    support = "counts"
    background = "linear"
    powers = (0.0, 1.0)

    def bound(self, x: Array, lo: Array, hi: Array) -> jax.Array:
        """Return ``x log(lo / x) + x - hi``: minus half the deviance, small where the fit is good."""
        positive = x > 0
        ratio = jnp.where(positive, lo / jnp.where(positive, x, 1), 1)
        return x * jnp.log(ratio) + (x - hi)

    def base(self, x: Array) -> jax.Array:
        """Return log p(x | x)."""
        positive = x > 0
        return x * jnp.log(jnp.where(positive, x, 1)) - x - gammaln(x + 1)

    def halves(self, x: Array, lo: Array, hi: Array) -> tuple[jax.Array, jax.Array]:
        """Return (x / lo, 1)."""
        return x / lo, jnp.ones_like(hi)

    def variance_at(self, v: Array) -> Array:
        """Return v."""
        return v

    def zeros(self, v: Array) -> Array:
        """Return exp(-v)."""
        return jnp.exp(-v)

    def sample(self, key: jax.Array, v: Array) -> jax.Array:
        """Draw counts with mean v."""
        return jax.random.poisson(key, v).astype(jnp.result_type(v))

    def thin(self, random: np.random.Generator, x: np.ndarray, v: np.ndarray, share: float) -> np.ndarray:
        """Draw a binomial part."""
        return random.binomial(x.astype(np.int64), share)
