"""CAVI: the theorems of coordinate ascent, of its bound, and of what it converges to."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from helpers import (
    BELIEFS,
    Ascent,
    intensities,
    moved,
    no_moves,
    observations,
    planted,
    posterior_likelihoods,
    recovered,
    repeated,
    slow_cavi,
    supported,
)
from scipy import stats
from scipy.special import gammaln

import bayesnmf as bn
from bayesnmf._fit import fit_starts
from bayesnmf._input import read
from bayesnmf._resolve import resolve
from bayesnmf.engines._families import Conditional, Dirichlets, Gammas
from bayesnmf.engines._prepare import dense_rows

pytestmark = pytest.mark.usefixtures("x64")

LIKELIHOODS = posterior_likelihoods()


def offered() -> list[tuple[str, str]]:
    """Return the pairs of likelihood and beliefs that the door lets through.

    Updates under Gaussian noise take seconds to compile: where its variance is known, or one for each feature, it comes
    with one prior.
    """
    pairs = []
    for name, make in LIKELIHOODS.items():
        table = read(supported(make()))
        for beliefs, parts in BELIEFS.items():
            try:
                resolve(bn.Model(4, make(), **parts()), table, bn.CAVI())
            except bn.ModelError:
                continue
            if name == "gaussian" or not name.startswith("gaussian") or beliefs == "half-normal":
                pairs.append((name, beliefs))
    return pairs


HOLD = {name: (np.asarray, sp.csr_array)[i % 2] for i, name in enumerate(LIKELIHOODS)}
"""How the tests hold X for each likelihood, so that they share programs."""
PAIRS = offered()
CASES = [
    pytest.param(
        likelihood, beliefs, id=f"{likelihood}-{beliefs}",
        marks=()
        if likelihood == "poisson" or (list(LIKELIHOODS).index(likelihood) + list(BELIEFS).index(beliefs)) % 3 == 0
        else pytest.mark.exhaustive,
    )
    for likelihood, beliefs in PAIRS
]  # fmt: skip
"""Poisson with all beliefs, the others with every third: what is believed and the noise meet in sums alone."""


def test_all_gamma_beliefs_go_with_counts() -> None:
    """What the door refuses is not tested below, so this says what it must not refuse."""
    for name in LIKELIHOODS:
        if LIKELIHOODS[name]().support == "counts":
            assert {beliefs for other, beliefs in PAIRS if other == name} == set(BELIEFS) - {"half-normal"}


@pytest.mark.parametrize(("likelihood", "beliefs"), CASES)
def test_no_block_lowers_the_elbo(likelihood: str, beliefs: str) -> None:
    """q(W), q(H), the priors and the noise, each from a state that is far from the optimum.

    Poisson with all entries alike, and dense and sparse with weights, missing entries and offsets; the others with one
    of the latter two, since the sums of all are compared dense and sparse elsewhere.
    """
    made = LIKELIHOODS[likelihood]()
    model, X = bn.Model(4, made, **BELIEFS[beliefs]()), supported(made)
    layouts = [(np.asarray, observations()), (sp.csr_array, observations()), (np.asarray, {})]
    finals = []
    for hold, beside in layouts if likelihood == "poisson" else [(HOLD[likelihood], observations())]:
        ascent = Ascent(hold(X), model, **beside)
        before = first = ascent.elbo
        for sweep in range(6):
            for block in (lambda: ascent.update("W"), lambda: ascent.update("H"), ascent.learn, ascent.learn_noise):  # noqa: B023
                block()
                after = ascent.elbo
                assert after >= before - 1e-10 * abs(before), f"fell by {before - after} in sweep {sweep}"
                before = after
        assert np.isfinite(before)
        assert before > first + 1
        finals.append(before)
    assert finals[:2] == pytest.approx(finals[:1] * len(finals[:2]), rel=1e-12)


@pytest.mark.parametrize("beside", [{}, observations()], ids=["even", "observations"])
def test_known_rows_are_held_under_gaussian_noise(beside: dict[str, Any]) -> None:
    """Components are updated in turn, and a known one must not move in between, however wrong it is."""
    made = bn.Gaussian(variance=0.5)
    X = supported(made)
    known = np.abs(np.random.default_rng(3).normal(size=(1, X.shape[1])))
    ascent = Ascent(X, bn.Model(4, made, known=known), **beside)
    before = ascent.elbo
    for sweep in range(8):
        for side in ("W", "H", "W"):
            ascent.update(side)
            after = ascent.elbo
            assert after >= before - 1e-10 * abs(before), f"{side} fell by {before - after} in sweep {sweep}"
            before = after


@pytest.mark.parametrize("unit", [1.0, 4096.0])
def test_a_given_mean_of_w_beside_rows_that_sum_to_1_has_the_unit_of_x(unit: float) -> None:
    """X and what is in its unit are multiplied: the density of X changes by the volume alone."""
    X = intensities(np.random.default_rng(0).poisson(3.0, (20, 8)))
    fits = []
    for c in (1.0, unit):
        model = bn.Model(2, bn.CompoundPoisson(1.0, c), W=bn.Gamma(2.0, mean=8.0 * c), H=bn.Dirichlet(1.0))
        fits.append(bn.fit(X * c, model, engine=bn.CAVI(starts=1, precision="float64")))
    assert float(fits[1].model.W.mean) == pytest.approx(8.0 * unit)  # type: ignore[union-attr]
    assert fits[1].elbo + np.log(unit) * np.sum(X > 0) == pytest.approx(fits[0].elbo, rel=1e-6)


@pytest.mark.parametrize("prior", [bn.Exponential(), bn.HalfNormal()])
@pytest.mark.parametrize("sd", [0.3, 1.0])
def test_components_that_are_empty_have_no_relevance_under_gaussian_noise(prior: Any, sd: float) -> None:
    """Of noise alone round one part: the scale at which a flat component settles depends on the variance."""
    rng = np.random.default_rng(0)
    X = np.outer(rng.gamma(2.0, 1.0, 50), rng.gamma(2.0, 1.0, 30))
    X = X / X.mean() + rng.normal(0, sd, X.shape)
    model = bn.Model(5, bn.Gaussian(variance=sd**2), W=prior, H=prior, shrinkage=bn.ARD())
    fit = bn.fit(X, model, engine=bn.CAVI(starts=2, precision="float64"))
    assert fit.rank == 1
    assert np.abs(fit.relevance[1:]).max() < bn.ARD().threshold


def drawn(q: Any, shape: tuple[int, int], size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return draws of a factor from its q (size, *shape), and their log density (size,)."""
    own = jax.tree.map(lambda a: np.asarray(a)[: shape[0], : shape[1]], q)
    if isinstance(own, Dirichlets):
        made = [stats.dirichlet(row) for row in own.shape]
        draws = np.stack([row.rvs(size, random_state=rng) for row in made], 1)
        return draws, sum(row.logpdf(draws[:, k].T) for k, row in enumerate(made))
    if isinstance(own, Gammas):
        one = stats.gamma(own.shape, scale=1 / own.rate)
    else:
        scale = 1 / np.sqrt(own.quadratic)
        loc = own.linear * scale**2
        one = stats.truncnorm(-loc / scale, np.inf, loc=loc, scale=scale)
    draws = one.rvs((size, *shape), random_state=rng)
    return draws, one.logpdf(draws).sum((1, 2))


