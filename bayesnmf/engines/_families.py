"""What a posterior by coordinate ascent may look like, one factor at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._numerics import log_gamma, log_less_digamma, stirling, trigamma
from .._types import Array
from ..data import Moments


class Conditional(NamedTuple):
    """The Gamma prior of one factor under what is believed of its rate.

    `shape` is a number; `rate` and `log_rate` are the expectations of the rate and of its logarithm, by component and
    ready to
    broadcast: (1, k) for W, (k, 1) for H.
    """

    shape: Any
    rate: Any
    log_rate: Any


class Gammas(NamedTuple):
    """Independent Gamma(shape, rate), entry by entry: what Gamma and Exponential priors lead to with counts."""

    shape: Any
    rate: Any

    @property
    def mean(self) -> Any:
        """E w."""
        return self.shape / self.rate

    @property
    def power(self) -> int:
        """Power of w in the prior."""
        return 1

    @property
    def statistic(self) -> Any:
        """What the rate of the prior multiplies."""
        return self.mean

    def in_units(self, unit: float) -> Gammas:
        """Return it for w times unit."""
        return Gammas(self.shape, self.rate / unit)

    @classmethod
    def of_point(cls, a: Any, shape: float) -> Gammas:
        """Return one that is nearly the point `a`: the nearer, the greater the shape."""
        return cls(shape + 0 * a, shape / a)

    @property
    def log_mean(self) -> Array:
        """E log w."""
        return jnp.log(self.shape) - log_less_digamma(self.shape) / self.shape - jnp.log(self.rate)

    @property
    def moments(self) -> Moments:
        """exp(E log w) and E w."""
        mean = self.mean
        # digamma(shape) = log(shape) - log_less_digamma(shape) / shape
        return Moments(mean * jnp.exp(-log_less_digamma(self.shape) / self.shape), mean)

    @property
    def variance(self) -> Any:
        """Variance of each entry."""
        return self.shape / self.rate**2

    def update(self, prior: Conditional, up: Array, down: Array) -> Gammas:
        """Return the optimum given the halves of the likelihood in the moments of the factor."""
        return Gammas(prior.shape + self.moments.lo * up, prior.rate + down)

    def divergence(self, prior: Conditional) -> jax.Array:
        """Return KL(q || prior), entry by entry, in terms that stay small for a large shape."""
        a = self.shape
        own = 0.5 * jnp.log(a / (2 * jnp.pi)) - log_less_digamma(a) - stirling(a)
        return own - prior.shape * (self.log_mean + prior.log_rate) + prior.rate * self.mean + log_gamma(prior.shape)


class Dirichlets(NamedTuple):
    """Rows from Dirichlet(shape_k): what a Dirichlet prior on the rows of H leads to."""

    shape: Any

    def in_units(self, unit: float) -> Dirichlets:
        """Return itself: rows sum to 1 in every unit."""
        return self

    @classmethod
    def of_point(cls, a: Any, shape: float) -> Dirichlets:
        """Return one that is nearly the point `a`, whose rows sum to 1."""
        return cls(shape * a)

    @property
    def power(self) -> int:
        """Power of h in the prior of a row's scale, which it does not have."""
        return 1

    @property
    def statistic(self) -> Any:
        """E h."""
        return self.mean

    @property
    def total(self) -> Any:
        """Sum of each row's shapes."""
        return self.shape.sum(-1, keepdims=True)

    @property
    def mean(self) -> Any:
        """E h."""
        return self.shape / self.total

    @property
    def log_mean(self) -> Array:
        """E log h."""
        return _digamma(self.shape) - _digamma(self.total)

    @property
    def moments(self) -> Moments:
        """exp(E log h) and E h."""
        mean, total = self.mean, self.total
        less = log_less_digamma(self.shape) / self.shape - log_less_digamma(total) / total
        return Moments(mean * jnp.exp(-less), mean)

    @property
    def variance(self) -> Any:
        """Variance of each entry."""
        return self.mean * (1 - self.mean) / (self.total + 1)

    def update(self, prior: Conditional, up: Array, down: Array | None) -> Dirichlets:
        """Return a better one given the halves of the likelihood in the moments of the factor.

        Without `down`, which is where it is the same along a row (no masks, weights, opportunities), the optimum is
        ``prior.shape + lo * up``. Elsewhere the row prefers features that cost less: a step of natural gradient, of
        which the best part is taken.
        """
        target = prior.shape + self.moments.lo * up
        if down is None:
            return Dirichlets(target)
        row = self._natural_gradient(down)
        shares = jnp.array([1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 0.0], target.dtype)

        def at(share: Array) -> Dirichlets:
            return Dirichlets(self.shape + share * (target - row - self.shape))

        def value(share: Array) -> tuple[jax.Array, jax.Array]:
            shape = at(share).shape
            usable = jnp.all(shape > 0, 1)
            q = Dirichlets(jnp.where(usable[:, None], shape, self.shape))
            terms = (target - prior.shape) * q.log_mean - down * q.mean - q.divergence(prior)
            return jnp.where(usable, jnp.sum(terms, 1), -jnp.inf), jnp.sum(jnp.abs(terms), 1)

        gain, size = jax.vmap(value)(shares)
        # near the optimum gains are below rounding: the longest step is taken that loses no more than that
        least = jnp.max(gain, 0) - jnp.finfo(target.dtype).eps * size[-1]
        best = shares[jnp.argmax(gain >= least[None], 0)]
        return at(best[:, None])

    def divergence(self, prior: Conditional) -> jax.Array:
        """Return KL(q || prior), spread over the entries of each row, in terms that stay small for large shapes."""
        m, a, total = self.shape.shape[1], self.shape, self.total
        own = 0.5 * jnp.log(a / (2 * jnp.pi)) - log_less_digamma(a) - stirling(a)
        of_row = 0.5 * jnp.log(total / (2 * jnp.pi)) - log_less_digamma(total) - stirling(total)
        constant = log_gamma(prior.shape) - log_gamma(m * prior.shape) / m
        return own - of_row / m - prior.shape * self.log_mean + constant

    def _natural_gradient(self, down: Array) -> jax.Array:
        """Return F^-1 d(down' E h), with F the Fisher information of the row (Sherman and Morrison)."""
        total = self.total
        slope = (down - jnp.sum(down * self.mean, 1, keepdims=True)) / total
        diagonal = trigamma(self.shape)
        part, ones = slope / diagonal, 1 / diagonal
        shared = trigamma(total)
        return part + ones * jnp.sum(part, 1, keepdims=True) / (1 / shared - jnp.sum(ones, 1, keepdims=True))


def _digamma(z: Array) -> jax.Array:
    return jnp.log(z) - log_less_digamma(z) / z
