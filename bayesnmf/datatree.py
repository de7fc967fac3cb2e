"""A fit in ArviZ's layout."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ._errors import EngineError
from ._programs import joint_for
from ._types import Array
from .engines._prepare import dense_rows
from .likelihoods import Likelihood
from .result import NO_INTERVAL, Fit
from .sampled import Sampled

if TYPE_CHECKING:
    import xarray as xr

STATS = {
    "log_joint": "lp", "gradients": "n_steps", "acceptance": "acceptance_rate", "diverging": "diverging",
    "step": "step_size",
}  # fmt: skip
"""What is said of a sampler's steps, and what ArviZ calls it."""

BUDGET = 2**30
"""Bytes of predicted values, and of log-likelihoods, at most; beyond it every second, third, ... draw is taken."""


def to_datatree(fit: Fit, size: int = 500, seed: int = 0) -> xr.DataTree:
    """Return the posterior as an `xarray.DataTree`. The public door is `Fit.to_datatree`."""
    import xarray as xr

    if fit.posterior is None:
        raise EngineError(NO_INTERVAL)
    n, m = fit.posterior.table.shape
    draws, sampled = _draws(fit, size, seed, max(1, BUDGET // (8 * n * m)))
    rows = dense_rows(fit.posterior.table, slice(0, n))
    seen = rows.weight > 0
    noise = {name: sampled[name] for name in fit.noise if name in sampled}
    pooled = {name: a.reshape(-1, *a.shape[2:]) for name, a in (draws | noise).items()}
    with jax.enable_x64(True):
        if fit.posterior.likelihood is None:
            others = {name: a.reshape(-1, *a.shape[2:]) for name, a in sampled.items() if name not in STATS}
            of_entries = _of_program(fit, jax.random.key(seed), pooled | others)
        else:
            W, H = pooled.pop("W"), pooled.pop("H")
            floor = 1e-12 * fit.posterior.table.level
            of_entries = _of_entries(jax.random.key(seed), fit.posterior.likelihood, W, H, pooled, *rows, floor)
        log_likelihood, predicted = (np.asarray(a).reshape(*draws["W"].shape[:2], n, m) for a in of_entries)
    names = {
        "row": _names(fit.samples, n), "feature": _names(fit.features, m), "component": np.arange(fit.rank),
        "chain": np.arange(draws["W"].shape[0]), "draw": np.arange(draws["W"].shape[1]),
    }  # fmt: skip
    if fit.groups is not None:
        names["group"] = np.unique(fit.groups)

    def group(dims: dict[str, tuple[str, ...]], values: dict[str, np.ndarray]) -> xr.Dataset:
        found = xr.Dataset({name: (dims[name], value) for name, value in values.items()})
        return found.assign_coords({name: own for name, own in names.items() if found.sizes.get(name) == len(own)})

    each, entry = ("chain", "draw"), ("row", "feature")
    dims = {"W": (*each, "row", "component"), "H": (*each, "component", "feature"), "mass": (*each, "component")}
    posterior = {**draws, "mass": draws["W"].sum(2)}
    named = fit.posterior.dims if isinstance(fit.posterior, Sampled) else {}
    for name, values in sampled.items():
        if name in STATS:
            continue
        posterior[name] = values
        of_component = values.ndim == 3 and values.shape[2] == fit.rank
        own = ("component",) if of_component else tuple(f"{name}_{i}" for i in range(values.ndim - 2))
        dims[name] = (*each, *named.get(name, own))
    factors = {"size_factors": ("row", fit.posterior.table.row_factor)}
    factors["opportunities"] = ("feature", fit.posterior.table.col_factor)
    given = {name: values for name, (_, values) in factors.items() if values is not None}
    groups = {
        "posterior": group(dims, posterior),
        "posterior_predictive": group({"X": (*each, *entry)}, {"X": predicted}),
        "log_likelihood": group({"X": (*each, *entry)}, {"X": log_likelihood})
        if np.all(seen)
        else group({"X": (*each, "entry")}, {"X": log_likelihood[..., seen]}).assign_coords(
            {name: ("entry", names[name][place]) for name, place in zip(entry, np.nonzero(seen), strict=True)}
        ),
        "observed_data": group({"X": entry}, {"X": np.where(seen, rows.x, np.nan)}),
        "constant_data": group(
            {"weights": entry} | {name: (factors[name][0],) for name in given}, {"weights": rows.weight} | given
        ),
    }
    stats = {STATS[name]: values for name, values in sampled.items() if name in STATS}
    if stats:
        groups["sample_stats"] = group(dict.fromkeys(stats, each), stats)
    return xr.DataTree.from_dict(groups)


def _of_program(fit: Fit, key: jax.Array, values: dict[str, np.ndarray]) -> tuple[jax.Array, jax.Array]:
    """Return weighed log densities and new values of every entry, for each draw of a program of the user's."""
    assert isinstance(fit.posterior, Sampled)
    if fit.posterior.program is None:
        raise EngineError("The fit was loaded without its program: bn.load(path, program=...).")
    joint = joint_for(fit.posterior.program, fit.posterior.table, fit.rank, np.float64)

    def one(given: tuple[Array, dict[str, Array]]) -> tuple[jax.Array, jax.Array]:
        return joint.entries(given[1], jax.random.fold_in(key, given[0]))

    return jax.lax.map(one, (np.arange(len(values["W"])), values))


def _draws(fit: Fit, size: int, seed: int, most: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return draws of W and H, and of what else was sampled, (chain, draw, ...), `most` in all."""
    if isinstance(fit.posterior, Sampled):
        chains, count = fit.posterior.W.shape[:2]
        thin = slice(None, None, max(1, -(-chains * count // most)))
        others = {name: values[:, thin] for name, values in fit.posterior.others.items()}
        return {"W": fit.posterior.W[:, thin], "H": fit.posterior.H[:, thin]}, others
    draws = fit.draws(min(size, most), seed=seed)
    return {name: draws[name][None] for name in ("W", "H")}, {}


@jax.jit
def _of_entries(
    key: jax.Array, likelihood: Likelihood, W: Array, H: Array, noise: dict[str, Array], x: Array, weight: Array,
    factor: Array, floor: Array,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """Return weighted log densities and new values of every entry, for each draw."""

    def one(index: Array, W: Array, H: Array, noise: dict[str, Array]) -> tuple[jax.Array, jax.Array]:
        given = replace(likelihood, **noise) if noise else likelihood  # type: ignore[type-var]
        v = jnp.maximum(factor * (W @ H), floor)
        log_density = jnp.where(weight > 0, weight * given.log_density(x, v), 0)
        return log_density, given.sample(jax.random.fold_in(key, index), v)

    return jax.lax.map(lambda a: one(*a), (jnp.arange(len(W)), W, H, noise))


def _names(given: tuple[str, ...] | None, length: int) -> Any:
    return np.arange(length) if given is None else np.array(given, dtype=str)
