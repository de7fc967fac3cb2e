"""A fit in ArviZ's layout."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ._errors import EngineError
from ._types import Array
from .engines._prepare import dense_rows
from .likelihoods import Likelihood
from .result import NO_INTERVAL, Fit
from .sampled import Sampled

if TYPE_CHECKING:
    import xarray as xr

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
    likelihood = fit.posterior.likelihood
    pooled = [a.reshape(-1, *a.shape[2:]) for a in draws.values()]
    of_noise = {name: a.reshape(-1, *a.shape[2:]) for name, a in noise.items()}
    with jax.enable_x64(True):
        of_entries = _of_entries(
            jax.random.key(seed), likelihood, *pooled, of_noise, *rows, 1e-12 * fit.posterior.table.level
        )
        log_likelihood, predicted = (np.asarray(a).reshape(*draws["W"].shape[:2], n, m) for a in of_entries)
    names = {
        "row": _names(fit.samples, n), "feature": _names(fit.features, m), "component": np.arange(fit.rank),
        "chain": np.arange(draws["W"].shape[0]), "draw": np.arange(draws["W"].shape[1]),
    }  # fmt: skip

    def group(dims: dict[str, tuple[str, ...]], values: dict[str, np.ndarray]) -> xr.Dataset:
        used = {d for dim in dims.values() for d in dim}
        found = xr.Dataset({name: (dims[name], value) for name, value in values.items()})
        return found.assign_coords({name: values for name, values in names.items() if name in used})

    each, entry = ("chain", "draw"), ("row", "feature")
    dims = {"W": (*each, "row", "component"), "H": (*each, "component", "feature"), "mass": (*each, "component")}
    posterior = {**draws, "mass": draws["W"].sum(2)}
    for name, values in sampled.items():
        if name != "log_joint":
            posterior[name] = values
            dims[name] = (*each, "component") if values.ndim == 3 else each
    factors = {"size_factors": ("row", fit.posterior.table.row_factor)}
    factors["opportunities"] = ("feature", fit.posterior.table.col_factor)
    given = {name: values for name, (_, values) in factors.items() if values is not None}
    groups = {
        "posterior": group(dims, posterior),
        "posterior_predictive": group({"X": (*each, *entry)}, {"X": predicted}),
        "log_likelihood": group({"X": (*each, *entry)}, {"X": log_likelihood}),
        "observed_data": group({"X": entry}, {"X": np.where(seen, rows.x, np.nan)}),
        "constant_data": group(
            {"weights": entry} | {name: (factors[name][0],) for name in given}, {"weights": rows.weight} | given
        ),
    }
    if "log_joint" in sampled:
        groups["sample_stats"] = group({"lp": each}, {"lp": sampled["log_joint"]})
    return xr.DataTree.from_dict(groups)


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
