"""Components that come and go: the probability of each number beside brute force, and what a fit says of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy import stats

import bayesnmf as bn
from bayesnmf.engines import _inclusion
from bayesnmf.engines.gibbs import sweeps
from bayesnmf.report import write_report

X = np.array([[4, 0, 0], [11, 1, 4], [2, 0, 0], [2, 0, 1]])
MODELS: dict[str, tuple[Any, Any, Any, Callable[..., np.ndarray]]] = {
    "poisson": (bn.Poisson(), bn.Gamma(1.0, mean=1.0), bn.Gamma(0.7, mean=1.0), stats.poisson.logpmf),
    "dirichlet": (bn.Poisson(), bn.Gamma(0.8, mean=3.0), bn.Dirichlet(0.7), stats.poisson.logpmf),
    "negative-binomial": (
        bn.NegativeBinomial(dispersion=0.5), bn.Gamma(1.0, mean=1.0), bn.Gamma(1.5, mean=1.0),
        lambda x, mean: stats.nbinom.logpmf(x, 2.0, 2.0 / (2.0 + mean)),
    ),
}  # fmt: skip


def by_force(name: str, most: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return P(k | X) for k = 1, ..., from draws of the prior alone, and its Monte Carlo error."""
    likelihood, of_W, of_H, log_density = MODELS[name]
    rng = np.random.default_rng(0)
    found = []
    for k in range(1, most + 1):
        W = rng.gamma(of_W.shape, of_W.mean / of_W.shape, (size, *X.shape[:1], k))
        if isinstance(of_H, bn.Dirichlet):
            H = rng.dirichlet(np.full(X.shape[1], of_H.shape), (size, k))
        else:
            H = rng.gamma(of_H.shape, of_H.mean / of_H.shape, (size, k, X.shape[1]))
        density = np.exp(log_density(X, W @ H).sum((1, 2)))
        found.append((density.mean(), density.std() / np.sqrt(size)))
    evidence, error = np.array(found).T
    share = evidence / evidence.sum()
    return share, share * np.sqrt((error / evidence) ** 2 + np.sum(error**2) / evidence.sum() ** 2)


def sampled(name: str, draws: int = 600) -> bn.Fit:
    likelihood, W, H, _ = MODELS[name]
    model = bn.Model(3, likelihood, W=W, H=H, shrinkage=bn.Inclusion(steps=8))
    return bn.fit(X, model, engine=bn.Gibbs(chains=4, warmup=100, draws=draws, precision="float64"))


def gaps(name: str) -> np.ndarray:
    """Return how far the sampler's P(k | X), k = 1, 2, 3, is from brute force, in standard errors of both."""
    share, error = by_force(name, 3, 300_000)
    number = sampled(name).posterior.others["components"]  # type: ignore[union-attr]
    assert not np.any(number == 0)  # with nothing there X has no density
    own = np.stack([number == k for k in (1, 2, 3)], -1).astype(float)
    own_error = array_stats.mcse(own, chain_axis=0, draw_axis=1, method="mean")
    return (own.mean((0, 1)) - share) / np.hypot(error, own_error)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.exhaustive] * (name == "negative-binomial")) for name in MODELS]
)
def test_probability_of_each_number_is_that_of_brute_force(name: str) -> None:
    # three dependent shares in each of three models, two-sided: 4 errors is one false alarm in 1,700 runs
    assert np.abs(gaps(name)).max() < 4


def test_brute_force_would_see_a_wrong_prior_of_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    right = _inclusion.log_inclusion
    monkeypatch.setattr(_inclusion, "log_inclusion", lambda count, rank: right(count, rank) + 1.0 * count)
    sweeps.clear_cache()
    try:
        assert np.abs(gaps("poisson")).max() > 8
    finally:
        sweeps.clear_cache()


