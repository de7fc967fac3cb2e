"""Engine NUTS: draws by Hamiltonian dynamics, for any model with a density."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import EngineError
from .._input import Table
from .._runs import arithmetic
from .._types import Array, Precision
from ..likelihoods import Likelihood
from ..model import Model
from ._chains import BLOCK, run_chains, thinning
from ._gibbs import Draw
from ._prepare import check_sampler
from ._result import EngineInfo, EngineResult, best_of
from ._sampler import Chains
from ._walk import LEAST, Options, Values, check_density, draw_of, first_fit, joint_of, values_of

if TYPE_CHECKING:
    from ..program import Joint

FIRST_STEP = 0.05
"""Step from which the adaptation begins."""


@dataclass(frozen=True)
class NUTS:
    """Draws from the posterior by the No-U-Turn sampler (Hoffman and Gelman 2014), as NumPyro has it.

    For every model with a density, those that `Gibbs` has no conditionals for among them, and for programs of your own.
    W and H move together, so that a draw is worth many of Gibbs' sweeps; each takes some tens to a thousand gradients
    of the log density over all of X, which is held dense. Not for large X, nor for priors with a shape far below 1,
    whose logarithms reach far down.

    The scale of each component in W against H is a coordinate of its own, known by the priors alone. Hyper-priors are
    those of `Gibbs`.

    Parameters
    ----------
    chains : int
        Independent chains, each from a dispersed draw round one fit by `CAVI` (of the mode, where CAVI has none).
    warmup, draws : int
        Steps of each chain that adapt it and are not kept, and that are kept (up to whole blocks of 50).
    starts : int
        Random starts of that fit.
    target : float
        Acceptance that the step is adapted to. Raise it where there are divergent steps.
    depth : int
        Most doublings of a trajectory.
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
    >>> fit = bn.fit(X, rank=2, engine=bn.NUTS(chains=2, warmup=50, draws=50))
    >>> fit.draws(100)["W"].shape
    (100, 20, 2)
    """

    chains: int = 4
    warmup: int = 300
    draws: int = 500
    starts: int = 5
    target: float = 0.7
    depth: int = 10
    precision: Precision = "float32"
    checkpoint: str | None = None
    progress: bool = False

    def check(self, likelihood: Likelihood) -> None:
        """Raise EngineError for options that are out of range, and for what is no likelihood."""
        check_sampler(self)
        if not 0 < self.target < 1:
            raise EngineError(f"Expected target to be between 0 and 1; got {self.target!r}.")
        check_density(likelihood, "NUTS")

    def run(
        self, model: Model, table: Table, key: jax.Array, init: tuple[np.ndarray, np.ndarray] | None = None
    ) -> EngineResult:
        """Fit a resolved model."""
        self.check(model.parts[0])
        start = first_fit(model, table, key, init, self.starts, self.precision)
        with arithmetic(self.precision):
            return _Task(self, model, table).run(key, start, least=LEAST)

    def run_program(
        self, joint: Joint, first: Callable[[jax.Array], Values], key: jax.Array, mark: str
    ) -> tuple[Values, Values, EngineInfo]:
        """Return draws of every site of a program (chains, draws, ...), what the steps were, and how it went."""
        states = [
            begin(joint, joint.coordinates(first(own)), jax.random.key_data(own), options=self.options)
            for own in jax.random.split(key, self.chains)
        ]
        thin = thinning(self.chains, self.draws, joint.X.shape[0], joint.X.shape[1], joint.rank)
        warmup, blocks = -(-self.warmup // BLOCK), -(-self.draws // (BLOCK * thin))

        def block(state: Any, chain: int, index: int) -> tuple[Any, Any]:
            return walk(joint, state, jnp.int32(1 if index < warmup else thin), options=self.options)

        kept = [kept for _, kept in run_chains(block, states, warmup, blocks, self, mark)]
        values, stats = jax.tree.map(lambda *parts: np.stack(parts).astype(float), *kept)
        log_joint = stats["log_joint"]
        info = EngineInfo(
            -log_joint.mean(1), np.zeros(self.chains), np.full(self.chains, BLOCK * (warmup + blocks * thin)),
            ("sampled",) * self.chains, -log_joint[best_of(-log_joint.mean(1))],
        )  # fmt: skip
        return values, stats, info

    @property
    def options(self) -> Options:
        """What its compiled programs depend on."""
        return ("warmup", -(-self.warmup // BLOCK) * BLOCK), ("target", self.target), ("depth", self.depth)


class _Task(Chains):
    """One call of `NUTS.run`."""

    def __init__(self, engine: NUTS, model: Model, table: Table):
        super().__init__(engine, model, table)
        self.joint, self.options = joint_of(self.prepared, self.size, self.learned), engine.options

    def first(self, draw: Draw, key: jax.Array) -> Any:
        """Return the state of a chain that begins at a draw."""
        z = self.joint.coordinates(values_of(draw, self.joint))
        return begin(self.joint, z, jax.random.key_data(key), options=self.options)

    def block(self, state: Any, key: jax.Array, thin: int) -> tuple[Any, tuple[Draw, dict[str, Array]]]:
        """Return the state after a block of steps, and the draws that are kept. Its key is in the state."""
        state, (values, stats) = walk(self.joint, state, jnp.int32(thin), options=self.options)
        return state, (jax.vmap(lambda v: draw_of(v, self.joint, self.prepared.data.n_padded))(values), stats)


def kernel(joint: Joint, z: Any, key: Array, options: Options) -> tuple[Any, Any]:
    """Return NumPyro's state at z, and its step; the step reads what the first call has left."""
    from numpyro.infer.hmc import hmc

    given = dict(options)
    init, step = hmc(lambda z: -joint.density(z)[0], algo="NUTS")
    state = init(
        z, given["warmup"], FIRST_STEP, target_accept_prob=given["target"], max_tree_depth=given["depth"], rng_key=key
    )
    return state, step


@partial(jax.jit, static_argnames="options")
def begin(joint: Joint, z: Any, key: Array, *, options: Options) -> Any:
    """Return the state of a chain at its first point."""
    return kernel(joint, z, key, options)[0]


@partial(jax.jit, static_argnames="options")
def walk(joint: Joint, state: Any, thin: Array, *, options: Options) -> tuple[Any, Any]:
    """Return the state after a block of steps, and every so many of its points, as values with what the steps were."""
    _, step = kernel(joint, state.z, state.rng_key, options)

    def one(state: Any, _: None) -> tuple[Any, Any]:
        def further(_: Array, carry: tuple[Any, Array, Array]) -> tuple[Any, Array, Array]:
            state, gradients, diverging = carry
            state = step(state)
            return state, gradients + state.num_steps, diverging | state.diverging

        state, gradients, diverging = jax.lax.fori_loop(
            0, thin, further, (state, 0 * state.num_steps, jnp.array(False))
        )
        density, values = joint.density(state.z)
        stats = {
            "log_joint": density, "gradients": gradients, "acceptance": state.accept_prob, "diverging": diverging,
            "step": state.adapt_state.step_size,
        }  # fmt: skip
        return state, (values, stats)

    return jax.lax.scan(one, state, None, length=BLOCK)
