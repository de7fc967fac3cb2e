"""Engine SVI: a posterior by stochastic gradients, for any model with a density."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import EngineError, check_count
from .._input import Table
from .._runs import arithmetic
from .._types import Array, Precision
from ..likelihoods import Likelihood
from ..model import Model
from ._chains import BLOCK, fingerprint, run_chains, thinning
from ._prepare import check_sampler
from ._result import EngineInfo, EngineResult
from ._sampler import Sampler
from ._walk import LEAST, Options, Values, check_density, draw_of, first_fit, joint_of, values_of

if TYPE_CHECKING:
    from ..program import Joint

WINDOW = 10
"""Blocks of steps whose mean ELBO is compared with that of as many before."""

COOLING = 1000
"""Last steps, in which the rate falls to a hundredth."""

MOST_BLOCK = 2**24
"""Numbers that the Cholesky factors of rows of H may have."""


@dataclass(frozen=True)
class SVI:
    """A posterior by stochastic gradients of the ELBO (Hoffman et al. 2013), as NumPyro has it.

    For models that `CAVI` has no updates for, programs of your own, and rows too many for one pass (`batch`). Where
    `CAVI` fits it is faster and its intervals, by linear response, are better: those of SVI are the guide's, which are
    too narrow in what it takes for independent. The guide is normal in the logarithms of W and H, H with unit row sums
    (hyper-parameters and noise in coordinates of their own).

    Parameters
    ----------
    guide : {"mean_field", "component"}
        Independent coordinates; or rows of H that are each jointly normal, for up to some hundreds of features.
    batch : int, optional
        Rows of X in each step, drawn anew. Left out: all of them.
    max_steps : int
        Most steps.
    tol : float
        Converged when the ELBO, smoothed over 500 steps, rises by less than this share of itself; some 1000 smaller
        steps follow.
    rate : float or callable
        Step size of Adam; or a schedule (step to size), such as optax has them.
    draws : int
        Draws from the guide that are kept as the posterior.
    starts : int
        Random starts of the fit by `CAVI` that it begins at (of the mode, where CAVI has none).
    precision : {"float32", "float64"}
        Arithmetic, whatever the dtype of X.
    checkpoint : str, optional
        Folder that the state is written to. A run that was stopped goes on from there, to the same result.
    progress : bool
        Show on stderr how far each chain is.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> X = np.random.default_rng(0).poisson(3.0, (20, 10))
    >>> fit = bn.fit(X, rank=2, engine=bn.SVI(max_steps=200))
    >>> fit.draws(100)["W"].shape
    (100, 20, 2)
    """

    guide: Literal["mean_field", "component"] = "mean_field"
    batch: int | None = None
    max_steps: int = 10_000
    tol: float = 1e-5
    rate: float | Callable[[Any], Any] = 0.02
    draws: int = 500
    starts: int = 5
    precision: Precision = "float32"
    checkpoint: str | None = None
    progress: bool = False

    chains = 1
    warmup = 0

    def check(self, likelihood: Likelihood) -> None:
        """Raise EngineError for options that are out of range, and for what is no likelihood."""
        check_sampler(self)
        check_count("max_steps", self.max_steps, 1)
        if self.batch is not None:
            check_count("batch", self.batch, 1)
        if self.guide not in ("mean_field", "component"):
            raise EngineError(f'Expected guide to be "mean_field" or "component"; got {self.guide!r}.')
        if not callable(self.rate) and not self.rate > 0:
            raise EngineError(f"Expected rate to be a positive number or a schedule; got {self.rate!r}.")
        if not self.tol >= 0:
            raise EngineError(f"Expected tol to be at least 0; got {self.tol!r}.")
        check_density(likelihood, "SVI")

    def run(
        self, model: Model, table: Table, key: jax.Array, init: tuple[np.ndarray, np.ndarray] | None = None
    ) -> EngineResult:
        """Fit a resolved model."""
        self.check(model.parts[0])
        self._check_size(model.rank, table.shape[1])
        start = first_fit(model, table, key, init, self.starts, self.precision)
        with arithmetic(self.precision):
            return _Task(self, model, table).run(key, start)

    def run_program(
        self, joint: Joint, first: Callable[[jax.Array], Values], key: jax.Array, mark: str
    ) -> tuple[Values, Values, EngineInfo]:
        """Return draws of every site of a program (1, draws, ...), their log joint, and how it went."""
        from ..program import start_params

        (n, m), k = joint.X.shape, joint.rank
        self._check_size(k, m)
        if self.batch is not None:
            raise EngineError("A program of your own may join its rows, so that they cannot be drawn: leave out batch.")
        loc = joint.coordinates(first(key))
        spread = {name: jnp.full_like(value, SPREAD) for name, value in loc.items()}
        block = "H" if "H" in loc and loc["H"].ndim == 2 else ""
        params = start_params(self.guide, loc, spread, block)
        fitted, info = self.climbed(joint, params, key, mark, 0.0)
        count = -(-self.draws // thinning(1, self.draws, n, m, k))
        values, log_joint, gain = drawn(joint, fitted, jax.random.fold_in(key, 1), size=count)
        values = {name: np.asarray(value, float)[None] for name, value in values.items()}
        return values, {"log_joint": np.asarray(log_joint, float)[None]}, _with_elbo(info, gain, 0.0)

    def _check_size(self, rank: int, m: int) -> None:
        if self.guide == "component" and rank * m**2 > MOST_BLOCK:
            raise EngineError(
                f'The guide of {rank} components x {m} features has too many parameters: use guide="mean_field", or '
                "engine=bn.CAVI(), whose linear response knows how rows of H move."
            )

    def climbed(
        self, joint: Joint, params: Values, key: jax.Array, mark: str, constant: float
    ) -> tuple[Values, EngineInfo]:
        """Return the parameters of the guide at their optimum, and how they came there."""
        batch = None if self.batch is None or self.batch >= len(joint.X) else self.batch
        options = ("batch", batch), ("rate", self.rate)
        first = begin(joint, params, jax.random.key_data(key), options=options)
        last, dtype = np.int32(max(self.max_steps - COOLING, 0)), joint.X.dtype
        tol = jnp.asarray(self.tol, dtype), jnp.asarray(constant, dtype)

        def block(way: Any, chain: int, index: int) -> tuple[Any, Any]:
            return climb(joint, params, way, jnp.int32(index), tol, options=options)

        def ended(kept: list[Any]) -> bool:
            elbos, cool = kept[-1]
            return bool(BLOCK * len(kept) >= cool[-1] + COOLING or not np.all(np.isfinite(elbos)))

        way, blocks = Way(first, np.full(2 * WINDOW, np.nan, dtype), last), -(-self.max_steps // BLOCK)
        ((way, (elbos, cool)),) = run_chains(block, [way], 0, blocks, self, mark, ended)
        status = "converged" if cool[-1] < last else "max_steps"
        status = status if np.all(np.isfinite(elbos)) else "nonfinite"
        smoothed = elbos.astype(float).reshape(-1, BLOCK).mean(1) + constant
        info = EngineInfo(-smoothed[-1:], np.zeros(1), np.array([elbos.size]), (status,), -smoothed)
        return params_of(joint, params, way.inference, options=options), info


SPREAD = 0.1
"""First standard deviation of a coordinate of which nothing is known."""


def _with_elbo(info: EngineInfo, gain: Array, constant: float) -> EngineInfo:
    """Return it with the ELBO of draws and its Monte Carlo error."""
    gains = np.asarray(gain, float)
    objective, error = -(gains.mean() + constant), gains.std() / np.sqrt(gains.size)
    return info._replace(objective=np.array([objective]), residual=np.array([error]))


class _Task(Sampler):
    """One call of `SVI.run`."""

    def run(self, key: jax.Array, start: EngineResult) -> EngineResult:
        """Fit the guide from a fit, and draw from it."""
        engine, (n, m), k = self.engine, self.table.shape, self.model.rank
        self.joint = joint_of(self.prepared, self.size, self.learned)
        params = self.first_params(start, key)
        mark = fingerprint(self.settings, self.table, self.model, jax.random.key_data(key), params)
        fitted, info = engine.climbed(self.joint, params, key, mark, self.prepared.constant)
        count = -(-engine.draws // thinning(1, engine.draws, n, m, k))
        values, log_joint, gain = drawn(self.joint, fitted, jax.random.fold_in(key, 1), size=count)
        draws = jax.vmap(lambda v: draw_of(v, self.joint, self.prepared.data.n_padded))(values)
        draws, stats = jax.tree.map(lambda a: np.asarray(a, float)[None], (draws, {"log_joint": log_joint}))
        result = self.result(draws, stats, start, 0)
        return result._replace(info=_with_elbo(info, gain, self.prepared.constant))

    def first_params(self, start: EngineResult, key: jax.Array) -> Values:
        """Return the guide that is nearest to a fit: of the same means, and standard deviations of logarithms."""
        from scipy.special import polygamma

        from ..program import start_params

        assert start.beliefs is not None
        draw = self.dispersed(start.beliefs, key, LEAST)
        sides, spreads = [], []
        for q, unit in ((start.beliefs.W, self.prepared.unit_W), (start.beliefs.H, self.prepared.unit_H)):
            mean, variance = (np.asarray(a, float) for a in (q.mean, q.variance))
            shape = np.clip(mean**2 / np.maximum(variance, 1e-30), 0.1, None)
            sides.append(np.maximum(mean / unit, 1e-6 * mean.mean() / unit))
            spreads.append(np.minimum(np.sqrt(polygamma(1, shape)), 2.0))
        W, H = (self.prepared.array(a) for a in sides)
        known: np.ndarray = np.any(self.prepared.known, 1)
        H = jnp.where(known[:, None], draw.H, H)
        values = values_of(draw._replace(W=W, H=H), self.joint)
        loc = self.joint.coordinates(values)
        spread = {name: jnp.full_like(value, SPREAD) for name, value in loc.items()}
        free = "H" if "H" in loc else "new_H"
        spread["W"] = self.prepared.array(spreads[0])
        if free in loc:
            spread[free] = self.prepared.array(spreads[1][known.sum() :])
        return start_params(self.engine.guide, loc, spread, free)


class Way(NamedTuple):
    """What the next block needs: NumPyro's state, mean ELBOs of the last blocks, and the step at which it cools."""

    inference: Any
    means: Array | np.ndarray
    cool: Array | np.int32


