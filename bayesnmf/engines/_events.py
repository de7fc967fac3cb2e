"""Latent counts of exact samplers: which component each event came from."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import EngineError
from .._input import Table
from .._types import Array

LEAST, MOST = 2**8, 2**13
"""Events that are shared out at a time: bounds the memory to these times k."""

TOO_MANY = 2**30
"""Events from which their running number would overflow."""


class Positive(NamedTuple):
    """The observations above 0, one by one, (e,) each: sample, feature, value, product of the offsets.

    An observation of weight 3 is there three times. Some of value 0 follow, so that data with nearly as many
    observations run the same compiled program.
    """

    row: Array
    column: Array
    x: Array
    factor: Array


def positive_entries(table: Table, unit: float, dtype: np.dtype) -> Positive:
    """Return the observations above 0 of a table with whole weights."""
    n, m = table.shape
    if table.is_sparse:
        entries = table.X.tocoo()
        row, column, x = entries.row, entries.col, entries.data
        lacks = None if table.weight is None else table.weight.tocsr()
        weight = np.ones(len(x)) if lacks is None else 1 - np.asarray(lacks[row, column]).ravel()
    else:
        row, column = np.nonzero(np.asarray(table.X) > 0)
        x = np.asarray(table.X)[row, column]
        weight = np.ones(len(x)) if table.weight is None else np.asarray(table.weight)[row, column]
    for own, at in ((table.row_weight, row), (table.col_weight, column)):
        weight = weight if own is None else weight * own[at]
    times = np.round(weight).astype(int) * (x > 0)
    if table.is_counts and (total := float(np.sum(x * times))) > TOO_MANY:
        raise EngineError(
            f"Gibbs looks at every event, and X holds {total:.3g}: more than {TOO_MANY:.3g}. Use engine=bn.CAVI()."
        )
    row, column, x = (np.repeat(a, times) for a in (row, column, x))
    row_factor = np.ones(n) if table.row_factor is None else table.row_factor
    col_factor = np.ones(m) if table.col_factor is None else table.col_factor
    room = n * m if n * m / 4 <= len(x) <= n * m else 2 ** max(len(x), 32).bit_length()
    more = room - len(x)

    def hold(a: np.ndarray, fill: float, dtype: Any) -> jax.Array:
        return jnp.asarray(np.pad(a, (0, more), constant_values=fill), dtype)

    factor = row_factor[row] * col_factor[column]
    return Positive(hold(row, 0, np.int32), hold(column, 0, np.int32), hold(x / unit, 0, dtype), hold(factor, 1, dtype))


def means(seen: Positive, W: Array, H: Array) -> jax.Array:
    """Return the mean of each observation, (e,)."""
    return seen.factor * jnp.sum(W[seen.row] * H.T[seen.column], 1)


def share_out(key: jax.Array, seen: Positive, number: Array, W: Array, H: Array) -> tuple[jax.Array, jax.Array]:
    """Draw the component of each of `number` (e,) events, in proportion to ``w_ik h_kj``; return counts (n, k), (k, m).

    Events are taken in turn, by inverting the cumulative sum over components: no array of n m k. Each entry before
    the last event has an event at least, unless all entries go into one chunk.
    """
    n, (k, m) = len(W), H.shape
    ends = jnp.cumsum(jnp.round(number).astype(jnp.int32))
    total, last = ends[-1], len(ends) - 1
    size = 2 ** min(max(8 * len(ends), LEAST) - 1, MOST - 1).bit_length()
    padded = jnp.concatenate([ends, jnp.full(size, jnp.iinfo(jnp.int32).max)])
    columns, upto = H.T, jnp.triu(jnp.ones((k, k), W.dtype))  # a product with it is sooner done than a cumulative sum

    def of_chunk(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        chunk, passed, of_W, of_H = carry
        ahead = jax.lax.dynamic_slice(padded, (passed,), (size,)) - chunk * size
        at = passed + jnp.cumsum(jnp.zeros(size, jnp.int32).at[ahead].add(1, mode="drop"))
        there = chunk * size + jnp.arange(size) < total
        own = jnp.minimum(at, last)
        i, j = seen.row[own], seen.column[own]
        edge = (W[i] * columns[j]) @ upto
        place = jax.random.uniform(jax.random.fold_in(key, chunk), (size, 1), edge.dtype) * edge[:, -1:]
        component = jnp.minimum(jnp.sum(edge <= place, 1), k - 1)
        of_W = of_W.at[jnp.where(there, i, n), component].add(1, mode="drop")
        of_H = of_H.at[jnp.where(there, j, m), component].add(1, mode="drop")
        return chunk + 1, at[-1], of_W, of_H

    begin = jnp.int32(0), jnp.int32(0), jnp.zeros((n, k), W.dtype), jnp.zeros((m, k), W.dtype)
    _, _, of_W, of_H = jax.lax.while_loop(lambda carry: carry[0] * size < total, of_chunk, begin)
    return of_W, of_H.T
