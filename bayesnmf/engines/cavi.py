"""Engine CAVI: a posterior by coordinate ascent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import EngineError
from .._input import Table
from .._runs import arithmetic
from .._types import Array, Precision, Side
from ..likelihoods import Likelihood
from ..model import Model
from ..penalty import Penalty, Rates
from ..priors import Dirichlet, Flat, Prior
from ._families import Conditional, Dirichlets, Gammas
from ._loop import CONVERGED, MAX_STEPS, RUNNING, STATUS, Info, Tolerance, iterate, start_info
from ._multiplicative import multiplicative_step
from ._prepare import PAD, Prepared, check_options
from ._problem import Problem, State
from ._result import EngineInfo, EngineResult, best_of, with_numbers
from ._squarem import FIRST, GROWTH, jump
from ._starts import draw_starts
from ._truncated import TruncatedNormals
from ._variational import Beliefs, Family, Shared, Variational

SHARP, POINT = 1e4, 1e8
"""Shape of a q that stands for a point: one to start from, and one that is known."""

LEAST = 1e-6
"""Least entry of a start, as a share of the mean."""

TIGHTER = 30.0
"""How much nearer than the others the best start is brought to its optimum, where its response is taken.

With sparse priors the way leads past saddles: three of 200 starts ended at one at 10, one did at 30. At 100 float32 has
no digits left on large data.
"""

WARM_UP = 50
"""Multiplicative updates before the first sweep: at the prior mean all components are alike."""


@dataclass(frozen=True)
class CAVI:
    """A posterior by coordinate ascent: factors of W and H that are independent, each at its optimum given the others.

    For error bars in seconds. The ELBO, a lower bound of the log evidence, compares ranks and likelihoods. Its own
    widths are too small, since it ignores how W and H move together; intervals therefore come from
    linear response (`Fit.interval`). Not for `BetaDivergence`, which is no likelihood, nor for flat priors.

    Shapes of priors that are learned stay at 1 until a random start has converged, so that starts mostly end at one
    optimum. Learned at once they run away with what the first sweeps happen to find: to a better one at times, by some
    tens of nats, and to some that are thousands of nats worse. At last `bayesnmf.fit` chooses them by `Fit.evidence`,
    for the ELBO prefers small ones ("Priors that are learned", in docs/explain/intervals.md).

    Parameters
    ----------
    starts : int
        Random starts, each from a short run of multiplicative updates; the one with the greatest ELBO is returned.
    max_steps : int
        Most sweeps of one start. A sweep updates q(W), then q(H), then the parameters of their priors.
    tol : float
        Converged when the ELBO rises by less than this share of itself between two checks ...
    residual_tol : float
        ... and no mean moves by more than this many of its standard deviations in a sweep. The best start goes on to a
        thirtieth of both, and learned noise is then corrected for the degrees of freedom that W and H have spent (the
        ELBO is that before the correction). Both at 0: run `max_steps`, and no more.
    check_every : int
        Sweeps between checks, at which learned noise is updated and the way ahead is extrapolated (SQUAREM; taken back
        at the next check where the ELBO fell). ``fit.trace`` has one value for each.
    precision : {"float32", "float64"}
        Arithmetic, whatever the dtype of X.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> X = np.random.default_rng(0).poisson(3.0, (20, 10))
    >>> low, high = bn.fit(X, rank=2, engine=bn.CAVI(starts=2)).interval("W")
    >>> low.shape
    (20, 2)
    """

    starts: int = 5
    max_steps: int = 5000
    tol: float = 1e-6
    residual_tol: float = 1e-2
    check_every: int = 10
    precision: Precision = "float32"

    def check(self, likelihood: Likelihood) -> None:
        """Raise EngineError for options that are out of range or do not go with the likelihood."""
        check_options(self)
        if not has_posterior(likelihood):
            raise EngineError(
                f"CAVI has no posterior for {type(likelihood).__name__}: its bounds are exact for Poisson, "
                "NegativeBinomial, CompoundPoisson and Gaussian. Use one of these, or engine=bn.MAP(), or, for a "
                "likelihood with a density, bn.SVI() or bn.NUTS()."
            )

    def run(
        self,
        model: Model,
        table: Table,
        key: jax.Array,
        init: tuple[np.ndarray, np.ndarray] | None = None,
        fixed: Beliefs | None = None,
        pad: int = PAD,
        least_events: float = 0.0,
    ) -> EngineResult:
        """Fit a resolved model, components padded to a multiple of `pad`.

        `fixed` keeps the posterior of H and all that was learned: projection. The best start is one whose components
        all hold so many events, where there is one.
        """
        self.check(model.parts[0])
        with arithmetic(self.precision):
            task = _Task(self, model, table, fixed, pad)
            course, best = task.run(key, init, least_events)
            result = task.result(course, best)
        free = fixed is None and not task.endless and any(name.startswith("shape") for name in result.learned)
        return result._replace(at_shapes=partial(task.at_shapes, course, result.best)) if free else result


def has_posterior(likelihood: Likelihood) -> bool:
    """Return whether the bounds of the likelihood are exact, so that there is a posterior by coordinate ascent."""
    exact = likelihood.powers == (0.0, 1.0) or likelihood.background == "quadratic"
    return exact and likelihood.is_density


class Course(NamedTuple):
    """What one start led to."""

    state: Beliefs
    info: Info


class Way(NamedTuple):
    """What the loop carries.

    The beliefs of the last three sweeps; the best ones that were checked, with their ELBO and residual, to go back to
    where a jump led down; how long the last jump was, and how long the next may be.
    """

    before: Beliefs
    last: Beliefs
    now: Beliefs
    best: Beliefs
    elbo: Array
    residual: Array
    length: Array
    longest: Array


class _Task:
    """One call of `CAVI.run`: the problem in the engine's units and padding, and back."""

    def __init__(self, engine: CAVI, model: Model, table: Table, fixed: Beliefs | None, pad: int = PAD):
        _, self.W, self.H = model.parts
        self.engine, self.model, self.table = engine, model, table
        self.endless = engine.tol == engine.residual_tol == 0
        self.prepared = ready = Prepared(model, table, np.dtype(engine.precision), pad)
        self.fixed = None if fixed is None else self._padded(fixed)
        quadratic = ready.likelihood.background == "quadratic"
        transposed = ready.data.T if quadratic and ready.data.weight is not None and fixed is None else None
        self.problem = Variational(
            ready.data, transposed, jnp.asarray(ready.active), ready.array(ready.known), Shared.of(ready),
            ready.array(table.total_weight), jnp.asarray(False), learned_parameters(model), table.shape[0],
            fixed is None,
        )  # fmt: skip

    def run(
        self, key: jax.Array, init: tuple[np.ndarray, np.ndarray] | None, least_events: float
    ) -> tuple[Course, int]:
        """Run all starts, and say which is the best."""
        ready, engine = self.prepared, self.engine
        n, m = self.table.shape
        if init is None:
            W, H = (a * ready.size for a in draw_starts(key, engine.starts, n, m, ready.k))
        else:
            W, H = (np.asarray(a, float).reshape(-1, *a.shape[-2:]) / ready.side_unit for a in init)
        factors = tuple(ready.array(a) for a in ready.pad(W, H))
        first = self.fixed
        if first is None:
            nothing = jnp.ones((ready.k,), ready.dtype)
            first = Beliefs(
                *self._q(), self._conditional(self.W, 0), self._conditional(self.H, 1), Gammas(nothing, nothing),
                ready.likelihood,
            )  # fmt: skip
        held = init is None and not self.endless and any(name.startswith("shape") for name in self.problem.learned)
        self.problem = replace(self.problem, held=jnp.asarray(held))
        course = self._sweep_on(begin_starts(self.problem, self._point(), first, factors), None, correct=False)
        if held:
            self.problem, steps = replace(self.problem, held=jnp.asarray(False)), course.info.steps
            course = self._sweep_on(course.state, None, correct=False)
            course = course._replace(info=course.info._replace(steps=course.info.steps + steps))
        best = self._best(course, least_events)
        if self.fixed is not None or self.endless:
            return course, best
        return self._to_the_end(course, best), best

    def _best(self, course: Course, least_events: float) -> int:
        """Return the start of greatest ELBO; of those whose components all hold so many events where there are any."""
        objective = np.asarray(course.info.objective, float)
        if least_events > 0:
            known = self.model.known_rows
            starts = [_of_start(course.state, s) for s in range(len(objective))]
            events = [self._in_units(state).events[known:] for state in starts]
            full = np.min(events, 1, initial=np.inf) >= least_events
            objective = np.where(full, objective, np.inf) if full.any() else objective
        return best_of(objective)

    def at_shapes(self, course: Course, best: int, shapes: dict[Side, float], trial: bool) -> EngineResult:
        """Return what the best start leads to with these shapes of its priors, by the same programs.

        A trial goes to the tolerance that was asked for, and no further.
        """
        state = course.state
        for side, shape in shapes.items():
            prior = state.prior_W if side == "W" else state.prior_H
            ratio = np.expand_dims(shape / prior.shape, (1, 2))
            moved = Conditional(np.full_like(prior.shape, shape), prior.rate * ratio, prior.log_rate + np.log(ratio))
            state = state.with_prior(side, moved)
        self.problem = replace(self.problem, held=jnp.asarray(True))
        with arithmetic(self.engine.precision):
            code = jnp.asarray(course.info.code).at[best].set(RUNNING)
            start = Course(state, course.info._replace(code=code))
            end = self._go_on(start, best, correct=False, tighter=1.0)
            return self.result(end if trial else self._to_the_end(end, best), best)

    def _to_the_end(self, course: Course, best: int) -> Course:
        """Return the course with its best start at its optimum, and its noise corrected."""
        course = self._go_on(course, best, correct=False)
        return self._go_on(course, best, correct=True) if self.prepared.likelihood.learned else course

    def _sweep_on(self, states: Beliefs, best: int | None, correct: bool, tighter: float = TIGHTER) -> Course:
        """Sweep from all starts; or from the best one to a tighter tolerance, while the others end at once."""
        ready, engine = self.prepared, self.engine
        count = len(jax.tree.leaves(states)[0])
        scale = np.full(count, 1e-3 * np.prod(self.table.shape))

        def by_start(value: float) -> Array:
            alone = np.where(np.arange(count) == best, value / tighter, np.inf)
            return ready.array(np.full(count, value) if best is None else alone)

        tolerance = Tolerance(by_start(engine.tol), by_start(engine.residual_tol), ready.array(scale))
        course = sweep_on(
            self.problem, states, tolerance, jnp.asarray(correct), max_steps=engine.max_steps, every=engine.check_every
        )
        return jax.tree.map(np.asarray, course)

    def _go_on(self, course: Course, best: int, correct: bool, tighter: float = TIGHTER) -> Course:
        """Return the course with its best start brought nearer to its optimum.

        The ELBO stays that of the optimum when the noise is corrected: it is what compares ranks and likelihoods.
        """
        end = self._sweep_on(course.state, best, correct, tighter)
        objective = course.info.objective if correct else end.info.objective
        steps = course.info.steps + end.info.steps
        there = (course.info.code == CONVERGED) & (end.info.code == MAX_STEPS)  # by the tolerance that was asked for
        code = jnp.where(there, CONVERGED, end.info.code)
        info = end.info._replace(objective=objective, steps=steps, trace=course.info.trace, code=code)
        chosen = np.arange(len(course.info.objective)) == best
        return jax.tree.map(
            lambda a, b: np.where(chosen.reshape(-1, *[1] * (np.ndim(a) - 1)), b, a), course, Course(end.state, info)
        )

    def result(self, course: Course, best: int) -> EngineResult:
        """Return the outcome in the units of X, without padding."""
        ready, n, rank = self.prepared, self.table.shape[0], self.model.rank
        elbo = -np.asarray(course.info.objective, float)
        objective = -(elbo + ready.constant)
        relevance = np.stack([self.problem.relevance(_of_start(course.state, s)) for s in range(len(objective))])
        state = course.state._replace(H=self._with_known(course.state.H))
        W, H = (np.asarray(q.mean, float) for q in (state.W, state.H))
        found = self._in_units(_of_start(state, best))
        trace = -(ready.constant - np.asarray(course.info.trace, float)[best])
        status = tuple(STATUS[int(code)] for code in course.info.code)
        info = EngineInfo(
            objective, np.asarray(course.info.residual, float), np.asarray(course.info.steps), status,
            trace[np.isfinite(trace)],
        )  # fmt: skip
        return EngineResult(
            W[:, :n, :rank] * ready.unit_W, H[:, :rank] * ready.unit_H, relevance[:, :rank], best, found.likelihood,
            ready.shrinkage, (self._learned(self.W, found.prior_W), self._learned(self.H, found.prior_H)),
            found.prior_W.rate[0], info, found, self.problem.learned,
        )  # fmt: skip

    def _with_known(self, q: Family) -> Family:
        """Return q of H of all starts, all but a point at known rows."""
        known = self.prepared.known
        rows = np.any(known, 1, keepdims=True)
        point = _near(q, np.maximum(known, 1e-12 * self.prepared.size), POINT)
        return jax.tree.map(lambda a, b: np.where(rows, b, a), q, point)

    def _point(self) -> Problem:
        """Return the problem of plain NMF, for the first steps."""
        ready = self.prepared
        nothing = Rates(jnp.zeros((1, ready.k), ready.dtype), jnp.zeros((ready.k, 1), ready.dtype))
        penalty = Penalty(Flat(), Flat(), None, nothing, self.problem.active, self.problem.is_known, self.problem.n)
        return Problem(ready.data, None, penalty, ready.array(1e-20 * ready.size), self.fixed is None)

    def _q(self) -> tuple[Family, Family]:
        ready = self.prepared
        W = jnp.ones((ready.data.n_padded, ready.k), ready.dtype)
        H = jnp.ones((ready.k, self.table.shape[1]), ready.dtype)
        if ready.likelihood.background == "quadratic":
            return TruncatedNormals(W, W, self.W.power), TruncatedNormals(H, H, self.H.power)
        return Gammas(W, W), Dirichlets(H) if isinstance(self.H, Dirichlet) else Gammas(H, H)

    def _conditional(self, prior: Any, axis: int) -> Conditional:
        ready = self.prepared
        shape = 1.0 if prior.shape is None else float(prior.shape)
        mean = ready.size if prior.mean is None else prior.mean / (ready.unit_H if axis else ready.unit_W)
        start = float(prior.rate(np.float64(mean))) if prior.shape is not None else shape / mean
        rate = np.expand_dims(np.full(ready.k, start), axis)
        return Conditional(ready.array(shape), ready.array(rate), ready.array(np.log(rate)))

    def _in_units(self, state: Beliefs) -> Beliefs:
        """Return the beliefs in the units of X, without padding."""
        ready, n, rank = self.prepared, self.table.shape[0], self.model.rank
        unit_W, unit_H = ready.unit_W, ready.unit_H

        def prior(given: Conditional, unit: float, axis: int) -> Conditional:
            rate, log_rate = (np.take(a, np.arange(rank), 1 - axis) for a in given[1:])
            return Conditional(given.shape, rate / unit, log_rate - np.log(unit))

        W = jax.tree.map(lambda a: a[:n, :rank], state.W).in_units(unit_W)
        H, rate = (jax.tree.map(lambda a: a[:rank], q) for q in (state.H, state.rate))
        return Beliefs(
            W, H.in_units(unit_H), prior(state.prior_W, unit_W**self.W.power, 0),
            prior(state.prior_H, unit_H**self.H.power, 1), rate.in_units(1 / unit_W**self.W.power),
            ready.learned_likelihood(state.likelihood),
        )  # fmt: skip

    def _padded(self, fixed: Beliefs) -> Beliefs:
        """Return beliefs in the units of X as the engine has them, with first values for the activities."""
        ready = self.prepared
        more = ready.k - self.model.rank
        unit_W, unit_H = ready.unit_W, ready.unit_H

        def components(a: Any, axis: int) -> Array:
            width = [(0, 0)] * np.ndim(a)
            width[axis] = (0, more)
            return ready.array(np.pad(a, width, constant_values=1.0))

        def prior(given: Conditional, unit: float, axis: int) -> Conditional:
            rate, log_rate = given.rate * unit, given.log_rate + np.log(unit)
            return Conditional(ready.array(given.shape), components(rate, axis), components(log_rate, axis))

        H, rate = (
            jax.tree.map(lambda a: components(a, 0), q)
            for q in (fixed.H.in_units(1 / unit_H), fixed.rate.in_units(unit_W**self.W.power))
        )
        return Beliefs(
            self._q()[0], H, prior(fixed.prior_W, unit_W**self.W.power, 1),
            prior(fixed.prior_H, unit_H**self.H.power, 0), rate, ready.likelihood,
        )  # fmt: skip

    def _learned(self, prior: Prior, believed: Conditional) -> Prior:
        """Return a prior with its numbers as they were learned."""
        shape, rate = float(believed.shape), float(np.ravel(believed.rate)[-1])
        return with_numbers(prior, shape, None if self.model.shrinkage is not None else rate)


