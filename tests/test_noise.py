"""Likelihoods with noise of their own: densities, draws, and whether what is learned is what was there."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import LIKELIHOODS, intensities, planted, slow_compound
from scipy import stats
from scipy.special import digamma, polygamma, wright_bessel

import bayesnmf as bn
from bayesnmf._numerics import stirling
from bayesnmf.data import Data, Moments
from bayesnmf.engines._problem import better_noise
from bayesnmf.likelihoods import Likelihood
from bayesnmf.likelihoods.gamma_noise import inverse_gap

KNOWN: dict[str, Likelihood] = {
    "poisson": bn.Poisson(),
    "gaussian": bn.Gaussian(variance=2.0),
    "negative-binomial": bn.NegativeBinomial(dispersion=0.3),
    "compound-poisson": bn.CompoundPoisson(shape=1.5, jump=0.7),
    "gamma-noise": bn.GammaNoise(shape=1.7),
    "negative-binomial-per-feature": bn.NegativeBinomial(dispersion=np.array([0.05, 0.5, 3.0])),
}
EPS = {"float32": 2e-6, "float64": 1e-11}


def log_density(likelihood: Likelihood, x: Any, v: Any, precision: str) -> np.ndarray:
    with jax.enable_x64(precision == "float64"):
        made = jax.tree.map(lambda a: jnp.asarray(a, precision), likelihood)
        return np.asarray(made.log_density(jnp.asarray(x, precision), jnp.asarray(v, precision)), float)


@pytest.mark.parametrize("precision", EPS)
@pytest.mark.parametrize("dispersion", [1e-6, 1e-2, 0.15, 1.0, 30.0])
def test_negative_binomial_is_scipys(dispersion: float, precision: str) -> None:
    x = np.array([0.0, 1, 2, 5, 8, 30, 200, 3000])
    v = np.outer([0.1, 0.7, 1, 1.5, 20], x + 0.2)
    alpha = 1 / dispersion
    # where alpha is large scipy loses digits: there the first orders of its expansion round Poisson
    expected = stats.nbinom(alpha, alpha / (alpha + v)).logpmf(x)
    if dispersion < 1e-3:
        first = dispersion / 2 * ((x - v) ** 2 - x)
        second = dispersion**2 / 12 * (x * (x - 1) * (2 * x - 1) + 4 * v**3 - 6 * x * v**2)
        expected = stats.poisson(v).logpmf(x) + first - second
        expected = np.where(dispersion * (x + v) < 1e-4, expected, np.nan)
    found = log_density(bn.NegativeBinomial(dispersion), np.broadcast_to(x, v.shape), v, precision)
    error = np.abs(found - expected) / (1 + np.abs(expected) + x)
    assert np.nanmax(error) < EPS[precision]


@pytest.mark.parametrize("name", KNOWN)
def test_draws_have_the_mean_and_the_variance(name: str) -> None:
    likelihood, count = KNOWN[name], 40_000
    v = jnp.array([0.3, 2.0, 30.0])
    x = np.asarray(likelihood.sample(jax.random.key(0), jnp.broadcast_to(v, (count, 3))), float)
    variance = np.broadcast_to(likelihood.variance_at(v[None])[0], 3)
    fourth = ((x - x.mean(0)) ** 4).mean(0)
    assert np.all(np.abs(x.mean(0) - v) < 5 * np.sqrt(variance / count))
    assert np.all(np.abs(x.var(0) - variance) < 5 * np.sqrt((fourth - variance**2) / count))


@pytest.mark.parametrize("name", KNOWN)
def test_second_derivatives_are_finite_and_those_of_differences(name: str) -> None:
    """In lo, hi and the noise parameters, forward over reverse, under jit and vmap; at x = 0 too."""
    with jax.enable_x64(True):
        likelihood = jax.tree.map(lambda a: jnp.asarray(a, float), KNOWN[name])
        x = jnp.array([[0.0, 1.0, 7.0], [0.5, 90.0, 0.0]])
        point = (likelihood, jnp.full((2, 3), 0.8), jnp.array([[0.9, 2.0, 6.0]] * 2))

        @jax.vmap
        def gradient(point: Any) -> Any:
            return jax.grad(lambda p: p[0].bound(x, p[1], p[2]).sum())(point)

        one = jax.tree.map(jnp.ones_like, point)
        batch, ones = (jax.tree.map(lambda a: a[None], tree) for tree in (point, one))
        _, second = jax.jit(lambda p, t: jax.jvp(gradient, (p,), (t,)))(batch, ones)
        step = 1e-5
        ahead, behind = (gradient(jax.tree.map(lambda a, b: a + s * step * b, batch, ones)) for s in (1, -1))  # noqa: B023
        for a, up, down in zip(*(jax.tree.leaves(tree) for tree in (second, ahead, behind)), strict=True):
            assert np.all(np.isfinite(a))
            np.testing.assert_allclose(a, (up - down) / (2 * step), rtol=1e-5, atol=1e-5)


def learned(likelihood: Likelihood, X: np.ndarray, V: np.ndarray, precision: str = "float64", steps: int = 20) -> Any:
    """Return the likelihood with its noise learned at known means."""
    with jax.enable_x64(precision == "float64"):
        held = jnp.asarray(X[None], precision)
        floor = jnp.asarray(1e-12, precision)
        data = Data(held, None, None, None, None, None, floor, len(X), X.shape, False)
        W, H = (Moments.of_point(jnp.asarray(a, precision)) for a in (V, np.eye(V.shape[1])))
        made = jax.tree.map(lambda a: jnp.asarray(a, precision), likelihood.start((X**2).mean(0)))
        step = jax.jit(lambda made: better_noise(data, made, W, H))
        for _ in range(steps):
            made = step(made)
        return jax.tree.map(lambda a: np.asarray(a, float), made)


def means(n: int = 400, m: int = 6) -> np.ndarray:
    return np.random.default_rng(0).gamma(1.0, 10.0, (n, m)) + 0.1


def counts(V: np.ndarray, dispersion: Any, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(V * rng.gamma(1 / dispersion, dispersion, V.shape)).astype(float)


@pytest.mark.parametrize("precision", EPS)
@pytest.mark.parametrize("shape", [0.05, 0.3, 1.0, 5.0, 30.0])
def test_compound_poisson_is_its_series(shape: float, precision: str) -> None:
    """Where the sum goes over into the asymptotic series too; twice, by scipy's Wright function where it has range."""
    mu = np.concatenate([np.logspace(-4, 0, 9), np.linspace(1.3, 130.0, 60)])
    ratio = np.array([0.5, 1.0, 3.0])[:, None]
    x = 0.7 * mu / ratio ** (1 / (1 + shape))
    v = ratio * x
    made = bn.CompoundPoisson(shape, 0.7)
    expected = np.vectorize(lambda x, v: slow_compound(made, x, v))(x, v)
    s = v / 0.7 * (shape * x / 0.7) ** shape
    with np.errstate(over="ignore"):
        again = np.log(wright_bessel(shape, 0, s)) - v / 0.7 - shape * x / 0.7 - np.log(x)
    usable = np.isfinite(again) & (s < 1e4)
    assert usable.sum() > 12
    np.testing.assert_allclose(again[usable], expected[usable], rtol=1e-9, atol=1e-9)
    error = np.abs(log_density(made, x, v, precision) - expected) / (1 + np.abs(expected))
    assert error.max() < (1e-6 if precision == "float64" else 2e-5 * (1 + shape / 10))
    np.testing.assert_allclose(log_density(made, np.zeros(2), [0.1, 3.0], precision), [-0.1 / 0.7, -3 / 0.7], rtol=1e-6)