def test_a_fit_says_what_is_there(tmp_path: Path) -> None:
    fit = sampled("poisson", draws=100)
    probability = fit.relevance
    assert np.all(probability[: fit.rank] > 0.5)
    assert np.all(probability[fit.rank :] <= 0.5)
    np.testing.assert_array_equal(fit.inclusion, probability[: fit.rank])
    assert "Inclusion" in repr(fit)
    assert "scaled by" not in repr(fit)
    posterior = fit.to_datatree().posterior
    assert posterior["components"].dims == ("chain", "draw")
    assert posterior["inclusion"].dims == ("chain", "draw", "component")
    assert all(np.all(np.isfinite(fit.interval(name))) for name in ("W", "H", "mass", "share", "mean"))
    absent = posterior["W"].where(posterior["inclusion"] == 0)
    assert float(np.nanmax(np.r_[np.ravel(absent), 0.0])) == 0
    write_report(fit, tmp_path)
    assert "(fit.inclusion)" in (tmp_path / "report.md").read_text(encoding="utf-8")
    fit.save(tmp_path / "fit.nc")
    again = bn.load(tmp_path / "fit.nc")
    assert again.model.shrinkage == fit.model.shrinkage
    np.testing.assert_array_equal(again.inclusion, fit.inclusion)


def test_what_it_is_not_for_is_refused_at_the_door() -> None:
    model = bn.Model(3, shrinkage=bn.Inclusion())
    for engine in (bn.CAVI(), bn.MAP(), bn.NUTS(), bn.SVI()):
        with pytest.raises(bn.ModelError, match=r"engine=bn.Gibbs\(\)"):
            bn.fit(X, model, engine=engine)
    with pytest.raises(bn.ModelError, match="not for Gaussian"):
        bn.fit(X - 1.0, model, engine=bn.Gibbs())
    for wrong in ({"steps": 0}, {"steps": 1.5}, {"threshold": 1.0}):
        with pytest.raises(bn.ModelError, match=next(iter(wrong))):
            bn.fit(X, bn.Model(3, shrinkage=bn.Inclusion(**wrong)), engine=bn.Gibbs())
    with pytest.raises(bn.EngineError, match=r"bn.Inclusion\(\)"):
        _ = bn.fit(X, rank=1).inclusion
    with pytest.raises(bn.ModelError, match=r"bn.Inclusion\(\) or nothing"):
        bn.select_rank(X, shrinkage=bn.ARD())  # type: ignore[arg-type]


def test_known_components_are_always_there() -> None:
    known = np.array([[1.0, 0.0, 0.0]])
    model = bn.Model(3, known=known, shrinkage=bn.Inclusion(steps=5))
    fit = bn.fit(X, model, engine=bn.Gibbs(chains=2, warmup=50, draws=100))
    assert fit.inclusion[0] == 1
    np.testing.assert_allclose(fit.H[0], known[0], atol=1e-6)
    assert np.all(fit.posterior.others["components"] >= 1)  # type: ignore[union-attr]


@pytest.mark.exhaustive
def test_a_selection_gives_a_probability_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayesnmf.rank import _inclusion as asked

    monkeypatch.setattr(asked, "ENGINE", bn.Gibbs(chains=2, warmup=50, draws=50))
    blocks = np.kron(np.eye(2), np.full((8, 4), 12.0))
    counts = np.random.default_rng(0).poisson(blocks)
    found = bn.select_rank(counts, max_rank=4, starts=2, shrinkage=bn.Inclusion(steps=30))
    assert found.best == 2
    assert found.probability_kind == "posterior"
    assert found.probability is not None
    assert list(found.probability) == [0, 1, 2, 3, 4]
    assert sum(found.probability.values()) == pytest.approx(1)
    assert found.probability[0] == found.probability[1] == 0  # neither explains the other block
    assert "with probability" in repr(found)


@pytest.mark.parametrize("likelihood", [pytest.param(bn.Gaussian(), marks=pytest.mark.exhaustive), bn.GammaNoise()])
def test_a_selection_under_noise_that_it_is_not_for_says_so(likelihood: Any) -> None:
    values = np.random.default_rng(0).gamma(20, np.kron(np.eye(2), np.full((8, 4), 0.5)) + 0.05)
    found = bn.select_rank(values, ranks=[1, 2], likelihood=likelihood, starts=2, shrinkage=bn.Inclusion(steps=5))
    assert found.probability is found.probability_kind is None
    assert "no_probability" in [finding.name for finding in found.warnings]
