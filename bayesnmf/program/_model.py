"""A model as a NumPyro program."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._pytree import pytree
from .._types import Array, Side
from ..likelihoods import Likelihood
from ..priors import SHAPES, Dirichlet, Prior, Scaling

SUPPORTS = {
    "counts": constraints.nonnegative_integer, "non-negative": constraints.nonnegative,
    "positive": constraints.positive, "real": constraints.real,
}  # fmt: skip


class Noise(dist.Distribution):
    """X given its mean v, as a likelihood has it.

    A `lean` one leaves out the terms of X alone, which cost digits, and takes its first derivative in v from
    `Likelihood.halves`, which costs less; it has no second one.
    """

    pytree_data_fields = ("likelihood", "v")
    pytree_aux_fields = ("lean",)

    def __init__(self, likelihood: Likelihood, v: Array, *, lean: bool = False, validate_args: Any = None):
        self.likelihood, self.v, self.lean = likelihood, v, lean
        super().__init__(batch_shape=jnp.shape(v), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """Where X may be."""
        return SUPPORTS[self.likelihood.support]

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Draw X."""
        return self.likelihood.sample(key, jnp.broadcast_to(self.v, sample_shape + self.batch_shape))

    def log_prob(self, value: Any) -> jax.Array:
        """Return log p(x | v), entry by entry."""
        if not self.lean:
            return self.likelihood.log_density(value, self.v)
        v = jax.lax.stop_gradient(self.v)
        up, down = (jax.lax.stop_gradient(a) for a in self.likelihood.halves(value, v, v))
        return self.likelihood.bound(value, v, v) + (up - down) * (self.v - v)


@pytree
@dataclass(frozen=True)
class ModelProgram:
    """A resolved model as a NumPyro program, in units in which X has a level near 1.

    Sites: W (n, k) and H (k, m), or `new_H` where rows of H are known; "shape_W", "rate_W", "shape_H", "rate_H" where
    they are learned; `rate` under shrinkage, of components that are not known; noise parameters by name; deterministic
    `mean`, with offsets; X.
    The hyper-priors are those of `Gibbs`.

    Attributes
    ----------
    likelihood : Likelihood
        With its noise parameters; those with a range are sampled.
    W, H : Prior
        Families of the two sides.
    means : dict
        Mean of each side's prior, where it is not learned.
    size, floor : scalar
        An entry of W or H that makes the level of X; the least mean.
    shrinkage : Scaling or None
        With its constants.
    known : array of shape (r, m) or None
        Known rows of H.
    learned : tuple of str
        Which parameters of the priors are learned.
    lean : bool
        As of `Noise`.
    """

    likelihood: Likelihood
    W: Prior
    H: Prior
    means: dict[str, Any]
    size: Any
    floor: Any
    shrinkage: Scaling | None
    known: Any
    learned: tuple[str, ...] = field(metadata={"static": True})
    lean: bool = field(default=False, metadata={"static": True})

    def __call__(
        self, X: Any, *, n: int, m: int, rank: int, size_factors: Any = None, opportunities: Any = None
    ) -> None:
        """Sample all sites; X is None to simulate."""
        likelihood: Any = self.likelihood
        for name, (low, high) in likelihood.noise_ranges.items():
            shape = jnp.shape(getattr(self.likelihood, name))
            likelihood = replace(likelihood, **{name: numpyro.sample(name, dist.LogUniform(low, high).expand(shape))})
        new, rates = rank if self.known is None else rank - len(self.known), None
        if self.shrinkage is not None and new:
            rates = numpyro.sample("rate", dist.Gamma(self.shrinkage.a, self.shrinkage.b).expand([new]))
        W = numpyro.sample("W", self._prior("W", (n, rank), rates))
        if self.known is None:
            H = numpyro.sample("H", self._prior("H", (rank, m), rates))
        elif new:
            H = numpyro.sample("new_H", self._prior("H", (new, m), rates))
            H = numpyro.deterministic("H", jnp.concatenate([self.known, H]))
        else:
            H = numpyro.deterministic("H", self.known)
        mean = W @ H
        if size_factors is not None:
            mean = size_factors[:, None] * mean
        if opportunities is not None:
            mean = mean * opportunities[None]
        mean = numpyro.deterministic("mean", jnp.maximum(mean, self.floor))
        numpyro.sample("X", Noise(likelihood, mean, lean=self.lean), obs=X)

    def fixed_rate(self, side: Side, shape: Array) -> Array:
        """Return the rate of a prior that is neither learned nor shrunk."""
        prior = self.W if side == "W" else self.H
        return prior.rate(self.means[side]) if prior.power == 2 else shape / self.means[side]

    def with_known(self, rates: Array, side: Side, shape: Array) -> Array:
        """Return rates of all components, of known ones first: these are not shrunk."""
        if self.known is None:
            return rates
        own = jnp.asarray(self.fixed_rate(side, shape), rates.dtype)
        return jnp.concatenate([jnp.broadcast_to(own, (len(self.known),)), rates])

    def _prior(self, side: Side, size: tuple[int, int], rates: Any) -> Any:
        """Return the distribution of one factor."""
        prior = self.W if side == "W" else self.H
        shape = prior.shape
        if f"shape_{side}" in self.learned:
            shape = numpyro.sample(f"shape_{side}", dist.LogUniform(*SHAPES))
        if isinstance(prior, Dirichlet):
            return dist.Dirichlet(jnp.broadcast_to(jnp.asarray(shape, jnp.result_type(self.size)), size))
        if self.shrinkage is not None and rates is not None and side in self.shrinkage.sides:
            rate = self.with_known(rates, side, shape)[None] if side == "W" else rates[:, None]
        elif f"rate_{side}" in self.learned:
            rate = numpyro.sample(f"rate_{side}", dist.Exponential(self.size**prior.power))
        else:
            rate = self.fixed_rate(side, shape)
        own: Any = dist.HalfNormal(1 / jnp.sqrt(rate)) if prior.power == 2 else dist.Gamma(shape, rate)
        return own.expand(size)