@pytest.mark.parametrize("precision", EPS)
def test_gamma_noise_is_scipys_and_its_shape_is_learned(precision: str) -> None:
    x, v = np.random.default_rng(0).gamma(1.0, 2.0, (2, 50)) + 1e-3
    for shape in (0.01, 1.0, 7.5, 1e4):
        near = v if shape < 100 else x * (1 + 0.02 * np.sin(v))
        expected = stats.gamma(shape, scale=near / shape).logpdf(x)
        found = log_density(bn.GammaNoise(shape), x, near, precision)
        assert np.max(np.abs(found - expected) / (1 + np.abs(expected))) < 100 * EPS[precision]
    for shape in (0.02, 0.3, 1.0, 6.0, 1e3, 1e5):
        with jax.enable_x64(precision == "float64"):
            gap = np.log(shape) - digamma(shape)
            assert float(inverse_gap(jnp.asarray(gap, precision))) == pytest.approx(
                shape, rel=max(10 * EPS[precision], 1e-8)
            )
    V = means()
    X = np.random.default_rng(1).gamma(4.0, V / 4.0)
    found = float(learned(bn.GammaNoise(), X, V, precision, steps=1).shape)
    information = X.size * 4.0 * (4.0 * polygamma(1, 4.0) - 1)
    assert abs(np.log(found / 4.0)) < 4 / np.sqrt(information)
    exact = float(learned(bn.GammaNoise(), V, V, precision, steps=1).shape)
    assert exact == pytest.approx(1e6, rel=0.01)


