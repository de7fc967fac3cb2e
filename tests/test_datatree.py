"""ArviZ's layout: what is in it, and that ArviZ takes it."""

import arviz_plots
import arviz_stats
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from helpers import intensities, observations, planted
from scipy import stats

import bayesnmf as bn

GIBBS = bn.Gibbs(chains=2, warmup=50, draws=100, starts=1)
FITS = {
    "cavi": lambda X: bn.fit(X, rank=2, engine=bn.CAVI(starts=1)),
    "gibbs": lambda X: bn.fit(X, rank=2, engine=GIBBS),
}


@pytest.mark.smoke
@pytest.mark.filterwarnings("ignore:Estimated shape parameter")  # one entry says much of a sample of eight
@pytest.mark.parametrize("name", FITS)
def test_arviz_summarises_scores_and_draws(name: str) -> None:
    """Its summary of H, leaving one entry out, a trace plot and a predictive check."""
    tree = FITS[name](planted(12, 8, 2)).to_datatree(200)
    summary = arviz_stats.summary(tree, var_names=["H", "mass"])
    assert len(summary) == 2 * 8 + 2
    expected = tree.posterior["H"].mean(("chain", "draw"))[0]
    np.testing.assert_allclose(summary["mean"].astype(float)[:8], expected, atol=0.01)
    loo = arviz_stats.loo(tree)
    assert np.isfinite(loo.elpd)
    assert 0 < loo.p < 100
    arviz_plots.plot_trace(tree, var_names=["mass"], backend="matplotlib")
    arviz_plots.plot_ppc_dist(tree, backend="matplotlib")
    plt.close("all")


@pytest.mark.parametrize("every", [1, 2])
def test_log_likelihood_predictions_and_observations_are_those_of_the_model(
    every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of every second draw, where all would be too large."""
    monkeypatch.setattr("bayesnmf.datatree.BUDGET", 8 * 12 * 8 * 200 // every)
    X, beside = planted(12, 8, 2), observations(0, 12, 8)
    frame = pd.DataFrame(X, columns=[f"unit {j}" for j in range(8)])
    fit = bn.fit(frame, rank=2, likelihood=bn.NegativeBinomial(), engine=GIBBS, **beside)
    tree = fit.to_datatree()
    assert list(tree.posterior["feature"].values) == list(frame.columns)
    W, H, dispersion = (tree.posterior[name].values for name in ("W", "H", "dispersion"))
    np.testing.assert_array_equal(W, fit.posterior.W[:, ::every])
    np.testing.assert_array_equal(dispersion, fit.posterior.others["dispersion"][:, ::every])
    v = np.outer(beside["size_factors"], beside["opportunities"]) * (W @ H)
    alpha = 1 / dispersion[..., None, None]
    expected = stats.nbinom(alpha, alpha / (alpha + v)).logpmf(X) * beside["weights"] * beside["observed"]
    of_entries = tree.log_likelihood["X"]
    np.testing.assert_allclose(of_entries, expected[..., beside["observed"]], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(of_entries["feature"], np.array(frame.columns)[np.nonzero(beside["observed"])[1]])
    seen = tree.observed_data["X"].values
    np.testing.assert_array_equal(np.isnan(seen), ~beside["observed"])
    np.testing.assert_array_equal(seen[beside["observed"]], X[beside["observed"]])
    predicted = tree.posterior_predictive["X"].values
    error = np.sqrt((v + dispersion[..., None, None] * v**2).mean((0, 1)) / predicted[..., 0, 0].size)
    assert np.abs((predicted - v).mean((0, 1)) / error).max() < 5
    assert tree.sample_stats["lp"].shape == (2, 100 // every)
    expected = {name: beside[name] for name in ("size_factors", "opportunities")}
    expected["weights"] = beside["weights"] * beside["observed"]
    assert set(tree.constant_data) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(tree.constant_data[name], values, rtol=1e-6)


@pytest.mark.exhaustive
def test_intensities_and_a_mode() -> None:
    X = intensities(planted(12, 8, 2))
    tree = bn.fit(X, rank=2, engine=bn.CAVI(starts=1)).to_datatree(50)
    assert tree.log_likelihood["X"].shape == (1, 50, 12, 8)
    assert (tree.posterior_predictive["X"].values == 0).mean() > 0.05
    with pytest.raises(bn.EngineError, match="CAVI"):
        bn.fit(X, rank=2, engine=bn.MAP(starts=1)).to_datatree()
