"""Gaussian noise: Frobenius NMF."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from .._pytree import pytree
from .._types import Array, Number
from ._base import Likelihood


@pytree
@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Real values with additive noise: ``x ~ Normal(v, variance)``.

    Negative entries are allowed; W H stays non-negative. Maximum likelihood is Frobenius NMF. Not for counts with
    many zeros: their variance grows with the mean, and a Gaussian keeps too many components.

    ``log p(x | v) = -(x - v)^2 / (2 variance) - log(2 pi variance) / 2``

    Parameters
    ----------
    variance : float or array of shape (m,), optional
        Noise variance, in squared units of X. Learned when left out.
    per_feature : bool
        Learn one variance for each feature instead of one for all.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from bayesnmf import Gaussian
    >>> round(float(Gaussian(variance=1.0).log_density(jnp.array(2.0), jnp.array(3.0))), 4)
    -1.4189
    """

    support = "real"
    background = "quadratic"
    noise_is_exact = True
    powers = (1.0, 2.0)

    variance: Number | None = None
    per_feature: bool = field(default=False, metadata={"static": True})
    learned: bool | None = field(default=None, metadata={"static": True})  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.learned is None:
            object.__setattr__(self, "learned", self.variance is None)

    def bound(self, x: Array, lo: Array, hi: Array) -> jax.Array:
        """Return ``-((x - hi)^2 / 2 + max(x, 0) (hi - lo)) / variance - log(2 pi variance) / 2``."""
        variance = self._variance()
        loss = jnp.square(x - hi) / 2 + jnp.maximum(x, 0) * (hi - lo)
        return -loss / variance - jnp.log(2 * jnp.pi * variance) / 2

    def halves(self, x: Array, lo: Array, hi: Array) -> tuple[jax.Array, jax.Array]:
        """Return (max(x, 0), hi + max(-x, 0)) / variance."""
        variance = self._variance()
        return jnp.maximum(x, 0) / variance, (hi + jnp.maximum(-x, 0)) / variance

    def divergence(self, x: Array, v: Array) -> jax.Array:
        """Return half the squared error."""
        return jnp.square(x - v) / 2

    def variance_at(self, v: Array) -> jax.Array:
        """Return the variance, whatever v."""
        return jnp.broadcast_to(self._variance(), jnp.shape(v))

    def sample(self, key: jax.Array, v: Array) -> jax.Array:
        """Draw values with mean v."""
        return v + jnp.sqrt(self._variance()) * jax.random.normal(key, jnp.shape(v), jnp.result_type(v))

    def thin(self, random: np.random.Generator, x: np.ndarray, v: np.ndarray, share: float) -> np.ndarray:
        """Draw share x with noise of variance share (1 - share) variance."""
        noise = random.normal(size=x.shape)
        return share * x + np.sqrt(share * (1 - share) * np.asarray(self._variance(), float)) * noise

    def of_part(self, share: float) -> Self:
        """Return it with share times the variance."""
        return self._with(np.asarray(self.variance) * share)

    def check(self) -> None:
        """Raise ModelError for a variance that is not positive."""
        if self.variance is not None:
            variance = np.asarray(self.variance, dtype=float)
            if variance.ndim > 1 or not np.all(np.isfinite(variance)) or np.any(variance <= 0):
                raise ModelError(
                    "Expected Gaussian(variance=...) to be one positive number, or one for each feature; "
                    f"got {self.variance!r}. Leave it out to learn it."
                )

    def in_units(self, unit: float, level: float) -> Self:
        """Return it with the variance of x / unit."""
        return self if self.variance is None else self._with(np.asarray(self.variance) / unit**2)

    def start(self, spread: np.ndarray) -> Self:
        """Return it with the variance of a fit by nothing."""
        if not self.learned:
            return self
        return self._with(np.maximum(spread, 1e-6 * np.mean(spread)) if self.per_feature else np.mean(spread))

    @property
    def noise_ranges(self) -> dict[str, tuple[float, float]]:
        """Those of what is learned."""
        return {"variance": (VARIANCE_FLOOR, 1 / VARIANCE_FLOOR)} if self.learned else {}

    def noise_terms(self, x: Array, lo: Array, hi: Array, spent: Array | float = 0.0) -> tuple[jax.Array, ...]:
        """Return the squared residual."""
        return (jnp.square(x - hi) / (1 - spent),)

    def update_noise(self, total: Array, weight: Array) -> Self:
        """Return it with variance = sum of squared residuals / sum of weights."""
        if self.per_feature:
            variance = total[0] / weight
            variance = jnp.maximum(variance, 1e-6 * jnp.mean(variance))
        else:
            variance = jnp.sum(total) / jnp.sum(weight)
        return self._with(jnp.maximum(variance, VARIANCE_FLOOR))

    def precision(self, m: int) -> jax.Array:
        """Return 1 / variance, (m,)."""
        return jnp.broadcast_to(jnp.ravel(1 / self._variance()), (m,))

    def noise(self) -> dict[str, Any]:
        """Return {"variance": ...}."""
        return {"variance": np.asarray(self.variance)}

    def _variance(self) -> jax.Array:
        variance = jnp.asarray(1.0 if self.variance is None else self.variance)
        return variance if variance.ndim == 0 else variance[None]

    def _with(self, variance: Number) -> Self:
        return type(self)(variance, self.per_feature, self.learned)


VARIANCE_FLOOR = 1e-10
"""Least learned variance, for data scaled to a mean square near 1: data without noise have none."""
