"""The sites of a program: whether it can be fitted, what its dimensions are, and what may change places in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ._errors import ModelError

if TYPE_CHECKING:
    from ._types import Array
    from .program import Joint


def look(joint: Joint, key: jax.Array) -> dict[str, Any]:
    """Return the sites of a program, drawn once, or raise ModelError for what cannot be fitted."""
    n, m = joint.X.shape
    try:
        sites = joint.trace({}, key)
    except Exception as error:
        raise ModelError(
            f"The program could not be run: {error!r}. It is called as program(X, n={n}, m={m}, rank={joint.rank}), "
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
    for name, site in sites.items():
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


def dims_of(sites: dict[str, Any], joint: Joint) -> dict[str, tuple[str, ...]]:
    """Return the names of the dimensions of each site.

    The last ones are row, component and feature where their lengths say so; all others have the name of their plate,
    or that of the site with a number. Plates named row, component, feature and group are taken at their word.
    """
    sizes = {"row": joint.X.shape[0], "component": joint.rank, "feature": joint.X.shape[1]}
    found = {}
    for name, site in sites.items():
        if name == "X" or site["type"] not in ("sample", "deterministic"):
            continue
        shape = np.shape(site["value"])
        batch = len(shape) - (site["fn"].event_dim if site["type"] == "sample" else 0)
        plates = {batch + frame.dim: frame.name for frame in site.get("cond_indep_stack", ())}
        said = {axis: plate for axis, plate in plates.items() if plate in SAID}
        own = [plates.get(axis, f"{name}_{axis}") for axis in range(len(shape))]
        for last in LAST:
            first = len(shape) - len(last)
            fits = first >= 0 and shape[first:] == tuple(sizes[dim] for dim in last)
            if fits and all(said.get(first + i, dim) == dim for i, dim in enumerate(last)):
                own[first:] = last
                break
        found[name] = tuple(own)
    return found


LAST = (("row", "component"), ("component", "feature"), ("component",), ("row",), ("feature",))
"""What the last dimensions of a site may be."""

SAID = {"row", "component", "feature", "group"}
"""Plates whose names say what they are."""


def is_exchangeable(joint: Joint, sites: dict[str, Any]) -> bool:
    """Whether the density stays as it is when components change places."""
    dims = dims_of(sites, joint)

    def turned(name: str, value: Array) -> Array:
        return jnp.roll(value, 1, dims[name].index("component")) if "component" in dims[name] else value

    values = {name: site["value"] for name, site in sites.items() if free(site)}
    here = joint.density(joint.coordinates(values))[0]
    there = joint.density(joint.coordinates({name: turned(name, value) for name, value in values.items()}))[0]
    return bool(np.isclose(here, there, rtol=1e-4))
