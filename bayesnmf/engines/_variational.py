"""The variational problem: what is believed before, what the sweep carries, and the ELBO."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._numerics import log_less_digamma, trigamma
from .._pytree import pytree
from .._types import Array, Side
from ..data import Data, Moments
from ..likelihoods import Likelihood
from ..priors import SHAPES
from . import _truncated
from ._families import Conditional, Dirichlets, Gammas
from ._prepare import Prepared
from ._problem import better_noise
from ._truncated import Squares, TruncatedNormals

Family = Any
"""Gammas, Dirichlets or TruncatedNormals."""


class Beliefs(NamedTuple):
    """What the next sweep needs: q of W and H, their priors as they are believed to be, q of the rates, the noise."""

    W: Family
    H: Family
    prior_W: Conditional
    prior_H: Conditional
    rate: Gammas
    likelihood: Likelihood

    @property
    def events(self) -> np.ndarray:
        """Events of X that each component is thought to have made; its square over variances for Gaussian noise."""
        if isinstance(self.H, TruncatedNormals):
            W, H = (np.asarray(q.mean, float) for q in (self.W, self.H))
            variance = np.asarray(self.likelihood.variance_at(jnp.zeros(H.shape)))
            return (W**2).sum(0) * (H**2 / variance).sum(1)
        return np.asarray(self.H.shape - self.prior_H.shape, float).sum(1)

    def with_prior(self, side: Side, prior: Conditional) -> Beliefs:
        """Return it with the prior of one factor replaced."""
        return self._replace(prior_W=prior) if side == "W" else self._replace(prior_H=prior)


@pytree
@dataclass(frozen=True)
class Shared:
    """Gamma(shape, rate) hyper-prior of the rates that shrinkage owns by component, and the factors they are of."""

    shape: Array
    rate: Array
    sides: tuple[Side, ...] = field(metadata={"static": True})

    @classmethod
    def of(cls, ready: Prepared) -> Shared | None:
        """Return that of a prepared model."""
        given = ready.shared
        return None if given is None else cls(ready.array(given.a), ready.array(given.b), given.sides)


@pytree
@dataclass(frozen=True)
class Variational:
    """A resolved model and its data.

    Attributes
    ----------
    data, transposed : Data
        X; and X' where an algorithm goes through the columns of H in sequence.
    active : array of shape (k,)
        Which of the (padded) components exist.
    known : array of shape (k, m)
        Known rows of H; 0 elsewhere.
    shrinkage : Shared or None
        Hyper-prior of rates by component.
    learned : tuple of str
        Hyper-parameters that are learned: "shape_W", "shape_H", "rate_W", "rate_H".
    n : int
        Number of samples; rows of W beyond it are padding.
    observations : scalar
        Sum of the weights.
    held : scalar bool
        Whether shapes that are learned stay what they are for now.
    update_H : bool
        False keeps all but W: projection.
    """

    data: Data
    transposed: Data | None
    active: Array
    known: Array
    shrinkage: Shared | None
    observations: Array
    held: Array
    learned: tuple[str, ...] = field(metadata={"static": True})
    n: int = field(metadata={"static": True})
    update_H: bool = field(default=True, metadata={"static": True})

    @property
    def is_known(self) -> jax.Array:
        """Which rows of H are known, (k,)."""
        return jnp.any(self.known > 0, 1)

    @property
    def free(self) -> jax.Array:
        """Which rows of H are learned, (k,)."""
        return self.active & ~self.is_known

    def moments(self, state: Beliefs) -> tuple[Moments, Moments]:
        """Return what the likelihood sees of W and H."""
        W, H = state.W.moments, state.H.moments
        rows = self.is_known[:, None]
        return (
            Moments(*(jnp.where(self.active[None], a, 0) for a in W)),
            Moments(*(jnp.where(rows, self.known, jnp.where(self.active[:, None], a, 0)) for a in H)),
        )

    def squares(self, state: Beliefs) -> tuple[Squares, Squares]:
        """Return E w and E w^2 of W and H, of truncated normals."""
        assert isinstance(state.W, TruncatedNormals)
        assert isinstance(state.H, TruncatedNormals)
        W, H = self.moments(state)
        square = jnp.where(self.is_known[:, None], self.known**2, jnp.where(self.active[:, None], state.H.square, 0))
        return Squares(W.hi, jnp.where(self.active[None], state.W.square, 0)), Squares(H.hi, square)

    def sweep(self, state: Beliefs) -> Beliefs:
        """Update q(W), then q(H), then the rates, each at its optimum given all others."""
        state = self.update(state, "W")
        if self.update_H:
            state = self.update(state, "H")
            state = self.learn(state)
        return state

    def update(self, state: Beliefs, side: Side) -> Beliefs:
        """Update q of one factor: ``shape = prior shape + lo * up, rate = prior rate + down``."""
        own, prior = (state.W, state.prior_W) if side == "W" else (state.H, state.prior_H)
        if isinstance(own, TruncatedNormals):
            squares = self.squares(state)
            held = self.is_known & (side == "H")
            new = _truncated.update(
                self.data, self.transposed, state.likelihood, *squares, prior, side, own.power, held
            )
        else:
            up, down = self.data.sums(state.likelihood, *self.moments(state), side)
            is_even = isinstance(own, Dirichlets) and self.data.is_even(state.likelihood)
            new = own.update(prior, up, None if is_even else down)
        return state._replace(W=new) if side == "W" else state._replace(H=new)

    def learn(self, state: Beliefs) -> Beliefs:
        """Update what is believed of rates and shapes of the priors."""
        W, H = state.W, state.H
        count = {"W": self.n * jnp.sum(self.active), "H": self.data.shape[1] * jnp.sum(self.free)}
        for side in ("W", "H"):
            own, prior = (W, state.prior_W) if side == "W" else (H, state.prior_H)
            total = self._total(own.statistic, side)
            if f"shape_{side}" in self.learned:
                mean, log_total = jnp.sum(total) / count[side], self._total(own.log_mean, side)
                if f"rate_{side}" in self.learned:
                    gap = jnp.log(mean) - jnp.sum(log_total) / count[side]
                else:
                    fixed = prior.shape / jnp.ravel(prior.rate)[0]
                    gap = jnp.log(fixed) - jnp.sum(log_total) / count[side] + mean / fixed - 1
                    prior = prior._replace(rate=jnp.full_like(prior.rate, 1 / fixed))
                shape = jnp.where(self.held, prior.shape, jnp.clip(_shape_of(gap), *SHAPES))
                rate = prior.rate * shape if f"rate_{side}" not in self.learned else prior.rate
                prior = Conditional(shape, rate, jnp.log(rate))
            if f"rate_{side}" in self.learned:
                rate = jnp.full_like(prior.rate, prior.shape / own.power * count[side] / jnp.sum(total))
                prior = Conditional(prior.shape, rate, jnp.log(rate))
            state = state.with_prior(side, prior)
        return state if self.shrinkage is None else self._shrink(state)

    def learn_noise(self, state: Beliefs, correct: Array) -> Beliefs:
        """Take a guarded step in the noise parameters; `correct` says whether for what W and H took out of the noise.

        An entry that holds as many events as its prior has spent half a degree of freedom; one scale of each component
        is free. Truncated normals count the variance of the mean instead.
        """
        moments = self.moments(state)
        if not isinstance(state.W, TruncatedNormals):
            spent = jnp.sum(self._total(1 - state.prior_W.shape / state.W.shape, "W"))
            spent += jnp.sum(self._total(1 - state.prior_H.shape / state.H.shape, "H"))
            share = jnp.clip((spent - jnp.sum(self.free)) / self.observations, 0, 0.9)
            return state._replace(
                likelihood=better_noise(self.data, state.likelihood, *moments, jnp.where(correct, share, 0))
            )
        total, weight = self.data.noise(state.likelihood, *moments)
        total = total + _truncated.spread(self.data, state.likelihood, *self.squares(state))[None]
        return state._replace(likelihood=state.likelihood.update_noise(total, weight))

    def moved(self, old: Beliefs, new: Beliefs) -> jax.Array:
        """Return how far the means moved at most, in standard deviations."""
        worst = []
        for a, b, mask in ((old.W, new.W, self.active[None]), (old.H, new.H, self.free[:, None])):
            worst.append(jnp.max(jnp.where(mask, jnp.abs(b.mean - a.mean) / jnp.sqrt(b.variance), 0)))
        return jnp.maximum(*worst)

    def relevance(self, state: Beliefs) -> np.ndarray:
        """Return how far the scale of each component is above that of an empty one, (k,); else its share of the mass.

        An empty component is flat. Where the others explain X it takes its share of what is there, so its scale is the
        fixed point of the updates at x = mean.
        """
        if self.shrinkage is None:
            W, H = (np.asarray(q.mean, float) for q in (state.W, state.H))
            H = np.where(np.asarray(self.is_known)[:, None], self.known, H)
            mass = W[: self.n].sum(0) * H.sum(1) * np.asarray(self.active)
            return mass / mass.sum()
        scale = np.asarray(1 / state.rate.mean, float)
        if isinstance(state.W, TruncatedNormals):
            every = jnp.ones((1, self.data.shape[1]))
            empty = self._empty_normal_scale(state, float(self.data.square_sums(state.likelihood, every, "W").sum()))
        else:
            empty = self._empty_scale(state, self.data.exposure() * float(state.likelihood.slope))
        return np.where(self.free, scale / empty - 1, 0)

    def _empty_scale(self, state: Beliefs, exposure: float) -> float:
        """Return the scale that an empty component settles at; `exposure` is what an entry of W H weighs, in all."""
        from scipy.special import digamma

        assert self.shrinkage is not None
        n, m = self.n, self.data.shape[1]
        a, b = float(self.shrinkage.shape), float(self.shrinkage.rate)
        shape_W, shape_H = float(state.prior_W.shape), float(state.prior_H.shape)
        rate = a / b
        w = h = low_w = low_h = 1 / rate
        both = "H" in self.shrinkage.sides
        for _ in range(500):
            new = shape_W + low_w * low_h * exposure / n
            w = new / (rate + h * exposure / n)
            low_w = w * np.exp(digamma(new)) / new
            if both:
                new = shape_H + low_w * low_h * exposure / m
                h = new / (rate + w * exposure / m)
                low_h = h * np.exp(digamma(new)) / new
            else:
                events = shape_H + low_w * low_h * exposure / m
                h, low_h = 1 / m, np.exp(digamma(events) - digamma(m * events))
            size = n * shape_W + m * shape_H * both
            rate = (a + size) / (b + n * w + m * h * both)
        return 1 / rate

    def _empty_normal_scale(self, state: Beliefs, exposure: float) -> float:
        """Return the same under Gaussian noise; `exposure` is over the variance, and of the square of an entry."""
        assert self.shrinkage is not None
        n, m, p = self.n, self.data.shape[1], state.W.power
        a, b = float(self.shrinkage.shape), float(self.shrinkage.rate)
        rate = a / b
        w = h = 1 / rate
        square_h = h**2
        with jax.enable_x64(True):
            for _ in range(500):
                w, square_w = _normal_moments(exposure / n, h, square_h, w, rate, p)
                h, square_h = _normal_moments(exposure / m, w, square_w, h, rate, p)
                of_w, of_h = (w, h) if p == 1 else (square_w / 2, square_h / 2)
                last, rate = rate, (a + (n + m) / p) / (b + n * of_w + m * of_h)
                if abs(rate / last - 1) < 1e-8:
                    break
        return 1 / rate

    def elbo(self, state: Beliefs) -> jax.Array:
        """Return the evidence lower bound, without the terms of X alone."""
        fit = self.data.value(state.likelihood, *self.moments(state))
        own = jnp.sum(self._total(state.W.divergence(state.prior_W), "W"))
        other = jnp.sum(self._total(state.H.divergence(state.prior_H), "H"))
        total = fit - own - other
        if isinstance(state.W, TruncatedNormals):
            spread = _truncated.spread(self.data, state.likelihood, *self.squares(state))
            total -= jnp.sum(spread * jnp.asarray(state.likelihood.precision(self.data.shape[1]))) / 2
        if self.shrinkage is not None:
            prior = Conditional(self.shrinkage.shape, self.shrinkage.rate, jnp.log(self.shrinkage.rate))
            total -= jnp.sum(jnp.where(self.free, state.rate.divergence(prior), 0))
        return total

    def _total(self, a: Array, side: Side) -> jax.Array:
        """Return the sums over a factor by component, (k,), without padding and known rows."""
        if side == "W":
            return jnp.where(self.active, jnp.sum(a[: self.n], 0), 0)
        return jnp.where(self.free, jnp.sum(a, 1), 0)

    def _shrink(self, state: Beliefs) -> Beliefs:
        assert self.shrinkage is not None
        shape, rate = self.shrinkage.shape, self.shrinkage.rate
        for side in self.shrinkage.sides:
            own, prior = (state.W, state.prior_W) if side == "W" else (state.H, state.prior_H)
            size = self.n if side == "W" else self.data.shape[1]
            shape, rate = shape + size * prior.shape / own.power, rate + self._total(own.statistic, side)
        q = Gammas(jnp.broadcast_to(shape, rate.shape), rate)
        for side in self.shrinkage.sides:
            prior = state.prior_W if side == "W" else state.prior_H
            axis = 0 if side == "W" else 1
            new, log_new = jnp.expand_dims(q.mean, axis), jnp.expand_dims(q.log_mean, axis)
            free = jnp.expand_dims(self.free, axis)
            prior = Conditional(prior.shape, jnp.where(free, new, prior.rate), jnp.where(free, log_new, prior.log_rate))
            state = state.with_prior(side, prior)
        return state._replace(rate=q)


def _normal_moments(
    exposure: float, other: float, other_square: float, own: float, rate: float, power: int
) -> tuple[float, float]:
    """Return E w and E w^2 of an entry of a flat component that others leave its own mean to explain."""
    quadratic, linear = exposure * other_square, exposure * other**2 * own
    linear, quadratic = (linear - rate, quadratic) if power == 1 else (linear, quadratic + rate)
    y, square, _ = _truncated.standard(linear / np.sqrt(quadratic))
    return float(y) / np.sqrt(quadratic), float(square) / quadratic


def _shape_of(gap: Array) -> jax.Array:
    """Return the shape at which log(shape) - digamma(shape) = gap (Minka 2002)."""
    gap = jnp.maximum(gap, 1e-3)
    shape = (3 - gap + jnp.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)

    def newton(_: Array, shape: Array) -> Array:
        slope = 1 / shape - trigamma(shape)
        step = (log_less_digamma(shape) / shape - gap) / slope
        return 1 / (1 / shape + step / (shape**2))

    return jax.lax.fori_loop(0, 4, newton, shape)
