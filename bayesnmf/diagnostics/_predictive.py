"""Whether the fitted model would make data like these."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import EngineError
from .._types import Array
from ..engines._prepare import dense_rows
from ..result import NO_INTERVAL, Fit
from ..sampled import Sampled

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("dispersion", "zeros", "spread of row totals", "spread of column totals", "lag-1 autocorrelation")


def predictive(fit: Fit, size: int = 200, *, seed: int = 0) -> pd.DataFrame:
    """Compare X with data that the fitted model makes: what it looks like and what it should look like.

    For each draw of W, H and the noise (its mean, where it is one by feature) a new X is drawn, and a quantity is
    computed of both (Gelman, Meng and Stern 1996). A probability near 0 or 1 says that the model does not make data
    like these; near 1/2 that this quantity does not tell. The same data were fitted and are judged, so that these
    probabilities are not uniform where the model is right: they keep to the middle.

    Quantities: mean squared residual over its variance; share of exact zeros; mean squared residual of the totals of
    rows and of columns over their variance; correlation of the residuals of rows that follow each other, within groups
    (of all rows, where there are none: it speaks of time only where rows are in its order).

    Parameters
    ----------
    fit : Fit
        With a posterior.
    size, seed : int
        Draws.

    Returns
    -------
    pandas.DataFrame
        A row for each quantity: ``observed`` (mean over draws), ``low`` and ``high`` (90% of what the model makes),
        ``probability`` (that the model makes at least what is observed).

    Raises
    ------
    EngineError
        For a MAP fit, and for a program of your own: use ``fit.to_datatree()`` and ArviZ's pictures there.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> X = np.random.default_rng(0).poisson(3.0, (20, 10))
    >>> bool(bn.diagnostics.predictive(bn.fit(X, rank=2)).probability.between(0.01, 0.99).all())
    True
    """
    import pandas as pd

    if fit.posterior is None:
        raise EngineError(NO_INTERVAL)
    if fit.posterior.likelihood is None:
        raise EngineError("A program of your own has no likelihood to check by name: see fit.to_datatree().")
    table = fit.posterior.table
    rows: Any = jax.tree.map(jnp.asarray, dense_rows(table, slice(0, table.shape[0])))
    draws = fit.draws(size, seed=seed)
    noise: dict[str, Any] = {}
    if isinstance(fit.posterior, Sampled):
        chosen = fit.posterior.chosen(size, seed)
        noise = {n: fit.posterior.others[n].reshape(-1)[chosen] for n in fit.noise if np.ndim(fit.noise[n]) == 0}
        noise = {name: jnp.asarray(values) for name, values in noise.items()}
    following = np.ones(table.shape[0] - 1, bool)
    if fit.groups is not None:
        following = fit.groups[1:] == fit.groups[:-1]
    keys = jax.random.split(jax.random.key(seed), len(draws["W"]))

    given = [jnp.asarray(draws[name], rows.x.dtype) for name in ("W", "H")]
    of_draws = _of_draws(fit.posterior.likelihood, keys, *given, noise, rows, jnp.asarray(following))
    seen, made = (np.asarray(a, float) for a in of_draws)
    ends = np.quantile(made, [0.05, 0.95], axis=0)
    probability = (made >= seen).mean(0)
    found = pd.DataFrame(
        {"observed": seen.mean(0), "low": ends[0], "high": ends[1], "probability": probability}, index=list(NAMES)
    )
    return found if fit.posterior.likelihood.support != "real" else found.drop(index="zeros")


@jax.jit
def _of_draws(
    likelihood: Any, keys: Array, W: Array, H: Array, noise: dict[str, Array], rows: Any, following: Array
) -> tuple[Array, Array]:
    """Return the quantities of X, and of a new X, for each draw."""

    def one(given: Any) -> tuple[Array, Array]:
        key, W, H, noise = given
        own = replace(likelihood, **noise) if noise else likelihood
        v = jnp.maximum(rows.factor * (W @ H), 1e-12)
        new = own.sample(key, v).astype(rows.x.dtype)
        return _quantities(rows.x, v, own, rows.weight, following), _quantities(new, v, own, rows.weight, following)

    return jax.lax.map(one, (keys, W, H, noise))


def _quantities(x: Array, v: Array, likelihood: Any, weight: Array, following: Array) -> jax.Array:
    seen = (weight > 0).astype(x.dtype)
    variance = jnp.broadcast_to(likelihood.variance_at(v), x.shape)
    residual = seen * (x - v) / jnp.sqrt(variance)
    count = jnp.sum(seen)
    totals = []
    for axis in (1, 0):
        off, own = jnp.sum(seen * (x - v), axis), jnp.sum(seen * variance, axis)
        totals.append(jnp.mean(jnp.where(own > 0, off**2 / jnp.where(own > 0, own, 1), 1)))
    pairs = jnp.sum(residual[1:] * residual[:-1] * following[:, None])
    both = jnp.sum(seen[1:] * seen[:-1] * following[:, None])
    square = jnp.sum(residual**2) / count
    lag = pairs / jnp.maximum(both, 1) / square
    return jnp.stack([square, jnp.sum(seen * (x == 0)) / count, *totals, lag])
