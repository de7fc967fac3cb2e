"""The door of posterior engines: what is refused and what to use, units, and the special functions behind it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import intensities, planted
from scipy import special, stats

import bayesnmf as bn
from bayesnmf._input import read
from bayesnmf._numerics import log_gamma, log_less_digamma, stirling, trigamma
from bayesnmf._resolve import resolve
from bayesnmf.engines._families import Conditional, Dirichlets, Gammas

COUNTS, REAL = planted(), planted() - 1.5
VALUES = intensities(COUNTS)


def model(likelihood: Any = None, **parts: Any) -> bn.Model:
    return bn.Model(3, likelihood, **parts)


REFUSED: dict[str, tuple[Any, bn.Model, type[Exception], str]] = {
    "flat W": (COUNTS, model(W=bn.Flat()), bn.ModelError, r"W=Flat\(\) has none.*Use Gamma\(\) or Exponential\(\)"),
    "flat H": (COUNTS, model(H=bn.Flat()), bn.ModelError, r"H=Flat\(\) has none.*Use Gamma\(\) or Exponential\(\)"),
    "half-normal with counts": (
        COUNTS, model(W=bn.HalfNormal()), bn.ModelError, r"goes with Gaussian noise; with Poisson use Gamma\(\)",
    ),
    "gamma with Gaussian noise": (
        REAL, model(W=bn.Gamma(2.0)), bn.ModelError, r"exact for Exponential\(\) and HalfNormal\(\)",
    ),
    "Poisson on intensities": (
        VALUES, model(bn.Poisson()), bn.DataError, r"not counts.*Use CompoundPoisson\(\).*Gaussian\(\)",
    ),
    "negative binomial on intensities": (
        VALUES, model(bn.NegativeBinomial()), bn.DataError, r"not counts.*Use CompoundPoisson\(\)",
    ),
    "beta divergence": (
        COUNTS, model(bn.BetaDivergence(0.5)), bn.EngineError, r"no posterior for BetaDivergence.*Poisson",
    ),
    "Dirichlet on W": (COUNTS, model(W=bn.Dirichlet()), bn.ModelError, r"for rows of H; use Gamma\(\) for W"),
    "a shape to learn under shrinkage": (
        COUNTS, model(W=bn.Gamma(None), shrinkage=bn.ARD()), bn.ModelError, r"use Gamma\(shape=\.\.\.\) with a number",
    ),
    "a mean under shrinkage": (
        COUNTS, model(W=bn.Gamma(1.0, mean=2.0), shrinkage=bn.ARD()), bn.ModelError, r"leave the mean out of W",
    ),
    "ARD of rows that sum to 1": (
        COUNTS, model(W=bn.Exponential(), H=bn.Dirichlet(), shrinkage=bn.ARD()), bn.ModelError,
        r"have no scale\. Use shrinkage=bn\.Compressive\(\)",
    ),
    "Compressive on intensities": (
        VALUES, model(bn.CompoundPoisson(), shrinkage=bn.Compressive()), bn.ModelError, r"for counts.*use ARD\(\)",
    ),
    "Compressive without a Dirichlet": (
        COUNTS, model(H=bn.Gamma(1.0), shrinkage=bn.Compressive()), bn.ModelError, r"leave H out, or use Dirichlet\(\)",
    ),
    "a negative shape": (COUNTS, model(H=bn.Dirichlet(-1.0)), bn.ModelError, r"to be a positive number; got -1\.0"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_posterior_is_refused_and_told_what_to_use(case: str) -> None:
    X, refused, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        bn.fit(X, refused, engine=bn.CAVI())


NO_MODE: dict[str, tuple[bn.Model, str]] = {
    "Compressive": (model(shrinkage=bn.Compressive()), r"use engine=bn\.CAVI\(\), or shrinkage=bn\.ARD\(\)"),
    "Dirichlet": (model(W=bn.Gamma(1.0), H=bn.Dirichlet()), r"use engine=bn\.CAVI\(\), or Gamma\(\) on H"),
    "a shape to learn": (model(W=bn.Gamma(None), H=bn.Gamma(1.0)), r"give a number of at least 1"),
    "a shape below 1": (model(W=bn.Gamma(0.5), H=bn.Gamma(1.0)), r"Use Exponential\(\) or a shape of at least 1"),
}


@pytest.mark.parametrize("case", NO_MODE)
def test_what_has_no_mode_is_refused_and_told_what_to_use(case: str) -> None:
    refused, message = NO_MODE[case]
    with pytest.raises(bn.ModelError, match=message):
        bn.fit(COUNTS, refused, engine=bn.MAP())


def test_what_is_left_out_is_what_the_data_are() -> None:
    """Counts, intensities, real values; priors with what is left out learned; and a mode where that is asked for."""
    kinds = {bn.Poisson: COUNTS, bn.CompoundPoisson: VALUES, bn.Gaussian: REAL}
    for kind, X in kinds.items():
        made = resolve(model(), read(X), bn.CAVI())
        assert isinstance(made.likelihood, kind)
        assert made.W == made.H == (bn.Exponential() if kind is bn.Gaussian else bn.Gamma(None))
    assert isinstance(resolve(model(), read(VALUES), bn.MAP()).likelihood, bn.Poisson)
    made = resolve(model(shrinkage=bn.Compressive()), read(COUNTS), bn.CAVI())
    assert (made.W, made.H) == (bn.Exponential(), bn.Dirichlet(0.5))


@pytest.mark.exhaustive
def test_intensities_give_the_same_answer_in_every_unit() -> None:
    """The rank of the greatest ELBO, the ELBO up to log |dX|, the jump, and the widths of intervals over the mean."""
    rng = np.random.default_rng(8)
    events = rng.poisson(rng.gamma(0.7, 60.0, (24, 2)) @ rng.dirichlet(np.full(15, 0.4), 2))
    X = intensities(events, seed=5)
    engine = bn.CAVI(starts=1, max_steps=300, tol=0.0, residual_tol=0.0, check_every=5, precision="float64")
    elbo, width, jump = {}, {}, {}
    for unit in (1e-6, 1.0, 1e6):
        fits = [bn.fit(X * unit, bn.Model(rank), engine=engine) for rank in (1, 2, 3, 4)]
        elbo[unit] = np.array([fit.elbo for fit in fits]) + (X > 0).sum() * np.log(unit)
        low, high = fits[1].interval("mean", method="mean_field")
        width[unit], jump[unit] = (high - low) / fits[1].mean, float(fits[1].noise["jump"]) / unit
    assert elbo[1.0].argmax() == 1
    for unit in (1e-6, 1e6):
        np.testing.assert_allclose(elbo[unit], elbo[1.0], rtol=1e-7)
        np.testing.assert_allclose(width[unit], width[1.0], rtol=1e-4)
        assert jump[unit] == pytest.approx(jump[1.0], rel=1e-6)


EPS = {"float32": 3e-6, "float64": 1e-11}
Z = np.concatenate([np.logspace(-5, 6, 400), [0.5, 1.0, 2.0, 7.999, 8.0, 8.001]])
FUNCTIONS: dict[str, tuple[Callable, Callable, Callable]] = {
    # each with its twin, and the size of what cancels in it
    "log_gamma": (log_gamma, special.gammaln, lambda z: 1 + np.abs(special.gammaln(z))),
    "trigamma": (trigamma, lambda z: special.polygamma(1, z), lambda z: special.polygamma(1, z)),
    "log_less_digamma": (
        log_less_digamma,
        lambda z: np.where(z < 1e4, z * (np.log(z) - special.digamma(z)), 0.5 + 1 / (12 * z)),
        lambda z: np.ones_like(z),
    ),
}


@pytest.mark.parametrize("precision", EPS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_functions_are_scipys(name: str, precision: str) -> None:
    own, twin, size = FUNCTIONS[name]
    with jax.enable_x64(precision == "float64"):
        z = jnp.asarray(Z, precision)
        found, z = np.asarray(own(z), float), np.asarray(z, float)
    expected = twin(z)
    # scipy's own difference of two logarithms loses as many digits as z has
    tolerance = EPS[precision] * size(z) + (1e-15 * z * np.log(z + 2) if name == "log_less_digamma" else 0)
    assert np.all(np.abs(found - expected) < tolerance)


@pytest.mark.parametrize("precision", EPS)
def test_what_is_left_at_large_arguments_keeps_its_digits(precision: str) -> None:
    z = np.array([1e3, 1e5, 1e7])
    with jax.enable_x64(precision == "float64"):
        held = jnp.asarray(z, precision)
        np.testing.assert_allclose(stirling(held), 1 / (12 * z) - 1 / (360 * z**3), rtol=EPS[precision])
        np.testing.assert_allclose(log_less_digamma(held), 0.5 + 1 / (12 * z) - 1 / (120 * z**3), rtol=EPS[precision])
        np.testing.assert_allclose(trigamma(held), 1 / z + 0.5 / z**2 + 1 / (6 * z**3), rtol=EPS[precision])


@pytest.mark.parametrize("precision", EPS)
def test_special_functions_have_the_derivatives_of_each_other(precision: str) -> None:
    """log Gamma' = digamma, and (z (log z - digamma))' = log z - digamma + 1 - z trigamma."""
    with jax.enable_x64(precision == "float64"):
        z = jnp.asarray(np.logspace(-3, 1.5, 100), precision)
        first, second = (jax.vmap(jax.grad(f))(z) for f in (log_gamma, log_less_digamma))
        z, first, second = (np.asarray(a, float) for a in (z, first, second))
    digamma = special.digamma(z)
    assert np.all(np.abs(first - digamma) < 10 * EPS[precision] * (1 + np.abs(digamma)))
    expected = np.log(z) - digamma + 1 - z * special.polygamma(1, z)
    assert np.all(np.abs(second - expected) < 10 * EPS[precision] * (1 + np.abs(np.log(z) - digamma) + 1 / z))


@pytest.mark.parametrize("precision", EPS)
def test_divergences_of_sharp_factors_keep_their_digits(precision: str) -> None:
    """Of a Gamma of shape a from another: log Gamma(a) and a log a, some 1e6 each, leave half a logarithm."""
    a = np.array([[0.05, 0.7, 3.0, 40.0, 1e3, 1e5]])
    rate = a / 2.0
    with jax.enable_x64(precision == "float64"):
        q = Gammas(jnp.asarray(a, precision), jnp.asarray(rate, precision))
        prior = Conditional(*(jnp.asarray(b, precision) for b in (1.3, [[0.6]], [[np.log(0.6)]])))
        found = np.asarray(q.divergence(prior), float)
        rows = Dirichlets(jnp.asarray([[0.3, 2.0, 50.0]], precision))
        flat = Conditional(*(jnp.asarray(b, precision) for b in (0.5, [[1.0]], [[0.0]])))
        of_rows = float(np.asarray(rows.divergence(flat), float).sum())
    with np.errstate(all="ignore"):
        expected = (a - 1.3) * special.digamma(a) - special.gammaln(a) + special.gammaln(1.3)
        expected += 1.3 * np.log(rate / 0.6) + a * (0.6 - rate) / rate
    np.testing.assert_allclose(found, expected, rtol=3 * EPS[precision] + 1e-15 * a.max())
    shape = np.array([0.3, 2.0, 50.0])
    draws = stats.dirichlet(shape)
    mean = special.digamma(shape) - special.digamma(shape.sum())
    assert of_rows == pytest.approx(
        -draws.entropy() - (special.gammaln(1.5) - 3 * special.gammaln(0.5) - 0.5 * mean.sum()), rel=10 * EPS[precision]
    )
