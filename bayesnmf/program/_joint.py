"""Any program and its data as a log density over coordinates that are free."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers
from numpyro.distributions import biject_to, constraints
from numpyro.infer import init_to_median
from numpyro.infer.util import log_density
from numpyro.optim import Adam
from numpyro.primitives import Messenger

from .._pytree import pytree
from .._types import Array

Point = dict[str, Array]
"""Values by site, or coordinates by site."""


@pytree
@dataclass(frozen=True)
class Bare:
    """A program of the user's, called with what its signature has."""

    function: Callable[..., Any] = field(metadata={"static": True})

    def __call__(self, X: Any, **given: Any) -> None:
        """Sample all sites."""
        self.function(X, **{name: value for name, value in given.items() if self.takes(name)})

    def takes(self, name: str) -> bool:
        """Whether the program has an argument of this name."""
        parameters = inspect.signature(self.function).parameters
        return name in parameters or any(p.kind == p.VAR_KEYWORD for p in parameters.values())

    def needs(self, name: str) -> bool:
        """Whether the program has an argument of this name, without a default."""
        parameter = inspect.signature(self.function).parameters.get(name)
        return parameter is not None and parameter.default is parameter.empty


@pytree
@dataclass(frozen=True)
class Joint:
    """log p(X, all sites) of a program, as a function of coordinates without bounds.

    Positive sites are walked in their logarithm; rows that sum to 1 as logarithms of gammas, one more than needed each,
    whose sum has a gamma distribution of its own. Where W and H are both positive sites the coordinate of w_ik is
    ``log w_ik + log sum_j h_kj``: what moves from W to H and leaves W H as it is then changes one of them only, and
    volumes are the same. All other sites by NumPyro's own transforms.

    Attributes
    ----------
    program : pytree
        Called as ``program(X, n=, m=, rank=, **given)``, and with ``n_groups=`` where there are groups.
    X, weight : arrays of shape (n, m)
        Data and frequency weights; None for weights that are 1. Where the weight is 0 X is any value that can be.
    given : dict
        ``size_factors`` (n,), ``opportunities`` (m,), ``groups`` (n,) as numbers from 0, where there are.
    rank, n_groups : int
        Number of components, and of groups.
    sheared : str or None
        The site of H that the coordinates of W refer to.
    """

    program: Any
    X: Array
    weight: Array | None
    given: Point
    rank: int = field(metadata={"static": True})
    sheared: str | None = field(default=None, metadata={"static": True})
    n_groups: int = field(default=0, metadata={"static": True})

    def trace(self, values: Point, key: Array | None = None) -> dict[str, Any]:
        """Return NumPyro's trace at some values; what is left out is drawn, given a key."""
        model = handlers.substitute(self.program, data=values)
        model = handlers.seed(model, key) if key is not None else model
        X, given = self.arguments(None)
        return handlers.trace(model).get_trace(X, **given)

    def first(self, values: Point, key: Array) -> dict[str, Any]:
        """Return a trace to begin at: what is left out of the values is a median of a few draws from its prior.

        A draw itself may lie where no gradient leads away from, such as 1e-8 under a gamma of a shape below 1.
        """
        typical = init_to_median(num_samples=15)

        def put(site: Any) -> Any:
            return values[site["name"]] if site["name"] in values else typical(site)

        X, given = self.arguments(None)
        model = handlers.substitute(handlers.seed(self.program, key), substitute_fn=put)
        return handlers.trace(model).get_trace(X, **given)

    def density(self, z: Point, rows: Array | None = None) -> tuple[jax.Array, Point]:
        """Return the log density of coordinates, and the value of every site that is not data.

        With `rows` that of some samples, whose W is in z, weighed up to all of them.
        """
        scale = 1.0 if rows is None else len(self.X) / len(rows)
        jacobian: list[Array] = []

        def put(site: Any) -> Any:
            if site["type"] != "sample" or site["name"] not in z:
                return None
            value, log = self._value(site, z)
            jacobian.append(log * scale if site["name"] == "W" else log)
            return value

        X, given = self.arguments(rows)
        weight = self.weight if rows is None or self.weight is None else self.weight[rows]
        model = handlers.substitute(Weighed(self.program, weight, scale), substitute_fn=put)
        total, trace = log_density(model, (X,), given, {})
        values = {
            name: site["value"]
            for name, site in trace.items()
            if site["type"] in ("sample", "deterministic") and name not in ("X", "mean")
        }
        return total + sum(jacobian), values

    def coordinates(self, values: Point) -> Point:
        """Return the coordinates of values: the inverse of what `density` does with them."""
        z = {}
        for name, site in self.trace(values).items():
            if name not in values:
                continue
            value, support = jnp.asarray(values[name]), _base_support(site["fn"])
            if support is constraints.simplex:
                z[name] = jnp.log(value) + jnp.log(jnp.asarray(value.shape[-1], value.dtype))
            elif is_positive(site["fn"]):
                z[name] = jnp.log(value)
            else:
                z[name] = biject_to(site["fn"].support).inv(_inside(value, support))
        if self.sheared is not None:
            z["W"] = z["W"] + self._log_size(z)
        return z

    def entries(self, values: Point, key: Array) -> tuple[jax.Array, jax.Array]:
        """Return the weighed log density of each entry of X, 0 where it is not observed, and new values."""
        fn = self.trace(values, key)["X"]["fn"]
        while fn.event_dim > 0:
            fn = fn.base_dist
        log = jnp.broadcast_to(fn.log_prob(self.X), self.X.shape)
        weight = jnp.ones_like(self.X) if self.weight is None else self.weight
        return jnp.where(weight > 0, weight * log, 0), jnp.broadcast_to(fn.sample(key), self.X.shape)

    def _value(self, site: Any, z: Point) -> tuple[Array, jax.Array]:
        """Return the value of a site at its coordinates, and the logarithm of the volume that they make of it."""
        x, support = z[site["name"]], _base_support(site["fn"])
        if support is constraints.simplex:
            total = jax.nn.logsumexp(x, -1, keepdims=True)
            c = float(x.shape[-1])
            log = x - total
            own = jnp.sum(c * total - jnp.exp(total) - jax.lax.lgamma(jnp.full_like(total, c)))
            return jnp.exp(log), jnp.sum(log) + own
        if is_positive(site["fn"]):
            if self.sheared is not None and site["name"] == "W":
                x = x - self._log_size(z)
            return jnp.exp(x), jnp.sum(x)
        transform = biject_to(site["fn"].support)
        value = transform(x)
        return value, jnp.sum(transform.log_abs_det_jacobian(x, value))

    def _log_size(self, z: Point) -> jax.Array:
        """Return the logarithm of the row sums of H, (1, k); 0 for rows that are known, which come first."""
        assert self.sheared is not None
        own = jax.nn.logsumexp(z[self.sheared], 1)
        return jnp.pad(own, (self.rank - len(own), 0))[None]

    def arguments(self, rows: Array | None) -> tuple[Array, dict[str, Any]]:
        given = dict(self.given)
        X = self.X if rows is None else self.X[rows]
        if rows is not None and "size_factors" in given:
            given["size_factors"] = given["size_factors"][rows]
        sizes = {"n": len(X), "m": X.shape[1], "rank": self.rank}
        return X, sizes | given | ({"n_groups": self.n_groups} if self.n_groups else {})


