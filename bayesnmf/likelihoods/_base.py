"""What a likelihood must say."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from .._types import Array, Number

Support = Literal["counts", "non-negative", "positive", "real"]
Background = Literal["linear", "quadratic", "dense"]


class Likelihood:
    """The distribution of an entry x given its mean v = (W H)_ij.

    Subclasses are frozen dataclasses registered with `pytree`; their leaves are
    the noise parameters.

    Implementing a likelihood
    -------------------------
    One method is needed, written for one entry::

        bound(x, lo, hi)

    At ``lo = hi = v`` it is the log density of x, up to `base` (a term of x alone). Apart from that
    point it is its lower bound: `lo` stands where the density is bounded through the geometric
    (or harmonic) mean of W H, `hi` where it is bounded through its expectation. Every engine
    uses only its two partial derivatives, ``up = d bound / d lo`` and ``down = - d bound / d hi``: the gradient is
    ``up - down``, both halves non-negative, and the multiplicative update is ``W * (up H') / (down H')``.

    `powers` = (p, q) says how the two halves curve: as a function of a common factor r on v, the part
    in `lo` is bounded below by a multiple of ``r**p / p`` (``log r`` for p = 0) and the part in `hi` by ``r**q / q``,
    tangent at r = 1.
    The multiplicative step then has exponent ``1 / (q - p)`` and cannot lower the likelihood
    (Févotte and Idier 2011, Neural Computation 23, 2421).

    `background` says what entries with x = 0 cost in `down`: "linear" when down = `slope` everywhere (and the variance
    is in proportion to the mean), "quadratic" when down = v / variance, "dense" otherwise.

    Noise parameters that are learned are positive leaves. `noise_terms` and `update_noise` say how; by custom they
    are a
    Newton step on their logarithms, from derivatives of `bound`.

    A complete one, exponential noise (Itakura-Saito):

    >>> import jax, jax.numpy as jnp
    >>> from dataclasses import dataclass
    >>> from bayesnmf.likelihoods import Likelihood, pytree
    >>> @pytree
    ... @dataclass(frozen=True)
    ... class ExponentialNoise(Likelihood):
    ...     support = "positive"
    ...     powers = (-1.0, 1.0)
    ...     def bound(self, x, lo, hi):
    ...         return -x / lo - jnp.log(hi)
    >>> up, down = ExponentialNoise().halves(jnp.array(2.0), jnp.array(4.0), jnp.array(4.0))
    >>> float(up), float(down)
    (0.125, 0.25)
    """

    support: ClassVar[Support] = "non-negative"
    background: ClassVar[Background] = "dense"
    is_density: ClassVar[bool] = True
    noise_is_exact: ClassVar[bool] = False
    """Whether `update_noise` goes to the optimum itself, and not a step towards it."""
    draws_exposure: ClassVar[bool] = False
    """Whether a Gibbs sampler draws the `exposure` of each entry; else it is `slope` everywhere."""
    learned: bool = False
    """Whether the noise parameters are learned with W and H."""

    @property
    def learns_scale(self) -> bool:
        """Whether the scale of the noise is learned, so that the unit of X does not matter."""
        return self.learned

    @property
    def powers(self) -> tuple[float, float]:
        """(p, q): see "Implementing a likelihood"."""
        raise NotImplementedError  # pragma: no cover - abstract

    def bound(self, x: Array, lo: Array, hi: Array) -> jax.Array:
        """Return the log density of x at lo = hi = v without `base`, its lower bound elsewhere."""
        raise NotImplementedError  # pragma: no cover - abstract

    def base(self, x: Array) -> Array:
        """Return the term of the log density that depends on x alone."""
        return jnp.zeros_like(x)

    def log_density(self, x: Array, v: Array) -> jax.Array:
        """Return log p(x | v), entry by entry."""
        return self.bound(x, v, v) + self.base(x)

    @property
    def slope(self) -> Number:
        """What `down` is everywhere, for a linear background."""
        return 1.0

    @property
    def spares_zeros(self) -> bool:
        """Whether only entries that are not 0 are computed, zeros by their formula; counts are sooner done all."""
        return self.background == "linear" and self.support != "counts"

    def halves(self, x: Array, lo: Array, hi: Array) -> tuple[jax.Array, jax.Array]:
        """Return (up, down), the derivatives of `bound` in lo and of minus it in hi, both non-negative."""
        value, pull = jax.vjp(lambda lo, hi: self.bound(x, lo, hi), lo, hi)
        up, negative_down = pull(jnp.ones_like(value))
        return up, -negative_down

    def divergence(self, x: Array, v: Array) -> jax.Array:
        """Return the divergence that maximum likelihood minimises: 0 at v = x."""
        return self.bound(x, x, x) - self.bound(x, v, v)

    def variance_at(self, v: Array) -> Array:
        """Return the variance of x given its mean v."""
        raise NotImplementedError  # pragma: no cover - abstract

    def zeros(self, v: Array) -> Array:
        """Return the probability that x is exactly 0, given its mean v."""
        return 0.0 * v

    def sample(self, key: jax.Array, v: Array) -> jax.Array:
        """Draw x given its mean v."""
        raise ModelError(f"{type(self).__name__} is not a distribution and cannot be drawn from.")

    def thin(self, random: np.random.Generator, x: np.ndarray, v: np.ndarray, share: float) -> np.ndarray:
        """Draw a part of x of mean ``share v`` that is independent of the rest ``x - part`` (Dharamshi et al. 2023).

        The noise parameters must be known; the part has the noise of `of_part`. `v` (the mean of x) is used where the
        part depends on it (`CompoundPoisson`).
        """
        raise ModelError(f"{type(self).__name__} is not a distribution and cannot be drawn from.")

    def of_part(self, share: float) -> Self:
        """Return the likelihood of a part that `thin` draws, given its mean."""
        return self

    @property
    def noise_ranges(self) -> dict[str, tuple[float, float]]:
        """Range of each noise parameter that is learned, in units in which X has a level near 1.

        Samplers take its logarithm for uniform there: a proper prior.
        """
        return {}

    def events(self, key: jax.Array, x: Array, v: Array) -> Array:
        """Draw how many Poisson events are behind each x > 0: for counts, as many as there are."""
        return x

    def exposure(self, key: jax.Array, x: Array, v: Array, weight: Array) -> jax.Array:
        """Draw the exposure of each entry, given which the events are Poisson with mean ``exposure v``."""
        raise NotImplementedError  # pragma: no cover - only where draws_exposure

    def check(self) -> None:
        """Raise ModelError for parameters out of range."""

    def in_units(self, unit: float, level: float) -> Self:
        """Return the same likelihood for x / unit, where x has mean `level`."""
        return self

    def start(self, spread: np.ndarray) -> Self:
        """Return it with first values for what is learned; `spread` is the mean square by feature (m,)."""
        return self

    def profile(self, x: Array, lo: Array, hi: Array, spent: Array | float) -> jax.Array:
        """Return `bound` less what fitting W and H took out of the noise."""
        return self.bound(x, lo, hi) + self.adjustment(hi, spent)

    def adjustment(self, hi: Array, spent: Array | float) -> jax.Array:
        """Return ``spent / 2 log variance``, for the share of the observations that W and H have spent.

        For Gaussian noise that divides the squared residuals by the observations less those that were spent (Cox and
        Reid 1987, JRSS B 49, 1).
        """
        return spent / 2 * jnp.log(self.variance_at(hi))

    def noise_terms(self, x: Array, lo: Array, hi: Array, spent: Array | float = 0.0) -> tuple[Array, ...]:
        """Return what `update_noise` needs summed over entries, to raise `profile`."""
        raise NotImplementedError  # pragma: no cover - only where something is learned

    def update_noise(self, total: Array, weight: Array) -> Self:
        """Return it with new noise parameters, from sums over samples: of `noise_terms` (terms, m), of weights (m,)."""
        raise NotImplementedError  # pragma: no cover - only where something is learned

    def precision(self, m: int) -> Array | None:
        """Return the weight of each feature (m,) for a quadratic background, None when it is 1."""
        return None

    def noise(self) -> dict[str, Any]:
        """Return the noise parameters by name."""
        return {}
