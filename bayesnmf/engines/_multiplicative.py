"""Multiplicative updates, for every likelihood and prior."""

from __future__ import annotations

import jax.numpy as jnp

from .._types import Side
from ..likelihoods import Likelihood
from ..priors import Prior
from ._problem import Problem, State


def exponent(likelihood: Likelihood, prior: Prior) -> float:
    """Return the largest exponent with which the step is sure not to raise the objective.

    Both halves of the objective are bounded by powers of the common factor r, tangent at r = 1: the parts that pull
    up by
    r^p, those that pull down by r^q. A power may be replaced by a lower p or a higher q without crossing, so
    likelihood and prior together have the least p and the greatest q, and the bound is least at
    ``r = (up / down)^(1 / (q - p))`` (Févotte and Idier 2011; Tan and Févotte 2013 for priors).
    """
    p, q = likelihood.powers
    prior_p, prior_q = prior.powers
    return 1 / (max(q, prior_q) - min(p, prior_p))


def multiplicative_step(problem: Problem, state: State) -> State:
    """Update W, then H at the new W: ``W * ((up + prior up) / (down + prior down))^exponent``.

    With flat priors the algorithm of Lee and Seung, and that of scikit-learn's ``solver="mu"``.
    """
    for side in problem.sides:
        state = update_side(problem, state, side)
    return state


def update_side(problem: Problem, state: State, side: Side) -> State:
    """Update one factor."""
    own = state.W if side == "W" else state.H
    up, down = problem.halves(state, side)
    ratio = up / jnp.maximum(down, jnp.finfo(down.dtype).tiny)
    power = exponent(state.likelihood, problem.penalty.prior(side))
    new = problem.keep(own, own * (ratio if power == 1 else ratio**power), side)
    return state.with_side(side, new)
