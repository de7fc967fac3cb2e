"""Registries of what is offered, data, and slow twins: plain loops that say what the fast code must give."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats
from scipy.special import digamma, logsumexp

import bayesnmf as bn
from bayesnmf._input import read
from bayesnmf._pytree import pytree
from bayesnmf._resolve import resolve
from bayesnmf._types import Side
from bayesnmf.data import Data, Moments
from bayesnmf.engines._families import Conditional, Dirichlets, Gammas
from bayesnmf.engines._hals import hals_step
from bayesnmf.engines._multiplicative import update_side
from bayesnmf.engines._problem import State, better_noise
from bayesnmf.engines._variational import Beliefs, Variational
from bayesnmf.engines.cavi import _Task
from bayesnmf.engines.map import _Task as MapTask
from bayesnmf.penalty import Penalty
from bayesnmf.posterior import Posterior

LIKELIHOODS = {
    "poisson": lambda: bn.Poisson(),
    "negative-binomial": lambda: bn.NegativeBinomial(),
    "negative-binomial-per-feature": lambda: bn.NegativeBinomial(per_feature=True),
    "compound-poisson": lambda: bn.CompoundPoisson(),
    "gamma-noise": lambda: bn.GammaNoise(),
    "gaussian": lambda: bn.Gaussian(),
    "gaussian-fixed": lambda: bn.Gaussian(variance=2.0),
    "gaussian-per-feature": lambda: bn.Gaussian(per_feature=True),
    "beta-0": lambda: bn.BetaDivergence(0.0),
    "beta-0.5": lambda: bn.BetaDivergence(0.5),
    "beta-1": lambda: bn.BetaDivergence(1.0),
    "beta-1.5": lambda: bn.BetaDivergence(1.5),
    "beta-2": lambda: bn.BetaDivergence(2.0),
    "beta-3": lambda: bn.BetaDivergence(3.0, dispersion=4.0),
}
PRIORS = {
    "flat": lambda: bn.Flat(),
    "exponential": lambda: bn.Exponential(),
    "gamma": lambda: bn.Gamma(shape=1.5),
    "half-normal": lambda: bn.HalfNormal(),
}
HOLDERS = {"dense": np.asarray, "csr": sp.csr_array}


def methods(likelihood: bn.likelihoods.Likelihood) -> list[str]:
    """Return the algorithms that can fit a likelihood."""
    return ["mu", "hals"] if likelihood.background == "quadratic" else ["mu"]


def planted(n: int = 24, m: int = 15, k: int = 3, seed: int = 0, positive: bool = False) -> np.ndarray:
    """Return counts with k parts, a third of them zero unless `positive`."""
    rng = np.random.default_rng(seed)
    X = rng.poisson(rng.gamma(0.7, 3.0, (n, k)) @ rng.gamma(0.5, 1.0, (k, m))).astype(float)
    return X + 0.5 if positive else X


def intensities(counts: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return sums of as many gamma jumps of shape 2 and mean 1."""
    return np.where(counts > 0, np.random.default_rng(seed).gamma(2.0 * np.maximum(counts, 1)) / 2, 0)


def observations(seed: int = 0, n: int = 24, m: int = 15) -> dict[str, Any]:
    """Return everything that can come beside X, all at once."""
    rng = np.random.default_rng(seed)
    return {
        "weights": rng.integers(1, 4, (n, m)),
        "observed": rng.random((n, m)) > 0.2,
        "size_factors": rng.uniform(0.5, 2.0, n),
        "opportunities": rng.uniform(0.5, 2.0, m),
    }


