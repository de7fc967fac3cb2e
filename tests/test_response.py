"""Linear response: the covariance is that of the dense Hessian and of differences, and draws and intervals have it."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import BELIEFS, Ascent, intensities, moved, no_moves, observations, posterior_likelihoods
from jax.flatten_util import ravel_pytree
from scipy import special, stats

import bayesnmf as bn
from bayesnmf._linear import Linear, LinearOfColumns
from bayesnmf.engines._curvature import Moved
from bayesnmf.engines._families import Gammas
from bayesnmf.posterior import Posterior

pytestmark = pytest.mark.usefixtures("x64")

LIKELIHOODS = posterior_likelihoods()
NAMES = ("W", "H", "mean", "mass", "share")


def tiny(likelihood: bn.likelihoods.Likelihood, n: int = 8) -> np.ndarray:
    """Return n x 6 values with two parts and some noise to learn."""
    rng = np.random.default_rng(4)
    V = rng.gamma(1.0, 6.0, (n, 2)) @ rng.gamma(0.7, 1.0, (2, 6)) + 0.3
    if likelihood.support == "real":
        return V + rng.normal(0, 1.5, V.shape)
    X = rng.poisson(V * (rng.gamma(3.0, 1 / 3, V.shape) if isinstance(likelihood, bn.NegativeBinomial) else 1.0))
    return X.astype(float) if likelihood.support == "counts" else intensities(X)


def converged(likelihood: str, n: int = 8, known: bool = False, **parts: Any) -> Ascent:
    """Return CAVI at its optimum, with weights, missing entries and offsets."""
    made = LIKELIHOODS[likelihood]()
    if known:
        parts["known"] = np.random.default_rng(7).dirichlet(np.ones(6), 1)
    ascent = Ascent(tiny(made, n), bn.Model(2, made, **parts), **observations(n=n, m=6))
    before = np.zeros(1)
    for _ in range(60):
        ascent.converge(400)
        W, H = ascent._moments
        after = np.asarray(W.hi @ H.hi)
        if np.abs(after - before).max() < 1e-10 * after.max():
            return ascent
        before = after
    raise AssertionError("not converged")


def quantities(W: Any, H: Any) -> dict[str, Any]:
    """Return what there are intervals of, as functions of W and H."""
    size = H.sum(1)
    mass = W.sum(0) * size
    return {"W": W * size[None], "H": H / size[:, None], "mean": W @ H, "mass": mass, "share": mass / mass.sum()}


def dense_covariance(ascent: Ascent) -> dict[str, np.ndarray]:
    """Return J (-Hessian)^-1 J' in all parameters of the ELBO: of W and H themselves ("raw"), and of all quantities.

    And log det (-Hessian).

    The derivatives are differences of JAX's gradient, which compiles sooner than its Hessian.
    """
    ascent.trim()
    problem, task = ascent.problem, ascent.task
    sides = () if problem.shrinkage is None else problem.shrinkage.sides
    logs, used = no_moves(ascent)
    units = task.prepared.side_unit, task.prepared.unit / task.prepared.side_unit
    logs["noise"] = jax.tree.map(jnp.zeros_like, ascent._known_noise.likelihood)
    zero, back = ravel_pytree(logs)
    used_flat = [np.broadcast_to(b, a.shape) for a, b in zip(*map(jax.tree.leaves, (logs, used)), strict=True)]
    free = np.flatnonzero(np.concatenate([np.ravel(a) for a in used_flat]))
    problem, state = replace(problem, learned=()), ascent._known_noise

    def derivatives(t: np.ndarray) -> dict[str, np.ndarray]:
        gradient, W, H = _at(problem, state, back(jnp.asarray(t)), sides)
        W, H = np.asarray(W) * units[0], np.asarray(H) * units[1]
        found = quantities(W, H) | {"raw": np.concatenate([W.ravel(), H.ravel()])}
        found["gradient"] = np.asarray(ravel_pytree(gradient)[0])[free]
        return found

    slopes: dict[str, list[np.ndarray]] = {}
    for i in free:
        # four points, of an error in the fourth power of the step
        near, far = (
            [derivatives(np.where(np.arange(zero.size) == i, sign * step * STEP, 0.0)) for sign in (1, -1)]
            for step in (1, 2)
        )
        for name in near[0]:
            slope = 8 * (near[0][name] - near[1][name]) - (far[0][name] - far[1][name])
            slopes.setdefault(name, []).append(np.ravel(slope) / (12 * STEP))
    hessian = np.array(slopes.pop("gradient"))
    assert np.all(np.linalg.eigvalsh(-(hessian + hessian.T) / 2) > 0)
    found = {name: np.array(J).T @ np.linalg.solve(-hessian, np.array(J)) for name, J in slopes.items()}
    return found | {"log_det": np.linalg.slogdet(-hessian)[1]}


STEP = 1e-3
"""Step of the differences, in the logarithms of the parameters."""


@partial(jax.jit, static_argnames="sides")
def _at(problem: Any, state: Any, logs: Any, sides: tuple) -> tuple[Any, Any, Any]:
    """Return the gradient of the ELBO, and the means of W and H."""
    W, H = problem.moments(moved(state, logs, sides))
    return jax.grad(lambda logs: problem.elbo(moved(state, logs, sides)))(logs), W.hi[: problem.n], H.hi


def full_covariance(linear: Linear) -> np.ndarray:
    """Return the response's covariance of all entries of W, then H, before rows of H are scaled."""
    turned = isinstance(linear, LinearOfColumns)
    response, W, H = linear.response, linear.W, linear.H
    W, H = (Moved(*(a.T for a in side)) for side in (H, W)) if turned else (W, H)
    k, m = H.mean.shape
    of_H = response.solve(response.gradient(np.eye(k * m).reshape(k * m, k, m)))
    of_W = np.zeros((response.size, W.mean.size))
    covariance = np.zeros((W.mean.size + k * m,) * 2)
    for part, own, t in response.rows(W, linear.rows):
        for r, i in enumerate(range(*part.indices(len(W.mean)))):
            at = slice(i * k, (i + 1) * k)
            of_W[:, at] = -response.solve(t[r])
            covariance[at, at] = own[r]
    both = np.concatenate([of_W, of_H], 1)
    covariance += both.T @ both
    if not turned:
        return covariance
    n = len(W.mean)  # of features, rows of H' first: put W (samples, k) first, then H (k, features)
    of_columns = np.arange(n * k).reshape(n, k).T.ravel()
    of_rows = n * k + np.arange(k * m).reshape(k, m).T.ravel()
    order = np.concatenate([of_rows, of_columns])
    return covariance[np.ix_(order, order)]