@pytest.mark.parametrize("precision", EPS)
@pytest.mark.parametrize("given", [{}, {"shape": 2.0}, {"jump": 0.4}])
def test_jumps_are_learned(given: dict[str, float], precision: str) -> None:
    """Within 4 standard errors, from the observed information, whatever the unit."""
    V = np.random.default_rng(0).gamma(1.0, 1.0, (500, 4)) + 0.01
    truth = bn.CompoundPoisson(shape=2.0, jump=0.4)
    with jax.enable_x64(True):
        X = np.asarray(truth.sample(jax.random.key(3), jnp.asarray(V)))
    found = learned(bn.CompoundPoisson(**given), X, V, precision)
    assert {name: float(getattr(found, name)) for name in given} == pytest.approx(given, rel=1e-6)
    with jax.enable_x64(True):
        both = bn.CompoundPoisson(jnp.asarray(found.shape), jnp.asarray(found.jump), learned=found.learned)
        total = np.array([np.asarray(t).sum() for t in both.noise_terms(*(jnp.asarray(a) for a in (X, V, V)))])
    q = 2 - len(given)
    covariance = np.linalg.inv(-total[q:].reshape(q, q))
    error = np.sqrt(np.diag(covariance))
    free = [name for name in ("shape", "jump") if name not in given]
    away = np.array([np.log(float(getattr(found, name)) / getattr(truth, name)) for name in free])
    assert np.all(np.abs(away) < 4 * error)
    assert np.all(np.abs(total[:q]) < (1e-4 if precision == "float64" else 0.1) / error)


@pytest.mark.parametrize("precision", EPS)
def test_dispersion_is_learned(precision: str) -> None:
    """Within 4 standard errors, from the observed information; per feature too, and where it starts far away."""
    V = means()
    truth = np.array([0.02, 0.1, 0.3, 1.0, 3.0, 30.0])
    X = counts(V, truth)
    found = learned(bn.NegativeBinomial(per_feature=True), X, V, precision).dispersion
    with jax.enable_x64(True):
        made = bn.NegativeBinomial(jnp.asarray(found), per_feature=True, learned=True)
        terms = [np.asarray(t).sum(0) for t in made.noise_terms(*(jnp.asarray(a) for a in (X, V, V)))]
    error = 1 / np.sqrt(-terms[1])
    assert np.all(np.abs(np.log(found / truth)) < 4 * error)
    assert np.all(np.abs(terms[0]) < (1e-3 if precision == "float64" else 0.1) / error)
    one = learned(bn.NegativeBinomial(), counts(V, 0.2), V, precision).dispersion
    assert one.shape == ()
    assert one == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize("precision", EPS)
