"""What a posterior by stochastic gradients may look like, in the coordinates of a joint density."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpyro
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.distributions import constraints

from .._types import Array
from ._joint import Joint, Point

Guide = Literal["mean_field", "component"]


def start_params(guide: Guide, loc: Point, spread: Point, block: str) -> dict[str, Array]:
    """Return first parameters: means and standard deviations of coordinates; rows of `block` may be joint."""
    found = {f"{name}_loc": own for name, own in loc.items()} | {f"{name}_spread": own for name, own in spread.items()}
    if guide == "component" and block in loc:
        k, m = loc[block].shape
        found[f"{block}_lower"] = jnp.zeros((k, m, m), loc[block].dtype)
    return found


def guide(joint: Joint, params: dict[str, Array], rows: Array | None) -> None:
    """Sample coordinates from the guide, of some rows of W only where they are given."""
    fitted = {}
    for name, own in params.items():
        constraint = constraints.positive if name.endswith("_spread") else constraints.real
        fitted[name] = numpyro.param(name, own, constraint=constraint)
    for name, own in distributions(fitted).items():
        if name == "W" and rows is not None:
            loc, spread = fitted["W_loc"], fitted["W_spread"]
            with handlers.scale(scale=len(loc) / len(rows)):
                numpyro.sample(name, dist.Normal(loc[rows], spread[rows]).to_event(2))
        else:
            numpyro.sample(name, own)


def distributions(params: dict[str, Array]) -> dict[str, Any]:
    """Return what each site's coordinates are drawn from: normals, and joint ones for rows of H with `_lower`.

    Its Cholesky factor is ``diag(spread) (1 + lower / sqrt(m))``: entries of all three are of one size, as Adam has it.
    """
    found: dict[str, Any] = {}
    for name in sorted(key[:-4] for key in params if key.endswith("_loc")):
        loc, spread = params[f"{name}_loc"], params[f"{name}_spread"]
        if f"{name}_lower" in params:
            m = loc.shape[1]
            lower = jnp.tril(params[f"{name}_lower"], -1) / jnp.sqrt(m) + jnp.eye(m, dtype=loc.dtype)[None]
            found[name] = dist.MultivariateNormal(loc, scale_tril=spread[:, :, None] * lower).to_event(1)
        else:
            found[name] = dist.Normal(loc, spread).to_event(jnp.ndim(loc))
    return found


def target(joint: Joint, params: dict[str, Array], rows: Array | None) -> None:
    """Sample coordinates of any value, weighed by the joint density: what the guide is fitted to."""
    z = {}
    for name in sorted(key[:-4] for key in params if key.endswith("_loc")):
        shape = jnp.shape(params[f"{name}_loc"])
        if name == "W" and rows is not None:
            shape = (len(rows), *shape[1:])
        z[name] = numpyro.sample(name, dist.ImproperUniform(constraints.real, shape, ()).to_event(len(shape)))
    with handlers.block():  # the sites of the program are its own affair
        density, _ = joint.density(z, rows)
    numpyro.factor("joint", density)


def draw(params: dict[str, Array], key: Array) -> tuple[Point, jax.Array]:
    """Return coordinates drawn from the guide, and their log density under it."""
    z, total = {}, jnp.zeros(())
    for index, (name, own) in enumerate(distributions(params).items()):
        z[name] = own.sample(jax.random.fold_in(key, index))
        total += own.log_prob(z[name])
    return z, total