@pytest.mark.parametrize("n", [8, 5])
def test_intervals_of_the_mean_are_made_of_a_few_samples_at_a_time(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    posterior = converged("poisson", n, **BELIEFS["gamma-learned"]()).posterior
    whole = posterior.linear_response.mean
    monkeypatch.setattr("bayesnmf._linear.CHUNK", 3 * posterior.linear_response.response.size * 6)
    again = replace(posterior).linear_response
    np.testing.assert_allclose(again.mean.variance, whole.variance, rtol=1e-9)
    assert "mean" in vars(again)


GIVEN: dict[str, Any] = {"W": bn.Gamma(1.5, mean=4.0), "H": bn.Gamma(1.2, mean=1.0)}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "priors given": ("poisson", GIVEN),
    "priors learned": ("poisson", BELIEFS["gamma-learned"]()),
    "shapes learned": ("poisson", BELIEFS["gamma-means-given"]()),
    "mean of one side given": ("poisson", BELIEFS["gamma-mean-of-W-given"]()),
    "a row known": ("poisson", {"W": bn.Gamma(1.5), "H": bn.Gamma(1.2, mean=1.0), "known": True}),
    "shrinkage": ("poisson", {"W": bn.Gamma(1.2), "H": bn.Gamma(1.2), "shrinkage": bn.ARD()}),
    "dispersion known": ("negative-binomial-known", GIVEN),
    "dispersion learned": ("negative-binomial", {"W": bn.Exponential(), "H": bn.Exponential()}),
    "dispersions learned": ("negative-binomial-per-feature", GIVEN),
    "jumps learned": ("compound-poisson", GIVEN),
    "variance given": ("gaussian-fixed", {"W": bn.Exponential(mean=4.0), "H": bn.Exponential(mean=1.0)}),
    "variance learned": ("gaussian", {"W": bn.Exponential(mean=4.0), "H": bn.Exponential(mean=1.0)}),
}
WIDE = "priors learned", "a row known", "shrinkage", "dispersion learned", "variance given", "jumps learned"
"""Cases that are run with fewer samples than features too, where columns of H are eliminated."""
FAST = "priors learned", "a row known", "shrinkage"
TOLD = *FAST, "priors given", "dispersion learned", "jumps learned", "variance learned"
"""One case of each kind; the others differ in what is held fixed."""


