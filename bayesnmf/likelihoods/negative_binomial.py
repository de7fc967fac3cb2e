"""Negative binomial counts: Poisson counts whose rate varies from entry to entry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from .._numerics import stirling
from .._pytree import pytree
from .._types import Array, Number
from ._base import Likelihood
from ._newton import log_derivatives, newton_step
from .poisson import Poisson

LEAST, START, MOST = 1e-8, 0.1, 1e4
"""Learned dispersions start and stay between these. At the least it is Poisson for means up to some 1e7."""


@pytree
@dataclass(frozen=True)
class NegativeBinomial(Likelihood):
    """Counts whose variance is above their mean: ``x ~ NegativeBinomial``, of variance ``v + dispersion v^2``.

    For counts that vary more than Poisson between samples that ought to be alike: mutation catalogues, single-cell
    counts. Where they do not, the learned dispersion falls to nothing and the fit is that of `Poisson`. With too few
    components it is learned too large, for what they leave unexplained looks like noise. Not for intensities.

    With alpha = 1 / dispersion,

    ``log p(x | v) = x log v - (alpha + x) log(alpha + v) + alpha log alpha + log Gamma(alpha + x) - log Gamma(alpha)
    - log x!``

    (Gouvert, Oberlin and Févotte 2020, IEEE Signal Processing Letters 27, 815).

    Parameters
    ----------
    dispersion : float or array of shape (m,), optional
        Squared coefficient of variation beyond Poisson, without unit. Learned when left out.
    per_feature : bool
        Learn one dispersion for each feature instead of one for all.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from bayesnmf import NegativeBinomial
    >>> round(float(NegativeBinomial(dispersion=0.5).log_density(jnp.array(2.0), jnp.array(3.0))), 4)
    -1.7556
    """

    support = "counts"
    powers = (0.0, 1.0)
    draws_exposure = True

    dispersion: Number | None = None
    per_feature: bool = field(default=False, metadata={"static": True})
    learned: bool | None = field(default=None, metadata={"static": True})  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.learned is None:
            object.__setattr__(self, "learned", self.dispersion is None)

    @property
    def learns_scale(self) -> bool:
        """False: the unit of counts is one count, and no dispersion makes up for another."""
        return False

    def bound(self, x: Array, lo: Array, hi: Array) -> jax.Array:
        """Return it as Poisson's, with terms that vanish with the dispersion: no digit is lost near Poisson."""
        alpha = 1 / self._dispersion()
        positive = x > 0
        ratio = jnp.where(positive, lo / jnp.where(positive, x, 1), 1)
        mean = x * jnp.log(ratio) - (alpha + x) * jnp.log1p((hi - x) / (alpha + x))
        return mean - jnp.log1p(x / alpha) / 2 + stirling(alpha + x) - stirling(alpha)

    def base(self, x: Array) -> jax.Array:
        """Return log p(x | x) of Poisson."""
        return Poisson().base(x)

    def halves(self, x: Array, lo: Array, hi: Array) -> tuple[jax.Array, jax.Array]:
        """Return (x / lo, (alpha + x) / (alpha + hi))."""
        dispersion = self._dispersion()
        return x / lo, (1 + dispersion * x) / (1 + dispersion * hi)

    def variance_at(self, v: Array) -> jax.Array:
        """Return v + dispersion v^2."""
        return v + self._dispersion() * v**2

    def zeros(self, v: Array) -> Array:
        """Return (1 + dispersion v)^(-1 / dispersion)."""
        dispersion = self._dispersion()
        return jnp.exp(-jnp.log1p(dispersion * v) / dispersion)

    def sample(self, key: jax.Array, v: Array) -> jax.Array:
        """Draw counts with mean v: Poisson, of a gamma rate."""
        rate, count = jax.random.split(key)
        dispersion, dtype = self._dispersion(), jnp.result_type(v)
        gamma = jax.random.gamma(rate, jnp.broadcast_to(1 / dispersion, jnp.shape(v)), dtype=dtype) * dispersion
        return jax.random.poisson(count, v * gamma).astype(dtype)

    def thin(self, random: np.random.Generator, x: np.ndarray, v: np.ndarray, share: float) -> np.ndarray:
        """Draw a beta-binomial part: the odds of an event to be in it vary as the gamma rates of both parts do."""
        alpha = np.broadcast_to(1 / np.asarray(self._dispersion(), float), x.shape)
        return random.binomial(x.astype(np.int64), random.beta(share * alpha, (1 - share) * alpha))

    def of_part(self, share: float) -> Self:
        """Return it with dispersion / share."""
        return replace(self, dispersion=np.asarray(self.dispersion) / share)

    def check(self) -> None:
        """Raise ModelError for a dispersion that is not positive."""
        if self.dispersion is not None:
            dispersion = np.asarray(self.dispersion, dtype=float)
            if dispersion.ndim > 1 or not np.all(np.isfinite(dispersion)) or np.any(dispersion <= 0):
                raise ModelError(
                    "Expected NegativeBinomial(dispersion=...) to be one positive number, or one for each feature; "
                    f"got {self.dispersion!r}. Leave it out to learn it, or use Poisson() for none."
                )

    def start(self, spread: np.ndarray) -> Self:
        """Return it with a small dispersion."""
        return self._with(np.full(len(spread), START) if self.per_feature else START) if self.learned else self

    @property
    def noise_ranges(self) -> dict[str, tuple[float, float]]:
        """Those of what is learned."""
        return {"dispersion": (LEAST, MOST)} if self.learned else {}

    def exposure(self, key: jax.Array, x: Array, v: Array, weight: Array) -> jax.Array:
        """Draw the gamma rate of each entry: Gamma(alpha + x, alpha + v), one for each of `weight` observations."""
        alpha = 1 / self._dispersion()
        shape = jnp.where(weight > 0, weight * (alpha + x), 1)
        return jnp.where(weight > 0, jax.random.gamma(key, shape, dtype=v.dtype) / (alpha + v), 0)

    def noise_terms(self, x: Array, lo: Array, hi: Array, spent: Array | float = 0.0) -> tuple[jax.Array, ...]:
        """Return both derivatives in the logarithm of the dispersion."""
        return log_derivatives(self, ("dispersion",), x, lo, hi, spent)

    def update_noise(self, total: Array, weight: Array) -> Self:
        """Return it after a Newton step."""
        return self._with(jnp.clip(newton_step(self, ("dispersion",), total)["dispersion"], LEAST, MOST))

    def noise(self) -> dict[str, Any]:
        """Return {"dispersion": ...}."""
        return {"dispersion": np.asarray(self.dispersion)}

    def _dispersion(self) -> jax.Array:
        dispersion = jnp.asarray(self.dispersion)
        return dispersion[None] if dispersion.ndim == 1 else dispersion

    def _with(self, dispersion: Number) -> Self:
        return type(self)(dispersion, self.per_feature, self.learned)
