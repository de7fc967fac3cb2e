"""Random starts, and what came of each."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._random import generator
from .._types import Array
from ..priors import Flat
from ._hals import hals_step
from ._loop import RUNNING, Info, Tolerance, iterate, start_info
from ._merge import merge_twins
from ._multiplicative import multiplicative_step
from ._problem import Problem, State

WARM_UP = 50
"""Steps without the rates of priors that learned noise is first taken from."""

STEPS = {"mu": multiplicative_step, "hals": hals_step}


class Outcome(NamedTuple):
    """What one start led to."""

    state: State
    info: Info
    relevance: Array


def draw_starts(key: jax.Array, starts: int, n: int, m: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return W (starts, n, k) and H (starts, k, m) with entries uniform on (1, 2).

    Component j of start s depends on nothing but the key, s and j: not on k, nor on the number of starts, nor on the
    precision.
    """
    drawn = np.array([[generator(key, s, j).uniform(1, 2, n + m) for j in range(k)] for s in range(starts)])
    return drawn[..., :n].swapaxes(1, 2), drawn[..., n:]


@partial(jax.jit, static_argnames=("method", "max_steps", "every"))
def run_starts(
    problem: Problem, first: State, tolerance: Tolerance, *, method: str, max_steps: int, every: int
) -> Outcome:
    """Run every start (leading axis of `first.W` and `first.H`) in one compiled program.

    On a CPU one after the other, where each stops by itself; elsewhere side by side.
    """

    def one(factors: tuple[Array, Array]) -> Outcome:
        return _run(problem, State(*factors, first.likelihood), tolerance, method, max_steps, every)

    factors = (first.W, first.H)
    return jax.lax.map(one, factors) if jax.default_backend() == "cpu" else jax.vmap(one)(factors)


def _run(problem: Problem, state: State, tolerance: Tolerance, method: str, max_steps: int, every: int) -> Outcome:
    shrinks = problem.penalty.shrinkage is not None

    def step(state: State) -> State:
        state = STEPS[method](problem, state)
        if not shrinks:
            return state
        W, H = problem.penalty.balance(state.W, state.H)
        return state._replace(W=W, H=H)

    def check(state: State) -> tuple[State, jax.Array, jax.Array]:
        state = problem.refresh_noise(state)
        return state, problem.objective(state), problem.residual(state)

    flat = isinstance(problem.penalty.W, Flat) and isinstance(problem.penalty.H, Flat)
    if state.likelihood.learned and (shrinks or not flat):
        # with the noise of a fit by nothing, priors would take signal for noise at the first step
        free = problem.without_shrinkage()
        state = jax.lax.fori_loop(0, WARM_UP, lambda _, s: STEPS[method](free, s), state)
        state = problem.refresh_noise(state)

    # with shrinkage twice: from the start, then from where that ended with twins merged, if there were any
    def go(best: tuple[State, Info], first: Array) -> tuple[tuple[State, Info], None]:
        state, code = best[0], jnp.int32(RUNNING)
        if shrinks:
            W, H, merged = merge_twins(problem.penalty, state.W, state.H)
            state = state._replace(W=jnp.where(first, state.W, W), H=jnp.where(first, state.H, H))
            code = jnp.where(first | merged, RUNNING, best[1].code).astype(jnp.int32)
        begin = start_info(problem.objective(state), code, -(-max_steps // every))
        new = iterate(step, check, state, begin, tolerance, every, max_steps)
        better = first | (new[1].objective < best[1].objective)
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), new, best), None

    nothing = start_info(jnp.full_like(problem.floor, jnp.inf), jnp.int32(RUNNING), -(-max_steps // every))
    rounds = jnp.array([True, False] if shrinks else [True])
    (state, info), _ = jax.lax.scan(go, (state, nothing), rounds)
    return Outcome(state, info, problem.penalty.relevance(state.W, state.H))
