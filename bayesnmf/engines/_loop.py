"""The one loop: steps, checks, trace, and why it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from .._types import Array

RUNNING, CONVERGED, MAX_STEPS, NONFINITE = 0, 1, 2, 3
STATUS = {CONVERGED: "converged", MAX_STEPS: "max_steps", NONFINITE: "nonfinite"}


State = TypeVar("State")


class Tolerance(NamedTuple):
    """When to stop: relative decrease of the objective between checks, and the KKT residual; both must be met."""

    objective: Array
    residual: Array
    scale: Array
    """Size of an objective that counts as zero."""


class Info(NamedTuple):
    """What the reader of a fit wants to know of its course.

    `trace` holds the objective at the start and at each check, NaN beyond the last.
    """

    objective: Array
    residual: Array
    steps: Array
    checks: Array
    code: Array
    trace: Array


def start_info(objective: jax.Array, code: jax.Array, max_checks: int) -> Info:
    """Return the info before the first step."""
    trace = jnp.full((max_checks + 1,), jnp.nan, objective.dtype).at[0].set(objective)
    infinite = jnp.full_like(objective, jnp.inf)
    return Info(objective, infinite, jnp.int32(0), jnp.int32(0), code, trace)


def iterate(
    step: Callable[[State], State],
    check: Callable[[State], tuple[State, jax.Array, jax.Array]],
    state: State,
    info: Info,
    tolerance: Tolerance,
    every: int,
    max_steps: int,
) -> tuple[State, Info]:
    """Step until converged, `max_steps`, or an objective that is not finite (the last finite state is kept).

    `check` is called every so many steps and returns the state (with refreshed noise), its objective and its residual.
    """

    def unfinished(carry: tuple[State, Info]) -> jax.Array:
        return carry[1].code == RUNNING

    def advance(carry: tuple[State, Info]) -> tuple[State, Info]:
        state, info = carry
        count = jnp.minimum(every, max_steps - info.steps)
        new, objective, residual = check(jax.lax.fori_loop(0, count, lambda _, s: step(s), state))
        finite = jnp.isfinite(objective)
        new = jax.lax.cond(finite, lambda: new, lambda: state)
        steps, checks = info.steps + count, info.checks + 1
        decrease = info.objective - objective
        small = decrease <= tolerance.objective * (jnp.abs(objective) + tolerance.scale)
        code = jnp.where(steps >= max_steps, MAX_STEPS, RUNNING)
        code = jnp.where(small & (residual <= tolerance.residual), CONVERGED, code)
        code = jnp.where(finite, code, NONFINITE).astype(jnp.int32)
        trace = info.trace.at[checks].set(objective)
        return new, Info(jnp.where(finite, objective, info.objective), residual, steps, checks, code, trace)

    return jax.lax.while_loop(unfinished, advance, (state, info))
