"""Engine MAP: the posterior mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import EngineError
from .._input import Table
from .._runs import arithmetic
from .._types import Precision
from ..likelihoods import Likelihood
from ..model import Model
from ..penalty import Penalty, Rates
from ._loop import STATUS, Tolerance
from ._prepare import PAD, Prepared, check_options
from ._problem import Problem, State
from ._result import EngineInfo, EngineResult, best_of
from ._starts import Outcome, draw_starts, run_starts


@dataclass(frozen=True)
class MAP:
    """The mode of the posterior, from several random starts. With flat priors it is plain NMF.

    For a first look, for large data, and where the numbers of other NMF software are wanted. It is one point: it has no
    uncertainty.

    Parameters
    ----------
    method : {"auto", "mu", "hals"}
        Multiplicative updates (any likelihood), or HALS (Gaussian). "auto" takes HALS where it can.
    starts : int
        Random starts; the one with the least objective is returned, all of them are compared in ``fit.agreement``.
    max_steps : int
        Most steps of one start. A step updates W, then H.
    tol : float
        Converged when the objective falls by less than this share of itself between two checks ...
    residual_tol : float
        ... and the residual of the Karush-Kuhn-Tucker conditions is below this. Both at 0: run `max_steps`.
    check_every : int
        Steps between checks. ``fit.trace`` has one value for each.
    precision : {"float32", "float64"}
        Arithmetic, whatever the dtype of X.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> X = np.random.default_rng(0).poisson(3.0, (20, 10))
    >>> bn.fit(X, rank=2, engine=bn.MAP(starts=2)).W.shape
    (20, 2)
    """

    method: Literal["auto", "mu", "hals"] = "auto"
    starts: int = 10
    max_steps: int = 5000
    tol: float = 1e-6
    residual_tol: float = 1e-2
    check_every: int = 10
    precision: Precision = "float32"

    def check(self, likelihood: Likelihood) -> None:
        """Raise EngineError for options that are out of range or do not go with the likelihood."""
        if self.method not in ("auto", "mu", "hals"):
            raise EngineError(f'Expected method to be "auto", "mu" or "hals"; got {self.method!r}.')
        if self.method == "hals" and likelihood.background != "quadratic":
            raise EngineError(
                f'HALS fits Gaussian noise only, not {type(likelihood).__name__}: use method="mu" or "auto".'
            )
        check_options(self)

    def run(
        self,
        model: Model,
        table: Table,
        key: jax.Array,
        init: tuple[np.ndarray, np.ndarray] | None,
        fixed: tuple[np.ndarray, np.ndarray] | None = None,
        pad: int = PAD,
    ) -> EngineResult:
        """Fit a resolved model, components padded to a multiple of `pad`.

        `fixed` = (H, rates of W's prior) keeps H: projection.
        """
        self.check(model.parts[0])
        with arithmetic(self.precision):
            task = _Task(self, model, table, fixed, pad)
            return task.result(task.run(key, init))


class _Task:
    """One call of `MAP.run`: the problem in the engine's units and padding, and back."""

    def __init__(
        self, engine: MAP, model: Model, table: Table, fixed: tuple[np.ndarray, np.ndarray] | None, pad: int = PAD
    ):
        _, self.W, self.H = model.parts
        self.engine, self.model, self.table, self.fixed = engine, model, table, fixed
        self.prepared = Prepared(model, table, np.dtype(engine.precision), pad)
        if fixed is not None:
            self.prepared.known[: model.rank] = fixed[0] / self.prepared.side_unit
        self.method = engine.method
        if self.method == "auto":
            self.method = "hals" if self.prepared.likelihood.background == "quadratic" else "mu"
        self.problem = self._problem()

    def run(self, key: jax.Array, init: tuple[np.ndarray, np.ndarray] | None) -> Outcome:
        """Run all starts."""
        ready = self.prepared
        n, m = self.table.shape
        if init is None:
            W, H = (a * ready.size for a in draw_starts(key, self.engine.starts, n, m, ready.k))
        else:
            W, H = (np.asarray(a, float).reshape(-1, *a.shape[-2:]) / ready.side_unit for a in init)
        W, H = ready.pad(W, H)
        floor = float(self.problem.floor)
        first = State(
            ready.array(np.where(ready.active, np.maximum(W, floor), 0)),
            ready.array(np.where(ready.active[:, None], np.maximum(H, floor), 0)),
            ready.likelihood,
        )
        scale = 1e-3 * n * m
        tolerance = Tolerance(*(ready.array(t) for t in (self.engine.tol, self.engine.residual_tol, scale)))
        return run_starts(
            self.problem, first, tolerance,
            method=self.method, max_steps=self.engine.max_steps, every=self.engine.check_every,
        )  # fmt: skip

    def result(self, outcome: Outcome) -> EngineResult:
        """Return the outcome in the units of X, without padding."""
        ready = self.prepared
        n, rank = self.table.shape[0], self.model.rank
        state, course, relevance = outcome

        def host(a: jax.Array) -> np.ndarray:
            return np.asarray(a).astype(float)

        floor = 2 * float(self.problem.floor)
        W, H = host(state.W)[:, :n, :rank], host(state.H)[:, :rank]
        W, H = (np.where(a <= floor, 0, a) * ready.side_unit for a in (W, H))
        objective = host(course.objective)
        best = best_of(objective)
        likelihood = ready.learned_likelihood(jax.tree.map(lambda a: a[best], state.likelihood))
        rates = host(self.problem.penalty.at(state.W[best], state.H[best]).W)
        trace = host(course.trace)[best]
        status = tuple(STATUS[int(code)] for code in course.code)
        info = EngineInfo(objective, host(course.residual), np.asarray(course.steps), status, trace[np.isfinite(trace)])
        return EngineResult(
            W, H, host(relevance)[:, :rank], best, likelihood, ready.shrinkage, (self.W, self.H),
            rates[0, :rank] / ready.side_unit**self.W.power, info,
        )  # fmt: skip

    def _problem(self) -> Problem:
        ready, rank = self.prepared, self.model.rank
        known = ready.known.any(1)
        rate_W, rate_H = (self._rate(prior) for prior in (self.W, self.H))
        if self.fixed is not None:
            rate_W[:rank] = self.fixed[1] * ready.side_unit**self.W.power
        W, H, shrinkage = jax.tree.map(ready.array, (self.W, self.H, ready.shared))
        penalty = Penalty(
            W, H, shrinkage, Rates(ready.array(rate_W[None]), ready.array(rate_H[:, None])),
            jnp.asarray(ready.active), jnp.asarray(known), self.table.shape[0],
        )  # fmt: skip
        data = ready.data
        transposed = data.T if self.method == "hals" and data.weight is not None and self.fixed is None else None
        return Problem(data, transposed, penalty, ready.array(1e-20 * ready.size), self.fixed is None)

    def _rate(self, prior: Any) -> np.ndarray:
        ready = self.prepared
        level = ready.size if prior.mean is None else prior.mean / ready.side_unit
        return np.full(ready.k, float(prior.rate(np.float64(level))))