def loss(likelihood: bn.likelihoods.Likelihood, x: float, v: float) -> float:
    """Return the loss of one entry, written out."""
    if isinstance(likelihood, bn.Gaussian):
        return (x - v) ** 2 / 2
    if isinstance(likelihood, bn.NegativeBinomial):
        alpha = 1 / float(np.ravel(likelihood.dispersion)[0])
        own = x * np.log(x / v) if x > 0 else 0.0
        return own - (alpha + x) * np.log((alpha + x) / (alpha + v))
    if isinstance(likelihood, bn.CompoundPoisson):
        return slow_compound(likelihood, x, x) - slow_compound(likelihood, x, v)
    beta = 0.0 if isinstance(likelihood, bn.GammaNoise) else getattr(likelihood, "beta", 1.0)
    if beta == 1:
        return (x * np.log(x / v) if x > 0 else 0.0) - x + v
    if beta == 0:
        return x / v - np.log(x / v) - 1
    return (x**beta + (beta - 1) * v**beta - beta * x * v ** (beta - 1)) / (beta * (beta - 1))


def slow_compound(likelihood: bn.CompoundPoisson, x: float, v: float, terms: int = 2000) -> float:
    """Return the log density of a Poisson number of gamma jumps, by its series."""
    rate = v / float(likelihood.jump)
    if x == 0:
        return -rate
    n, shape = np.arange(1, terms + 1), float(likelihood.shape)
    scale = float(likelihood.jump) / shape
    return float(logsumexp(stats.poisson(rate).logpmf(n) + stats.gamma(shape * n, scale=scale).logpdf(x)))


def repeated(X: np.ndarray, weights: np.ndarray, observed: np.ndarray) -> list[tuple[int, int, float]]:
    """Return the observations (i, j, x) of whole weights, one by one."""
    return [(i, j, X[i, j]) for i, j in np.ndindex(X.shape) if observed[i, j] for _ in range(int(weights[i, j]))]