def learned_parameters(model: Model) -> tuple[str, ...]:
    """Return which parameters of the priors of a resolved model are learned: "shape_W", "rate_W", ..."""
    _, W, H = model.parts
    learned = []
    for side, prior, other in (("W", W, H), ("H", H, W)):
        if side == "H" and model.known_rows == model.rank:
            continue
        if prior.shape is None:
            learned.append(f"shape_{side}")
        free = prior.mean is None and model.shrinkage is None and not isinstance(prior, Dirichlet)
        if free and (side == "W" or other.mean is not None):
            learned.append(f"rate_{side}")
    return tuple(learned)


@partial(jax.jit, static_argnames=("max_steps", "every"))
def sweep_on(
    problem: Variational, states: Beliefs, tolerance: Tolerance, correct: Array, *, max_steps: int, every: int
) -> Course:
    """Sweep from every start (leading axis of states and tolerances) until it has converged.

    `correct` says whether learned noise is corrected for the degrees of freedom that W and H spend.
    """

    def one(given: tuple[Beliefs, Tolerance]) -> Course:
        state, tolerance = given

        def step(way: Way) -> Way:
            return way._replace(before=way.last, last=way.now, now=problem.sweep(way.now))

        def check(way: Way) -> tuple[Way, Array, Array]:
            moved, new = problem.moved(way.last, way.now), way.now
            if problem.update_H and state.likelihood.learned:
                new = problem.learn_noise(new, correct)
            elbo = problem.elbo(new)
            better = correct | (elbo >= way.elbo) | (way.length <= 1)
            new, elbo, residual = jax.lax.cond(
                better, lambda: (new, elbo, moved), lambda: (way.best, way.elbo, way.residual)
            )
            longest = jnp.where(better, way.longest, jnp.maximum(way.length / GROWTH, 1))
            length, now = jnp.ones_like(longest), new
            if every > 2:
                free = len(new) - 1 if problem.update_H else 1  # all but the noise; in a projection W alone
                allowed = jnp.where(better & ~correct, longest, 1)
                ahead, length = jump(way.before[:free], way.last[:free], way.now[:free], allowed)
                jumped = new._replace(**dict(zip(new._fields, ahead, strict=False)))
                now = jax.lax.cond(length > 1, lambda: jumped, lambda: new)
                longest = jnp.where(length == longest, GROWTH * longest, longest)
            way = Way(way.before, way.last, now, new, elbo, residual, length, longest)
            return way, -elbo, jnp.where(better, moved, jnp.inf)

        begin = start_info(jnp.full_like(tolerance.scale, jnp.inf), jnp.int32(RUNNING), -(-max_steps // every))
        lowest = -begin.objective
        way = Way(state, state, state, state, lowest, -lowest, jnp.ones_like(lowest), jnp.full_like(lowest, FIRST))
        way, info = iterate(step, check, way, begin, tolerance, every, max_steps)
        return Course(way.best, info._replace(residual=way.residual))

    given = (states, tolerance)
    return jax.lax.map(one, given) if jax.default_backend() == "cpu" else jax.vmap(one)(given)


@jax.jit
def begin_starts(problem: Variational, point: Problem, first: Beliefs, factors: tuple[Array, Array]) -> Beliefs:
    """Return the beliefs that every start (leading axis of the factors) begins with."""
    return jax.lax.map(lambda own: _begin(problem, point, first, own), factors)


def _begin(problem: Variational, point: Problem, first: Beliefs, factors: tuple[Array, Array]) -> Beliefs:
    """Return the beliefs after a short run of plain NMF, its scale moved to where the priors have theirs."""
    if not problem.update_H:
        W = jnp.maximum(factors[0], LEAST * jnp.mean(factors[0]))
        return first._replace(W=_near(first.W, W, SHARP))
    state = State(*factors, first.likelihood)
    state = jax.lax.fori_loop(0, WARM_UP, lambda _, s: multiplicative_step(point, s), state)
    W, H, likelihood = point.refresh_noise(state)
    size_W, size_H = jnp.mean(W[: problem.n], 0), jnp.mean(H, 1)
    if isinstance(first.H, Dirichlets):
        scale = size_H * H.shape[1]
    else:
        ratio = (first.prior_W.shape / first.prior_W.rate[0]) / (first.prior_H.shape / first.prior_H.rate[:, 0])
        scale = jnp.sqrt(ratio * size_H / jnp.where(size_W > 0, size_W, 1))
    scale = jnp.where(problem.free & (scale > 0), scale, 1)
    W, H = (jnp.maximum(a, LEAST * jnp.mean(a)) for a in (W * scale[None], H / scale[:, None]))
    beliefs = first._replace(W=_near(first.W, W, SHARP), H=_near(first.H, H, SHARP), likelihood=likelihood)
    return problem.learn(beliefs)


def _near(q: Family, point: Any, shape: float) -> Family:
    """Return a q of the same family that is nearly a point."""
    if isinstance(q, TruncatedNormals):
        return TruncatedNormals.of_point(point, shape, q.power)
    return q.of_point(point, shape)


def _of_start(states: Beliefs, start: int) -> Beliefs:
    """Return the beliefs of one start."""
    return jax.tree.map(lambda a: np.asarray(a[start], float), states)