@pytest.mark.parametrize(
    ("case", "n"),
    [
        *(pytest.param(case, 8, marks=() if case in TOLD else pytest.mark.exhaustive) for case in CASES),
        *(pytest.param(case, 5, marks=() if case in FAST else pytest.mark.exhaustive) for case in WIDE),
    ],
)
def test_the_covariance_is_that_of_the_dense_hessian(case: str, n: int) -> None:
    """Of W and H before they are scaled as a whole; of all that has intervals by the delta method."""
    likelihood, parts = CASES[case]
    ascent = converged(likelihood, n, **parts)
    posterior, expected = ascent.posterior, dense_covariance(ascent)
    assert isinstance(posterior.linear_response, LinearOfColumns) == (n < 6)
    found = full_covariance(posterior.linear_response)
    scale = np.sqrt(np.outer(*(np.maximum(np.diag(expected["raw"]), 1e-12),) * 2))
    np.testing.assert_allclose(found / scale, expected["raw"] / scale, atol=1e-4)
    for name in NAMES:
        variance = posterior.estimate(name, "linear_response").variance  # type: ignore[arg-type]
        own = np.diag(expected[name]).reshape(variance.shape)
        np.testing.assert_allclose(variance, own, rtol=1e-4, atol=1e-9 * own.max())
    if not isinstance(posterior.W, Gammas) or posterior.rate is not None:
        return  # the entropy of truncated normals, and of scales, is not told apart here
    shapes = np.concatenate([np.ravel(posterior.W.shape), np.ravel(posterior.H.shape[posterior.known :])])
    of_mean_field = np.log(shapes**2 * (shapes * special.polygamma(1, shapes) - 1)).sum()
    response = posterior._response_of(*posterior.moved, of_columns=n < 6)
    log_det = response.log_det + np.log(response.noise).sum()
    assert log_det == pytest.approx(expected["log_det"] - of_mean_field, abs=1e-3)


def test_the_evidence_is_nearer_to_the_log_density_of_x_than_the_bound() -> None:
    """With one component W is integrated out in closed form, and H by importance sampling from draws made wider.

    The bound is 1.2 nats too low, and its correction leaves less than a tenth of that.
    """
    rng = np.random.default_rng(0)
    X = rng.poisson(np.outer(rng.gamma(1.0, 2.0, 12), rng.gamma(1.0, 1.0, 5)))
    W, H = bn.Gamma(1.0, mean=2.0), bn.Gamma(1.0, mean=1.0)
    fit = bn.fit(X, bn.Model(1, bn.Poisson(), W=W, H=H), engine=bn.CAVI(precision="float64", starts=1))
    q = fit.posterior.H  # type: ignore[union-attr]
    shape, rate = q.shape[0] / 4, q.rate[0] / 4
    drawn = rng.gamma(shape, 1 / rate, (200_000, 5))
    total, size = X.sum(1), drawn.sum(1, keepdims=True)
    log_joint = (special.gammaln(1 + total) + np.log(0.5) - (1 + total) * np.log(0.5 + size)).sum(1)
    log_joint += (X.sum(0) * np.log(drawn)).sum(1) - special.gammaln(X + 1).sum() - drawn.sum(1)
    weight = log_joint - stats.gamma(shape, scale=1 / rate).logpdf(drawn).sum(1)
    share = np.exp(weight - weight.max())
    truth = np.log(share.mean()) + weight.max()
    error = share.std() / share.mean() / np.sqrt(len(share))
    assert error < 0.03
    assert truth - fit.elbo > 1
    assert abs(fit.evidence - truth) < 0.1 * (truth - fit.elbo) + 4 * error


