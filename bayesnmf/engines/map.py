"""Engine MAP: the posterior mode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import DataError, EngineError
from .._input import Table
from .._types import Precision
from ..data import Data, Entries
from ..likelihoods import Likelihood
from ..model import Model
from ..penalty import Penalty, Rates
from ..priors import ARD
from ._loop import STATUS, Tolerance
from ._problem import Problem, State
from ._starts import Outcome, draw_starts, run_starts

PAD = 8
"""Components are padded to a multiple of this, so that neighbouring ranks share a compiled program."""


class ModeInfo(NamedTuple):
    """How each start ended, (starts,) each, and the course of the best: what `Fit` reports."""

    objective: np.ndarray
    residual: np.ndarray
    steps: np.ndarray
    status: tuple[str, ...]
    trace: np.ndarray


class ModeResult(NamedTuple):
    """Factors and relevance of every start in the units of X; noise, shrinkage and rates of W's prior of the best."""

    W: np.ndarray
    H: np.ndarray
    relevance: np.ndarray
    best: int
    likelihood: Likelihood
    shrinkage: ARD | None
    rate_W: np.ndarray
    info: ModeInfo


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
        if self.precision not in ("float32", "float64"):
            raise EngineError(f'Expected precision to be "float32" or "float64"; got {self.precision!r}.')
        for name in ("starts", "max_steps", "check_every"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise EngineError(f"Expected {name} to be a whole number of at least 1; got {value!r}.")
        for name in ("tol", "residual_tol"):
            if not getattr(self, name) >= 0:
                raise EngineError(f"Expected {name} to be at least 0; got {getattr(self, name)!r}.")

    def run(
        self,
        model: Model,
        table: Table,
        key: jax.Array,
        init: tuple[np.ndarray, np.ndarray] | None,
        fixed: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> ModeResult:
        """Fit a resolved model. `fixed` = (H, rates of W's prior) keeps H: projection."""
        self.check(model.parts[0])
        with jax.enable_x64(self.precision == "float64"):
            task = _Task(self, model, table, fixed)
            return task.result(task.run(key, init))


class _Task:
    """One call of `MAP.run`: X and the model in the engine's units and padding, and back.

    X is divided by a power of 4 near its level where the likelihood allows it, and W and H by the root of that, so
    that no
    unit of X overflows and none changes a digit.
    """

    def __init__(self, engine: MAP, model: Model, table: Table, fixed: tuple[np.ndarray, np.ndarray] | None):
        self.likelihood_given, self.W, self.H = model.parts
        self.engine, self.model, self.table, self.fixed = engine, model, table, fixed
        self.dtype = np.dtype(engine.precision)
        counts = self.likelihood_given.support == "counts"
        level = table.level
        self.unit = 1.0 if counts else float(4.0 ** np.round(np.log2(level) / 2))
        self.level = level / self.unit
        self._check_range()
        self.side_unit = np.sqrt(self.unit)
        self.size = np.sqrt(self.level / model.rank)
        self.k = -(-model.rank // PAD) * PAD
        likelihood = self.likelihood_given.in_units(self.unit, level).start(table.spread / self.unit**2)
        self.likelihood = jax.tree.map(self._array, likelihood)
        self.method = engine.method
        if self.method == "auto":
            self.method = "hals" if likelihood.background == "quadratic" else "mu"
        self.problem = self._problem()

    def run(self, key: jax.Array, init: tuple[np.ndarray, np.ndarray] | None) -> Outcome:
        """Run all starts."""
        n, m = self.table.shape
        if init is None:
            W, H = draw_starts(key, self.engine.starts, n, m, self.k)
            W, H = np.asarray(W) * self.size, np.asarray(H) * self.size
        else:
            W, H = (np.asarray(a, float)[None] / self.side_unit for a in init)
            W = np.pad(W, ((0, 0), (0, 0), (0, self.k - W.shape[2])))
            H = np.pad(H, ((0, 0), (0, self.k - H.shape[1]), (0, 0)))
        active = np.arange(self.k) < self.model.rank
        known = self._known_rows()
        H = np.where(np.any(known, 1, keepdims=True), known, H) * active[:, None]
        W = np.pad(W * active, ((0, 0), (0, self.problem.data.n_padded - n), (0, 0)))
        floor = float(self.problem.floor)
        first = State(
            self._array(np.where(active, np.maximum(W, floor), 0)),
            self._array(np.where(active[:, None], np.maximum(H, floor), 0)),
            self.likelihood,
        )
        scale = 1e-3 * n * m
        tolerance = Tolerance(*(self._array(t) for t in (self.engine.tol, self.engine.residual_tol, scale)))
        return run_starts(
            self.problem, first, tolerance,
            method=self.method, max_steps=self.engine.max_steps, every=self.engine.check_every,
        )  # fmt: skip

    def result(self, outcome: Outcome) -> ModeResult:
        """Return the outcome in the units of X, without padding."""
        n, rank = self.table.shape[0], self.model.rank
        state, course, relevance = outcome

        def host(a: jax.Array) -> np.ndarray:
            return np.asarray(a).astype(float)

        floor = 2 * float(self.problem.floor)
        W, H = host(state.W)[:, :n, :rank], host(state.H)[:, :rank]
        W, H = (np.where(a <= floor, 0, a) * self.side_unit for a in (W, H))
        objective = host(course.objective)
        best = int(np.argmin(np.where(np.isfinite(objective), objective, np.inf)))
        likelihood = self.likelihood_given
        if likelihood.learned:
            likelihood = jax.tree.map(lambda a: host(a)[best], state.likelihood).in_units(1 / self.unit, self.level)
        rates = host(self.problem.penalty.at(state.W[best], state.H[best]).W)
        trace = host(course.trace)[best]
        status = tuple(STATUS[int(code)] for code in course.code)
        info = ModeInfo(objective, host(course.residual), np.asarray(course.steps), status, trace[np.isfinite(trace)])
        return ModeResult(
            W, H, host(relevance)[:, :rank], best, likelihood, self._shrinkage(1.0),
            rates[0, :rank] / self.side_unit**self.W.power, info,
        )  # fmt: skip

    def _problem(self) -> Problem:
        rank = self.model.rank
        known = self._known_rows().any(1)
        rate_W, rate_H = (self._rate(prior) for prior in (self.W, self.H))
        if self.fixed is not None:
            rate_W[:rank] = self.fixed[1] * self.side_unit**self.W.power
        W, H, shrinkage = jax.tree.map(self._array, (self.W, self.H, self._shrinkage(self.side_unit)))
        penalty = Penalty(
            W, H, shrinkage, Rates(self._array(rate_W[None]), self._array(rate_H[:, None])),
            jnp.asarray(np.arange(self.k) < rank), jnp.asarray(known), self.table.shape[0],
        )  # fmt: skip
        data = make_data(self.table, self.unit, self.level, self.dtype)
        transposed = data.T if self.method == "hals" and data.weight is not None and self.fixed is None else None
        return Problem(data, transposed, penalty, self._array(1e-20 * self.size), self.fixed is None)

    def _shrinkage(self, side_unit: float) -> ARD | None:
        """Return the shrinkage with its constants, for X in units of side_unit^2."""
        shrinkage = self.model.shrinkage
        if shrinkage is None:
            return None
        new = self.model.rank - (0 if self.model.known is None else len(self.model.known))
        shrinkage = shrinkage.resolved(self.table.level, self.table.shape, max(new, 1), self.W, self.H)
        assert shrinkage.b is not None
        return replace(shrinkage, b=shrinkage.b / side_unit**self.W.power)

    def _rate(self, prior: Any) -> np.ndarray:
        level = self.size if prior.mean is None else prior.mean / self.side_unit
        return np.full(self.k, float(prior.rate(np.float64(level))))

    def _known_rows(self) -> np.ndarray:
        """Return the fixed rows of H, padded; known ones scaled so that a prior on W means the same for them."""
        rows = np.zeros((self.k, self.table.shape[1]))
        if self.fixed is not None:
            rows[: self.model.rank] = self.fixed[0] / self.side_unit
        elif self.model.known is not None:
            known = np.asarray(self.model.known, float)
            rows[: len(known)] = known / known.mean(1, keepdims=True) * self.size
        return rows

    def _array(self, a: Any) -> jax.Array:
        return jnp.asarray(np.asarray(a), self.dtype)

    def _check_range(self) -> None:
        # products of two entries of X appear where its unit is divided out; ratios to the floor of W H where it is not
        top = float(np.abs(self.table.values).max(initial=0)) / self.unit
        info = np.finfo(self.dtype)
        most = float(info.max) ** (0.8 if self.unit == 1.0 else 0.4)
        if top > most or self.level < 1e13 * float(info.tiny):
            raise DataError(
                f"X has entries up to {np.abs(self.table.values).max():.3g} and a mean of {self.table.level:.3g}, "
                f"beyond what {self.dtype} can compute with. Rescale X, or use MAP(precision='float64')."
            )


ENTRIES_IN_TILE = 2**20
"""Size of a tile of sparse X: small enough for a cache, large enough for a matrix product."""

DENSE_TILE = 2**25
"""Largest tile of dense X: bounds the memory of the mean."""


def make_data(table: Table, unit: float, level: float, dtype: np.dtype) -> Data:
    """Return the table as tiles, in the engine's unit and precision."""
    n, m = table.shape
    rows = max(1, min(n, (ENTRIES_IN_TILE if table.is_sparse else DENSE_TILE) // m))
    tiles = -(-n // rows)
    padding = tiles * rows - n

    def hold(matrix: Any, divide: float = 1.0) -> Any:
        if table.is_sparse:
            return _entries(matrix, rows, tiles, divide, dtype)
        dense = np.zeros((tiles * rows, m), dtype)
        np.divide(matrix, divide, out=dense[:n], casting="unsafe")
        return jnp.asarray(dense.reshape(tiles, rows, m))

    def vector(a: np.ndarray | None, length: int = 0) -> jax.Array | None:
        return None if a is None else jnp.asarray(np.pad(a, (0, length)), dtype)

    row_weight = table.row_weight
    if row_weight is None and padding:
        row_weight = np.ones(n)
    return Data(
        hold(table.X, unit), None if table.weight is None else hold(table.weight),
        vector(row_weight, padding), vector(table.col_weight), vector(table.row_factor, padding),
        vector(table.col_factor),
        jnp.asarray(level * 1e-12, dtype), rows, (n, m), table.least < 0,
    )  # fmt: skip


def _entries(matrix: Any, rows: int, tiles: int, divide: float, dtype: np.dtype) -> Entries:
    n, m = matrix.shape
    matrix.sort_indices()
    bounds = matrix.indptr[np.minimum(np.arange(tiles + 1) * rows, n)]
    most = max(int(np.diff(bounds).max()), 1)
    place = np.tile(rows * m + np.arange(most, dtype=np.int32), (tiles, 1))
    value = np.zeros((tiles, most), dtype)
    row = np.repeat(np.arange(n), np.diff(matrix.indptr))
    for t, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        place[t, : stop - start] = (row[start:stop] - t * rows) * m + matrix.indices[start:stop]
        value[t, : stop - start] = matrix.data[start:stop] / divide
    return Entries(jnp.asarray(place), jnp.asarray(value))
