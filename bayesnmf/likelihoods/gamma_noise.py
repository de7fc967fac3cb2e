"""Multiplicative gamma noise: Itakura-Saito NMF."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from .._numerics import stirling
from .._pytree import pytree
from .._types import Array, Number
from ._base import Likelihood

LEAST, MOST = 1e-3, 1e6
"""Learned shapes stay between these: data without noise have an infinite one."""


@pytree
@dataclass(frozen=True)
class GammaNoise(Likelihood):
    """Positive values with noise in proportion to them: ``x ~ Gamma(shape, mean v)``, of variance ``v^2 / shape``.

    For power spectra (shape 1 for one periodogram, half the degrees of freedom for an average), and other data that
    are known to so many percent. Maximum likelihood is Itakura-Saito NMF. Small entries weigh as much as large ones:
    not for data with a noise floor, nor with zeros (`CompoundPoisson`).

    ``log p(x | v) = shape log(shape x / v) - shape x / v - log Gamma(shape) - log x``

    (Févotte, Bertin and Durrieu 2009, Neural Computation 21, 793).

    Parameters
    ----------
    shape : float, optional
        1 / squared coefficient of variation, without unit. Learned when left out.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from bayesnmf import GammaNoise
    >>> round(float(GammaNoise(shape=2.0).log_density(jnp.array(2.0), jnp.array(3.0))), 4)
    -1.4511
    """

    support = "positive"
    noise_is_exact = True
    powers = (-1.0, 1.0)

    shape: Number | None = None
    learned: bool | None = field(default=None, metadata={"static": True})  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.learned is None:
            object.__setattr__(self, "learned", self.shape is None)

    @property
    def learns_scale(self) -> bool:
        """True: the noise is in proportion to x, so that its scale has no unit."""
        return True

    def bound(self, x: Array, lo: Array, hi: Array) -> jax.Array:
        """Return ``-shape (x / lo - log(x / hi) - 1) - log(2 pi / shape) / 2 - stirling(shape)``."""
        shape = self._shape
        return -shape * self._loss(x, lo, hi) - jnp.log(2 * jnp.pi / shape) / 2 - stirling(shape)

    def base(self, x: Array) -> jax.Array:
        """Return -log x."""
        return -jnp.log(jnp.where(x > 0, x, 1))

    def halves(self, x: Array, lo: Array, hi: Array) -> tuple[jax.Array, jax.Array]:
        """Return (shape x / lo^2, shape / hi)."""
        return self._shape * (x / lo) / lo, self._shape / hi

    def divergence(self, x: Array, v: Array) -> jax.Array:
        """Return Itakura and Saito's, without the shape."""
        return self._loss(x, v, v)

    def variance_at(self, v: Array) -> jax.Array:
        """Return v^2 / shape."""
        return v**2 / self._shape

    def sample(self, key: jax.Array, v: Array) -> jax.Array:
        """Draw values with mean v."""
        return v / self._shape * jax.random.gamma(key, self._shape, jnp.shape(v), jnp.result_type(v))

    def thin(self, random: np.random.Generator, x: np.ndarray, v: np.ndarray, share: float) -> np.ndarray:
        """Draw a part that is a Beta(share shape, (1 - share) shape) of x."""
        shape = float(self._shape)
        return x * random.beta(share * shape, (1 - share) * shape, x.shape)

    def of_part(self, share: float) -> Self:
        """Return it with share times the shape."""
        return self._with(np.asarray(self.shape) * share)

    def check(self) -> None:
        """Raise ModelError for a shape that is not positive."""
        if self.shape is not None and not (np.ndim(self.shape) == 0 and 0 < float(self.shape) < np.inf):
            raise ModelError(
                f"Expected GammaNoise(shape=...) to be one positive number; got {self.shape!r}. "
                "Leave it out to learn it."
            )

    def start(self, spread: np.ndarray) -> Self:
        """Return it with a shape of 1."""
        return self._with(1.0) if self.learned else self

    @property
    def noise_ranges(self) -> dict[str, tuple[float, float]]:
        """Those of what is learned."""
        return {"shape": (LEAST, MOST)} if self.learned else {}

    def noise_terms(self, x: Array, lo: Array, hi: Array, spent: Array | float = 0.0) -> tuple[jax.Array, ...]:
        """Return the Itakura-Saito divergence."""
        return (self._loss(x, lo, hi) / (1 - spent),)

    def update_noise(self, total: Array, weight: Array) -> Self:
        """Return it with the shape where ``log shape - digamma(shape)`` is the mean divergence."""
        mean = jnp.sum(total) / jnp.sum(weight)
        return self._with(jnp.clip(inverse_gap(jnp.maximum(mean, 0.5 / MOST)), LEAST, MOST))

    def noise(self) -> dict[str, Any]:
        """Return {"shape": ...}."""
        return {"shape": np.asarray(self.shape)}

    @property
    def _shape(self) -> jax.Array:
        return jnp.asarray(self.shape)

    def _with(self, shape: Number) -> Self:
        return type(self)(shape, self.learned)

    @staticmethod
    def _loss(x: Array, lo: Array, hi: Array) -> jax.Array:
        away = (jnp.where(x > 0, x, hi) - hi) / hi
        near = jnp.abs(away) < 0.5
        log_ratio = jnp.where(near, jnp.log1p(jnp.where(near, away, 0)), jnp.log(jnp.where(x > 0, x, hi) / hi))
        return (x - lo) / lo - log_ratio


def inverse_gap(mean: Array) -> jax.Array:
    """Return the shape where ``log shape - digamma(shape)`` is `mean`: Newton's steps from Minka's (2002) start."""
    shape = (3 - mean + jnp.sqrt((mean - 3) ** 2 + 24 * mean)) / (12 * mean)
    slope = jax.grad(stirling)
    for _ in range(3):
        # log z - digamma(z) is 1 / (2 z) less the slope of Stirling's remainder, and so keeps its digits
        value, change = jax.jvp(lambda z: 0.5 / z - slope(z), (shape,), (shape,))
        shape = shape * jnp.exp((mean - value) / change)
    return shape
