"""Engine Gibbs: exact draws, each block given all others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import EngineError
from .._input import Table
from .._types import Array, Precision
from ..likelihoods import Likelihood
from ..model import Model
from ..priors import Dirichlet
from ._chains import BLOCK, Kept, align, fingerprint, run_chains, thinning
from ._events import positive_entries
from ._gibbs import Draw, Target
from ._prepare import Prepared, check_sampler
from ._result import EngineResult, of_draws
from ._variational import Beliefs, Shared
from .cavi import CAVI, learned_parameters

UNIT_RATE = "rate_W of unit rows"
"""Rate of W's prior for rows of H that sum to 1."""


@dataclass(frozen=True)
class Gibbs:
    """Exact draws from the posterior: for error bars that must be right, and to judge faster engines.

    Counts are given the component that each event came from (Cemgil 2009), which makes W and H gamma given the other;
    Gaussian noise makes each entry a truncated normal. Learned noise is drawn given W H alone, learned parameters of
    the priors from proper hyper-priors: a shape log-uniform from 0.03 to 30, a rate exponential with the mean that
    gives W H the level of X. A sweep costs k operations for each event: slow where
    counts run into millions. Not for weights that are not whole.

    Parameters
    ----------
    chains : int
        Independent chains, each from a dispersed draw round one fit by `CAVI`.
    warmup, draws : int
        Sweeps of each chain that are not kept, and that are (up to whole blocks of 50).
    starts : int
        Random starts of the fit by `CAVI`.
    precision : {"float32", "float64"}
        Arithmetic, whatever the dtype of X.
    checkpoint : str, optional
        Folder that blocks of draws are written to. A run that was stopped goes on from there, to the same draws.

    >>> import numpy as np, bayesnmf as bn
    >>> X = np.random.default_rng(0).poisson(3.0, (20, 10))
    >>> fit = bn.fit(X, rank=2, engine=bn.Gibbs(chains=2, warmup=50, draws=50))
    >>> fit.draws(100)["W"].shape
    (100, 20, 2)
    """

    chains: int = 4
    warmup: int = 500
    draws: int = 1000
    starts: int = 5
    precision: Precision = "float32"
    checkpoint: str | None = None

    def check(self, likelihood: Likelihood) -> None:
        """Raise EngineError for options that are out of range or do not go with the likelihood."""
        check_sampler(self)
        CAVI(starts=self.starts, precision=self.precision).check(likelihood)
        if likelihood.learned and getattr(likelihood, "per_feature", False):
            raise EngineError(
                f"Gibbs learns one noise parameter for all features, not one for each: use "
                f"{type(likelihood).__name__}() or give the values, or engine=bn.CAVI()."
            )

    def run(
        self, model: Model, table: Table, key: jax.Array, init: tuple[np.ndarray, np.ndarray] | None = None
    ) -> EngineResult:
        """Fit a resolved model."""
        self.check(model.parts[0])
        _check_weights(table)
        engine = CAVI(starts=self.starts, precision=self.precision)
        start = engine.run(model, table, key, init)
        assert start.beliefs is not None
        with jax.enable_x64(self.precision == "float64"):
            return _Task(self, model, table).run(key, start)


