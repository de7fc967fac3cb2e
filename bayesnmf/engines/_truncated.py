"""Truncated normals: what exponential and half-normal priors lead to with Gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri

from .._pytree import pytree
from .._types import Array, Side
from ..data import Data, Moments, Tile, product
from ..likelihoods import Likelihood
from ._families import Conditional

LEVELS = 40
"""Of the continued fraction: enough for float64 where it is used."""

LEAST_LOCATION = -1e3
"""Where a truncated normal is an exponential, to six digits."""

TAIL = -3.0
"""Location, in standard deviations, below which a continued fraction takes over."""


def _continued(t: Array) -> jax.Array:
    """Return 2 / (t + 3 / (t + ...)): Mills' ratio at t is 1 / (t + 1 / (t + this))."""
    return 2 / jax.lax.fori_loop(0, LEVELS - 2, lambda i, rest: t + (LEVELS - i) / rest, t)


@jax.jit
def standard(z: Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return E y, E y^2 and E log q + log sigma of y >= 0 with density exp(z y - y^2 / 2), sigma the unit of y.

    With t = -z large, Mills' ratio is the continued fraction 1 / (t + 1 / (t + 2 / (t + ...))), and no digits cancel.
    """
    tail = z < TAIL
    t = jnp.where(tail, -z, -TAIL)
    step = _continued(t)
    y_tail, square_tail = 1 / (t + step), step / (t + step)
    inside = jnp.where(tail, 0.0, z)
    half = 0.5 * jnp.log(2 * jnp.pi)
    below = ndtr(inside)
    hazard = jnp.exp(-jnp.square(inside) / 2 - half) / below
    y = jnp.where(tail, y_tail, inside + hazard)
    square = jnp.where(tail, square_tail, 1 + inside * (inside + hazard))
    own_tail = -t * y_tail / 2 - 0.5 + jnp.log(t + y_tail)
    own = inside * hazard / 2 - 0.5 - half - jnp.log(below)
    return y, square, jnp.where(tail, own_tail, own)


@pytree
@dataclass(frozen=True)
class TruncatedNormals:
    """q(w) proportional to ``exp(linear w - quadratic w^2 / 2)``, w >= 0, entry by entry.

    `power` is that of the prior: 1 for Exponential, 2 for HalfNormal.
    """

    linear: Any
    quadratic: Any
    power: int = field(metadata={"static": True})

    def in_units(self, unit: float) -> TruncatedNormals:
        """Return it for w times unit."""
        return TruncatedNormals(self.linear / unit, self.quadratic / unit**2, self.power)

    @classmethod
    def of_point(cls, a: Any, shape: float, power: int = 1) -> TruncatedNormals:
        """Return one that is nearly the point `a`: the nearer, the greater the shape."""
        return cls(shape / a, shape / a**2, power)

    @classmethod
    def of_moments(cls, mean: Any, variance: Any, power: int = 1) -> TruncatedNormals:
        """Return the one of these means and variances; of a variance above that, mean^2, of exponentials: theirs.

        With y in units of its own sigma, E y / sd(y) rises with the location z; z is found by halving.
        """
        with jax.enable_x64(True):
            mean, ratio = jnp.asarray(mean, float), jnp.asarray(mean) / jnp.sqrt(jnp.asarray(variance, float))
            low, high = jnp.full_like(ratio, LEAST_LOCATION), jnp.maximum(ratio, 1.0)

            def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
                middle = (ends[0] + ends[1]) / 2
                y, square, _ = standard(middle)
                above = y / jnp.sqrt(square - y**2) > ratio
                return jnp.where(above, ends[0], middle), jnp.where(above, middle, ends[1])

            z = jax.lax.fori_loop(0, 60, halve, (low, high))[0]
            root = standard(z)[0] / mean
            return cls(np.asarray(z * root), np.asarray(root**2), power)

    @property
    def mean(self) -> Any:
        """E w."""
        return self._standard[0] / jnp.sqrt(self.quadratic)

    @property
    def square(self) -> Any:
        """E w^2."""
        return self._standard[1] / self.quadratic

    @property
    def moments(self) -> Moments:
        """E w, twice."""
        mean = self.mean
        return Moments(mean, mean)

    @property
    def variance(self) -> Any:
        """Variance of each entry."""
        y, square, _ = self._standard
        return jnp.maximum(square - y**2, 1e-6 * square) / self.quadratic

    @property
    def statistic(self) -> Any:
        """E w^power / power, what the rate of the prior multiplies."""
        return self.mean if self.power == 1 else self.square / 2

    def draw(self, uniform: Array) -> jax.Array:
        """Return values, by inversion: P(w > result) = uniform."""
        root = jnp.sqrt(self.quadratic)
        return _above_zero(self.linear / root, uniform) / root

    def divergence(self, prior: Conditional) -> jax.Array:
        """Return KL(q || prior), entry by entry."""
        own = self._standard[2] + jnp.log(self.quadratic) / 2
        constant = 0.0 if self.power == 1 else 0.5 * jnp.log(2 / jnp.pi)
        return own - prior.log_rate / self.power - constant + prior.rate * self.statistic

    @property
    def _standard(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        return standard(self.linear / jnp.sqrt(self.quadratic))


def _above_zero(z: Array, uniform: Array) -> jax.Array:
    """Return y >= 0 of density exp(z y - y^2 / 2), by inversion.

    In the tail by Newton steps on the logarithm: with t = -z, P(> y) = exp(-t y - y^2 / 2) Mills(t + y) / Mills(t).
    """
    tail = z < TAIL
    near = jnp.where(tail, TAIL, z)
    y = near - ndtri(uniform * ndtr(near))
    t = jnp.where(tail, -z, -TAIL)

    def hazard(t: Array) -> Array:
        return t + 1 / (t + _continued(t))

    own, target = hazard(t), jnp.log(uniform)

    def newton(_: Array, y: Array) -> Array:
        now = hazard(t + y)
        gap = -t * y - jnp.square(y) / 2 - jnp.log(now / own) - target
        return jnp.maximum(y + gap / now, 0)

    y_tail = jax.lax.fori_loop(0, 4, newton, -target / t)
    return jnp.maximum(jnp.where(tail, y_tail, y), jnp.finfo(y.dtype).tiny)


class Squares(NamedTuple):
    """E w and E w^2 of one factor, padding and known rows included."""

    mean: Array
    square: Array


def update(
    data: Data, transposed: Data | None, likelihood: Likelihood, W: Squares, H: Squares, prior: Conditional, side: Side,
    power: int, held: Array, uniform: Array | None = None,
) -> TruncatedNormals:  # fmt: skip
    """Return q of one factor with each of its components, in turn, at its optimum given all others.

    Those that are `held`, (k,), stay what they are while others change: known rows of H. With `uniform` numbers, of its
    shape, the others are taken at their `draw`, and not at their means: Gibbs.
    """
    if data.weight is None:
        return _from_gram(data, likelihood, W, H, prior, side, power, held, uniform)
    precision = likelihood.precision(data.shape[1])

    def step(tile: Tile, mean: Array, factor: Array, other: Array) -> Array:
        return _from_residual(tile, mean, factor, other, prior, power, held)

    def beside(own: Array, uniform: Array | None) -> Array:
        return own if uniform is None else jnp.concatenate([own, uniform], 1)

    if side == "W":
        data = replace(data, col_weight=product(data.col_weight, precision))
        both = data.map_rows(step, beside(W.mean, uniform), jnp.concatenate([H.mean, jnp.sqrt(H.square)]))
        return TruncatedNormals(both[:, : len(H.mean)], both[:, len(H.mean) :], power)
    assert transposed is not None
    data = replace(transposed, row_weight=product(transposed.row_weight, precision))
    both = data.map_rows(
        step,
        beside(H.mean.T, None if uniform is None else uniform.T),
        jnp.concatenate([W.mean.T, jnp.sqrt(W.square).T]),
    )
    return TruncatedNormals(both.T[: len(H.mean)], both.T[len(H.mean) :], power)


def _from_gram(
    data: Data, likelihood: Likelihood, W: Squares, H: Squares, prior: Conditional, side: Side, power: int,
    held: Array, uniform: Array | None,
) -> TruncatedNormals:  # fmt: skip
    part = data.gram(likelihood, W.mean, H.mean, side)
    cross = part.positive if part.negative is None else part.positive - part.negative
    quadratic = data.square_sums(likelihood, H.square if side == "W" else W.square.T, side)
    mean, weight, rate = H.mean, part.weight[0], jnp.ravel(prior.rate)
    if side == "W":
        mean, cross, quadratic, weight = W.mean.T, cross.T, quadratic.T, part.weight[:, 0]
        uniform = None if uniform is None else uniform.T

    def coordinate(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        mean, linear = carry
        new = cross[k] - weight * (part.gram[k] @ mean - part.gram[k, k] * mean[k])
        q = _with_prior(new, quadratic[k], rate[k], power)
        moved = jnp.where(held[k], mean[k], q.mean if uniform is None else q.draw(uniform[k]))
        return mean.at[k].set(moved), linear.at[k].set(q.linear)

    _, linear = jax.lax.fori_loop(0, mean.shape[0], coordinate, (mean, jnp.zeros_like(mean)))
    if side == "W":
        linear, quadratic, rate = linear.T, quadratic.T, rate[None]
    else:
        rate = rate[:, None]
    return TruncatedNormals(linear, jnp.maximum(quadratic + (rate if power == 2 else 0), LEAST), power)


def _from_residual(
    tile: Tile, own: Array, factor: Array, other: Array, prior: Conditional, power: int, held: Array
) -> Array:
    k = len(other) // 2
    mean, root = other[:k], other[k:]
    own, uniform = own[:, :k], own[:, k:].T
    rate = jnp.ravel(prior.rate)
    weight = jnp.ones_like(tile.x) if tile.weight is None else tile.weight

    def coordinate(c: Array, carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        own, residual, linear, quadratic = carry
        basis = factor * mean[c][None]
        weighted = weight * basis
        new = jnp.sum(weighted * residual, 1) + jnp.sum(weighted * basis, 1) * own[c]
        q = _with_prior(new, jnp.sum(weight * (factor * root[c][None]) ** 2, 1), rate[c], power)
        moved = jnp.where(held[c], own[c], q.draw(uniform[c]) if len(uniform) else q.mean)
        residual = residual - (moved - own[c])[:, None] * basis
        return own.at[c].set(moved), residual, linear.at[c].set(q.linear), quadratic.at[c].set(q.quadratic)

    nothing = jnp.zeros_like(own.T)
    residual = tile.x - factor * (own @ mean)
    _, _, linear, quadratic = jax.lax.fori_loop(0, k, coordinate, (own.T, residual, nothing, nothing))
    return jnp.concatenate([linear.T, quadratic.T], 1)


def _with_prior(linear: Array, quadratic: Array, rate: Array, power: int) -> TruncatedNormals:
    if power == 1:
        return TruncatedNormals(linear - rate, jnp.maximum(quadratic, LEAST), power)
    return TruncatedNormals(linear, quadratic + rate, power)


LEAST = 1e-12
"""Least precision of an entry, for data of a level near 1: where nothing is known of the other side."""


def spread(data: Data, likelihood: Likelihood, W: Squares, H: Squares) -> jax.Array:
    """Return the variance of the means under q, summed over samples with weights and offsets, (m,)."""
    total = jnp.sum(H.square * data.square_sums(likelihood, W.square.T, "H"), 0)
    total -= jnp.sum(H.mean**2 * data.square_sums(likelihood, W.mean.T**2, "H"), 0)
    return total / jnp.asarray(likelihood.precision(data.shape[1]))
