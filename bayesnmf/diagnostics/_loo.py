"""How well samples, or groups, are predicted that were left out."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import EngineError
from .._types import Array
from ..engines._prepare import Rows, dense_rows
from ..result import NO_INTERVAL, Fit

TINY = 1e-12
"""Least mean."""


def loo(fit: Fit, by: Literal["row", "group"] = "row", size: int = 200, *, points: int = 200, seed: int = 0) -> Any:
    """Return the expected log predictive density of samples that are left out, by Pareto-smoothed importance sampling.

    Leaving out single entries of X asks how well W and H complete a sample that is known; leaving out a sample, or a
    whole group, asks how well the components hold for new ones. A sample brings its own activities, so that they are
    integrated out under their prior for each draw of H: without that, importance weights have no variance.

    Where few samples are left for H, one of them moves it far: ArviZ's k-hat says so, and then only differences that
    are large count. Not for sparse priors on many features, where the integral is rough (raise `points`).

    Parameters
    ----------
    fit : Fit
        With a posterior and Gamma or Exponential activities.
    by : {"row", "group"}
        What is left out. "group" needs ``groups=`` in the fit.
    size : int
        Draws of H.
    points : int
        Points of each integral, from a log-normal about the posterior of the sample's activities.
    seed : int
        Same seed, same result.

    Returns
    -------
    arviz_stats.ELPDData
        As ``arviz_stats.loo``: ``elpd``, ``se``, and ``pareto_k`` for each row or group.

    Raises
    ------
    EngineError
        For a MAP fit, a program of your own, or half-normal activities.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> fit = bn.fit(np.random.default_rng(0).poisson(30.0, (200, 3)), rank=1)
    >>> bool(bn.diagnostics.loo(fit, size=100).elpd < 0)
    True
    """
    import xarray as xr
    from arviz_stats import loo as of_tree

    if fit.posterior is None:
        raise EngineError(NO_INTERVAL)
    prior = fit.posterior.prior_W
    if fit.posterior.likelihood is None or prior is None or fit.model.parts[1].power != 1:
        raise EngineError("LOO by rows needs a bn.Model with Gamma or Exponential activities.")
    if by == "group" and fit.groups is None:
        raise EngineError('by="group" needs groups: give groups= to bn.fit.')
    table = fit.posterior.table
    draws = fit.draws(size, seed=seed)
    rows: Any = jax.tree.map(jnp.asarray, dense_rows(table, slice(0, table.shape[0])))
    logs = np.log(np.maximum(draws["W"], 1e-12 * table.level))
    centre, spread = logs.mean(0), 1.3 * logs.std(0) + 0.05
    given: list[Any] = [jnp.asarray(a, rows.x.dtype) for a in (centre, spread, draws["H"], fit.rate_W)]
    keys = jax.random.split(jax.random.key(seed), len(centre))
    shape = jnp.asarray(prior.shape, rows.x.dtype)
    found = _of_rows(fit.posterior.likelihood, rows, *given, keys, shape, points=points)
    log_likelihood = np.asarray(found, dtype=float)
    if by == "group":
        assert fit.groups is not None
        labels, index = np.unique(fit.groups, return_inverse=True)
        log_likelihood = np.stack([log_likelihood[:, index == g].sum(1) for g in range(len(labels))], 1)
    data = xr.Dataset({"X": (("chain", "draw", by), log_likelihood[None])})
    kept = xr.Dataset({"H": (("chain", "draw", "component", "feature"), draws["H"][None])})
    return of_tree(xr.DataTree.from_dict({"log_likelihood": data, "posterior": kept}), pointwise=True)


@partial(jax.jit, static_argnames="points")
def _of_rows(
    likelihood: Any, rows: Rows, centre: Array, spread: Array, H: Array, rate: Array, keys: Array, shape: Array, *,
    points: int,
) -> jax.Array:  # fmt: skip
    """Return log p(x_i | H) for each draw of H, (draws, rows)."""

    def one(given: Any) -> Array:
        x, weight, factor, centre, spread, key = given
        eps = jax.random.normal(key, (points, len(centre)), x.dtype)
        log_w = centre[None] + spread[None] * eps
        log_q = jnp.sum(-0.5 * eps**2 - jnp.log(spread)[None] - 0.5 * jnp.log(2 * jnp.pi), 1)
        # of the logarithms too: w^shape in the place of w^(shape - 1)
        constant = jax.lax.lgamma(shape)
        log_p = jnp.sum(shape * (log_w + jnp.log(rate)[None]) - rate[None] * jnp.exp(log_w) - constant, 1)

        def of_H(H: Array) -> Array:
            v = jnp.maximum(factor[None] * (jnp.exp(log_w) @ H), TINY)
            own = weight[None] * likelihood.log_density(jnp.broadcast_to(x[None], v.shape), v)
            return jax.nn.logsumexp(jnp.sum(jnp.where(weight[None] > 0, own, 0), 1) + log_p - log_q)

        return jax.lax.map(of_H, H) - jnp.log(points)

    return jax.lax.map(one, (*rows, centre, spread, keys)).T