def slow_kl(
    entries: list[tuple[int, int, float]], W: np.ndarray, H: np.ndarray, s: np.ndarray, o: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return W and H after multiplicative KL updates over single observations, in plain loops."""
    for _ in range(steps):
        up, down = np.zeros_like(W), np.zeros_like(W)
        for i, j, x in entries:
            v = s[i] * o[j] * (W[i] @ H[:, j])
            up[i] += x / v * s[i] * o[j] * H[:, j]
            down[i] += s[i] * o[j] * H[:, j]
        W = W * up / down
        up, down = np.zeros_like(H), np.zeros_like(H)
        for i, j, x in entries:
            v = s[i] * o[j] * (W[i] @ H[:, j])
            up[:, j] += x / v * s[i] * o[j] * W[i]
            down[:, j] += s[i] * o[j] * W[i]
        H = H * up / down
    return W, H


def catalogue(
    seed: int, n: int = 100, m: int = 96, k: int = 10, dispersion: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return counts and their profiles, by the generator of Zito and Miller (2024) with Dirichlet(.25) profiles.

    Activities are Gamma(.5, rate .5) times Gamma(100, 1) for each profile: 100 counts a sample and profile on average.
    """
    rng = np.random.default_rng(seed)
    profiles = rng.dirichlet(np.full(m, 0.25), k)
    activities = rng.gamma(0.5, 2.0, (n, k)) * rng.gamma(100.0, 1.0, k)
    mean = activities @ profiles
    if dispersion:
        mean = rng.gamma(1 / dispersion, dispersion * mean)
    return rng.poisson(mean), profiles


def recovered(fit: bn.Fit, profiles: np.ndarray) -> tuple[float, float]:
    """Return precision and sensitivity: matched with a cosine above .9, over those found and over those there are."""
    from bayesnmf.align import match_rows

    hits = int((match_rows(profiles, fit.H).cosine > 0.9).sum())
    return hits / max(fit.rank, 1), hits / len(profiles)


BELIEFS: dict[str, Callable[[], dict[str, Any]]] = {
    "exponential": lambda: {"W": bn.Exponential(), "H": bn.Exponential()},
    "exponential-given": lambda: {"W": bn.Exponential(mean=2.0), "H": bn.Exponential(mean=0.7)},
    "gamma": lambda: {"W": bn.Gamma(1.5), "H": bn.Gamma(1.5)},
    "gamma-sparse": lambda: {"W": bn.Gamma(0.3), "H": bn.Gamma(0.3)},
    "gamma-learned": lambda: {"W": bn.Gamma(None), "H": bn.Gamma(None)},
    "gamma-mean-of-W-given": lambda: {"W": bn.Gamma(None, mean=2.0), "H": bn.Gamma(None)},
    "gamma-mean-of-H-given": lambda: {"W": bn.Gamma(None), "H": bn.Gamma(None, mean=0.5)},
    "gamma-means-given": lambda: {"W": bn.Gamma(None, mean=2.0), "H": bn.Gamma(None, mean=0.5)},
    "dirichlet": lambda: {"W": bn.Gamma(None), "H": bn.Dirichlet(0.5)},
    "half-normal": lambda: {"W": bn.HalfNormal(), "H": bn.HalfNormal()},
    "ard": lambda: {"shrinkage": bn.ARD()},
    "ard-gamma-sparse": lambda: {"W": bn.Gamma(0.3), "H": bn.Gamma(0.3), "shrinkage": bn.ARD(a=5.0)},
    "compressive": lambda: {"shrinkage": bn.Compressive()},
}
"""Priors and shrinkage under a posterior engine, as arguments of `Model`."""


def posterior_likelihoods() -> dict[str, Callable[[], bn.likelihoods.Likelihood]]:
    """Return the likelihoods that CAVI takes: those of `LIKELIHOODS`, and with their noise known."""
    known = {
        "negative-binomial-known": lambda: bn.NegativeBinomial(dispersion=0.3),
        "negative-binomial-known-per-feature": lambda: bn.NegativeBinomial(dispersion=np.linspace(0.1, 1.5, 15)),
        "compound-poisson-known": lambda: bn.CompoundPoisson(shape=1.5, jump=0.8),
    }
    found = {}
    for name, make in (LIKELIHOODS | known).items():
        try:
            bn.CAVI().check(make())
        except bn.EngineError:
            continue
        found[name] = make
    return found


def supported(likelihood: bn.likelihoods.Likelihood, **sizes: int) -> np.ndarray:
    """Return data in the support of a likelihood: counts, intensities, or values of either sign."""
    X = planted(positive=likelihood.support == "positive", **sizes)
    if likelihood.support == "real":
        X[:, ::4] -= 1.0
    return intensities(X) if likelihood.support == "non-negative" else X


@pytree
@dataclass(frozen=True)
class Told:
    """Stands in for `Data` in an update: says what the likelihood said, so that likelihood and priors compile apart."""

    halves: Any
    fit: Any
    shape: tuple[int, int] = field(metadata={"static": True})
    even: bool = field(default=False, metadata={"static": True})

    def is_even(self, *_: Any) -> bool:
        """Return whether `down` is alike along each row of H."""
        return self.even

    def sums(self, *_: Any) -> Any:
        """Return the halves."""
        return self.halves

    def value(self, *_: Any) -> Any:
        """Return the log-likelihood."""
        return self.fit


@pytree
@dataclass(frozen=True)
class Powers(bn.likelihoods.Likelihood):
    """Stands in for a likelihood where an update looks at nothing but how its halves curve."""

    given: tuple[float, float] = field(metadata={"static": True})

    @property
    def powers(self) -> tuple[float, float]:
        """Those of the likelihood."""
        return self.given


_hals = jax.jit(hals_step)
_side = jax.jit(update_side, static_argnames="side")
_energy = jax.jit(Penalty.energy)
_balance = jax.jit(Penalty.balance)
_better_noise = jax.jit(better_noise)


class Descent:
    """MAP step by step, with the engine's own updates: factors, noise, and the objective after each.

    Likelihood and priors compile apart, so that all pairings of them are affordable.
    """

    def __init__(self, X: Any, model: bn.Model, method: str, **beside: Any) -> None:
        engine = bn.MAP(precision="float64", starts=1, method=method)  # type: ignore[arg-type]
        table = read(X, **beside)
        task = MapTask(engine, resolve(model, table, engine), table, None)
        self.problem, self.method, ready = task.problem, method, task.prepared
        rng = np.random.default_rng(0)
        W, H = (
            ready.size * rng.uniform(1, 2, shape) for shape in ((ready.data.n_padded, ready.k), (ready.k, X.shape[1]))
        )
        self.state = State(*(ready.array(a) for a in (W * ready.active, H * ready.active[:, None])), ready.likelihood)

    @property
    def objective(self) -> float:
        """Minus the log posterior, without terms of X alone."""
        fit = _value(self.problem.data, self.state.likelihood, *self.state.moments)
        return float(_energy(self.problem.penalty, *self.state[:2]) - fit)

    def step(self) -> None:
        """Update W, then H; and move the scale of what is shrunk between them."""
        if self.method == "hals":
            self.state = _hals(self.problem, self.state)
        else:
            for side in self.problem.sides:
                self._multiply(side)
        if self.problem.penalty.shrinkage is not None:
            W, H = _balance(self.problem.penalty, *self.state[:2])
            self.state = self.state._replace(W=W, H=H)

    def learn_noise(self) -> None:
        """Take a step in the noise parameters."""
        if self.state.likelihood.learned:
            likelihood = _better_noise(self.problem.data, self.state.likelihood, *self.state.moments)
            self.state = self.state._replace(likelihood=likelihood)

    def _multiply(self, side: Side) -> None:
        W, H, likelihood = self.state
        halves = _sums(self.problem.data, likelihood, *self.state.moments, side=side)
        told = replace(self.problem, data=Told(halves, None, self.problem.data.shape), transposed=None)
        self.state = _side(told, State(W, H, Powers(likelihood.powers)), side=side)._replace(likelihood=likelihood)


NOT = jnp.asarray(False)
"""Noise at the optimum of the ELBO, not corrected for degrees of freedom."""

_sums = jax.jit(Data.sums, static_argnames="side")
_value = jax.jit(Data.value)
_moments = jax.jit(Variational.moments)
_update = jax.jit(Variational.update, static_argnames="side")
_learn = jax.jit(Variational.learn)
_elbo = jax.jit(Variational.elbo)
_learn_noise = jax.jit(Variational.learn_noise)


class Ascent:
    """CAVI block by block, with the engine's own updates: what is believed, and the ELBO in between.

    Starts from a random q, and not from a short run of NMF.
    """

    def __init__(self, X: Any, model: bn.Model, sharp: float = 10.0, seed: int = 0, **beside: Any) -> None:
        engine = bn.CAVI(precision="float64", starts=1)
        table = read(X, **beside)
        self.task = _Task(engine, resolve(model, table, engine), table, None)
        self.problem, ready = self.task.problem, self.task.prepared
        rng = np.random.default_rng(seed)
        factors = []
        for q in self.task._q():
            a = ready.array(ready.size * rng.uniform(0.5, 2.0, q.moments.hi.shape))
            if isinstance(q, Dirichlets):
                factors.append(Dirichlets(sharp * a))
            elif isinstance(q, Gammas):
                factors.append(Gammas(sharp + 0 * a, sharp / a))
            else:
                factors.append(type(q).of_point(a, sharp, q.power))
        nothing = jnp.ones((ready.k,), ready.dtype)
        priors = self.task._conditional(self.task.W, 0), self.task._conditional(self.task.H, 1)
        self.state = Beliefs(*factors, *priors, Gammas(nothing, nothing), ready.likelihood)
        self.told = ready.likelihood.background != "quadratic"
        self.learn()

    @property
    def elbo(self) -> float:
        """The ELBO, terms of X alone included."""
        if not self.told:
            return float(_elbo(replace(self.problem, learned=()), self._known_noise)) + self.task.prepared.constant
        fit = _value(self.problem.data, self.state.likelihood, *self._moments)
        problem, state = self._without_data(None, fit)
        return float(_elbo(replace(problem, learned=()), state)) + self.task.prepared.constant

    def update(self, side: Side) -> None:
        """Update q of one factor."""
        if not self.told:
            self._take(_update(_bare(self.problem), self._known_noise, side=side))
            return
        halves = _sums(self.problem.data, self.state.likelihood, *self._moments, side=side)
        problem, state = self._without_data(halves, None)
        self._take(_update(_bare(problem), state, side=side))

    def learn(self) -> None:
        """Update the priors."""
        self._take(_learn(*self._without_data(None, None)))

    def learn_noise(self) -> None:
        """Take a step in the noise parameters."""
        if self.state.likelihood.learned:
            self.state = _learn_noise(_bare(self.problem), self.state, NOT)

    def sweep(self) -> None:
        """Update everything once."""
        self.update("W")
        self.update("H")
        self.learn()
        self.learn_noise()

    def converge(self, sweeps: int = 3000, noise: bool = True) -> None:
        """Sweep until nothing moves."""
        self.state = _converge(self.problem, self.state, sweeps, noise and self.state.likelihood.learned)

    def trim(self) -> None:
        """Drop the components that are padding."""
        rank, state = self.task.model.rank, self.state
        columns, rows = (lambda a: a[:, :rank]), (lambda a: a[:rank])
        of_W, of_H = (
            Conditional(prior.shape, *map(cut, prior[1:]))
            for prior, cut in ((state.prior_W, columns), (state.prior_H, rows))
        )
        self.state = Beliefs(
            jax.tree.map(columns, state.W), jax.tree.map(rows, state.H), of_W, of_H, jax.tree.map(rows, state.rate),
            state.likelihood,
        )  # fmt: skip
        self.problem = replace(self.problem, active=self.problem.active[:rank], known=self.problem.known[:rank])

    @property
    def posterior(self) -> Posterior:
        """The posterior as `Fit` has it."""
        task = self.task
        state = jax.tree.map(lambda a: np.asarray(a, float), self.state)
        state = state._replace(H=task._with_known(state.H))
        found = task._in_units(state)
        known = 0 if task.model.known is None else len(task.model.known)
        rate = None if task.prepared.shrinkage is None else found.rate
        return Posterior(*found[:4], rate, found.likelihood, self.problem.learned, known, task.table)

    @property
    def _moments(self) -> tuple[Moments, Moments]:
        return _moments(replace(_bare(self.problem), data=None), self.state._replace(likelihood=None))

    @property
    def _known_noise(self) -> Beliefs:
        if not self.state.likelihood.learned:
            return self.state
        return self.state._replace(likelihood=replace(self.state.likelihood, learned=False))  # type: ignore[type-var]

    def _without_data(self, halves: Any, fit: Any) -> tuple[Variational, Beliefs]:
        even = self.problem.data.is_even(self.state.likelihood)
        told = Told(halves, fit, self.task.table.shape, even)
        return replace(self.problem, data=told), self.state._replace(likelihood=None)

    def _take(self, state: Beliefs) -> None:
        self.state = state._replace(likelihood=self.state.likelihood)


def _bare(problem: Variational) -> Variational:
    """Return the problem without what an update of q does not look at, so that more of them share a program."""
    return replace(problem, learned=(), shrinkage=None)


def moved(state: Beliefs, logs: dict[str, Any], sides: tuple[str, ...]) -> Beliefs:
    """Return the state with its parameters times exp(logs), as `no_moves` has them.

    Those of the priors are shape and mean; the rates of shrinkage go into the priors.
    """

    def scaled(q: Any, name: str) -> Any:
        return jax.tree.map(lambda a, t: a * jnp.exp(t), q, logs[name])

    state = state._replace(
        W=scaled(state.W, "W"), H=scaled(state.H, "H"), rate=scaled(state.rate, "rate"),
        likelihood=scaled(state.likelihood, "noise"),
    )  # fmt: skip
    for side, axis in (("W", 0), ("H", 1)):
        q, prior = (state.W, state.prior_W) if side == "W" else (state.H, state.prior_H)
        shape, rate = logs[f"shape_{side}"], logs[f"shape_{side}"] - getattr(q, "power", 1) * logs[f"mean_{side}"]
        prior = Conditional(prior.shape * jnp.exp(shape), prior.rate * jnp.exp(rate), prior.log_rate + rate)
        if side in sides:
            shared, log_shared = (jnp.expand_dims(a, axis) for a in (state.rate.mean, state.rate.log_mean))
            prior = Conditional(prior.shape, shared, log_shared)
        state = state.with_prior(side, prior)  # type: ignore[arg-type]
    return state


def no_moves(ascent: Ascent) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return logs for `moved` that change nothing, and which of them are parameters of the model, 0 or 1."""
    problem, state = ascent.problem, ascent.state
    names = [f"{name}_{side}" for name in ("shape", "mean") for side in ("W", "H")]
    logs = {name: jax.tree.map(jnp.zeros_like, q) for name, q in (("W", state.W), ("H", state.H), ("rate", state.rate))}
    logs["noise"] = jax.tree.map(jnp.zeros_like, state.likelihood)
    logs |= {name: jnp.zeros(()) for name in names}
    used: dict[str, Any] = {name: np.asarray(name.replace("mean", "rate") in problem.learned) for name in names}
    rows = np.arange(problem.data.n_padded) < problem.n
    used["W"] = jax.tree.map(lambda _: rows[:, None] & np.asarray(problem.active), logs["W"])
    used["H"] = jax.tree.map(lambda a: np.broadcast_to(np.asarray(problem.free)[:, None], a.shape), logs["H"])
    shared = np.asarray(problem.free) & (problem.shrinkage is not None)
    used["rate"] = jax.tree.map(lambda _: shared, logs["rate"])
    used["noise"] = jax.tree.map(lambda a: np.full(a.shape, bool(state.likelihood.learned)), logs["noise"])
    return logs, used


@partial(jax.jit, static_argnums=3)
def _converge(problem: Variational, state: Beliefs, sweeps: int, noise: bool) -> Beliefs:
    def step(_: Any, state: Beliefs) -> Beliefs:
        state = problem.sweep(state)
        return problem.learn_noise(state, NOT) if noise else state

    return jax.lax.fori_loop(0, sweeps, step, state)


def slow_cavi(
    entries: list[tuple[int, int, float]], W: Any, H: Any, prior_W: tuple[float, float], prior_H: tuple[float, float],
    s: np.ndarray, o: np.ndarray, sweeps: int,
) -> tuple[Any, Any]:  # fmt: skip
    """Return (shape, rate) of q(W) and q(H) after sweeps over single observations, in plain loops.

    Cemgil (2009), Algorithm 1, with observations in the place of a mask, and offsets; priors as (shape, rate).
    """
    for _ in range(sweeps):
        for side in ("W", "H"):
            mean_W, mean_H = (q[0] / q[1] for q in (W, H))
            low_W, low_H = (np.exp(digamma(q[0])) / q[1] for q in (W, H))
            own, (shape, rate) = (W, prior_W) if side == "W" else (H, prior_H)
            new = np.full_like(own[0], shape), np.full_like(own[1], rate)
            for i, j, x in entries:
                share = low_W[i] * low_H[:, j]
                if side == "W":
                    new[0][i] += x * share / share.sum()
                    new[1][i] += s[i] * o[j] * mean_H[:, j]
                else:
                    new[0][:, j] += x * share / share.sum()
                    new[1][:, j] += s[i] * o[j] * mean_W[i]
            W, H = (new, H) if side == "W" else (W, new)
    return W, H


def thinned(names: Iterable[str], *kept: str, drop: str = "") -> list[Any]:
    """Return parameters of which those not in `kept` are run with ``pytest -m exhaustive`` only."""
    marks = pytest.mark.exhaustive
    return [name if name in kept else pytest.param(name, marks=marks) for name in names if name != drop]
