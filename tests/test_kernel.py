"""The kernel: bound, halves, one-sided sums; each against a slow twin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import HOLDERS, LIKELIHOODS, loss, observations, planted
from scipy import stats

import bayesnmf as bn
from bayesnmf._input import read
from bayesnmf.data import Data, Moments
from bayesnmf.engines import _prepare as engine
from bayesnmf.likelihoods import Likelihood

pytestmark = pytest.mark.usefixtures("x64")


@pytest.fixture(params=LIKELIHOODS)
def likelihood(request: pytest.FixtureRequest) -> Likelihood:
    made = LIKELIHOODS[request.param]()
    return made.start(np.linspace(1.0, 3.0, 15)) if made.learned else made


def entries(likelihood: Likelihood) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.poisson(3.0, (8, 15)) + (0.5 if likelihood.support == "positive" else 0.0)
    x = x - 3.0 if likelihood.support == "real" else x
    return x, rng.gamma(2.0, 2.0, (8, 15))


def test_halves_are_the_derivatives_of_the_bound(likelihood: Likelihood) -> None:
    x, v = (jnp.asarray(a) for a in entries(likelihood))
    up, down = likelihood.halves(x, v, v)
    auto_up, auto_down = Likelihood.halves(likelihood, x, v, v)
    np.testing.assert_allclose(up, auto_up, rtol=1e-12)
    np.testing.assert_allclose(down, auto_down, rtol=1e-12)
    assert np.all(up >= 0)
    assert np.all(down >= 0)


def test_divergence_is_zero_at_x_and_as_written_out(likelihood: Likelihood) -> None:
    x, v = entries(likelihood)
    # the series of one is cut at six digits
    rtol, atol = (1e-6, 1e-6) if isinstance(likelihood, bn.CompoundPoisson) else (1e-9, 1e-12)
    expected = [[loss(likelihood, a, b) for a, b in zip(*rows, strict=True)] for rows in zip(x, v, strict=True)]
    found = likelihood.divergence(jnp.asarray(x), jnp.asarray(v))
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def test_bound_is_below_the_density_between_two_means(likelihood: Likelihood) -> None:
    """At the geometric and the arithmetic mean of two v's: below the mean of the log densities at both."""
    x, v = (jnp.asarray(a) for a in entries(likelihood))
    other = v[::-1]
    if likelihood.powers == (0.0, 1.0):
        lo, hi = jnp.sqrt(v * other), (v + other) / 2
        mean = (likelihood.bound(x, v, v) + likelihood.bound(x, other, other)) / 2
        between = likelihood.bound(x, lo, hi)
        assert np.all(between <= mean + 1e-9 * jnp.abs(mean))
        if not isinstance(likelihood, (bn.NegativeBinomial, bn.CompoundPoisson)):
            np.testing.assert_allclose(between, mean, rtol=1e-9)
    p, q = likelihood.powers
    base = likelihood.bound(x, v, v)
    up, down = likelihood.halves(x, v, v)
    for r in (0.3, 0.9, 1.1, 4.0):
        rise = np.log(r) if p == 0 else (r**p - 1) / p
        surrogate = base + up * v * rise - down * v * (r**q - 1) / q
        assert np.all(likelihood.bound(x, v * r, v * r) >= surrogate - 1e-9 * (1 + jnp.abs(surrogate)))


@pytest.mark.parametrize("name", ["poisson", "gaussian"])
def test_log_density_is_scipys(name: str) -> None:
    likelihood = LIKELIHOODS[name]()
    x, v = entries(likelihood)
    if name == "poisson":
        expected = stats.poisson(v).logpmf(x)
    else:
        likelihood = likelihood.start(np.full(15, 2.5))
        expected = stats.norm(v, np.sqrt(2.5)).logpdf(x)
    np.testing.assert_allclose(likelihood.log_density(jnp.asarray(x), jnp.asarray(v)), expected, rtol=1e-10)


@pytest.mark.parametrize("name", ["poisson", "gaussian-fixed"])
def test_draws_have_the_mean_and_variance_of_the_density(name: str) -> None:
    likelihood = LIKELIHOODS[name]()
    v = jnp.array([0.3, 2.0, 30.0])
    count = 20000
    x = np.asarray(likelihood.sample(jax.random.key(0), jnp.broadcast_to(v, (count, 3))))
    variance = np.asarray(v) if name == "poisson" else np.full(3, 2.0)
    fourth = 3 * variance**2 + (variance if name == "poisson" else 0)
    assert np.all(np.abs(x.mean(0) - v) < 5 * np.sqrt(variance / count))
    assert np.all(np.abs(x.var(0) - variance) < 5 * np.sqrt((fourth - variance**2) / count))


def test_what_is_not_a_density_cannot_be_drawn() -> None:
    with pytest.raises(bn.ModelError, match="not a distribution"):
        bn.BetaDivergence(0.5).sample(jax.random.key(0), jnp.ones(3))


