"""Hierarchical alternating least squares, for Gaussian noise."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp

from .._types import Array, Side
from ..data import Tile, product
from ..priors import Prior
from ._problem import Problem, State


def hals_step(problem: Problem, state: State) -> State:
    """Update each component's column of W in turn, then each row of H, to its exact optimum given all others.

    ``w_k <- argmax over w >= 0 of cross_k w - gram_kk w^2 / 2 + log p(w)``: a division and a cut at zero for linear
    penalties
    (Cichocki and Phan 2009, IEICE Trans. E92-A, 708). With weights by entry the residual is carried instead of the
    Gram matrix.
    """
    for side in problem.sides:
        rates = problem.penalty.at(state.W, state.H)
        rate = rates.W[0] if side == "W" else rates.H[:, 0]
        update = _from_gram if problem.data.weight is None else _from_residual
        own = state.W if side == "W" else state.H
        new = update(problem, state, side, problem.penalty.prior(side), rate)
        state = state.with_side(side, problem.keep(own, new, side))
    return state


def _from_gram(problem: Problem, state: State, side: Side, prior: Prior, rate: Array) -> jax.Array:
    part = problem.data.gram(state.likelihood, state.W, state.H, side)
    cross, held = part.positive if part.negative is None else part.positive - part.negative, problem.held(side)
    own, cross, weight = (state.W.T, cross.T, part.weight[:, 0]) if side == "W" else (state.H, cross, part.weight[0])

    def coordinate(k: Array, own: Array) -> Array:
        quadratic = weight * part.gram[k, k]
        linear = cross[k] - weight * (part.gram[k] @ own) + quadratic * own[k]
        quadratic = jnp.broadcast_to(quadratic, linear.shape)
        new = jnp.maximum(prior.solve(linear, quadratic, rate[k]), problem.floor)
        return own.at[k].set(jnp.where(held[k], own[k], new))

    own = jax.lax.fori_loop(0, own.shape[0], coordinate, own)
    return own.T if side == "W" else own


def _from_residual(problem: Problem, state: State, side: Side, prior: Prior, rate: Array) -> jax.Array:
    precision, held = state.likelihood.precision(problem.data.shape[1]), problem.held(side)

    def step(tile: Tile, own: Array, factor: Array, other: Array) -> jax.Array:
        return _coordinates(tile, own, factor, other, prior, rate, problem.floor, held)

    if side == "W":
        data = problem.data
        data = replace(data, col_weight=product(data.col_weight, precision))
        return data.map_rows(step, state.W, state.H)
    assert problem.transposed is not None
    data = problem.transposed
    data = replace(data, row_weight=product(data.row_weight, precision))
    return data.map_rows(step, state.H.T, state.W.T).T


def _coordinates(
    tile: Tile, own: Array, factor: Array, other: Array, prior: Prior, rate: Array, floor: Array, held: Array
) -> jax.Array:
    def coordinate(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        own, residual = carry
        basis = factor * other[k][None]
        weighted = basis if tile.weight is None else tile.weight * basis
        quadratic = jnp.sum(weighted * basis, 1)
        linear = jnp.sum(weighted * residual, 1) + quadratic * own[k]
        new = jnp.where(held[k], own[k], jnp.maximum(prior.solve(linear, quadratic, rate[k]), floor))
        return own.at[k].set(new), residual - (new - own[k])[:, None] * basis

    residual = tile.x - factor * (own @ other)
    return jax.lax.fori_loop(0, own.shape[1], coordinate, (own.T, residual))[0].T
