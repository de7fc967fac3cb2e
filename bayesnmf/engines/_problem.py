"""What an algorithm for the posterior mode is given, and what it carries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._pytree import pytree
from .._types import Array, Side
from ..data import Data, Moments
from ..likelihoods import Likelihood
from ..penalty import Penalty


class State(NamedTuple):
    """What the next step needs: factors W (n_padded, k) and H (k, m), and the likelihood with its noise."""

    W: Array
    H: Array
    likelihood: Likelihood

    @property
    def moments(self) -> tuple[Moments, Moments]:
        """What the likelihood sees of W and H."""
        return Moments.of_point(self.W), Moments.of_point(self.H)

    def with_side(self, side: Side, new: Array) -> State:
        """Return the state with W or H replaced."""
        return self._replace(W=new) if side == "W" else self._replace(H=new)


@pytree
@dataclass(frozen=True)
class Problem:
    """A resolved model and its data.

    Attributes
    ----------
    data, transposed : Data
        X; and X' where an algorithm goes through the columns of H in sequence.
    penalty : Penalty
        The priors.
    floor : scalar
        Least entry of a factor, so that multiplicative steps can leave zero.
    update_H : bool
        False keeps the whole of H: projection.
    """

    data: Data
    transposed: Data | None
    penalty: Penalty
    floor: Array
    update_H: bool = field(metadata={"static": True})

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that are updated, in order."""
        return ("W", "H") if self.update_H else ("W",)

    def without_shrinkage(self) -> Problem:
        """Return the problem with rates of 0."""
        rates = jax.tree.map(jnp.zeros_like, self.penalty.rates)
        return replace(self, penalty=replace(self.penalty, shrinkage=None, rates=rates))

    def objective(self, state: State) -> jax.Array:
        """Return -log p(X, W, H) without the terms of X alone."""
        return self.penalty.energy(state.W, state.H) - self.data.value(state.likelihood, *state.moments)

    def halves(self, state: State, side: Side) -> tuple[jax.Array, jax.Array]:
        """Return (up, down) of the log posterior in one side; the gradient is up - down."""
        W, H, likelihood = state
        rates = self.penalty.at(W, H)
        own, rate = (W, rates.W) if side == "W" else (H, rates.H)
        up, down = self.data.sums(likelihood, *state.moments, side)
        prior_up, prior_down = self.penalty.prior(side).halves(own, rate)
        return up + prior_up, down + prior_down

    def held(self, side: Side) -> jax.Array:
        """Return which components of a side stay as they are, (k,): known rows of H."""
        return self.penalty.known & (side == "H")

    def keep(self, own: Array, new: Array, side: Side) -> Array:
        """Return `new` above the floor, padding at zero and known rows of H as they were."""
        new = jnp.maximum(new, self.floor)
        if side == "W":
            return jnp.where(self.penalty.active[None], new, 0)
        return jnp.where(self.penalty.shrunk[:, None], new, own)

    def refresh_noise(self, state: State) -> State:
        """Return the state with its noise parameters at their optimum, or on the way there."""
        return state._replace(likelihood=better_noise(self.data, state.likelihood, *state.moments))

    def residual(self, state: State) -> jax.Array:
        """Return the largest violation of the Karush-Kuhn-Tucker conditions, free of units.

        For an entry w with gradient g of the objective, relative to its positive half: ``|min(w / max(w_k), g)|``.
        It is 0 when every positive entry has gradient 0 and no zero entry would gain by growing.
        """
        worst = []
        for side in self.sides:
            own = state.W if side == "W" else state.H
            up, down = self.halves(state, side)
            slope = (down - up) / jnp.maximum(down, jnp.finfo(down.dtype).tiny)
            top = jnp.max(own, 0 if side == "W" else 1, keepdims=True)
            size = own / jnp.maximum(top, 1e-6 * jnp.max(top) + self.floor)
            free = self.penalty.active[None] if side == "W" else self.penalty.shrunk[:, None]
            worst.append(jnp.max(jnp.where(free & (down > 0), jnp.abs(jnp.minimum(size, slope)), 0)))
        return jnp.max(jnp.stack(worst))


TRIES = 6
"""How often a step in the noise parameters that would raise the objective is halved before it is given up."""


def better_noise(
    data: Data, likelihood: Likelihood, W: Moments, H: Moments, spent: Array | float | None = None
) -> Likelihood:
    """Return the likelihood with new noise parameters, under which the data are no less likely.

    `spent` is the share of the observations that W and H took out of the noise: see `Likelihood.profile`.
    """
    if not likelihood.learned:
        return likelihood
    new = likelihood.update_noise(*data.noise(likelihood, W, H, 0.0 if spent is None else spent))
    if likelihood.noise_is_exact:
        return new

    def part_way(share: Array) -> Likelihood:
        return jax.tree.map(lambda a, b: a * (b / a) ** share, likelihood, new)

    def worse(carry: tuple[Array, Array, Array]) -> Array:
        share, before, value = carry
        return ~(value >= before) & (share > 0)

    def halve(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        """Half the share, none after the last try; none at the first too, for the value to beat: compiled once."""
        share, before, _ = carry
        first = share > 2
        share = jnp.where(first | (share <= 0.5**TRIES), 0, share / 2)
        value = data.value(part_way(share), W, H, spent)
        return jnp.where(first, 2, share), jnp.where(first, value, before), jnp.where(first, -jnp.inf, value)

    begin = jnp.asarray(jnp.inf, W.hi.dtype)
    share, _, _ = jax.lax.while_loop(worse, halve, (begin, begin, -begin))
    return part_way(share)