def prior_log_density(a: np.ndarray, prior: Conditional, rate: np.ndarray, power: int) -> np.ndarray:
    if power == 2:
        return stats.halfnorm(scale=1 / np.sqrt(rate)).logpdf(a).sum((1, 2))
    return stats.gamma(float(prior.shape), scale=1 / rate).logpdf(a).sum((1, 2))


class Augmented:
    """Draws from q of everything that CAVI integrates over, and log p - log q at each.

    Beside W, H and the rates of shrinkage these are, at their optimum given q(W) q(H): of counts, the part of each
    component in x, ``Multinomial(x, share of exp(E log w + E log h))``; of negative binomial noise also the multiplier
    of the mean, ``Gamma(1 / dispersion + x, 1 / dispersion + E v)``; of compound Poisson noise the number of jumps.
    `bound` is with these, `marginal` is with the density of x in their place.
    """

    def __init__(self, ascent: Ascent, size: int, seed: int = 0) -> None:
        rng, task, state = np.random.default_rng(seed), ascent.task, ascent.state
        (n, m), k = task.table.shape, task.model.rank
        rows = dense_rows(task.table, slice(0, n))
        self.x, self.f = rows.x / task.prepared.unit, rows.factor
        (W, log_W), (H, log_H) = drawn(state.W, (n, k), size, rng), drawn(state.H, (k, m), size, rng)
        ratio = -log_W - log_H
        rates = [np.asarray(state.prior_W.rate)[:, :k][None], np.asarray(state.prior_H.rate)[:k][None]]
        if task.prepared.shrinkage is not None:
            q = stats.gamma(np.asarray(state.rate.shape)[:k], scale=1 / np.asarray(state.rate.rate)[:k])
            shared = q.rvs((size, k), random_state=rng)
            prior = stats.gamma(float(ascent.problem.shrinkage.shape), scale=1 / float(ascent.problem.shrinkage.rate))
            ratio += (prior.logpdf(shared) - q.logpdf(shared)).sum(1)
            rates = [shared[:, None], shared[:, :, None]]
        ratio += prior_log_density(W, state.prior_W, rates[0], task.W.power)
        if isinstance(state.H, Dirichlets):
            even = stats.dirichlet(np.full(m, float(state.prior_H.shape)))
            ratio += sum(even.logpdf(H[:, row].T) for row in range(k))
        else:
            ratio += prior_log_density(H, state.prior_H, rates[1], task.H.power)
        self.parts = self.f[None, :, :, None] * np.einsum("zik,zkj->zijk", W, H)
        moments = [[np.asarray(a) for a in side] for side in ascent._moments]
        self.low = self.f[:, :, None] * np.einsum("ik,kj->ijk", moments[0][0][:n, :k], moments[1][0][:k])
        self.high = self.f * (moments[0][1][:n, :k] @ moments[1][1][:k])
        self.rng, self.noise = rng, jax.tree.map(np.asarray, state.likelihood)
        weight = rows.weight * (1 if task.model.parts[0].support != "non-negative" else self.x > 0)
        ratio -= (weight * np.log(task.prepared.unit)).sum()
        x, v = np.broadcast_to(self.x, self.parts.shape[:3]), self.parts.sum(3)
        density = state.likelihood.log_density(*(jnp.asarray(a.reshape(-1, m)) for a in (x, v)))
        density = np.asarray(density).reshape(v.shape)
        self.marginal = ratio + (rows.weight * density).sum((1, 2))
        self.bound = ratio + (rows.weight * self.latent()).sum((1, 2))

    def latent(self) -> np.ndarray:
        """Return log p(x, latent | W, H) - log q(latent), (size, n, m)."""
        rng, x, noise = self.rng, self.x, self.noise
        if isinstance(noise, bn.Gaussian):
            return stats.norm(self.parts.sum(3), np.sqrt(noise.variance)).logpdf(x)
        if isinstance(noise, bn.Poisson):
            return self.split(np.broadcast_to(x, self.parts.shape[:3]), self.parts)
        if isinstance(noise, bn.NegativeBinomial):
            alpha = np.broadcast_to(1 / noise.dispersion, x.shape)
            own, prior = stats.gamma(alpha + x, scale=1 / (alpha + self.high)), stats.gamma(alpha, scale=1 / alpha)
            more = own.rvs(self.parts.shape[:3], random_state=rng)
            counts = np.broadcast_to(x, more.shape)
            return self.split(counts, more[..., None] * self.parts) + prior.logpdf(more) - own.logpdf(more)
        assert isinstance(noise, bn.CompoundPoisson)
        number = np.arange(1, 200)
        shape, jump = float(noise.shape), float(noise.jump)
        amount = stats.gamma(shape * number, scale=jump / shape).logpdf(np.where(x > 0, x, 1)[..., None])
        log_q = number * np.log(self.low.sum(2, keepdims=True) / jump) - gammaln(number + 1) + amount
        log_q -= np.log(np.exp(log_q - log_q.max(2, keepdims=True)).sum(2, keepdims=True)) + log_q.max(2, keepdims=True)
        drawn = (rng.random(self.parts.shape[:3])[..., None] > np.cumsum(np.exp(log_q), 2)[None]).sum(3)
        drawn = np.minimum(drawn, len(number) - 1)
        of_jumps = np.take_along_axis((amount - log_q)[None], drawn[..., None], 3)[..., 0]
        return self.split(np.where(x > 0, number[drawn], 0), self.parts / jump) + np.where(x > 0, of_jumps, 0)

    def split(self, counts: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Return log Poisson(s | means) - log Multinomial(s | counts, share), s drawn from the latter."""
        share = self.low / self.low.sum(2, keepdims=True)
        s = self.rng.multinomial(counts.astype(int), share[None])
        return (s * (np.log(means) - np.log(share))).sum(3) - means.sum(3) - gammaln(counts + 1)


DRAWN = [
    ("poisson", "gamma-learned"),
    ("poisson", "ard-gamma-sparse"),
    ("poisson", "compressive"),
    ("poisson", "dirichlet"),
    ("negative-binomial", "exponential"),
    ("negative-binomial-known-per-feature", "gamma-sparse"),
    ("compound-poisson", "gamma"),
    ("gaussian", "half-normal"),
]


@pytest.mark.parametrize(("likelihood", "beliefs"), DRAWN, ids=["-".join(pair) for pair in DRAWN])
def test_the_elbo_is_the_mean_of_log_p_less_log_q(likelihood: str, beliefs: str) -> None:
    """Of the model with its latent parts, within 5 standard errors; and below the same without them (Jensen)."""
    made = LIKELIHOODS[likelihood]()
    ascent = Ascent(HOLD[likelihood](supported(made)), bn.Model(4, made, **BELIEFS[beliefs]()), **observations())
    for _ in range(10):
        ascent.sweep()
    draws = Augmented(ascent, 800)
    error = draws.bound.std() / np.sqrt(len(draws.bound))
    assert error < 2.0
    assert abs(draws.bound.mean() - ascent.elbo) < 5 * error
    gap = draws.marginal - draws.bound
    if made.background == "quadratic":
        np.testing.assert_allclose(gap, 0, atol=1e-8 * abs(ascent.elbo))
    else:
        assert gap.mean() > 5 * gap.std() / np.sqrt(len(gap))


def log_evidence(X: np.ndarray, a: float, rate_W: float, c: float, rate_H: float) -> float:
    """Return log p(X) of a single component, by quadrature over log h; w is integrated by hand."""
    grid, step = np.linspace(-25.0, 8.0, 1500, retstep=True)
    axes = np.meshgrid(*([grid] * X.shape[1]), indexing="ij")
    total = sum(stats.gamma(c, scale=1 / rate_H).logpdf(np.exp(t)) + t for t in axes)
    for x in X:
        total += a * np.log(rate_W) - gammaln(a) + gammaln(a + x.sum()) - gammaln(x + 1).sum()
        total += sum(count * t for count, t in zip(x, axes, strict=True))
        total -= (a + x.sum()) * np.log(rate_W + sum(np.exp(t) for t in axes))
    top = total.max()
    return float(top + np.log(np.exp(total - top).sum()) + X.shape[1] * np.log(step))


@pytest.mark.parametrize("X", [[[3.0], [0.0], [7.0]], [[2.0, 5.0], [1.0, 4.0]]], ids=["3x1", "2x2"])
def test_the_elbo_is_below_the_evidence_and_near_it(X: list) -> None:
    model = bn.Model(1, bn.Poisson(), W=bn.Gamma(1.5, mean=2.0), H=bn.Gamma(0.8, mean=1.0))
    ascent = Ascent(np.array(X), model)
    ascent.converge(500)
    evidence = log_evidence(np.array(X), 1.5, 1.5 / 2.0, 0.8, 0.8)
    assert evidence - 0.5 * ascent.problem.n < ascent.elbo < evidence


STATIONARY = [
    ("poisson", "gamma-learned"),
    ("poisson", "gamma-means-given"),
    ("poisson", "dirichlet"),
    ("negative-binomial", "ard-gamma-sparse"),
]


@pytest.mark.parametrize(("likelihood", "beliefs"), STATIONARY, ids=["-".join(pair) for pair in STATIONARY])
def test_where_the_sweeps_end_the_gradient_of_the_elbo_is_zero(likelihood: str, beliefs: str) -> None:
    """In the logarithms of all parameters: 1e-5 of what it is where each of them is moved by a hundredth."""
    made, X = LIKELIHOODS[likelihood](), supported(LIKELIHOODS[likelihood]())
    if made.learned:  # with noise to learn
        rng = np.random.default_rng(1)
        X = rng.poisson(3.0 * X * rng.gamma(2.0, 0.5, X.shape)).astype(float)
    ascent = Ascent(X, bn.Model(4, made, **BELIEFS[beliefs]()), **observations())
    ascent.converge(4000)
    problem, state = ascent.problem, ascent.state
    sides = () if problem.shrinkage is None else problem.shrinkage.sides
    logs, used = no_moves(ascent)
    gradient = jax.jit(jax.grad(lambda logs: problem.elbo(moved(state, logs, sides))))

    def sizes(logs: Any) -> dict[str, float]:
        found = jax.tree.map(lambda a, here: float(np.abs(np.where(here, a, 0)).max()), gradient(logs), used)
        return {name: max(jax.tree.leaves(part), default=0.0) for name, part in found.items()}

    rng = np.random.default_rng(0)
    away = sizes(jax.tree.map(lambda a: jnp.asarray(rng.choice([-0.01, 0.01], a.shape)), logs))
    here = sizes(logs)
    assert away["W"] > 0
    for name, size in here.items():
        assert size <= 1e-5 * away[name], f"{name}: {size} beside {away[name]}"


def test_with_many_counts_it_goes_to_the_mode() -> None:
    """E w and exp(E log w) differ by 1 / (2 shape), and shape - 1 is the number of events: both ends are one point.

    So W H moves by a few events in the counts, however many there are, and relatively by one over their number.
    """
    means = []
    for many in (1e2, 1e4):
        X = many * (planted() + 1.0)
        prior = bn.Exponential(mean=np.sqrt(X.mean() / 3))
        model = bn.Model(3, bn.Poisson(), W=prior, H=prior)
        engine = bn.MAP(starts=1, precision="float64", tol=0.0, residual_tol=0.0, max_steps=6000)
        mode = bn.fit(X, model, engine=engine)
        ascent = Ascent(X, model)
        k = ascent.task.prepared.k
        W, H = (
            np.pad(a, ((0, 0), (0, k - 3))[:: 1 if side == "W" else -1]) for side, a in (("W", mode.W), ("H", mode.H))
        )
        q = [Gammas.of_point(jnp.asarray(np.maximum(a, 1e-9 * a.max())), 1e4) for a in (W, H)]
        ascent.state = ascent.state._replace(W=q[0], H=q[1])
        ascent.converge(6000)
        posterior = ascent.posterior
        means.append(np.abs(posterior.W.mean @ posterior.H.mean - mode.mean) / mode.mean)
        assert np.max(means[-1] * mode.mean) < 3 * 3
    assert means[1].max() < means[0].max() / 30
    assert np.median(means[0]) > 1e-5


def test_a_sweep_is_the_plain_loop() -> None:
    """Cemgil (2009), Algorithm 1; whole weights are repeated observations that share w_i and h_j."""
    X, beside = planted(), observations()
    model = bn.Model(3, bn.Poisson(), W=bn.Gamma(1.5, mean=2.0), H=bn.Gamma(0.3, mean=0.7))
    ascent = Ascent(X, model, **beside)
    W, H = (
        tuple(np.asarray(a)[tuple(map(slice, shape))] for a in q)
        for q, shape in ((ascent.state.W, (24, 3)), (ascent.state.H, (3, 15)))
    )
    entries = repeated(X, beside["weights"], beside["observed"])
    offsets = beside["size_factors"], beside["opportunities"]
    expected = slow_cavi(entries, W, H, (1.5, 0.75), (0.3, 0.3 / 0.7), *offsets, 20)
    for hold in (np.asarray, sp.csr_array):
        ascent = Ascent(hold(X), model, **beside)
        for _ in range(20):
            ascent.sweep()
        found = ascent.posterior
        for own, other in zip((*found.W, *found.H), (*expected[0], *expected[1]), strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-9)


def engine(**options: Any) -> bn.CAVI:
    """Return the engine of all fits below, so that they share programs."""
    return bn.CAVI(**{"starts": 1, "max_steps": 20_000, "check_every": 5, "precision": "float64"} | options)


FITTED = {
    "gamma": ({"W": bn.Gamma(1.2, mean=4.0), "H": bn.Gamma(0.8, mean=1.0)}, engine(tol=1e-8, residual_tol=1e-4)),
    "dirichlet": (
        {"W": bn.Gamma(1.2, mean=40.0), "H": bn.Dirichlet(0.5)},
        engine(tol=0.0, residual_tol=0.0, max_steps=1000),
    ),
}


@pytest.mark.parametrize("name", FITTED)
def test_projection_of_the_training_data_gives_the_posterior_of_w(name: str) -> None:
    """And the trace of the fit never rises, and a second run is the same to the last digit."""
    (priors, made), X, beside = FITTED[name], planted(), observations()
    fit, again = (bn.fit(X, bn.Model(3, bn.Poisson(), **priors), engine=made, seed=2, **beside) for _ in range(2))
    np.testing.assert_array_equal(fit.W, again.W)
    np.testing.assert_array_equal(fit.H, again.H)
    assert fit.status == ("converged" if made.tol else "max_steps")
    assert fit.residual < 1e-4
    assert np.diff(fit.trace).max() <= 1e-10 * abs(fit.trace[-1])
    assert fit.posterior is not None
    np.testing.assert_allclose(fit.mean, fit.posterior.W.mean @ fit.posterior.H.mean, rtol=1e-9)
    found = fit.project(X, **beside)
    # no mean moved by more than 1e-4 standard deviations in the last sweep of either; where a sweep brings them 1% of
    # the way, a hundred times as much was left
    deviation = np.sqrt(fit.posterior.estimate("W", "mean_field").variance)
    assert np.max(np.abs(found.W - fit.W) / deviation) < 1e-2
    few = {key: value[3:5] if np.shape(value)[0] == 24 else value for key, value in beside.items()}
    assert np.max(np.abs(fit.project(X[3:5], **few).W - found.W[3:5]) / deviation[3:5]) < 1e-2


def test_permuting_samples_permutes_the_posterior() -> None:
    X, order, beside = planted(), np.random.default_rng(5).permutation(24), observations()
    rng = np.random.default_rng(3)
    W, H = rng.uniform(0.5, 2.0, (24, 3)), rng.uniform(0.5, 2.0, (3, 15))
    priors, made = FITTED["gamma"]
    model = bn.Model(3, bn.Poisson(), **priors)
    permuted = {key: value[order] if np.shape(value)[0] == 24 else value for key, value in beside.items()}
    fit = bn.fit(X, model, init=(W, H), engine=made, **beside)
    other = bn.fit(X[order], model, init=(W[order], H), engine=made, **permuted)
    np.testing.assert_allclose(other.W, fit.W[order], rtol=1e-8)
    np.testing.assert_allclose(other.H, fit.H, rtol=1e-8)
    assert other.elbo == pytest.approx(fit.elbo, rel=1e-12)


def test_known_rows_stay_and_the_others_come_back() -> None:
    rng, beside = np.random.default_rng(0), observations()
    profiles = rng.dirichlet(np.full(15, 0.3), 4)
    offsets = beside["size_factors"][:, None] * beside["opportunities"]
    X = rng.poisson(offsets * (rng.gamma(1.0, 200.0, (24, 4)) @ profiles))
    level = float(np.sqrt(X.mean() / 4))
    model = bn.Model(
        4, bn.Poisson(), W=bn.Gamma(1.2, mean=level), H=bn.Gamma(0.8, mean=level), known=5.0 * profiles[2:]
    )
    fit = bn.fit(X, model, engine=FITTED["gamma"][1], seed=1, **beside)
    np.testing.assert_allclose(fit.H[:2], profiles[2:], rtol=1e-9)
    assert bn.align.match_rows(profiles[:2], fit.H[2:]).cosine.min() > 0.98
    low, high = fit.interval("H")
    np.testing.assert_allclose(low[:2], profiles[2:], rtol=1e-9)
    np.testing.assert_allclose(high[:2], profiles[2:], rtol=1e-9)
    assert np.all(high[2:] > low[2:])
    np.testing.assert_allclose(fit.draws(3)["H"][:, :2], np.broadcast_to(profiles[2:], (3, 2, 15)), rtol=1e-9)


def test_shapes_that_are_learned_last_lead_to_one_optimum_from_every_start() -> None:
    """Given as `init`, a random start has its shapes learned at once, and ends at an optimum of its own."""
    rng = np.random.default_rng(2)
    profiles = rng.dirichlet(np.full(60, 0.25), 12)
    X = rng.poisson(rng.dirichlet(np.ones(12), 48) * 3000 @ profiles)
    table, engine, size = read(X), bn.CAVI(starts=1), np.sqrt(X.mean() / 12)
    held, free = [], []
    for seed in range(3):
        fit, _ = fit_starts(table, bn.Model(12), engine, seed)
        assert recovered(fit, profiles) == (1.0, 1.0)
        held.append(fit.elbo)
        begin = size * rng.uniform(1, 2, (48, 12)), size * rng.uniform(1, 2, (12, 60))
        free.append(fit_starts(table, bn.Model(12), engine, seed, begin)[0].elbo)
    assert np.ptp(held) < 1
    assert np.ptp(free) > 10


def test_the_best_start_may_be_one_whose_components_all_hold_events() -> None:
    """Counts round one profile: two components are one too many, and the start where one of them is empty is better."""
    rng = np.random.default_rng(0)
    w, h = rng.gamma(2.0, 100.0, 20), rng.dirichlet(np.ones(10))
    table = read(rng.poisson(np.outer(w, h)).astype(float))
    init = np.array([[w, 1e-6 * w], [w / 2, w / 2]]).swapaxes(1, 2), np.array([[h, h], [h, h[::-1]]])
    engine = bn.CAVI(max_steps=10, precision="float64")
    model = resolve(bn.Model(2, bn.Poisson()), table, engine)
    found = {least: engine.run(model, table, jax.random.key(0), init, least_events=least) for least in (0.0, 1.0, 1e9)}
    assert {least: result.best for least, result in found.items()} == {0.0: 0, 1.0: 1, 1e9: 0}
    events = {least: result.beliefs.events for least, result in found.items() if result.beliefs is not None}
    assert events[0.0].min() < 1 < events[1.0].min()
