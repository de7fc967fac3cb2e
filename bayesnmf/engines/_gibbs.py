"""What a Gibbs sweep leaves as it is, and the sweep."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._pytree import pytree
from .._types import Array, Side
from ..data import Data, Moments
from ..likelihoods import Likelihood, Poisson
from ..priors import SHAPES, Dirichlet, Prior, log_inclusion
from . import _truncated
from ._events import Positive, means, share_out
from ._families import Conditional
from ._inclusion import Pseudo, switch
from ._slice import slice_within
from ._truncated import Squares
from ._variational import Shared


class Draw(NamedTuple):
    """What the next sweep needs, and what is kept: factors, parameters of their priors, the noise.

    `rate_W` and `rate_H` are (k,): one number throughout where shrinkage does not own them. `on` (k,) is 1 for
    components that are there and 0 for those that are not, whose W and H are then what they might be; None where all
    are there.
    """

    W: Array
    H: Array
    shape_W: Array
    shape_H: Array
    rate_W: Array
    rate_H: Array
    likelihood: Likelihood
    on: Array | None = None

    @property
    def present(self) -> Array:
        """W of the components that are there, 0 for the others."""
        return self.W if self.on is None else self.W * self.on[None]


@pytree
@dataclass(frozen=True)
class Target:
    """A resolved model and its data, as a joint density.

    Attributes
    ----------
    data : Data
        X; `transposed` its columns as rows, where truncated normals with weights by entry need it.
    positive : Positive or None
        The observations above 0, where there are events behind them.
    W, H : Prior
        Families of the two sides.
    known : array of shape (k, m)
        Known rows of H; 0 elsewhere.
    shrinkage : Shared or None
        Hyper-prior of the rates by component.
    size : scalar
        An entry of W or H that makes the level of X: the unit of the hyper-priors.
    pseudo : Pseudo or None
        What components that are not there are drawn from; None where all are there.
    learned : tuple of str
        "shape_W", "shape_H", "rate_W", "rate_H".
    n : int
        Number of samples.
    steps : int
        Of the way on which a component comes or goes.
    """

    data: Data
    transposed: Data | None
    positive: Positive | None
    W: Prior
    H: Prior
    known: Array
    shrinkage: Shared | None
    size: Array
    pseudo: Pseudo | None
    learned: tuple[str, ...] = field(metadata={"static": True})
    n: int = field(metadata={"static": True})
    steps: int = field(default=0, metadata={"static": True})

    @property
    def free(self) -> jax.Array:
        """Which rows of H are learned, (k,)."""
        return ~jnp.any(self.known > 0, 1)

    def there(self, draw: Draw) -> jax.Array:
        """Which components are there and learned, (k,)."""
        return self.free if draw.on is None else self.free & (draw.on == 1)

    def fit(self, draw: Draw) -> jax.Array:
        """Return log p(X | draw), without terms of X alone."""
        return self.data.value(draw.likelihood, Moments.of_point(draw.present), Moments.of_point(draw.H))

    def sweep(self, key: jax.Array, draw: Draw) -> Draw:
        """Draw the noise, the events, W, H and the parameters of their priors, each given all others.

        With components that come and go, one of them at random may do so.
        """
        noise, of_factors, of_scale, of_prior, of_switch = jax.random.split(key, 5)
        draw, logs = self.factors(of_factors, self._learn_noise(noise, draw))
        draw, logs = self._rescale(of_scale, draw, logs)
        draw = self._learn(of_prior, draw, logs)
        return draw if self.pseudo is None else switch(self, of_switch, draw)

    def factors(
        self, key: jax.Array, draw: Draw, order: tuple[Side, ...] = ("W", "H")
    ) -> tuple[Draw, dict[str, Array]]:
        """Draw the events, then W and H in some order; return their logarithms too."""
        events, exposure, *of_sides = jax.random.split(key, 4)
        logs: dict[str, Array] = {}
        if self.positive is None:
            for own, side in zip(of_sides, order, strict=True):
                draw, logs[side] = self._normal(own, draw, side)
            return draw, logs
        seen, (W, H, likelihood) = self.positive, (draw.present, draw.H, draw.likelihood)
        number = jnp.where(seen.x > 0, likelihood.events(events, seen.x, means(seen, W, H)), 0)
        of_W, of_H = share_out(jax.random.fold_in(events, 1), seen, number, W[: self.n], H)
        given: tuple[Data, Likelihood] = self.data, likelihood
        if likelihood.draws_exposure:
            given = self.data.exposed(likelihood, exposure, W, H), Poisson()
        for own, side in zip(of_sides, order, strict=True):
            draw, logs[side] = self._gamma(own, draw, of_W if side == "W" else of_H, given, side)
        return draw, logs

    def log_joint(self, draw: Draw) -> jax.Array:
        """Return log p(X, W, H, parameters), without terms of X alone."""
        own, total = self.log_prior_by_component(draw), self.fit(draw)
        total += jnp.sum(own if draw.on is None else draw.on * own)
        if draw.on is not None:
            total += log_inclusion(jnp.sum(self.there(draw)), jnp.sum(self.free))
        for side, prior, rate in (("W", self.W, draw.rate_W), ("H", self.H, draw.rate_H)):
            if f"rate_{side}" in self.learned:
                typical = self._typical(prior)
                total += jnp.log(typical) - typical * rate[-1]
        if self.shrinkage is not None:
            a, b = self.shrinkage.shape, self.shrinkage.rate
            own = a * jnp.log(b) - jax.lax.lgamma(a) + (a - 1) * jnp.log(draw.rate_W) - b * draw.rate_W
            total += jnp.sum(jnp.where(self.free, own, 0))
        return total

    def log_prior_by_component(self, draw: Draw) -> jax.Array:
        """Return log p(W, H | their parameters) by component, (k,)."""
        of_W = self._log_prior(draw.W[: self.n], self.W, draw.shape_W, draw.rate_W[None])
        of_H = self._log_prior(draw.H, self.H, draw.shape_H, draw.rate_H[:, None])
        return jnp.sum(of_W, 0) + jnp.where(self.free, jnp.sum(of_H, 1), 0)

    def _log_prior(self, w: Array, prior: Prior, shape: Array, rate: Array) -> jax.Array:
        p, m = prior.power, w.shape[1]
        log_w = jnp.log(jnp.maximum(w, jnp.finfo(w.dtype).tiny))
        own = (shape - 1) * log_w
        if isinstance(prior, Dirichlet):
            return own - jax.lax.lgamma(shape) + jax.lax.lgamma(m * shape) / m
        constant = 0.5 * jnp.log(2 / jnp.pi) if p == 2 else -jax.lax.lgamma(shape)
        return own + (shape / p) * jnp.log(rate) - rate * w**p / p + constant

    def _gamma(
        self, key: jax.Array, draw: Draw, counts: Array, given: tuple[Data, Likelihood], side: Side
    ) -> tuple[Draw, jax.Array]:
        """Draw one factor given its events: Gamma(shape + events, rate + exposure); and its logarithm."""
        data, likelihood = given
        moments = Moments.of_point(draw.present), Moments.of_point(draw.H)
        down = data.sums(likelihood, *moments, side).down
        if side == "W":
            shape, rate = draw.shape_W, draw.rate_W[None]
            counts = jnp.pad(counts, ((0, len(draw.W) - self.n), (0, 0)))
        else:
            shape, rate = draw.shape_H, draw.rate_H[:, None]
        if self.pseudo is not None:
            assert draw.on is not None
            share = draw.on[None] if side == "W" else draw.on[:, None]
            down = down * share if side == "W" else down
            shape, rate = self.pseudo.mixed(side, shape, rate, share)
        if side == "H" and isinstance(self.H, Dirichlet):
            return self._dirichlet(key, draw, shape + counts, down)
        log = jax.random.loggamma(key, shape + counts, dtype=down.dtype) - jnp.log(rate + down)
        return self._with(draw, jnp.exp(log), side), log

    def _dirichlet(self, key: jax.Array, draw: Draw, shape: Array, down: Array) -> tuple[Draw, jax.Array]:
        """Draw rows that sum to 1; where exposure differs along a row, by a proposal that may be refused."""
        of_row, of_choice = jax.random.split(key)
        log = jax.random.loggamma(of_row, shape, dtype=down.dtype)
        log -= jax.nn.logsumexp(log, 1, keepdims=True)
        gain = -jnp.sum(down * (jnp.exp(log) - draw.H), 1)
        taken = jnp.log(jax.random.uniform(of_choice, gain.shape, gain.dtype)) < gain
        log_old = jnp.log(jnp.maximum(draw.H, jnp.finfo(log.dtype).tiny))
        log = jnp.where(taken[:, None], log, log_old)
        return self._with(draw, jnp.exp(log), "H"), log

    def _normal(self, key: jax.Array, draw: Draw, side: Side) -> tuple[Draw, jax.Array]:
        """Draw one factor under Gaussian noise, one component after the other; and its logarithm."""
        own = draw.W if side == "W" else draw.H
        # uniform numbers have steps of eps; a 0 among them is not a draw from the far end of the tail
        uniform = jax.random.uniform(key, own.shape, own.dtype, jnp.finfo(own.dtype).eps / 4, 1)
        squares = Squares(draw.W, draw.W**2), Squares(draw.H, draw.H**2)
        rate = draw.rate_W[None] if side == "W" else draw.rate_H[:, None]
        prior = self.W if side == "W" else self.H
        conditional = Conditional(1.0, rate, jnp.log(rate))
        q = _truncated.update(
            self.data, self.transposed, draw.likelihood, *squares, conditional, side, prior.power,
            ~self.free & (side == "H"), uniform,
        )  # fmt: skip
        new = q.draw(uniform)
        return self._with(draw, new, side), jnp.log(new)

    def _with(self, draw: Draw, new: Array, side: Side) -> Draw:
        new = jnp.maximum(new, jnp.finfo(new.dtype).tiny)
        if side == "W":
            return draw._replace(W=new.at[self.n :].set(0))
        return draw._replace(H=jnp.where(self.free[:, None], new, self.known))

    def _rescale(self, key: jax.Array, draw: Draw, logs: dict[str, Array]) -> tuple[Draw, dict[str, Array]]:
        """Draw the scale that each component has in W against H, and that of all together with a learned rate.

        W H does not change, so that only the priors have a say (Liu and Sabatti 2000, Biometrika 87, 353).
        """
        if isinstance(self.H, Dirichlet) or self.W.power != self.H.power:
            return draw, logs
        p, free, m = self.W.power, self.there(draw), draw.H.shape[1]
        of_each, of_all = jax.random.split(key)
        total_W, total_H = jnp.sum(draw.W**p, 0) / p, jnp.sum(draw.H**p, 1) / p
        now = jnp.log(total_W) / p

        def log_density(log_size: Array) -> Array:
            change = log_size - now
            own = draw.rate_W * total_W * jnp.exp(p * change) + draw.rate_H * total_H * jnp.exp(-p * change)
            return (self.n * draw.shape_W - m * draw.shape_H) * change - own

        change = jnp.where(
            free, slice_within(of_each, log_density, now, now.dtype.type(-80), now.dtype.type(80)) - now, 0
        )
        for side, other in (("W", "H"), ("H", "W")):
            if f"rate_{side}" in self.learned:
                total = total_H * jnp.exp(-p * change) if other == "H" else total_W * jnp.exp(p * change)
                count, shape = (m, draw.shape_H) if other == "H" else (self.n, draw.shape_W)
                rate, own = (draw.rate_H, draw.rate_W) if other == "H" else (draw.rate_W, draw.rate_H)
                typical = self._typical(self.W) * own[-1]
                drawn = jax.random.gamma(of_all, jnp.sum(free) * count * shape / p + 1, dtype=total.dtype)
                whole = jnp.sum(jnp.where(free, rate * total, 0)) + typical
                factor = jnp.where(jnp.all(self.free), drawn / whole, 1)
                change = change + jnp.where(free, (-1 if other == "H" else 1) * jnp.log(factor) / p, 0)
                draw = draw._replace(**{f"rate_{side}": own * factor})  # type: ignore[arg-type]
        W, H = draw.W * jnp.exp(change)[None], draw.H * jnp.exp(-change)[:, None]
        draw = self._with(self._with(draw, W, "W"), H, "H")
        return draw, {"W": logs["W"] + change[None], "H": logs["H"] - change[:, None]}

    def _typical(self, prior: Prior) -> jax.Array:
        """Return the mean of a learned rate's exponential hyper-prior, inverted: size^power."""
        return self.size**prior.power

    def _learn(self, key: jax.Array, draw: Draw, logs: dict[str, Array]) -> Draw:
        """Draw what is learned of the priors: a shape with its rate integrated out, then the rate."""
        free, m = self.there(draw), draw.H.shape[1]
        of_those = free | ~self.free
        for side, prior in (("W", self.W), ("H", self.H)):
            of_shape, of_rate, key = jax.random.split(key, 3)
            own, shape, rate = (
                (draw.W[: self.n], draw.shape_W, draw.rate_W) if side == "W" else (draw.H, draw.shape_H, draw.rate_H)
            )
            rows = of_those[None] if side == "W" else free[:, None]
            count = jnp.asarray(self.n * jnp.sum(of_those) if side == "W" else m * jnp.sum(free), own.dtype)
            total = jnp.sum(jnp.where(rows, own**prior.power / prior.power, 0))
            learns_rate = f"rate_{side}" in self.learned
            if f"shape_{side}" in self.learned:
                log_total = jnp.sum(jnp.where(rows, logs[side][: len(own)], 0))
                mean = None if learns_rate else shape / rate[-1]
                shape = _draw_shape(of_shape, shape, count, total, log_total, mean, self._typical(prior))
                rate = rate if mean is None else jnp.full_like(rate, shape / mean)
            if learns_rate:
                events = count * shape / prior.power + 1
                drawn = jax.random.gamma(of_rate, events, dtype=own.dtype) / (total + self._typical(prior))
                rate = jnp.full_like(rate, drawn)
            draw = draw._replace(**{f"shape_{side}": shape, f"rate_{side}": rate})  # type: ignore[arg-type]
        return draw if self.shrinkage is None else self._shrink(key, draw)

    def _shrink(self, key: jax.Array, draw: Draw) -> Draw:
        assert self.shrinkage is not None
        shape, rate, p = self.shrinkage.shape, self.shrinkage.rate, self.W.power
        shape, rate = shape + self.n * draw.shape_W / p, rate + jnp.sum(draw.W**p, 0) / p
        if "H" in self.shrinkage.sides:
            shape, rate = shape + draw.H.shape[1] * draw.shape_H / p, rate + jnp.sum(draw.H**p, 1) / p
        new = jax.random.gamma(key, jnp.broadcast_to(shape, rate.shape), dtype=rate.dtype) / rate
        draw = draw._replace(rate_W=jnp.where(self.free, new, draw.rate_W))
        return draw._replace(rate_H=jnp.where(self.free, new, draw.rate_H)) if "H" in self.shrinkage.sides else draw

    def _learn_noise(self, key: jax.Array, draw: Draw) -> Draw:
        """Draw each noise parameter given W H, without the events: its logarithm is uniform within its range."""
        moments = Moments.of_point(draw.present), Moments.of_point(draw.H)
        for index, (name, (low, high)) in enumerate(draw.likelihood.noise_ranges.items()):
            given = draw.likelihood

            def log_density(log: Array, given: Any = given, name: str = name) -> Array:
                return self.data.value(replace(given, **{name: jnp.exp(log)}), *moments)

            now = jnp.log(jnp.asarray(getattr(given, name)))
            bounds = jnp.log(jnp.asarray([low, high], now.dtype))
            new = slice_within(jax.random.fold_in(key, index), log_density, now, *bounds)
            draw = draw._replace(likelihood=replace(given, **{name: jnp.exp(new)}))  # type: ignore[type-var]
        return draw


def _draw_shape(
    key: jax.Array, shape: Array, count: Array, total: Array, log_total: Array, mean: Array | None, typical: Array
) -> jax.Array:
    """Draw a gamma shape given `count` values with their sum and that of their logarithms.

    Without a mean the rate, exponential with mean 1 / typical, is integrated out.
    """

    def log_density(log_shape: Array) -> Array:
        a = jnp.exp(log_shape)
        own = a * log_total - count * jax.lax.lgamma(a)
        if mean is None:
            return own + jax.lax.lgamma(count * a + 1) - (count * a + 1) * jnp.log(total + typical)
        return own + count * a * jnp.log(a / mean) - a * total / mean

    low, high = jnp.log(jnp.asarray(SHAPES, total.dtype))
    return jnp.exp(slice_within(key, log_density, jnp.log(shape), low, high))