@pytest.mark.parametrize("noise", ["negative-binomial", "poisson"])
def test_learned_noise_costs_what_it_could_have_been(noise: str) -> None:
    """The evidence of one component with each dispersion, averaged over those that are log-uniform.

    Laplace's formula takes the curve for a parabola in the logarithm, whose width is off by 2% here: .02 nats. Where
    X is Poisson the dispersion vanishes, and nothing is gained by it.
    """
    rng = np.random.default_rng(0)
    V = np.outer(rng.gamma(3.0, 3.0, 12), rng.gamma(3.0, 1.0, 6))
    X = rng.poisson(V * (rng.gamma(2.0, 0.5, V.shape) if noise == "negative-binomial" else 1.0))
    parts = {"W": bn.Gamma(1.0, mean=9.0), "H": bn.Gamma(1.0, mean=3.0)}
    engine = bn.CAVI(precision="float64", starts=1)

    def evidence(likelihood: bn.likelihoods.Likelihood) -> float:
        return bn.fit(X, bn.Model(1, likelihood, **parts), engine=engine).evidence

    fit = bn.fit(X, bn.Model(1, bn.NegativeBinomial(), **parts), engine=engine)
    if noise == "poisson":
        assert fit.evidence == pytest.approx(evidence(bn.Poisson()), abs=0.05)
        return
    found = evidence(bn.NegativeBinomial(float(fit.noise["dispersion"]))) + fit.posterior.occam  # type: ignore[union-attr]
    low, high = np.log(1e-8), np.log(1e4)
    logs = np.linspace(np.log(0.05), np.log(5), 25)
    each = np.array([evidence(bn.NegativeBinomial(dispersion=np.exp(log))) for log in logs])
    weight = np.exp(each - each.max())
    assert max(weight[0], weight[-1]) < 1e-3
    average = each.max() + np.log(weight.sum() * (logs[1] - logs[0]) / (high - low))
    assert found == pytest.approx(average, abs=0.1)


def test_fits_without_a_response_have_no_evidence() -> None:
    with pytest.raises(bn.EngineError, match="has no linear response"):
        _ = bn.fit(tiny(bn.Poisson()), rank=2, engine=bn.MAP(starts=1)).evidence


def test_rows_that_sum_to_1_are_gammas_given_their_sums() -> None:
    """The response of a Dirichlet H is that of Gammas whose sums move a little, given that they do not."""
    ascent = converged("poisson", W=bn.Gamma(1.5, mean=40.0), H=bn.Dirichlet(0.8))
    posterior = ascent.posterior
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesnmf.engines._response.STIFF", 10.0)
        free = full_covariance(replace(posterior).linear_response)
    n, (k, m) = len(posterior.W.mean), posterior.H.mean.shape
    sums = np.zeros((k, len(free)))
    for c in range(k):
        sums[c, n * k + c * m : n * k + (c + 1) * m] = 1
    joint = free @ sums.T
    expected = free - joint @ np.linalg.solve(sums @ joint, joint.T)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(full_covariance(posterior.linear_response) / scale, expected / scale, atol=2e-4)
    draws = posterior.draws(100, 0)
    np.testing.assert_allclose(draws["H"].sum(2), 1)
    with pytest.MonkeyPatch.context() as patch:  # how stiff the sums are held is not in the determinant
        patch.setattr("bayesnmf.engines._response.STIFF", 1e6)
        softer = replace(posterior).response_of_H.log_det
    assert softer == pytest.approx(posterior.response_of_H.log_det, abs=1e-3)


def test_the_covariance_is_how_the_means_answer_to_a_push() -> None:
    """Adding t w_ik or t h_kj to the log joint takes t from one rate; CAVI is then run to its end again.

    Central differences have an error in t^2; t is a hundredth of the standard deviation's inverse, and less.
    """
    ascent = converged("poisson", **GIVEN)
    posterior = ascent.posterior
    covariance = full_covariance(posterior.linear_response)
    ascent.trim()
    problem, state = replace(ascent.problem, learned=()), ascent.state
    n, (k, m) = problem.n, state.H.shape.shape
    step = 1e-2 / np.sqrt(np.diag(covariance))
    pushes = np.concatenate([np.diag(step), -np.diag(step)])

    @jax.jit
    @jax.vmap
    def answer(push: Any) -> Any:
        of_W, of_H = push[: n * k].reshape(n, k), push[n * k :].reshape(k, m)
        W, H = state.prior_W, state.prior_H
        new = state._replace(
            prior_W=W._replace(rate=jnp.zeros(of_W.shape) + W.rate - of_W),
            prior_H=H._replace(rate=jnp.zeros(of_H.shape) + H.rate - of_H),
        )
        new = jax.lax.fori_loop(0, 4000, lambda _, s: problem.update(problem.update(s, "W"), "H"), new)
        return jnp.concatenate([new.W.mean.ravel(), new.H.mean.ravel()])

    ahead, behind = np.split(np.asarray(answer(jnp.asarray(pushes))), 2)
    found = (ahead - behind) / (2 * step[:, None])
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose(found / scale, covariance / scale, atol=1e-4)


