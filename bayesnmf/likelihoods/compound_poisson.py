"""Intensities with exact zeros: a Poisson number of gamma jumps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from .._pytree import pytree
from .._types import Array, Number
from ._base import Likelihood
from ._newton import log_derivatives, newton_step
from ._wright import draw_number, expected_number, log_series

LEAST, MOST = 0.05, 30.0
"""Shapes between which the density is accurate."""
JUMPS = (1e-4, 1e4)
"""Jumps that a sampler looks at, in units of the level of X."""


@pytree
@dataclass(frozen=True)
class CompoundPoisson(Likelihood):
    """Zeros and positive values: x is the sum of ``N ~ Poisson(v / jump)`` gamma jumps of mean `jump`.

    For deconvolved calcium, speeds, rainfall, expression after normalisation: intensities with exact zeros, whose
    unit means nothing. The size of a jump is learned in the unit of X and takes the place of one count. The variance
    is ``v jump (1 + 1 / shape)``. Not for counts (`Poisson`, `NegativeBinomial`), nor for values without zeros whose
    noise is in proportion to them (`GammaNoise`).

    ``log p(x | v) = log sum_n Poisson(n | v / jump) Gamma(x | shape n, rate shape / jump)`` for x > 0, n = 1, 2, ...;
    ``- v / jump`` for x = 0

    (Basbug and Engelhardt 2016, ICML; Gouvert, Oberlin and Févotte 2019, UAI). As a density of x it is Tweedie's with
    power (shape + 2) / (shape + 1).

    Parameters
    ----------
    shape : float, optional
        Gamma shape of one jump, from 0.05 (very unequal) to 30 (nearly all alike). Learned when left out.
    jump : float, optional
        Mean of one jump, in units of X. Learned when left out.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from bayesnmf import CompoundPoisson
    >>> made = CompoundPoisson(shape=1.0, jump=2.0)
    >>> [round(float(made.log_density(jnp.array(x), jnp.array(3.0))), 4) for x in (0.0, 2.0)]
    [-1.5, -2.1133]
    """

    support = "non-negative"
    background = "linear"
    powers = (0.0, 1.0)

    shape: Number | None = None
    jump: Number | None = None
    learned: bool | str | None = field(default=None, metadata={"static": True})  # type: ignore[assignment]
    """True for both parameters, or the name of one."""

    def __post_init__(self) -> None:
        if self.learned is None:
            missing = [name for name in ("shape", "jump") if getattr(self, name) is None]
            object.__setattr__(self, "learned", missing[0] if len(missing) == 1 else bool(missing))

    @property
    def learns_scale(self) -> bool:
        """Whether the jump is learned."""
        return self.learned in (True, "jump")

    @property
    def slope(self) -> Number:
        """1 / jump."""
        return 1 / self._jump

    def bound(self, x: Array, lo: Array, hi: Array) -> jax.Array:
        """Return it round the likeliest number of jumps, mu: there its leading terms cancel exactly."""
        positive, log_ratio, mu = self._likeliest(x, lo)
        power = 1 + self._shape
        leading = x * power * jnp.expm1(log_ratio / power) + (x - hi)
        return leading / self._jump + jnp.where(positive, log_series(mu, self._shape), 0)

    def base(self, x: Array) -> jax.Array:
        """Return -log x for x > 0."""
        return -jnp.log(jnp.where(x > 0, x, 1))

    def halves(self, x: Array, lo: Array, hi: Array) -> tuple[jax.Array, jax.Array]:
        """Return (E[N] / lo, 1 / jump), with the expected number of jumps given x."""
        positive, _, mu = self._likeliest(x, lo)
        number = jnp.where(positive, expected_number(mu, self._shape), 0)
        return number / lo, jnp.broadcast_to(self.slope, jnp.shape(hi))

    def variance_at(self, v: Array) -> jax.Array:
        """Return v jump (1 + 1 / shape)."""
        return v * (self._jump * (1 + 1 / self._shape))

    def zeros(self, v: Array) -> Array:
        """Return exp(-v / jump)."""
        return jnp.exp(-v / self._jump)

    def sample(self, key: jax.Array, v: Array) -> jax.Array:
        """Draw values with mean v: numbers of jumps, then their sum."""
        count, size = jax.random.split(key)
        dtype = jnp.result_type(v)
        number = jax.random.poisson(count, v / self._jump).astype(dtype)
        total = jax.random.gamma(size, self._shape * jnp.maximum(number, 1), dtype=dtype) * (self._jump / self._shape)
        return jnp.where(number > 0, total, 0)

    def thin(self, random: np.random.Generator, x: np.ndarray, v: np.ndarray, share: float) -> np.ndarray:
        """Draw the number of jumps given x, how many of them are in the part, and what these sum to."""
        number = self.events(jax.random.key(random.integers(2**32)), jnp.asarray(x), jnp.asarray(v))
        jumps = np.where(x > 0, np.asarray(number), 0).astype(np.int64)
        inside = random.binomial(jumps, share)
        a, b = (float(self._shape) * np.maximum(n, 1e-3) for n in (inside, jumps - inside))
        return np.where(inside == 0, 0, np.where(inside == jumps, x, x * random.beta(a, b)))

    def check(self) -> None:
        """Raise ModelError for parameters out of range."""
        for name, low, high in (("shape", LEAST, MOST), ("jump", 0.0, np.inf)):
            value = getattr(self, name)
            if value is not None and not (np.ndim(value) == 0 and low <= value <= high and 0 < value < np.inf):
                raise ModelError(
                    f"Expected CompoundPoisson({name}=...) to be one number "
                    f"{'above 0' if name == 'jump' else f'from {low:g} to {high:g}'}; got {value!r}. "
                    "Leave it out to learn it."
                )

    def in_units(self, unit: float, level: float) -> Self:
        """Return it with the jump of x / unit."""
        return self if self.jump is None else replace(self, jump=np.asarray(self.jump) / unit)

    def start(self, spread: np.ndarray) -> Self:
        """Return it with jumps of shape 1, whose mean square is half that of X."""
        first = {"shape": 1.0, "jump": np.sqrt(np.mean(spread)) / 2}
        return replace(self, **{name: first[name] for name in self._names})

    @property
    def noise_ranges(self) -> dict[str, tuple[float, float]]:
        """Those of what is learned."""
        return {name: {"shape": (LEAST, MOST), "jump": JUMPS}[name] for name in self._names}

    def events(self, key: jax.Array, x: Array, v: Array) -> jax.Array:
        """Draw the number of jumps given x > 0."""
        _, _, mu = self._likeliest(x, v)
        return draw_number(key, mu, self._shape)

    def noise_terms(self, x: Array, lo: Array, hi: Array, spent: Array | float = 0.0) -> tuple[jax.Array, ...]:
        """Return first and second derivatives in the logarithms of what is learned."""
        return log_derivatives(self, self._names, x, lo, hi, spent)

    def update_noise(self, total: Array, weight: Array) -> Self:
        """Return it after a Newton step."""
        new = newton_step(self, self._names, total)
        if "shape" in new:
            new["shape"] = jnp.clip(new["shape"], LEAST, MOST)
        return replace(self, **new)

    def noise(self) -> dict[str, Any]:
        """Return {"shape": ..., "jump": ...}."""
        return {"shape": np.asarray(self.shape), "jump": np.asarray(self.jump)}

    @property
    def _shape(self) -> jax.Array:
        return jnp.asarray(self.shape)

    @property
    def _jump(self) -> jax.Array:
        return jnp.asarray(self.jump)

    @property
    def _names(self) -> tuple[str, ...]:
        return ("shape", "jump") if self.learned is True else (self.learned,) if self.learned else ()

    def _likeliest(self, x: Array, lo: Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return x > 0, log(lo / x), and mu = (lo x^shape)^(1 / (1 + shape)) / jump, where the series has its top."""
        positive = x > 0
        log_ratio = jnp.log(jnp.where(positive, lo / jnp.where(positive, x, 1), 1))
        mu = jnp.where(positive, x, 1) / self._jump * jnp.exp(log_ratio / (1 + self._shape))
        return positive, log_ratio, mu
