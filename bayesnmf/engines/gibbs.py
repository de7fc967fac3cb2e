"""Engine Gibbs: exact draws, each block given all others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import EngineError
from .._input import Table
from .._random import generator
from .._runs import arithmetic
from .._types import Array, Precision
from ..likelihoods import Likelihood
from ..model import Model
from ..priors import ARD, Exponential, Inclusion
from ._chains import BLOCK
from ._events import positive_entries
from ._families import Dirichlets
from ._gibbs import Draw, Target
from ._inclusion import Pseudo, with_spares
from ._prepare import check_sampler
from ._result import EngineResult
from ._sampler import Chains
from ._variational import Beliefs, Shared
from .cavi import CAVI
from .map import MAP


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
    progress : bool
        Show on stderr how far each chain is.

    Examples
    --------
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
    progress: bool = False

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
        if isinstance(model.shrinkage, Inclusion):
            return self._with_inclusion(model, model.shrinkage, table, key, init)
        start = self._start.run(model, table, key, init)
        with arithmetic(self.precision):
            return _Task(self, model, table).run(key, start)

    @property
    def _start(self) -> CAVI:
        return CAVI(starts=self.starts, precision=self.precision)

    def _with_inclusion(
        self, model: Model, given: Inclusion, table: Table, key: jax.Array,
        init: tuple[np.ndarray, np.ndarray] | None,
    ) -> EngineResult:  # fmt: skip
        """Fit a model whose components come and go; `init` may hold fewer than the model has."""
        model = replace(model, shrinkage=None)
        W, H = self._mode(model, table, key) if init is None else init
        start = self._start.run(model, table, key, with_spares(W, H, model.rank, generator(key, 1)))
        assert start.beliefs is not None
        with arithmetic(self.precision):
            found = _Task(self, model, table, given.steps, start.beliefs, len(H)).run(key, start)
        assert found.draws is not None
        relevance = np.broadcast_to(found.draws.others["inclusion"].mean((0, 1)), found.relevance.shape)
        return found._replace(relevance=relevance, shrinkage=given)

    def _mode(self, model: Model, table: Table, key: jax.Array) -> tuple[np.ndarray, np.ndarray]:
        """Return the components that `ARD` keeps."""
        ard = replace(model, W=Exponential(), H=Exponential(), shrinkage=ARD())
        found = MAP(starts=self.starts, precision=self.precision).run(ard, table, key, None)
        W, H, relevance = (a[found.best] for a in (found.W, found.H, found.relevance))
        kept = relevance > ARD().threshold
        kept[: model.known_rows] = True
        return W[:, kept], H[kept]


class _Task(Chains):
    """One call of `Gibbs.run`."""

    def __init__(
        self, engine: Gibbs, model: Model, table: Table, steps: int = 0, spare: Beliefs | None = None, there: int = 0
    ):
        super().__init__(engine, model, table)
        ready, self.there = self.prepared, there
        quadratic = ready.likelihood.background == "quadratic"
        W, H = jax.tree.map(ready.array, (self.W, self.H))
        self.target = Target(
            ready.data, ready.data.T if quadratic and ready.data.weight is not None else None,
            None if quadratic else positive_entries(table, ready.unit, ready.dtype), W, H, ready.array(ready.known),
            Shared.of(ready), self.size, None if spare is None else self._pseudo(spare), self.learned, table.shape[0],
            steps,
        )  # fmt: skip

    def first(self, draw: Draw, key: jax.Array) -> Draw:
        """Return the state of a chain that begins at a draw: of the spare components some are there, at random."""
        if self.target.pseudo is None:
            return draw
        some = jax.random.bernoulli(jax.random.fold_in(key, 1), shape=(self.model.rank,))
        return draw._replace(on=self.prepared.array(some | (np.arange(self.model.rank) < self.there)))

    def block(self, state: Draw, key: jax.Array, thin: int) -> tuple[Draw, tuple[Draw, dict[str, Array]]]:
        """Return the state after a block of sweeps, and the draws that are kept."""
        return sweeps(self.target, state, key, jnp.int32(thin))

    def _pseudo(self, beliefs: Beliefs) -> Pseudo:
        """Return what components that are not there are drawn from: Gammas with the moments of a fit."""
        ready = self.prepared
        parts: list[Any] = []
        for q, unit, more in (
            (beliefs.W, ready.unit_W, ready.data.n_padded - self.table.shape[0]), (beliefs.H, ready.unit_H, 0),
        ):  # fmt: skip
            if isinstance(q, Dirichlets):
                parts += [ready.array(q.shape), None]
                continue
            mean, variance = np.asarray(q.mean, float) / unit, np.asarray(q.variance, float) / unit**2
            shape, rate = (np.maximum(a, 1e-30) for a in (mean**2 / variance, mean / variance))
            parts += [ready.array(np.pad(a, ((0, more), (0, 0)), constant_values=1.0)) for a in (shape, rate)]
        mass = np.asarray(beliefs.W.mean).sum(0) * np.asarray(beliefs.H.mean).sum(1)
        parts.append(ready.array((mass.max() / mass) ** 0.5))  # small ones are tried more often
        return Pseudo(*parts)


@jax.jit
def sweeps(target: Target, draw: Draw, key: jax.Array, thin: Array) -> tuple[Draw, tuple[Draw, dict[str, Array]]]:
    """Return the state after a block of sweeps, and every so many of its draws with their log joint."""

    def one(draw: Draw, index: Array) -> tuple[Draw, tuple[Draw, dict[str, Array]]]:
        def sweep(i: Array, draw: Draw) -> Draw:
            return target.sweep(jax.random.fold_in(key, index * thin + i), draw)

        draw = jax.lax.fori_loop(0, thin, sweep, draw)
        return draw, (draw, {"log_joint": target.log_joint(draw)})

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