@pytest.fixture(scope="module", params=["rows", "columns"])
def sharp(request: pytest.FixtureRequest) -> Posterior:
    """Return a posterior of which most entries are nearly normal: hundreds of counts, and samples of one part.

    Rows of W are eliminated in one, columns of H in the other.
    """
    with jax.enable_x64(True):
        W = 400.0 * np.array([[3, 0.1], [0.1, 2], [2, 2], [1, 3], [4, 0.1], [0.1, 5], [1, 1], [3, 1]])
        H = np.array([[5, 4, 3, 2, 1, 0.1], [0.1, 1, 1, 3, 4, 5]])
        W, H = (W, H) if request.param == "rows" else (H.T, W.T)
        X = np.random.default_rng(2).poisson(W @ H).astype(float)
        level = float(np.sqrt(X.mean() / 2))
        ascent = Ascent(X, bn.Model(2, bn.Poisson(), W=bn.Gamma(1.5, mean=level), H=bn.Gamma(1.2, mean=level)))
        ascent.converge(20_000)
        return ascent.posterior


SIZE = 4000


def test_draws_have_the_means_and_variances_of_the_response(sharp: Posterior) -> None:
    """Within 5 standard errors, and a tenth of a variance for what is not linear in entries near zero.

    W H is where W and H cancel: there an entry near zero, whose draws are skewed, can widen it, and half are compared.
    """
    draws = sharp.draws(SIZE, 3)
    np.testing.assert_allclose(draws["H"].sum(2), 1, rtol=1e-12)
    np.testing.assert_array_equal(draws["W"], sharp.draws(SIZE, 3)["W"])
    assert not np.array_equal(draws["W"], sharp.draws(SIZE, 4)["W"])
    np.testing.assert_array_equal(draws["H"], sharp.draws_of_H(SIZE, 3))
    found = draws | {"mean": draws["W"] @ draws["H"], "mass": draws["W"].sum(1)}
    found["share"] = found["mass"] / found["mass"].sum(1, keepdims=True)
    for name in NAMES:
        expected = sharp.estimate(name, "linear_response")  # type: ignore[arg-type]
        bias = np.abs(found[name].mean(0) - expected.mean) / np.sqrt(expected.variance)
        wrong = np.abs(found[name].var(0) / expected.variance - 1)
        summary = np.median if name == "mean" else np.max
        assert summary(bias) < 5 / np.sqrt(SIZE) + 0.05
        assert summary(wrong) < 5 * np.sqrt(2 / SIZE) + 0.1


def test_draws_are_correlated_as_the_response_says(sharp: Posterior) -> None:
    """W and H as they are scaled, where an entry is known to a tenth."""
    draws, covariance = sharp.draws(SIZE, 3), full_covariance(sharp.linear_response)
    W, H = sharp.W.mean, sharp.H.mean
    (n, k), m, size = W.shape, H.shape[1], H.sum(1)
    J = np.zeros((n * k + k * m, n * k + k * m))
    for i, c in np.ndindex(n, k):
        J[i * k + c, i * k + c] = size[c]
        J[i * k + c, n * k + c * m : n * k + (c + 1) * m] = W[i, c]
    for c, j in np.ndindex(k, m):
        J[n * k + c * m + j, n * k + c * m : n * k + (c + 1) * m] = -H[c, j] / size[c] ** 2
        J[n * k + c * m + j, n * k + c * m + j] += 1 / size[c]
    own = J @ covariance @ J.T
    deviation = np.sqrt(np.diag(own))
    found = np.corrcoef(np.concatenate([draws[name].reshape(SIZE, -1) for name in ("W", "H")], 1).T)
    mean = np.concatenate([(W * size).ravel(), (H / size[:, None]).ravel()])
    near = deviation < 0.1 * mean
    assert near.sum() > len(near) / 2
    error = np.abs(found - own / np.outer(deviation, deviation))[np.ix_(near, near)]
    assert error.max() < 5 / np.sqrt(SIZE) + 0.02


