"""X in the form that algorithms read: row tiles, summed for one side at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ._pytree import pytree
from ._types import Array, Side
from .likelihoods import Likelihood


class Entries(NamedTuple):
    """Non-zeros of a matrix by their place in a flattened tile, (tiles, most); padded by places outside."""

    place: Array
    value: Array

    def of(self, dense: Array) -> jax.Array:
        """Return what a tile has at these places; 1 for those outside."""
        return dense.ravel().at[self.place].get(mode="fill", fill_value=1)

    def fill(self, value: Array, shape: tuple[int, ...]) -> jax.Array:
        """Return a tile with values at these places and 0 elsewhere."""
        flat = jnp.zeros(shape[0] * shape[1], value.dtype)
        flat = flat.at[self.place].set(value, mode="drop", indices_are_sorted=True, unique_indices=True)
        return flat.reshape(shape)


class Tile(NamedTuple):
    """Some rows of X: values (r, m), and weights (r, m) where they are not all 1. Missing: x = 0, weight = 0.

    `entries` are the values again, where X is held by its non-zeros.
    """

    x: Array
    weight: Array | None
    entries: Entries | None = None

    def each(
        self, likelihood: Likelihood, of: Callable[..., tuple[Array, ...]], lo: Array, hi: Array
    ) -> tuple[Array, ...]:
        """Return values of ``of(x, lo, hi)``, entry by entry: bounds, their halves, or noise terms.

        Under a linear background they are affine in hi where x is 0, and only the other entries are computed where
        that is sooner.
        """
        if self.entries is None or not likelihood.spares_zeros:
            return of(self.x, lo, hi)
        at, ends = self.entries.of(hi), jnp.array([1, 2], hi.dtype)
        x, low = jnp.append(self.entries.value, 0 * ends), jnp.append(self.entries.of(lo), ends)
        values = []
        for found in of(x, low, jnp.append(at, ends)):
            slope = found[-1] - found[-2]
            start = found[-2] - slope
            values.append(slope * hi + start + self.entries.fill(found[:-2] - (slope * at + start), hi.shape))
        return tuple(values)


class Moments(NamedTuple):
    """What a likelihood sees of one factor: `lo` and `hi` as in `Likelihood.bound`, both of the factor's shape.

    Under a posterior exp(E log w) and E w; for a point both are the point.
    """

    lo: Array
    hi: Array

    @classmethod
    def of_point(cls, a: Array) -> Moments:
        """Return the moments of a factor that is known."""
        return cls(a, a)


class Halves(NamedTuple):
    """The two halves of the gradient of the log-likelihood in one side, each of its shape."""

    up: jax.Array
    down: jax.Array


class Gram(NamedTuple):
    """A log-likelihood that is quadratic in one side, here in the rows w_i of W (for H: its columns).

    ``sum_i weight_i ((positive_i - negative_i) w_i - w_i gram w_i / 2)``

    with `positive` and `negative` of the side's shape, from the entries of X of either sign, and weight (n, 1) or (1,
    m).
    """

    positive: jax.Array
    negative: jax.Array | None
    gram: jax.Array
    weight: Array


@pytree
@dataclass(frozen=True)
class Data:
    """X (n, m) with weights and offsets, as tiles of rows.

    The mean of entry ij is ``row_factor_i col_factor_j (W H)_ij`` and its log-likelihood counts
    ``row_weight_i col_weight_j weight_ij`` times. A tile is dense while it is worked on. How it is held between
    is decided here: an array for dense X; for sparse X its non-zeros, and then `weight` as what each entry lacks to 1.

    W has `n_padded` rows; those beyond n are padding, of weight 0.
    """

    x: Array | Entries
    weight: Array | Entries | None
    row_weight: Array | None
    col_weight: Array | None
    row_factor: Array | None
    col_factor: Array | None
    floor: Array
    rows: int = field(metadata={"static": True})
    shape: tuple[int, int] = field(metadata={"static": True})
    signed: bool = field(metadata={"static": True})

    @property
    def n_padded(self) -> int:
        """Number of rows of W."""
        return -(-self.shape[0] // self.rows) * self.rows

    @property
    def T(self) -> Data:
        """The transposed data as one dense tile."""
        n, m = self.n_padded, self.shape[1]
        tiles = jax.lax.map(self._tile, (self.x, self.weight))
        return replace(
            self,
            x=tiles.x.reshape(n, m).T[None],
            weight=None if tiles.weight is None else tiles.weight.reshape(n, m).T[None],
            row_weight=self.col_weight,
            col_weight=self.row_weight,
            row_factor=self.col_factor,
            col_factor=self.row_factor,
            rows=m,
            shape=(m, n),
        )

    def exposure(self) -> float:
        """Return the sum of weights times offsets over all entries."""
        n, m = self.n_padded, self.shape[1]
        ones = jnp.ones((n, 1)), jnp.ones((1, m))
        left = _scaled(_scaled(ones[0], self.row_factor, 0), self.row_weight, 0)
        right = _scaled(_scaled(ones[1], self.col_factor, 1), self.col_weight, 1)

        def by_row(tile: Tile, row: Array) -> list[Array]:
            return [(row @ right if tile.weight is None else row @ right * tile.weight).sum(1)]

        return float(jnp.sum(self._map(by_row, left)[0]))

    def is_even(self, likelihood: Likelihood) -> bool:
        """Return whether all features cost a component the same: halves `down` are alike along each row of H."""
        return likelihood.background == "linear" and self.weight is self.col_weight is self.col_factor is None

    def sums(self, likelihood: Likelihood, W: Moments, H: Moments, side: Side) -> Halves:
        """Return the halves of the gradient in W.lo and W.hi (n_padded, k), or in H.lo and H.hi (k, m).

        For points they are the halves of the gradient in W or H.
        """
        if likelihood.background == "quadratic" and self.weight is None:
            return self._quadratic_sums(likelihood, W.hi, H.hi, side)
        free = likelihood.background == "linear" and self.weight is None
        left, right = self._offset(W, H)
        if side == "W":
            outer = [_scaled(a, self.col_weight, 1) for a in right]
        else:
            outer = [_scaled(a, self.row_weight, 0) for a in left]

        def halves(tile: Tile, *w: Array) -> list[Array]:
            parts = tile.each(likelihood, likelihood.halves, *self._means(w, right))
            return [p if tile.weight is None else p * tile.weight for p in (parts[:1] if free else parts)]

        if side == "W":
            parts = self._map(lambda tile, *w: [p @ o.T for p, o in zip(halves(tile, *w), outer, strict=False)], *left)
            if free:
                parts.append(jnp.broadcast_to(likelihood.slope * jnp.sum(outer[1], 1)[None], W.hi.shape))
            return Halves(*(_scaled(_scaled(p, self.row_factor, 0), self.row_weight, 0) for p in parts))
        parts = self._sum(
            lambda tile, lo, hi, *o: [b.T @ p for p, b in zip(halves(tile, lo, hi), o, strict=False)], *left, *outer
        )
        if free:
            parts.append(jnp.broadcast_to(likelihood.slope * jnp.sum(outer[1], 0)[:, None], H.hi.shape))
        return Halves(*(_scaled(_scaled(p, self.col_factor, 1), self.col_weight, 1) for p in parts))

    def gram(self, likelihood: Likelihood, W: Array, H: Array, side: Side) -> Gram:
        """Return the quadratic in one side of a likelihood with a quadratic background. Separable weights only."""
        precision = likelihood.precision(self.shape[1])
        column = product(self.col_weight, self.col_factor, precision)
        row = product(self.row_weight, self.row_factor)

        if side == "W":
            other = _scaled(H, column, 1)
            parts = self._map(lambda tile: [x @ other.T for x in self._signs(tile.x)])
            parts = [_scaled(p, row, 0) for p in parts]
            gram = _scaled(other, self.col_factor, 1) @ H.T
            weight = product(row, self.row_factor)
            weight = jnp.ones((1, 1), gram.dtype) if weight is None else weight[:, None]
        else:
            other = _scaled(W, row, 0)
            parts = self._sum(lambda tile, o: [o.T @ x for x in self._signs(tile.x)], other)
            parts = [_scaled(p, column, 1) for p in parts]
            gram = _scaled(other, self.row_factor, 0).T @ W
            weight = product(column, self.col_factor)
            weight = jnp.ones((1, 1), gram.dtype) if weight is None else weight[None]
        return Gram(parts[0], parts[1] if self.signed else None, gram, weight)

    def square_sums(self, likelihood: Likelihood, other: Array, side: Side) -> jax.Array:
        """Return what each entry of W or H weighs in a quadratic background, given squares of the other one.

        ``sum_j weight_ij precision_j (row_factor_i col_factor_j)^2 other_kj`` for W, (n, k); likewise (k, m) for H.
        """
        column = product(self.col_weight, likelihood.precision(self.shape[1]), self.col_factor, self.col_factor)
        row = product(self.row_weight, self.row_factor, self.row_factor)
        if side == "W":
            given = _scaled(other, column, 1)
            if self.weight is None:
                total = jnp.broadcast_to(jnp.sum(given, 1)[None], (self.n_padded, len(other)))
            else:
                total = self._map(lambda tile: [_weight(tile) @ given.T])[0]
            return _scaled(total, row, 0)
        given = _scaled(other.T, row, 0)
        if self.weight is None:
            total = jnp.broadcast_to(jnp.sum(given, 0)[:, None], (len(other), self.shape[1]))
        else:
            total = self._sum(lambda tile, o: [o.T @ _weight(tile)], given)[0]
        return _scaled(total, column, 1)

    def value(self, likelihood: Likelihood, W: Moments, H: Moments, spent: Array | float | None = None) -> jax.Array:
        """Return the log-likelihood (its bound, under a posterior) without the terms of X alone.

        With `spent` its profile in the noise.
        """
        left, right = self._offset(W, H)

        def by_row(tile: Tile, *w: Array) -> list[Array]:
            lo, hi = self._means(w, right)
            (bound,) = tile.each(likelihood, lambda *at: (likelihood.bound(*at),), lo, hi)
            if spent is not None:
                bound = bound + likelihood.adjustment(hi, spent)
            bound = _scaled(bound, self.col_weight, 1)
            return [jnp.sum(bound if tile.weight is None else bound * tile.weight, 1)]

        return jnp.sum(_scaled(self._map(by_row, *left)[0], self.row_weight, 0))

    def noise(
        self, likelihood: Likelihood, W: Moments, H: Moments, spent: Array | float = 0.0
    ) -> tuple[jax.Array, jax.Array]:
        """Return the sums over samples of the likelihood's noise terms, (terms, m), and of the weights, (m,)."""
        left, right = self._offset(W, H)
        ones = jnp.ones(self.n_padded, right.hi.dtype)
        row = ones if self.row_weight is None else self.row_weight

        def by_column(tile: Tile, lo: Array, hi: Array, r: Array) -> list[Array]:
            of = partial(likelihood.noise_terms, spent=spent)
            terms = tile.each(likelihood, of, *self._means((lo, hi), right))
            weight = jnp.ones_like(tile.x) if tile.weight is None else tile.weight
            return [jnp.stack([r @ (term * weight) for term in terms]), r @ weight]

        total, weight = self._sum(by_column, *left, row)
        return _scaled(total, self.col_weight, 1), _scaled(weight, self.col_weight, 0)

    def exposed(self, likelihood: Likelihood, key: jax.Array, W: Array, H: Array) -> Data:
        """Return the data whose weights are drawn exposures, under which events are Poisson."""
        left, right = self._offset(Moments.of_point(W), Moments.of_point(H))
        ones = jnp.ones((self.n_padded,), H.dtype)
        row_weight = ones if self.row_weight is None else self.row_weight

        def of_tile(tile: Tile, w: Array, weight: Array, index: Array) -> list[Array]:
            v, _ = self._means((w, w), right)
            weight = _scaled(jnp.broadcast_to(weight[:, None], v.shape), self.col_weight, 1)
            weight = weight if tile.weight is None else weight * tile.weight
            return [likelihood.exposure(jax.random.fold_in(key, index[0]), tile.x, v, weight)]

        drawn = self._map(of_tile, left.hi, row_weight, jnp.arange(self.n_padded))[0]
        drawn = drawn.reshape(-1, self.rows, self.shape[1])
        return replace(self, x=drawn, weight=drawn, row_weight=None, col_weight=None)

    def map_rows(self, step: Callable[[Tile, Array, Array, Array], Array], W: Array, H: Array) -> jax.Array:
        """Return W with each tile of its rows replaced by ``step(tile, rows, offset rows, H)``.

        `step` sees x and weight with the separable weights folded in, and H with `col_factor` folded in; the
        row factors (r, 1) come beside it. For algorithms that go through k in sequence.
        """
        right = _scaled(H, self.col_factor, 1)
        ones = jnp.ones((self.n_padded,), right.dtype)
        row_weight = ones if self.row_weight is None else self.row_weight
        row_factor = ones if self.row_factor is None else self.row_factor

        def of_tile(tile: Tile, w: Array, weight: Array, factor: Array) -> list[Array]:
            full = _scaled(jnp.broadcast_to(weight[:, None], tile.x.shape), self.col_weight, 1)
            full = full if tile.weight is None else full * tile.weight
            return [step(Tile(tile.x, full), w, factor[:, None], right)]

        return self._map(of_tile, W, row_weight, row_factor)[0]

    def _offset(self, W: Moments, H: Moments) -> tuple[Moments, Moments]:
        """Return the moments with the offsets folded in."""
        left = Moments(*(_scaled(a, self.row_factor, 0) for a in W))
        return left, Moments(*(_scaled(a, self.col_factor, 1) for a in H))

    def _means(self, w: tuple[Array, ...], right: Moments) -> tuple[Array, Array]:
        """Return lo and hi of the entries of a tile."""
        return jnp.maximum(w[0] @ right.lo, self.floor), jnp.maximum(w[1] @ right.hi, self.floor)

    def _quadratic_sums(self, likelihood: Likelihood, W: Array, H: Array, side: Side) -> Halves:
        part = self.gram(likelihood, W, H, side)
        down = part.weight * (W @ part.gram if side == "W" else part.gram @ H)
        return Halves(part.positive, down if part.negative is None else down + part.negative)

    def _signs(self, x: Array) -> list[Array]:
        return [jnp.maximum(x, 0), jnp.maximum(-x, 0)] if self.signed else [x]

    def _tile(self, held: Any) -> Tile:
        x, weight = held
        shape = self.rows, self.shape[1]
        if isinstance(weight, Entries):
            weight = 1 - weight.fill(weight.value, shape)
        return Tile(x.fill(x.value, shape), weight, x) if isinstance(x, Entries) else Tile(x, weight)

    def _tiled(self, rows: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(r.reshape(-1, self.rows, *r.shape[1:]) for r in rows)

    def _map(self, of_tile: Callable[..., list[Array]], *rows: Array) -> list[jax.Array]:
        """Apply to each tile and its rows; put the resulting rows together."""
        held = (self.x, self.weight)
        if self.n_padded == self.rows:
            return of_tile(self._tile(jax.tree.map(lambda a: a[0], held)), *rows)
        parts = jax.lax.map(lambda a: of_tile(self._tile(a[0]), *a[1]), (held, self._tiled(rows)))
        return [p.reshape(self.n_padded, *p.shape[2:]) for p in parts]

    def _sum(self, of_tile: Callable[..., list[Array]], *rows: Array) -> list[jax.Array]:
        """Apply to each tile and its rows; add the results up."""
        held = (self.x, self.weight)
        first = jax.tree.map(lambda a: a[0], (held, self._tiled(rows)))
        if self.n_padded == self.rows:
            return of_tile(self._tile(first[0]), *first[1])

        def add(total: list[Array], a: Any) -> tuple[list[Array], None]:
            return [t + p for t, p in zip(total, of_tile(self._tile(a[0]), *a[1]), strict=True)], None

        shapes = jax.eval_shape(lambda a: of_tile(self._tile(a[0]), *a[1]), first)
        zero = [jnp.zeros(s.shape, s.dtype) for s in shapes]
        return jax.lax.scan(add, zero, (held, self._tiled(rows)))[0]


def _scaled(a: Array, factor: Array | None, axis: int) -> Array:
    """Return `a` times a factor along an axis, or `a` itself for no factor."""
    if factor is None:
        return a
    return a * (factor if a.ndim == 1 else jnp.expand_dims(factor, 1 - axis))


def _weight(tile: Tile) -> Array:
    return jnp.ones_like(tile.x) if tile.weight is None else tile.weight


def product(*factors: Array | None) -> Array | None:
    """Return the product of the factors that are there."""
    given = [f for f in factors if f is not None]
    if not given:
        return None
    product = given[0]
    for f in given[1:]:
        product = product * f
    return product