class _Task:
    """One call of `Gibbs.run`: the target in the engine's units, and back."""

    def __init__(self, engine: Gibbs, model: Model, table: Table):
        likelihood, self.W, self.H = model.parts
        self.engine, self.model, self.table = engine, model, table
        self.prepared = ready = Prepared(model, table, np.dtype(engine.precision), pad=1)
        quadratic = likelihood.background == "quadratic"
        W, H = jax.tree.map(ready.array, (self.W, self.H))
        size = ready.size**2 * table.shape[1] if isinstance(self.H, Dirichlet) else ready.size
        self.target = Target(
            ready.data, ready.data.T if quadratic and ready.data.weight is not None else None,
            None if quadratic else positive_entries(table, ready.unit, ready.dtype), W, H, ready.array(ready.known),
            Shared.of(ready), ready.array(size), learned_parameters(model), table.shape[0],
        )  # fmt: skip

    def run(self, key: jax.Array, start: EngineResult) -> EngineResult:
        """Run all chains from a fit."""
        engine, (n, m), k = self.engine, self.table.shape, self.model.rank
        assert start.beliefs is not None
        states = [self._first(start.beliefs, jax.random.fold_in(key, chain)) for chain in range(engine.chains)]
        thin = thinning(engine.chains, engine.draws, n, m, k)
        settings = f"{replace(engine, checkpoint=None)!r} {jax.tree.structure(self.model)} jax {jax.__version__}"
        mark = fingerprint(settings, self.table, self.model, jax.random.key_data(key), states)
        warmup, blocks = -(-engine.warmup // BLOCK), -(-engine.draws // (BLOCK * thin))

        def block(state: Draw, chain: int, index: int) -> tuple[Draw, Any]:
            of_block = jax.random.fold_in(jax.random.fold_in(key, engine.chains + chain), index)
            return sweeps(self.target, state, of_block, jnp.int32(1 if index < warmup else thin))

        kept = run_chains(block, states, warmup, blocks, engine.checkpoint, mark)
        draws, log_joint = jax.tree.map(lambda *parts: np.stack(parts).astype(float), *kept)
        found = align(self._in_units(draws, log_joint), start.H[start.best], self.model.known_rows)
        rate_W = found.others.pop(UNIT_RATE).mean((0, 1))
        likelihood = self.prepared.learned_likelihood(jax.tree.map(lambda a: a.mean((0, 1)), draws.likelihood))
        steps = BLOCK * (warmup + blocks * thin)
        return of_draws(found, start, self.model, likelihood, rate_W, steps)

    def _first(self, beliefs: Beliefs, key: jax.Array) -> Draw:
        """Return a draw round a fit, with twice its standard deviations."""
        ready, n = self.prepared, self.table.shape[0]
        random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        factors = []
        for q, unit in ((beliefs.W, self.prepared.unit_W), (beliefs.H, self.prepared.unit_H)):
            mean, variance = (np.asarray(a, float) for a in (q.mean, q.variance))
            shape = np.maximum(mean**2 / np.maximum(4 * variance, 1e-30), 1e-3)
            factors.append(np.maximum(random.gamma(shape) * mean / shape / unit, 1e-6 * ready.size))
        W, H = factors
        if isinstance(self.H, Dirichlet):
            H /= H.sum(1, keepdims=True)
        H = np.where(ready.known.any(1, keepdims=True), ready.known, H)
        rates = [
            np.broadcast_to(np.ravel(prior.rate), self.model.rank) * unit**side.power
            for prior, unit, side in (
                (beliefs.prior_W, self.prepared.unit_W, self.W), (beliefs.prior_H, self.prepared.unit_H, self.H),
            )
        ]  # fmt: skip
        noise = jax.tree.map(ready.array, beliefs.likelihood.in_units(ready.unit, self.table.level))
        return Draw(
            ready.array(np.pad(W, ((0, ready.data.n_padded - n), (0, 0)))), ready.array(H),
            ready.array(beliefs.prior_W.shape), ready.array(beliefs.prior_H.shape), ready.array(rates[0]),
            ready.array(rates[1]), noise,
        )  # fmt: skip

    def _in_units(self, draws: Any, log_joint: np.ndarray) -> Kept:
        """Return the draws in the units of X; the log joint of X in its own unit, with all constants of X."""
        ready, n = self.prepared, self.table.shape[0]
        H = draws.H * self.prepared.unit_H
        rate = draws.rate_W / self.prepared.unit_W**self.W.power / H.sum(3) ** self.W.power
        others: dict[str, np.ndarray] = {"log_joint": log_joint + ready.constant, UNIT_RATE: rate}
        for side, prior, unit in (("W", self.W, self.prepared.unit_W), ("H", self.H, self.prepared.unit_H)):
            if f"shape_{side}" in self.target.learned:
                others[f"shape_{side}"] = getattr(draws, f"shape_{side}")
            owned = self.prepared.shrinkage is not None and side in self.prepared.shrinkage.sides
            if owned or f"rate_{side}" in self.target.learned:
                rate = getattr(draws, f"rate_{side}") / unit**prior.power
                others[f"rate_{side}"] = rate if owned else rate[..., 0]
        if draws.likelihood.learned:
            others |= draws.likelihood.in_units(1 / ready.unit, self.table.level).noise()
        return Kept(draws.W[:, :, :n] * self.prepared.unit_W, H, others)


@jax.jit
def sweeps(target: Target, draw: Draw, key: jax.Array, thin: Array) -> tuple[Draw, tuple[Draw, Array]]:
    """Return the state after a block of sweeps, and every so many of its draws with their log joint."""

    def one(draw: Draw, index: Array) -> tuple[Draw, tuple[Draw, Array]]:
        def sweep(i: Array, draw: Draw) -> Draw:
            return target.sweep(jax.random.fold_in(key, index * thin + i), draw)

        draw = jax.lax.fori_loop(0, thin, sweep, draw)
        return draw, (draw, target.log_joint(draw))

    return jax.lax.scan(one, draw, jnp.arange(BLOCK))


def _check_weights(table: Table) -> None:
    """Raise EngineError for weights that are not whole."""
    for name in ("weight", "row_weight", "col_weight"):
        given = getattr(table, name)
        values = None if given is None else given.data if table.is_sparse and name == "weight" else given
        if values is not None and np.any(values != np.round(values)):
            raise EngineError(
                "Gibbs takes whole weights only: an entry of weight 2 is two observations, and half an event has no "
                "component. Round the weights, or use engine=bn.CAVI()."
            )
