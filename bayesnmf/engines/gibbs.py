"""Engine Gibbs: exact draws, each block given all others."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import EngineError
from .._input import Table
from .._types import Array, Precision
from ..likelihoods import Likelihood
from ..model import Model
from ._chains import BLOCK
from ._events import positive_entries
from ._gibbs import Draw, Target
from ._prepare import check_sampler
from ._result import EngineResult
from ._sampler import Chains
from ._variational import Shared
from .cavi import CAVI


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
        engine = CAVI(starts=self.starts, precision=self.precision)
        start = engine.run(model, table, key, init)
        assert start.beliefs is not None
        with jax.enable_x64(self.precision == "float64"):
            return _Task(self, model, table).run(key, start)


class _Task(Chains):
    """One call of `Gibbs.run`."""

    def __init__(self, engine: Gibbs, model: Model, table: Table):
        super().__init__(engine, model, table)
        ready = self.prepared
        quadratic = ready.likelihood.background == "quadratic"
        W, H = jax.tree.map(ready.array, (self.W, self.H))
        self.target = Target(
            ready.data, ready.data.T if quadratic and ready.data.weight is not None else None,
            None if quadratic else positive_entries(table, ready.unit, ready.dtype), W, H, ready.array(ready.known),
            Shared.of(ready), self.size, self.learned, table.shape[0],
        )  # fmt: skip

    def first(self, draw: Draw, key: jax.Array) -> Draw:
        """Return the state of a chain that begins at a draw."""
        return draw

    def block(self, state: Draw, key: jax.Array, thin: int) -> tuple[Draw, tuple[Draw, dict[str, Array]]]:
        """Return the state after a block of sweeps, and the draws that are kept."""
        return sweeps(self.target, state, key, jnp.int32(thin))


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