@pytest.mark.parametrize("method", ["linear_response", "mean_field"])
def test_intervals_are_nested_and_hold_the_mean(sharp: Posterior, method: Any) -> None:
    for name in NAMES:
        estimate = sharp.estimate(name, method)  # type: ignore[arg-type]
        ends = [estimate.interval(prob) for prob in (0.5, 0.9, 0.99)]
        for (low, high), (lower, higher) in zip(ends[:-1], ends[1:], strict=True):
            assert np.all((0 <= lower) & (lower < low) & (low < high) & (high < higher))
        assert np.all((ends[0][0] < estimate.mean) & (estimate.mean < ends[0][1]))


def test_interval_ends_are_quantiles_of_the_draws(sharp: Posterior) -> None:
    """Within 5 standard errors of a 5% quantile, sqrt(.05 .95 / size) / .103 deviations, and .1 for rows of H."""
    draws = sharp.draws(SIZE, 1)
    for name in ("W", "H"):
        estimate = sharp.estimate(name, "linear_response")  # type: ignore[arg-type]
        found = np.quantile(draws[name], [0.05, 0.95], axis=0)
        error = np.abs(found - np.array(estimate.interval(0.9))) / np.sqrt(estimate.variance)
        assert error.max() < 5 * np.sqrt(0.05 * 0.95 / SIZE) / 0.103 + 0.1


def test_mean_field_intervals_cover_too_little_and_the_response_repairs_it() -> None:
    """20 sets of 24 x 15 from the model, started at the truth: coverage of 90% intervals, sets as the replicates.

    Those of W H cover .90 within 4 standard errors and .02 for the shape of the interval; the mean field misses that.
    """
    rng, coverage = np.random.default_rng(0), {"linear_response": [], "mean_field": []}
    model = bn.Model(3, bn.Poisson(), W=bn.Gamma(1.0, mean=4.0), H=bn.Gamma(1.0, mean=1.0))
    for _ in range(20):
        W, H = rng.gamma(1.0, 4.0, (24, 3)), rng.gamma(1.0, 1.0, (3, 15))
        ascent = Ascent(rng.poisson(W @ H), model)
        k = ascent.task.prepared.k
        start = (
            np.pad(W, ((0, 0), (0, k - 3)), constant_values=1.0),
            np.pad(H, ((0, k - 3), (0, 0)), constant_values=1.0),
        )
        at = [Gammas.of_point(jnp.asarray(np.maximum(a, 1e-3)), 100.0) for a in start]
        ascent.state = ascent.state._replace(W=at[0], H=at[1])
        ascent.converge(3000)
        posterior = ascent.posterior
        for method, found in coverage.items():
            low, high = posterior.estimate("mean", method).interval(0.9)  # type: ignore[arg-type]
            found.append(np.mean((low <= W @ H) & (W @ H <= high)))
    near, narrow = (np.array(coverage[method]) for method in coverage)
    error = near.std() / np.sqrt(20)
    assert abs(near.mean() - 0.9) < 4 * error + 0.02
    assert narrow.mean() < 0.9 - 4 * narrow.std() / np.sqrt(20) - 0.02
    assert np.all(near > narrow)


@pytest.mark.parametrize("z", [5.0, 11.9, 12.1, 1e3, 1e5, 1e9])
def test_a_factor_far_from_zero_moves_as_a_normal_does(z: float) -> None:
    """Cov(x, x^2) = 2 z and var(x^2) = 4 z^2 + 2 of a normal with variance 1 (rows of a Cholesky factor)."""
    moved = Moved.of_truncated(np.full((1, 1), z), np.ones((1, 1)))
    near = 1e-4 if z < 10 else 1e-6
    np.testing.assert_allclose([moved.ee[0, 0], moved.le[0, 0]], [1.0, 2 * z], rtol=near)
    np.testing.assert_allclose(moved.ll[0, 0], np.sqrt(2), rtol=1e-3)
