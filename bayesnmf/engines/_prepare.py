"""X and a model in an engine's units, padding and precision, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import DataError, EngineError, check_count
from .._input import Table
from ..data import Data, Entries
from ..likelihoods import Likelihood
from ..model import Model
from ..priors import Dirichlet, Scaling

PAD = 8
"""Components are padded to a multiple of this, so that neighbouring ranks share a compiled program."""


def check_options(engine: Any) -> None:
    """Raise EngineError for options of an iterative engine that are out of range."""
    if engine.precision not in ("float32", "float64"):
        raise EngineError(f'Expected precision to be "float32" or "float64"; got {engine.precision!r}.')
    for name in ("starts", "max_steps", "check_every"):
        check_count(name, getattr(engine, name), 1)
    for name in ("tol", "residual_tol"):
        if not getattr(engine, name) >= 0:
            raise EngineError(f"Expected {name} to be at least 0; got {getattr(engine, name)!r}.")


def check_sampler(engine: Any) -> None:
    """Raise EngineError for options of a sampler that are out of range."""
    for name in ("chains", "draws", "starts"):
        check_count(name, getattr(engine, name), 1)
    check_count("warmup", engine.warmup, 0)
    if engine.checkpoint is not None and not isinstance(engine.checkpoint, str):
        raise EngineError(f"Expected checkpoint to be the path of a folder, a str; got {engine.checkpoint!r}.")


class Rows(NamedTuple):
    """Some samples, dense: x, weights and offsets, (r, m) each."""

    x: np.ndarray
    weight: np.ndarray
    factor: np.ndarray


def dense_rows(table: Table, part: slice, columns: slice = slice(None)) -> Rows:
    """Return some rows of a table, of all or some features, with all weights and all offsets multiplied out."""
    n, m = table.shape

    def some(matrix: Any) -> Any:
        found = matrix[part, columns]
        return found.toarray() if table.is_sparse else found

    def along(a: np.ndarray | None, length: int) -> np.ndarray:
        return np.ones(length) if a is None else a

    x = np.asarray(some(table.X), float)
    weight: Any = np.ones(x.shape) if table.weight is None else some(table.weight)
    weight = 1 - weight if table.is_sparse and table.weight is not None else weight
    row_weight, row_factor = (along(a, n)[part, None] for a in (table.row_weight, table.row_factor))
    col_weight, col_factor = (along(a, m)[columns] for a in (table.col_weight, table.col_factor))
    return Rows(x, weight * row_weight * col_weight, row_factor * col_factor)


@jax.jit
def _base(likelihood: Likelihood, x: jax.Array) -> jax.Array:
    return jnp.asarray(likelihood.base(x))


class Prepared:
    """A model and its data as an engine computes with them.

    X is divided by a power of 4 near its level where the likelihood allows it, and W and H by the root of that, so
    that no unit of X overflows and none changes a digit.

    Components are padded to a multiple of `pad`.

    Attributes
    ----------
    unit, side_unit : float
        What X, and what W and H, are divided by.
    level, size : float
        Mean of X in these units, and an entry of W or H that makes it.
    k : int
        Rank with padding.
    likelihood : Likelihood
        With first values for what is learned.
    unit_W, unit_H : float
        What W and H are divided by: rows of H that sum to 1 do so in every unit.
    known : array of shape (k, m)
        Known rows of H, scaled so that a prior on W means the same for them; 0 elsewhere.
    shrinkage : Scaling or None
        With its constants, in the units of X.
    """

    def __init__(self, model: Model, table: Table, dtype: np.dtype, pad: int = PAD):
        self.model, self.table, self.dtype = model, table, dtype
        given, W, H = model.parts
        level = table.level
        self.unit = 1.0 if given.support == "counts" else float(4.0 ** np.round(np.log2(level) / 2))
        self.level = level / self.unit
        self._check_range()
        self.side_unit = float(np.sqrt(self.unit))
        self.size = float(np.sqrt(self.level / model.rank))
        self.k = -(-model.rank // pad) * pad
        likelihood = given.in_units(self.unit, level).start(table.spread / self.unit**2)
        self.likelihood = jax.tree.map(self.array, likelihood)
        self.active = np.arange(self.k) < model.rank
        self.known = np.zeros((self.k, table.shape[1]))
        sums_to_one = isinstance(H, Dirichlet)
        self.unit_H = 1.0 if sums_to_one else self.side_unit
        self.unit_W = self.unit / self.unit_H
        if model.known is not None:
            known = np.asarray(model.known, float)
            known = known / known.sum(1, keepdims=True)
            self.known[: len(known)] = known if sums_to_one else known * self.size * known.shape[1]
        self.shrinkage: Scaling | None = None
        if isinstance(model.shrinkage, Scaling):
            new = max(model.rank - model.known_rows, 1)
            self.shrinkage = model.shrinkage.resolved(level, table.shape, new, W, H)
        self.data = make_data(table, given, self.unit, self.level, dtype)

    def array(self, a: Any) -> jax.Array:
        """Return `a` on the device, in the engine's precision."""
        return jnp.asarray(np.asarray(a), self.dtype)

    @property
    def shared(self) -> Scaling | None:
        """Scales with their constants, in the engine's units."""
        if self.shrinkage is None:
            return None
        assert self.shrinkage.b is not None
        return replace(self.shrinkage, b=self.shrinkage.b / self.side_unit ** self.model.parts[1].power)  # type: ignore[type-var]

    def pad(self, W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return starts W (starts, n, k) and H (starts, k, m) with rows and components added, known rows put in."""
        W = np.pad(W, ((0, 0), (0, self.data.n_padded - W.shape[1]), (0, self.k - W.shape[2])))
        H = np.pad(H, ((0, 0), (0, self.k - H.shape[1]), (0, 0)))
        return W * self.active, np.where(np.any(self.known, 1, keepdims=True), self.known, H) * self.active[:, None]

    def learned_likelihood(self, likelihood: Any) -> Any:
        """Return the likelihood with what was learned, in the units of X."""
        given = self.model.parts[0]
        if not given.learned:
            return given
        return jax.tree.map(lambda a: np.asarray(a).astype(float), likelihood).in_units(1 / self.unit, self.level)

    @property
    def constant(self) -> float:
        """Log density of X in its own unit, less what the engine computes: terms of X alone, in float64."""
        likelihood, table, total = self.model.parts[0], self.table, 0.0
        n, step = table.shape[0], max(1, 2**22 // table.shape[1])
        with jax.enable_x64(True):
            for start in range(0, n, step):
                rows = dense_rows(table, slice(start, min(start + step, n)))
                base = np.asarray(_base(likelihood, jnp.asarray(rows.x / self.unit)), float)
                # zeros of a likelihood for non-negative X are events, not densities
                dense = rows.x != 0 if likelihood.support == "non-negative" else np.ones_like(rows.x, bool)
                total += float(np.sum(rows.weight * (base - dense * np.log(self.unit))))
        return total

    def _check_range(self) -> None:
        # products of two entries of X appear where its unit is divided out; ratios to the floor of W H where it is not
        top = float(np.abs(self.table.values).max(initial=0)) / self.unit
        info = np.finfo(self.dtype)
        most = float(info.max) ** (0.8 if self.unit == 1.0 else 0.4)
        if top > most or self.level < 1e13 * float(info.tiny):
            raise DataError(
                f"X has entries up to {np.abs(self.table.values).max():.3g} and a mean of {self.table.level:.3g}, "
                f"beyond what {self.dtype} can compute with. Rescale X, or use the engine with precision='float64'."
            )


ENTRIES_IN_TILE = 2**20
"""Size of a tile of sparse X: small enough for a cache, large enough for a matrix product."""

DENSE_TILE = 2**25
"""Largest tile of dense X: bounds the memory of the mean."""

FEW, STEPS = 0.25, 8
"""Share of entries other than 0 up to which dense X is held by these alone, where zeros have a formula of their own;
and the parts of a tile by which the room for them grows, so that parts and resampled rows of X share a program."""


def make_data(table: Table, likelihood: Likelihood, unit: float, level: float, dtype: np.dtype) -> Data:
    """Return the table as tiles, in the engine's unit and precision."""
    n, m = table.shape
    by_entry = table.is_sparse or (likelihood.spares_zeros and np.mean(table.values != 0) < FEW)
    rows = max(1, min(n, (ENTRIES_IN_TILE if by_entry else DENSE_TILE) // m))
    tiles = -(-n // rows)
    padding = tiles * rows - n

    def hold(matrix: Any, by_entry: bool, divide: float = 1.0) -> Any:
        if by_entry:
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
        hold(table.X, by_entry, unit), None if table.weight is None else hold(table.weight, table.is_sparse),
        vector(row_weight, padding), vector(table.col_weight), vector(table.row_factor, padding),
        vector(table.col_factor),
        jnp.asarray(level * 1e-12, dtype), rows, (n, m), table.least < 0,
    )  # fmt: skip


def _entries(matrix: Any, rows: int, tiles: int, divide: float, dtype: np.dtype) -> Entries:
    n, m = matrix.shape
    dense = isinstance(matrix, np.ndarray)
    if dense:
        place_of, values = np.flatnonzero(matrix), matrix[matrix != 0]
        bounds = np.searchsorted(place_of, np.minimum(np.arange(tiles + 1) * rows, n) * m)
    else:
        matrix.sort_indices()
        bounds, values = matrix.indptr[np.minimum(np.arange(tiles + 1) * rows, n)], matrix.data
        place_of = np.repeat(np.arange(n), np.diff(matrix.indptr)) * m + matrix.indices
    step = -(-rows * m // STEPS) if dense else 1
    most = -(-max(int(np.diff(bounds).max()), 1) // step) * step
    place = np.tile(rows * m + np.arange(most, dtype=np.int32), (tiles, 1))
    value = np.zeros((tiles, most), dtype)
    for t, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        place[t, : stop - start] = place_of[start:stop] - t * rows * m
        value[t, : stop - start] = values[start:stop] / divide
    return Entries(jnp.asarray(place), jnp.asarray(value))
