"""Which components are there: indicators, and moves that let one of them come or go (Carlin and Chib 1995)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array, Side
from ..priors import log_inclusion

if TYPE_CHECKING:
    from ._gibbs import Draw, Target

SMALL = 0.3
"""Entries of spare components, as a share of those that would make the level of X."""


class Pseudo(NamedTuple):
    """What W and H of a component that is not there are drawn from: near what they would be if it were.

    Gamma(shape, rate), entry by entry; Dirichlet(shape_H) for rows of H where `rate_H` is None. `odds` (k,): how often
    each is tried, in proportion. Any choice leaves the posterior as it is; a good one lets components come and go.
    """

    shape_W: Array
    rate_W: Array
    shape_H: Array
    rate_H: Array | None
    odds: Array

    def mixed(self, side: Side, shape: Array, rate: Array, share: Array) -> tuple[Array, Array]:
        """Return shape and rate of a prior to the power of `share` times this density to that of the rest."""
        own = (self.shape_W, self.rate_W) if side == "W" else (self.shape_H, self.rate_H)
        mixed_shape = share * shape + (1 - share) * own[0]
        return mixed_shape, rate if own[1] is None else share * rate + (1 - share) * own[1]

    def log_density(self, W: Array, H: Array, n: int) -> jax.Array:
        """Return the log density of each component's column of W, of `n` rows, and row of H, (k,)."""
        of_W = jnp.sum(_log_gamma(W, self.shape_W, self.rate_W)[:n], 0)
        if self.rate_H is not None:
            return of_W + jnp.sum(_log_gamma(H, self.shape_H, self.rate_H), 1)
        constant = jax.lax.lgamma(jnp.sum(self.shape_H, 1)) - jnp.sum(jax.lax.lgamma(self.shape_H), 1)
        return of_W + jnp.sum((self.shape_H - 1) * jnp.log(H), 1) + constant


def _log_gamma(w: Array, shape: Array, rate: Array) -> jax.Array:
    return shape * jnp.log(rate) - jax.lax.lgamma(shape) + (shape - 1) * jnp.log(w) - rate * w


def with_spares(W: np.ndarray, H: np.ndarray, rank: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return W and H with small random components beside those given, `rank` in all."""
    more = rank - len(H)
    size = SMALL * np.sqrt((W @ H).mean() / rank)
    W = np.hstack([W, size * random.uniform(1, 2, (len(W), more))])
    return W, np.vstack([H, size * random.uniform(1, 2, (more, H.shape[1]))])


def switch(target: Target, key: jax.Array, draw: Draw) -> Draw:
    """Let one component that is there go, or one that is not come, or leave all as it is.

    It does so along a way: its part of the mean, and its prior against what it is drawn from when it is not there, are
    faded step by step, and after each step W and H of all components are drawn anew, so that the others take over what
    it held. The work along the way decides (Neal 2001, Statistics and Computing 11, 125; Karagiannis and Andrieu 2013,
    JCGS 22, 623). W and H are drawn in an order that is chosen at random, which makes each step reversible.
    """
    of_component, of_way, of_choice = jax.random.split(key, 3)
    free, pseudo, on = target.free, target.pseudo, draw.on
    assert pseudo is not None
    assert on is not None
    k = jax.random.categorical(of_component, jnp.where(free, jnp.log(pseudo.odds), -jnp.inf))
    goes = on[k] == 1

    def at(draw: Draw, share: Array) -> Draw:
        return draw._replace(on=on.at[k].set(share))

    def log_density(draw: Draw) -> jax.Array:
        own = target.log_prior_by_component(draw)[k], pseudo.log_density(draw.W, draw.H, target.n)[k]
        assert draw.on is not None
        share = draw.on[k]
        return target.fit(draw) + share * own[0] + (1 - share) * own[1] + _at_least(target, draw)[k]

    def step(carry: tuple[Draw, Array], index: Array) -> tuple[tuple[Draw, Array], None]:
        draw, work = carry
        passed = (index + 1) / target.steps
        gone = jnp.where(goes, passed, 1 - passed)
        new = at(draw, (1 - gone**2) ** 2)
        work += log_density(new) - log_density(draw)
        of_order, own = jax.random.split(jax.random.fold_in(of_way, index))
        drawn = jax.lax.cond(
            jax.random.bernoulli(of_order),
            lambda: target.factors(own, new)[0],
            lambda: target.factors(own, new, ("H", "W"))[0],
        )
        last = index == target.steps - 1
        return (jax.tree.map(lambda a, b: jnp.where(last, a, b), new, drawn), work), None

    (end, work), _ = jax.lax.scan(step, (draw, jnp.zeros((), draw.W.dtype)), jnp.arange(target.steps))
    count, rank = jnp.sum(target.there(draw)), jnp.sum(free)
    gain = work + log_inclusion(count + jnp.where(goes, -1, 1), rank) - log_inclusion(count, rank)
    taken = jnp.log(jax.random.uniform(of_choice, dtype=gain.dtype)) < gain
    return jax.tree.map(lambda a, b: jnp.where(taken, a, b), end, draw)


def _at_least(target: Target, draw: Draw) -> jax.Array:
    """Return what entries at the least number stand for: the probability of no more than it, up to a constant, (k,)."""
    assert target.pseudo is not None
    assert draw.on is not None
    tiny = jnp.finfo(draw.W.dtype).tiny
    shape_W, _ = target.pseudo.mixed("W", draw.shape_W, draw.rate_W[None], draw.on[None])
    shape_H, _ = target.pseudo.mixed("H", draw.shape_H, draw.rate_H[:, None], draw.on[:, None])
    of_W = jnp.where(draw.W <= tiny, -jnp.log(shape_W), 0)[: target.n]
    return jnp.sum(of_W, 0) + jnp.sum(jnp.where(draw.H <= tiny, -jnp.log(shape_H), 0), 1)
