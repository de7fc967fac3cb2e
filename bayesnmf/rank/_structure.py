"""Whether features share anything, and whether what is left over after a fit is independent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._input import Table
from ..engines._prepare import dense_rows
from ..result import Fit
from ._selection import Structure

SURROGATES = 49
"""Copies of X whose features are shifted against each other."""


def structure(table: Table, rng: np.random.Generator) -> Structure:
    """Compare how strongly features go together with how they do when each is shifted in time by itself.

    The statistic is the sum of the squared correlations of all pairs of features, ``|Z' Z|^2`` for standardized columns
    Z. A shift is circular and within groups: it keeps what each feature does over time, which by itself makes chance
    correlations, and breaks what they do together.
    """
    rows = dense_rows(table, slice(None))
    seen = (rows.weight > 0).astype(np.float32)
    x = np.where(seen > 0, rows.x / rows.factor, 0).astype(np.float32)
    count = np.maximum(seen.sum(0), 1)
    x = seen * (x - x.sum(0) / count)
    size = np.sqrt((x**2).sum(0))
    Z = x / np.where(size > 0, size, 1)
    found, blocks = _together(Z), blocks_of(table)
    if Z.shape[1] == 1:  # differences would be rounding
        return Structure(found, found, 0.0)
    null = [_together(_shifted(Z, blocks, rng)) for _ in range(SURROGATES)]
    return Structure(found, float(np.mean(null)), float(np.std(null, ddof=1)))


def blocks_of(table: Table) -> list[np.ndarray]:
    """Return the rows of each group; of all, where there are none."""
    if table.groups is None:
        return [np.arange(table.shape[0])]
    labels = np.unique(table.groups, return_inverse=True)[1]
    return [np.flatnonzero(labels == g) for g in range(labels.max() + 1)]


def some_rows(table: Table, rows: np.ndarray) -> Table:
    """Return a table of some samples, drawn again or left out, without names."""

    def some(a: Any) -> Any:
        return None if a is None else a[rows]

    return replace(
        table, X=table.X[rows], weight=some(table.weight), row_weight=some(table.row_weight),
        row_factor=some(table.row_factor), groups=some(table.groups), samples=None,
    )  # fmt: skip


def parted(table: Table, inside: np.ndarray, seen: np.ndarray | None = None) -> tuple[Table, Table]:
    """Return the table, dense, with the entries of a mask alone; and with the others alone: those of features seen."""
    bare = replace(table, row_weight=None, row_factor=None, col_weight=None, col_factor=None)
    rows = dense_rows(bare, slice(None))
    weight = rows.weight if seen is None else rows.weight * seen
    one, other = (replace(table, X=np.where(side, rows.x, 0), weight=weight * side) for side in (inside, ~inside))
    return one, other


def _shifted(Z: np.ndarray, blocks: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    new = np.empty_like(Z)
    for rows in blocks:
        place = (np.arange(len(rows))[:, None] + rng.integers(len(rows), size=Z.shape[1])) % len(rows)
        new[rows] = np.take_along_axis(Z[rows], place, 0)
    return new


def _together(Z: np.ndarray) -> float:
    gram = Z @ Z.T if Z.shape[0] < Z.shape[1] else Z.T @ Z
    return float(np.sum(gram**2))


def residual_correlation(fit: Fit, table: Table) -> tuple[float, float]:
    """Return the correlation of the residuals of rows that follow each other, and its standard error."""
    rows = dense_rows(table, slice(None))
    v = np.maximum(rows.factor * fit.mean, 1e-12 * table.level)
    with jax.enable_x64(True):  # X comes in the user's unit, whose square may be beyond float32
        spread = np.sqrt(np.asarray(fit.model.parts[0].variance_at(jnp.asarray(v))))
    residual = np.where(rows.weight > 0, (rows.x - v) / spread, 0)
    pairs, both = residual[1:] * residual[:-1], rows.weight[1:] * rows.weight[:-1] > 0
    count = max(int(both.sum()), 1)
    square = np.sum(residual**2) / max(int((rows.weight > 0).sum()), 1)
    return float(pairs.sum() / count / square), 1 / np.sqrt(count)
