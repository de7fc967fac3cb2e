"""Findings about the noise and the intervals: silent where the model is right, loud where a fault was planted."""

import numpy as np
import pytest

import bayesnmf as bn

ENGINE = bn.CAVI(starts=1)


def means(rng: np.random.Generator) -> np.ndarray:
    return rng.gamma(1.0, 2.0, (40, 3)) @ rng.gamma(1.0, 2.0, (3, 40))


def named(fit: bn.Fit) -> dict[str, str]:
    return {finding.name: finding.message for finding in fit.warnings}


@pytest.mark.parametrize("scale", [0.03, 1.0])
def test_right_noise_is_not_rejected(scale: float) -> None:
    """By chance a set is rejected with a probability below 1e-4: the bound is four standard errors."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        assert "noise_rejected" not in named(bn.fit(rng.poisson(scale * means(rng)), rank=3, engine=ENGINE))


@pytest.mark.parametrize("shape", [0.25, pytest.param(None, marks=pytest.mark.exhaustive)])
def test_entries_that_hold_little_have_spent_little(shape: float | None) -> None:
    """Twenty parts of 2,000 counts a sample: all k (n + m - k) taken for spent, right noise would be rejected."""
    rng = np.random.default_rng(0)
    X = rng.poisson(rng.dirichlet(np.ones(20), 64) * 2000 @ rng.dirichlet(np.full(96, 0.25), 20))
    model = bn.Model(20, W=bn.Gamma(shape and 1.0), H=bn.Gamma(shape))
    assert "noise_rejected" not in named(bn.fit(X, model, engine=ENGINE))


def test_counts_that_vary_more_reject_poisson_and_not_negative_binomial() -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        v = means(rng)
        X = rng.poisson(v * rng.gamma(1 / 0.15, 0.15, v.shape))
        assert "Try NegativeBinomial()" in named(bn.fit(X, rank=3, engine=ENGINE))["noise_rejected"]
        fit = bn.fit(X, rank=3, likelihood=bn.NegativeBinomial(), engine=ENGINE)
        assert "noise_rejected" not in named(fit)


def test_too_many_zeros_are_found() -> None:
    rng = np.random.default_rng(0)
    X = rng.poisson(means(rng) + 3.0) * (rng.random((40, 40)) > 0.3)
    assert "more exact zeros than" in named(bn.fit(X, rank=3, engine=ENGINE))["noise_rejected"]


def test_intervals_that_promise_too_much_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    X = rng.poisson(means(rng))
    prior = bn.Gamma(0.3)
    assert "too narrow for single entries" in repr(bn.fit(X, bn.Model(3, W=prior, H=prior), engine=ENGINE))
    assert "too narrow" not in repr(bn.fit(X, bn.Model(3, W=bn.Gamma(1.0), H=bn.Gamma(1.0)), engine=ENGINE))
    assert "too narrow for masses" in repr(bn.fit(X, rank=3, likelihood=bn.Gaussian(), engine=ENGINE))
    assert "intervals_of_mean_field" not in named(bn.fit(X, bn.Model(3, H=bn.Dirichlet(0.5)), engine=ENGINE))
    known = np.where(np.arange(40) < 20, 0.05, 0.0)[None]  # zeros that do not vary
    drawn = bn.fit(X, bn.Model(3, bn.Poisson(), known=known), engine=bn.Gibbs(chains=2, warmup=20, draws=20))
    new = drawn.project(X[:5])
    # totals are known to the square root of the counts
    assert np.all(np.abs(new.W.sum(1) - drawn.W[:5].sum(1)) < 2 * np.sqrt(X[:5].sum(1)))
    projected = {finding.name: finding.message for finding in new.warnings}
    assert "mean of the draws. Project from a fit by engine=bn.CAVI()" in projected["intervals_of_mean_field"]
    monkeypatch.setattr("bayesnmf.posterior.MOST_WORK", 0)
    fit = bn.fit(X, rank=3, engine=ENGINE)
    for warnings in (fit.warnings, fit.project(X[:5]).warnings):
        assert any("work of linear response is bounded. Use fewer features" in warning.message for warning in warnings)