def test_dispersion_of_poisson_counts_falls_to_nothing(precision: str) -> None:
    V = means()
    X = np.random.default_rng(2).poisson(V).astype(float)
    X[:, 0] = np.round(V[:, 0])  # less than Poisson
    found = learned(bn.NegativeBinomial(per_feature=True), X, V, precision).dispersion
    assert found[0] < 1e-5
    assert np.all(found < 0.02)


def test_negative_binomial_of_poisson_counts_is_poisson() -> None:
    X = planted(40, 25, 3)
    engine = bn.MAP(starts=1, precision="float64", tol=1e-9, residual_tol=1e-3, max_steps=20_000)
    plain, found = (bn.fit(X, rank=3, likelihood=made, engine=engine) for made in (bn.Poisson(), bn.NegativeBinomial()))
    assert found.noise["dispersion"] < 1e-3
    np.testing.assert_allclose(found.mean, plain.mean, rtol=0.05, atol=0.1)


@pytest.mark.parametrize(
    "shrinkage", [pytest.param(None, id="flat"), pytest.param(bn.ARD(), id="ard", marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize("name", ["compound-poisson", "gamma-noise"])
def test_unit_of_x_changes_nothing_else(name: str, shrinkage: bn.ARD | None) -> None:
    X = planted(40, 25, 4)
    X = intensities(X) if name == "compound-poisson" else X + 0.5
    model = bn.Model(6, LIKELIHOODS[name](), shrinkage=shrinkage)
    engine = bn.MAP(starts=1, max_steps=200, tol=0.0)
    base = bn.fit(X, model, engine=engine)
    for unit in (1e-6, 1e6):
        other = bn.fit(X * unit, model, engine=engine)
        assert other.rank == base.rank
        np.testing.assert_allclose(other.mean / unit, base.mean, rtol=2e-2, atol=2e-2 * base.mean.max())
        np.testing.assert_allclose(other.relevance, base.relevance, rtol=2e-2, atol=2e-2)
        for key, value in base.noise.items():
            assert other.noise[key] == pytest.approx(value * (unit if key == "jump" else 1), rel=2e-2)


def test_stirling_is_what_is_left_of_log_gamma() -> None:
    from scipy.special import gammaln

    z = np.logspace(-6, 1.5, 200)
    expected = gammaln(z) - ((z - 0.5) * np.log(z) - z + np.log(2 * np.pi) / 2)
    for precision, tolerance in EPS.items():
        with jax.enable_x64(precision == "float64"):
            found = np.asarray(stirling(jnp.asarray(z, precision)))
            np.testing.assert_allclose(found, expected, atol=tolerance, rtol=tolerance)
            assert float(stirling(jnp.asarray(1e6, precision))) == pytest.approx(1 / 12e6, rel=1e-6)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, np.ones((2, 2)), np.array([1.0, 0.0])])
def test_dispersion_must_be_positive(value: Any) -> None:
    with pytest.raises(bn.ModelError, match="Leave it out to learn it"):
        bn.fit(planted(), rank=2, likelihood=bn.NegativeBinomial(dispersion=value))


@pytest.mark.parametrize("given", [{"shape": 0.0}, {"shape": 0.01}, {"shape": 99.0}, {"jump": 0.0}, {"jump": np.inf}])
def test_jumps_must_be_in_range(given: dict[str, float]) -> None:
    with pytest.raises(bn.ModelError, match="Leave it out to learn it"):
        bn.fit(planted(), rank=2, likelihood=bn.CompoundPoisson(**given))


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.ones(2)])
def test_shape_must_be_positive(value: Any) -> None:
    with pytest.raises(bn.ModelError, match="Leave it out to learn it"):
        bn.fit(planted(positive=True), rank=2, likelihood=bn.GammaNoise(shape=value))
