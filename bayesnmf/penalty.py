"""The priors of a resolved model, as one term of the objective."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ._pytree import pytree
from ._types import Array, Side
from .priors import ARD, Prior


class Rates(NamedTuple):
    """Rate of the prior of each component: of its column of W, (1, k), and of its row of H, (k, 1)."""

    W: Array
    H: Array


@pytree
@dataclass(frozen=True)
class Penalty:
    """-log p(W, H), with the scales of `ARD` at their modes.

    Attributes
    ----------
    W, H : Prior
        Families of the two sides.
    shrinkage : ARD or None
        Its scales are functions of W and H, so they are never state.
    rates : Rates
        Rates where shrinkage does not own them.
    active : array of shape (k,)
        Which of the (padded) components exist.
    known : array of shape (k,)
        Which rows of H are fixed. They are not shrunk.
    n : int
        Number of samples; rows of W beyond it are padding.
    """

    W: Prior
    H: Prior
    shrinkage: ARD | None
    rates: Rates
    active: Array
    known: Array
    n: int = field(metadata={"static": True})

    @property
    def shrunk(self) -> jax.Array:
        """Which components shrinkage owns, (k,)."""
        return self.active & ~self.known

    def prior(self, side: Side) -> Prior:
        """Return the prior of one side."""
        return self.W if side == "W" else self.H

    def scales(self, W: Array, H: Array) -> jax.Array:
        """Return the scale of each component, (k,)."""
        assert self.shrinkage is not None
        statistic = self.W.statistic(W[: self.n], 0) + self.H.statistic(H, 1)
        return self.shrinkage.scale(statistic, self._count(H))

    def relevance(self, W: Array, H: Array) -> jax.Array:
        """Return (scale - bound) / bound, (k,); without shrinkage each component's share of W H."""
        if self.shrinkage is None:
            mass = self.active * jnp.sum(W[: self.n], 0) * jnp.sum(H, 1)
            return mass / jnp.sum(mass)
        bound = self.shrinkage.bound(self._count(H))
        return jnp.where(self.shrunk, self.scales(W, H) / bound - 1, 0)

    def at(self, W: Array, H: Array) -> Rates:
        """Return the rates at W, H."""
        if self.shrinkage is None:
            return self.rates
        rate, shrunk = 1 / self.scales(W, H), self.shrunk
        return Rates(
            jnp.where(shrunk[None], rate[None], self.rates.W),
            jnp.where(shrunk[:, None], rate[:, None], self.rates.H),
        )

    def energy(self, W: Array, H: Array) -> jax.Array:
        """Return -log p(W, H), up to a constant."""
        rates = self.at(W, H)
        own = jnp.sum(self.W.energy(W[: self.n], rates.W), 0)
        other = jnp.where(self.known, 0, jnp.sum(self.H.energy(H, rates.H), 1))
        total = own + other
        if self.shrinkage is not None:
            of_scale = self.shrinkage.energy(self.scales(W, H), self._count(H))
            total = total + jnp.where(self.shrunk, of_scale, 0)
        return jnp.sum(jnp.where(self.active, total, 0))

    def balance(self, W: Array, H: Array) -> tuple[jax.Array, jax.Array]:
        """Return W and H with the scale of each shrunk component moved between them to the least energy.

        W H does not change. With c the factor, W c and H / c cost ``f(w) c^p + f(h) / c^p + d log c`` in
        units of their common rate: a quadratic in c^p. With shapes of 1 the least is at f(w_k) = f(h_k).
        """
        p = self.W.power
        a, b = self.W.statistic(W[: self.n], 0), self.H.statistic(H, 1)
        d = (H.shape[1] * (self.H.shape - 1) - self.n * (self.W.shape - 1)) / p * self.scales(W, H)
        least = 1e3 * jnp.finfo(a.dtype).tiny
        usable = self.shrunk & (a > least) & (b > least)
        root_a, root_b = (jnp.sqrt(jnp.where(usable, part, 1)) for part in (a, b))
        # the positive root is sqrt(b / a) exp(-asinh(d / (2 sqrt(a b)))), and no product of small numbers
        power = root_b / root_a * jnp.exp(-jnp.arcsinh(d / root_a / root_b / 2))
        factor = jnp.where(usable, power ** (1 / p), 1)
        return W * factor[None], H / factor[:, None]

    def _count(self, H: Array) -> Array:
        assert self.shrinkage is not None
        return self.shrinkage.count(self.n, H.shape[1], self.W, self.H)
