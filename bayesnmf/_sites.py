"""The sites of a program: whether it can be fitted, what its dimensions are, and what may change places in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ._errors import ModelError

if TYPE_CHECKING:
    from ._types import Array
    from .program import Joint


RESERVED = {
    "scale", "log_joint", "gradients", "acceptance", "diverging", "step", "components", "inclusion", "mass", "chain",
    "draw", "entry",
}  # fmt: skip
"""What a fit keeps beside the sites of a program, by name."""


def look(joint: Joint, key: jax.Array) -> dict[str, Any]:
    """Return the sites of a program, drawn once, or raise ModelError for what cannot be fitted."""
    n, m = joint.X.shape
    try:
        sites = joint.trace({}, key)
    except Exception as error:
        raise ModelError(
            f"The program could not be run: {error!r}. It is called as program(X, n={n}, m={m}, rank={joint.rank}) "
            "and with groups, n_groups, size_factors and opportunities where they are given, "
            "each argument only where it has one of that name."
        ) from error
    if "X" not in sites or not sites["X"].get("is_observed"):
        raise ModelError('The program has no observed site X: end it with numpyro.sample("X", ..., obs=X).')
    for name, shape in (("W", (n, joint.rank)), ("H", (joint.rank, m))):
        if name not in sites or sites[name]["type"] not in ("sample", "deterministic"):
            raise ModelError(f"The program has no site {name}: sample it, or name it with numpyro.deterministic.")
        found = np.shape(sites[name]["value"])
        if found != shape:
            raise ModelError(f"Expected site {name} of shape {shape}; got {found}.")
    lengths = {"row": n, "component": joint.rank, "feature": m}
    for name, site in sites.items():
        if name in RESERVED:
            raise ModelError(f"Site {name!r} has a name that a fit has for something of its own: call it otherwise.")
        if "/" in name:
            raise ModelError(
                f"Site {name!r} has a slash in its name, which no file can hold: call it otherwise. "
                'numpyro.handlers.scope takes divider="_".'
            )
        if site["type"] == "plate" and lengths.get(name, site["args"][0]) != site["args"][0]:
            raise ModelError(f"Expected plate {name!r} to have length {lengths[name]}; got {site['args'][0]}.")
        if site["type"] == "param":
            raise ModelError(f"Site {name!r} is a numpyro.param, which has no prior: sample it.")
        if site["type"] == "plate" and site["args"][1] not in (None, site["args"][0]):
            raise ModelError(f"Plate {name!r} takes a subsample: leave that to bn.SVI(batch=...) of a bn.Model.")
        latent = site["type"] == "sample" and not site["is_observed"]
        if latent and getattr(site["fn"], "is_discrete", False):
            raise ModelError(f"Site {name!r} is discrete, and has no gradient: sum it out, or use a bn.Model.")
    return sites


def is_product(sites: dict[str, Any], joint: Joint) -> bool:
    """Whether the mean is W H, with offsets: only then is the scale of W against H a matter of words."""
    if "mean" not in sites:
        return True
    expected = jnp.asarray(sites["W"]["value"]) @ sites["H"]["value"]
    if "size_factors" in joint.given:
        expected = expected * joint.given["size_factors"][:, None]
    if "opportunities" in joint.given:
        expected = expected * joint.given["opportunities"][None]
    mean = sites["mean"]["value"]
    return np.shape(mean) == expected.shape and bool(np.allclose(mean, expected, rtol=1e-3, atol=1e-8))


def free(site: dict[str, Any]) -> bool:
    """Whether a site is sampled, and no data."""
    return site["type"] == "sample" and not site["is_observed"]


def fixed_rows(joint: Joint, sites: dict[str, Any], key: jax.Array) -> int:
    """Return how many of the first rows of H are the same in every draw: those that are known."""
    first, again = sites["H"]["value"], joint.trace({}, jax.random.fold_in(key, 1))["H"]["value"]
    return int(np.argmin([*np.all(np.asarray(first == again), 1), False]))


def dims_of(sites: dict[str, Any], joint: Joint, known: int) -> dict[str, tuple[str, ...]]:
    """Return the names of the dimensions of each site.

    W is (row, component), H (component, feature). Plates give their names. What is left at the end of a site is named
    by its length, where only one of rows, components and features has that; components that are not known have a
    dimension of their own, ``new_component``. All else has the name of the site with a number.
    """
    n, m = joint.X.shape
    lengths = {"row": n, "component": joint.rank, "feature": m} | (
        {"new_component": joint.rank - known} if known else {}
    )
    sizes = list(lengths.values())
    clear = {dim for dim, size in lengths.items() if sizes.count(size) == 1}
    found = {}
    for name, site in sites.items():
        if name == "X" or site["type"] not in ("sample", "deterministic"):
            continue
        shape = np.shape(site["value"])
        batch = len(shape) - (site["fn"].event_dim if site["type"] == "sample" else 0)
        plates = {batch + frame.dim: frame.name for frame in site.get("cond_indep_stack", ())}
        own = [plates.get(axis, f"{name}_{axis}") for axis in range(len(shape))]
        for last in LAST:
            axes = range(len(shape) - len(last), len(shape))
            if axes.start < 0 or any(shape[i] != lengths.get(dim) for i, dim in zip(axes, last, strict=True)):
                continue
            for i, dim in zip(axes, last, strict=True):
                own[i] = dim if i not in plates and dim in clear else own[i]
            break
        found[name] = tuple(own)
    return found | {"W": ("row", "component"), "H": ("component", "feature")}


LAST = (
    ("row", "component"), ("component", "feature"), ("new_component", "feature"), ("component",),
    ("new_component",), ("row",), ("feature",),
)  # fmt: skip
"""What the last dimensions of a site may be."""


def axes_of(dims: dict[str, tuple[str, ...]]) -> dict[str, tuple[int, bool]]:
    """Return the axis along which each site has components, and whether only new ones."""
    found = {}
    for name, own in dims.items():
        for dim in ("component", "new_component"):
            if dim in own:
                found[name] = own.index(dim), dim == "new_component"
    return found


def is_exchangeable(joint: Joint, axes: dict[str, tuple[int, bool]], known: int, key: jax.Array) -> bool:
    """Whether the density stays as it is when components that are not known change places in all sites at once.

    Where it is not finite, and so says nothing, they are taken to be.
    """
    order = np.r_[np.arange(known), known + np.roll(np.arange(joint.rank - known), 1)]

    def turned(name: str, value: Array) -> Array:
        if name not in axes:
            return value
        axis, new = axes[name]
        return jnp.take(value, order[known:] - known if new else order, axis)

    values = {name: site["value"] for name, site in joint.first({}, key).items() if free(site)}
    other = {name: turned(name, value) for name, value in values.items()}
    # the priors by themselves too: beside the density of many data what they say would be lost in rounding
    for own in (joint, replace(joint, weight=jnp.zeros_like(joint.X))):
        here, there = (own.density(own.coordinates(v))[0] for v in (values, other))
        if jnp.isfinite(here) and jnp.abs(here - there) > 1e-5 * jnp.abs(here):
            return False
    return True