def inference(options: Options, cool: Array | int = 0) -> Any:
    """Return NumPyro's SVI of a guide to a joint density, whose rate falls from step `cool` on."""
    from numpyro.infer import SVI as Inference
    from numpyro.infer import Trace_ELBO
    from numpyro.optim import Adam

    from ..program import guide, target

    rate = dict(options)["rate"]

    def cooled(step: Any) -> Any:
        share = jnp.clip((step - cool) / COOLING, 0.0, 1.0)
        return rate * 0.01**share

    return Inference(target, guide, Adam(rate if callable(rate) else cooled), Trace_ELBO())


def rows_of(joint: Joint, key: Array, options: Options) -> Array | None:
    """Return the rows of a step, or None for all."""
    batch = dict(options)["batch"]
    return None if batch is None else jax.random.choice(key, len(joint.X), (batch,), replace=False)


@partial(jax.jit, static_argnames="options")
def begin(joint: Joint, params: Values, key: Array, *, options: Options) -> Any:
    """Return the state before the first step, with the types that a step returns, or the second block compiles anew."""
    state = inference(options).init(key, joint, params, rows_of(joint, key, options))
    return jax.tree.map(lambda a: jax.lax.convert_element_type(a, a.dtype), state)


@partial(jax.jit, static_argnames="options")
def climb(
    joint: Joint, params: Values, way: Way, index: Array, tol: tuple[Array, Array], *, options: Options
) -> tuple[Way, tuple[Array, Array]]:
    """Return the state after a block of steps; the ELBO of each, and the step from which the rate falls.

    That is where the mean ELBO of the last blocks is not above that of as many before by a share of itself.
    """
    svi = inference(options, jnp.asarray(way.cool))
    key = way.inference.rng_key
    svi.init(key, joint, params, rows_of(joint, key, options))

    def step(state: Any, _: None) -> tuple[Any, Array]:
        rows = rows_of(joint, jax.random.fold_in(state.rng_key, 1), options)
        state, loss = svi.stable_update(state, joint, params, rows)
        return state, -loss

    state, elbos = jax.lax.scan(step, way.inference, None, length=BLOCK)
    means = jnp.append(way.means[1:], jnp.mean(elbos))
    rise = jnp.mean(means[WINDOW:]) - jnp.mean(means[:WINDOW])
    flat = rise < tol[0] * jnp.abs(jnp.mean(means[WINDOW:]) + tol[1])  # not so while there are too few: NaN
    now = BLOCK * (index + 1)
    cool = jnp.where(flat & (tol[0] > 0), jnp.minimum(way.cool, now), way.cool).astype(jnp.int32)
    return Way(state, means, cool), (elbos, jnp.full(BLOCK, cool))


@partial(jax.jit, static_argnames="options")
def params_of(joint: Joint, params: Values, state: Any, *, options: Options) -> Values:
    """Return the parameters of the guide."""
    svi = inference(options)
    svi.init(state.rng_key, joint, params, rows_of(joint, state.rng_key, options))
    return svi.get_params(state)


@partial(jax.jit, static_argnames="size")
def drawn(joint: Joint, params: Values, key: Array, *, size: int) -> tuple[Values, Array, Array]:
    """Return draws from the guide as values, their log joint, and that less the log density of the guide."""
    from ..program import draw

    def one(index: Array) -> tuple[Values, Array, Array]:
        z, log_q = draw(params, jax.random.fold_in(key, index))
        density, values = joint.density(z)
        return values, density, density - log_q

    return jax.lax.map(one, jnp.arange(size))