def case(likelihood: Likelihood, holder: str, beside: str, monkeypatch: pytest.MonkeyPatch, rows: int) -> tuple:
    """Return Data, X, weight, offsets, W, H for the sums."""
    X = planted(positive=likelihood.support == "positive")
    if likelihood.support == "real":
        X[:, ::4] -= 1.0
    extra = {"none": {}, "separable": {"weights": np.arange(1.0, 16.0)}, "all": observations()}[beside]
    monkeypatch.setattr(engine, "ENTRIES_IN_TILE", rows * X.shape[1])
    monkeypatch.setattr(engine, "DENSE_TILE", rows * X.shape[1])
    table = read(HOLDERS[holder](X), **extra)
    data = engine.make_data(table, likelihood, 1.0, 1.0, np.dtype("float64"))
    weight = np.broadcast_to(extra.get("weights", 1.0), X.shape) * extra.get("observed", np.ones(X.shape))
    s, o = extra.get("size_factors", np.ones(24)), extra.get("opportunities", np.ones(15))
    rng = np.random.default_rng(1)
    W, H = rng.gamma(2.0, 1.0, (24, 4)), rng.gamma(2.0, 1.0, (4, 15))
    return data, X, weight, s, o, W, H


def pad(W: np.ndarray, data: Data) -> jax.Array:
    return jnp.asarray(np.pad(W, ((0, data.n_padded - len(W)), (0, 0)), constant_values=0.7))


BACKGROUNDS = [
    "poisson",
    "compound-poisson",
    "negative-binomial-per-feature",
    "gaussian",
    "gaussian-per-feature",
    "beta-0.5",
]


@pytest.mark.parametrize(("beside", "rows"), [("none", 24), ("separable", 7), ("all", 24), ("all", 7)])
@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("likelihood", BACKGROUNDS, indirect=True)
def test_sums_value_and_noise_equal_plain_loops(
    likelihood: Likelihood, holder: str, beside: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two different moments of each factor, where the background is not quadratic (it has its own door)."""
    data, X, weight, s, o, W, H = case(likelihood, holder, beside, monkeypatch, rows)
    share = 1.0 if likelihood.background == "quadratic" else 0.8
    hi, lo = s[:, None] * o * (W @ H), s[:, None] * o * (share * W @ (share * H))
    x, low, high = jnp.asarray(X), jnp.asarray(lo), jnp.asarray(hi)
    up, down = (np.asarray(a) for a in likelihood.halves(x, low, high))
    scale = weight * s[:, None] * o
    Wp, Hp = (Moments(share * jnp.asarray(a), jnp.asarray(a)) for a in (pad(W, data), H))

    got = data.sums(likelihood, Wp, Hp, "W")
    np.testing.assert_allclose(got.up[:24], (scale * up) @ (share * H).T, rtol=1e-9)
    np.testing.assert_allclose(got.down[:24], (scale * down) @ H.T, rtol=1e-9)
    got = data.sums(likelihood, Wp, Hp, "H")
    np.testing.assert_allclose(got.up, (share * W).T @ (scale * up), rtol=1e-9)
    np.testing.assert_allclose(got.down, W.T @ (scale * down), rtol=1e-9)

    bound = np.asarray(likelihood.bound(x, low, high))
    np.testing.assert_allclose(data.value(likelihood, Wp, Hp), (weight * bound).sum(), rtol=1e-10)
    for spent in (0.0, 0.2) if likelihood.learned else ():
        profile = np.asarray(likelihood.profile(x, low, high, spent))
        np.testing.assert_allclose(data.value(likelihood, Wp, Hp, spent), (weight * profile).sum(), rtol=1e-10)
        total, count = data.noise(likelihood, Wp, Hp, spent)
        terms = np.asarray(jnp.stack(likelihood.noise_terms(x, low, high, spent)))
        np.testing.assert_allclose(total, (weight * terms).sum(1), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(count, weight.sum(0), rtol=1e-12)


@pytest.mark.parametrize("rows", [24, 7])
@pytest.mark.parametrize("holder", HOLDERS)
def test_transposed_data_have_the_sums_of_the_other_side(
    holder: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    likelihood = bn.Poisson()
    data, *_, W, H = case(likelihood, holder, "all", monkeypatch, rows)
    turned = data.T
    Wp, Hp = pad(W, data), jnp.asarray(H)
    own = Moments.of_point(Wp), Moments.of_point(Hp)
    other = Moments.of_point(Hp.T), Moments.of_point(Wp.T)
    np.testing.assert_allclose(
        turned.sums(likelihood, *other, "W").up, data.sums(likelihood, *own, "H").up.T, rtol=1e-9
    )
    np.testing.assert_allclose(turned.value(likelihood, *other), data.value(likelihood, *own), rtol=1e-12)
