"""What samplers share: from a fit to dispersed first draws, through chains of blocks, to draws in the units of X."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from .._input import Table
from .._types import Array
from ..model import Model
from ..priors import Dirichlet
from ._chains import BLOCK, Kept, align, fingerprint, run_chains, thinning
from ._gibbs import Draw
from ._prepare import Prepared
from ._result import EngineResult, of_draws
from ._variational import Beliefs
from .cavi import learned_parameters

UNIT_RATE = "rate_W of unit rows"
"""Rate of W's prior for rows of H that sum to 1."""


class Sampler:
    """One call of a sampler's `run`: the model in the engine's units, and its draws back.

    Attributes
    ----------
    prepared : Prepared
        X and the model, in the engine's units.
    size : scalar
        An entry of W or H that makes the level of X: the unit of the hyper-priors.
    learned : tuple of str
        Which parameters of the priors are learned.
    """

    def __init__(self, engine: Any, model: Model, table: Table):
        _, self.W, self.H = model.parts
        self.engine, self.model, self.table = engine, model, table
        self.prepared = ready = Prepared(model, table, np.dtype(engine.precision), pad=1)
        self.size = ready.array(ready.size**2 * table.shape[1] if isinstance(self.H, Dirichlet) else ready.size)
        self.learned = learned_parameters(model)

    @property
    def settings(self) -> str:
        """What a run depends on, beside data, model and key."""
        engine = replace(self.engine, checkpoint=None, progress=False)
        return f"{engine!r} {jax.tree.structure(self.model)} jax {jax.__version__}"

    def result(self, draws: Draw, stats: dict[str, np.ndarray], start: EngineResult, steps: int) -> EngineResult:
        """Return draws (chains, draws, ...) in the units of X, aligned to the fit that they began at."""
        found = align(self.in_units(draws, stats), start.H[start.best], self.model.known_rows)
        rate_W = found.others.pop(UNIT_RATE).mean((0, 1))
        likelihood = self.prepared.learned_likelihood(jax.tree.map(lambda a: a.mean((0, 1)), draws.likelihood))
        return of_draws(found, start, self.model, likelihood, rate_W, steps)

    def dispersed(self, beliefs: Beliefs, key: jax.Array, least: float) -> Draw:
        """Return a draw round a fit, with twice its standard deviations."""
        ready, n = self.prepared, self.table.shape[0]
        random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        factors = []
        for q, unit in ((beliefs.W, ready.unit_W), (beliefs.H, ready.unit_H)):
            mean, variance = (np.asarray(a, float) for a in (q.mean, q.variance))
            shape = np.maximum(mean**2 / np.maximum(4 * variance, 1e-30), 1e-3)
            factors.append(np.maximum(random.gamma(shape) * mean / shape, least * mean.mean()) / unit)
        W, H = factors
        if isinstance(self.H, Dirichlet):
            H /= H.sum(1, keepdims=True)
        H = np.where(ready.known.any(1, keepdims=True), ready.known, H)
        rates = [
            np.broadcast_to(np.ravel(prior.rate), self.model.rank) * unit**side.power
            for prior, unit, side in (
                (beliefs.prior_W, ready.unit_W, self.W), (beliefs.prior_H, ready.unit_H, self.H),
            )
        ]  # fmt: skip
        noise = jax.tree.map(ready.array, beliefs.likelihood.in_units(ready.unit, self.table.level))
        return Draw(
            ready.array(np.pad(W, ((0, ready.data.n_padded - n), (0, 0)))), ready.array(H),
            ready.array(beliefs.prior_W.shape), ready.array(beliefs.prior_H.shape), ready.array(rates[0]),
            ready.array(rates[1]), noise,
        )  # fmt: skip

    def in_units(self, draws: Any, stats: dict[str, np.ndarray]) -> Kept:
        """Return the draws in the units of X; the log joint of X in its own unit, with all constants of X."""
        ready, n = self.prepared, self.table.shape[0]
        H = draws.H * ready.unit_H
        rate = draws.rate_W / ready.unit_W**self.W.power / H.sum(3) ** self.W.power
        others = stats | {"log_joint": stats["log_joint"] + ready.constant, UNIT_RATE: rate, "scale": H.sum(3)}
        for side, prior, unit in (("W", self.W, ready.unit_W), ("H", self.H, ready.unit_H)):
            if f"shape_{side}" in self.learned:
                others[f"shape_{side}"] = getattr(draws, f"shape_{side}")
            owned = ready.shrinkage is not None and side in ready.shrinkage.sides
            if owned or f"rate_{side}" in self.learned:
                rate = getattr(draws, f"rate_{side}") / unit**prior.power
                others[f"rate_{side}"] = rate if owned else rate[..., 0]
        W = draws.W[:, :, :n] * ready.unit_W
        if draws.on is not None:
            others |= {"inclusion": draws.on, "components": draws.on.sum(2)}
            W *= draws.on[:, :, None]
        if draws.likelihood.learned:
            others |= draws.likelihood.in_units(1 / ready.unit, self.table.level).noise()
        return Kept(W, H, others)


class Chains(Sampler):
    """One call of the `run` of an engine that walks in chains."""

    @abstractmethod
    def first(self, draw: Draw, key: jax.Array) -> Any:
        """Return the state of a chain that begins at a draw."""

    @abstractmethod
    def block(self, state: Any, key: jax.Array, thin: int) -> tuple[Any, tuple[Draw, dict[str, Array]]]:
        """Return the state after a block of steps, and the draws that are kept, with their log joint."""

    def run(self, key: jax.Array, start: EngineResult, least: float = 1e-6) -> EngineResult:
        """Run all chains from a fit; entries begin above `least` of the level."""
        engine, (n, m), k = self.engine, self.table.shape, self.model.rank
        assert start.beliefs is not None
        keys = [jax.random.fold_in(key, chain) for chain in range(engine.chains)]
        states = [self.first(self.dispersed(start.beliefs, own, least), own) for own in keys]
        thin = thinning(engine.chains, engine.draws, n, m, k)
        mark = fingerprint(self.settings, self.table, self.model, jax.random.key_data(key), states)
        warmup, blocks = -(-engine.warmup // BLOCK), -(-engine.draws // (BLOCK * thin))

        def block(state: Any, chain: int, index: int) -> tuple[Any, Any]:
            of_block = jax.random.fold_in(jax.random.fold_in(key, engine.chains + chain), index)
            return self.block(state, of_block, 1 if index < warmup else thin)

        kept = [kept for _, kept in run_chains(block, states, warmup, blocks, engine, mark)]
        draws, stats = jax.tree.map(lambda *parts: np.stack(parts).astype(float), *kept)
        return self.result(draws, stats, start, BLOCK * (warmup + blocks * thin))