@partial(jax.jit, static_argnames="kept")
def settled(joint: Joint, z: Point, *, kept: tuple[str, ...]) -> Point:
    """Return coordinates with all but those kept brought to their mode, or near it: where they go with what is kept.

    The rate of a prior that is far from what it is the rate of would take that along before it moved itself.
    """
    optimizer = Adam(0.1)

    def step(_: Array, state: Any) -> Any:
        own = optimizer.get_params(state)
        return optimizer.update(jax.grad(lambda own: -joint.density(z | own)[0])(own), state)

    first = optimizer.init({name: value for name, value in z.items() if name not in kept})
    return z | optimizer.get_params(jax.lax.fori_loop(0, SETTLING, step, first))


SETTLING = 300
"""Steps of a tenth of a logarithm: from one prior level to another that is e^30 away."""


class Weighed(Messenger):
    """Weights at the site X, and a factor on it and on W: NumPyro's messengers have a scale for whole sites only."""

    def __init__(self, fn: Any, weight: Array | None, scale: float):
        self.weight, self.factor = weight, scale
        super().__init__(fn)

    def process_message(self, message: Any) -> None:
        """Multiply log densities."""
        if message["type"] != "sample" or message["name"] not in ("X", "W"):
            return
        factor: Any = self.factor
        if message["name"] == "X" and self.weight is not None:
            factor = factor * self.weight
            while message["fn"].event_dim > 0:
                message["fn"] = message["fn"].base_dist
        if not (isinstance(factor, float) and factor == 1.0):
            message["scale"] = factor if message["scale"] is None else factor * message["scale"]


def _inside(value: Array, support: Any) -> Array:
    """Return a value off the ends of an interval, which are infinitely far."""
    if not hasattr(support, "upper_bound"):
        return value
    low, high = support.lower_bound, support.upper_bound
    least = jnp.where(low > 0, 1.01 * low, low + 1e-3 * (high - low))
    return jnp.clip(value, least, high - 1e-3 * (high - low))


def _base_support(fn: Any) -> Any:
    support = fn.support
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support


def is_positive(fn: Any) -> bool:
    """Whether a distribution is above 0, in one of the ways that NumPyro has to say so."""
    support = _base_support(fn)
    if support is constraints.positive or support is constraints.nonnegative:
        return True
    above = isinstance(support, (type(constraints.positive), type(constraints.nonnegative)))
    return above and bool(np.all(np.asarray(support.lower_bound) == 0))
