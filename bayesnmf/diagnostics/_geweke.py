"""Geweke's test, of whether a sampler leaves the joint distribution of parameters and data as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._resolve import resolve
from ..engines import NUTS, Gibbs
from ..engines._gibbs import Draw
from ..engines._walk import draw_of
from ..engines.gibbs import _Task as GibbsTask
from ..model import Model
from ._simulate import Simulation

if TYPE_CHECKING:
    import pandas as pd

PRIOR_DRAWS = 20_000


def geweke(
    model: Model, shape: tuple[int, int], *, engine: Gibbs | NUTS, steps: int = 20_000, step: float = 0.2,
    seed: int = 0, **data: Any,
) -> pd.DataFrame:  # fmt: skip
    """Compare draws of the prior with a chain that draws X and takes a step of the sampler in turn (Geweke 2004).

    Both have the same distribution where the sampler is right for the model. A wrong shape, a forgotten mask, a
    Jacobian left out show as means that differ by many Monte Carlo errors. It needs no fit, and judges small data only.

    Parameters
    ----------
    model : Model
        Means of priors and noise given.
    shape : (n, m)
        Of the data: small, such as (6, 4).
    engine : Gibbs or NUTS
        Whose step it is.
    steps : int
        Of the chain.
    step : float
        Of NUTS' trajectories, which are not adapted here. Where the noise is small against the mean a coarse one stays
        where it is for long, and the chain misses large values: lower it.
    seed : int
        Same seed, same chain.
    **data
        ``observed``, ``weights``, ``size_factors``, ``opportunities``, as in `bayesnmf.fit`.

    Returns
    -------
    pandas.DataFrame
        For each quantity its mean under the ``prior`` and in the ``chain``, their difference in standard errors ``z``,
        and the ``effective`` number of draws. Quantities are bounded, so that their means have errors.

    Raises
    ------
    ModelError
        For a model that cannot be simulated from.

    Examples
    --------
    >>> import bayesnmf as bn
    >>> model = bn.Model(1, bn.Poisson(), W=bn.Gamma(2.0, mean=2.0), H=bn.Gamma(2.0, mean=1.0))
    >>> table = bn.diagnostics.geweke(model, (4, 3), engine=bn.Gibbs(), steps=500)
    >>> bool((table.z.abs() < 5).all())
    True
    """
    import pandas as pd
    from arviz_stats.base import array_stats

    simulation = Simulation.of(model, shape, None, data)
    joint, task = simulation.joint, simulation.task
    program = replace(joint.program, lean=False)
    simulation = replace(simulation, joint=replace(joint, program=program))

    def from_prior(key: jax.Array) -> tuple[Draw, jax.Array]:
        sites = simulation.simulated(key)
        return draw_of(sites, joint, task.prepared.data.n_padded), sites["X"]

    advance = _gibbs_step(model, simulation, data) if isinstance(engine, Gibbs) else _nuts_step(simulation, step)

    @jax.jit
    def run(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def one(draw: Draw, key: jax.Array) -> tuple[Draw, jax.Array]:
            of_X, of_step = jax.random.split(key)
            n = shape[0]
            mean = draw.W[:n] @ draw.H
            for name, axis in (("size_factors", 1), ("opportunities", 0)):
                if name in joint.given:
                    mean = mean * jnp.expand_dims(joint.given[name], axis)
            X = draw.likelihood.sample(of_X, jnp.maximum(mean, task.prepared.data.floor))
            draw = advance(of_step, draw, X)
            return draw, _bounded(draw, n)

        first, free, bound = jax.random.split(key, 3)
        exact = jax.lax.map(
            lambda key: _bounded(from_prior(key)[0], shape[0]), jax.random.split(free, PRIOR_DRAWS), batch_size=500
        )
        _, chain = jax.lax.scan(one, from_prior(first)[0], jax.random.split(bound, steps))
        return exact, chain

    exact, chain = (np.asarray(a, float) for a in run(jax.random.key(seed)))
    effective = array_stats.ess(chain[None], chain_axis=0, draw_axis=1, method="mean")
    error = np.sqrt(exact.var(0) / len(exact) + chain.var(0) / effective)
    names = ["W H, first entry", "W H, last entry", "sum of W", "sum of H", "sum of log W", "sum of log H"]
    z = (chain.mean(0) - exact.mean(0)) / error
    return pd.DataFrame({"prior": exact.mean(0), "chain": chain.mean(0), "z": z, "effective": effective}, index=names)


def _bounded(draw: Draw, n: int) -> jax.Array:
    W, H = draw.W[:n], draw.H
    mean = W @ H
    sums = jnp.sum(W), jnp.sum(H), jnp.sum(jnp.log(W)), jnp.sum(jnp.log(H))
    return jnp.tanh(jnp.stack([mean[0, 0], mean[-1, -1], *sums]) / 10)


def _gibbs_step(model: Model, simulation: Simulation, data: dict[str, Any]) -> Any:
    engine = Gibbs()
    target = GibbsTask(engine, resolve(model, simulation.table, engine), simulation.table).target

    def advance(key: jax.Array, draw: Draw, X: jax.Array) -> Draw:
        given = replace(target.data, x=X[None], signed=True)
        turned = None if target.transposed is None else replace(target.transposed, x=X.T[None], signed=True)
        seen = target.positive
        if seen is not None:
            seen = seen._replace(x=jnp.where(seen.x > 0, X[seen.row, seen.column], 0))
        return replace(target, data=given, transposed=turned, positive=seen).sweep(key, draw)

    return advance


def _nuts_step(simulation: Simulation, step: float) -> Any:
    from numpyro.infer.hmc import hmc

    from ..engines._walk import values_of

    joint, task = simulation.task.joint, simulation.task

    def advance(key: jax.Array, draw: Draw, X: jax.Array) -> Draw:
        here = replace(joint, X=X.astype(joint.X.dtype))
        init, move = hmc(lambda z: -here.density(z)[0], algo="NUTS")
        state = init(
            here.coordinates(values_of(draw, here)), 0, step, adapt_step_size=False, adapt_mass_matrix=False,
            max_tree_depth=6, rng_key=key,
        )  # fmt: skip
        return draw_of(here.density(move(state).z)[1], here, task.prepared.data.n_padded)

    return advance
