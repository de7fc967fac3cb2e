"""What a fit with a posterior says: intervals, draws, markers, table and words."""

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest

import bayesnmf as bn
from bayesnmf import summaries
from bayesnmf.engines._families import Dirichlets, Gammas
from bayesnmf.engines._truncated import TruncatedNormals

NAMES = ("W", "H", "mean", "mass", "share")


def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.poisson(rng.gamma(1.0, 40.0, (24, 3)) @ np.kron(np.eye(3), np.full((1, 5), 0.2)) + 0.1)


@pytest.fixture(scope="module")
def fit() -> bn.Fit:
    return bn.fit(counts(), rank=3, engine=bn.CAVI(starts=2))


@pytest.fixture(scope="module")
def point() -> bn.Fit:
    return bn.fit(counts(), rank=3, engine=bn.MAP(starts=2))


def only(fit: bn.Fit, kept: slice) -> bn.Fit:
    """Return a fit as if it had kept some of its components."""
    q = fit.posterior
    assert q is not None
    prior_W, prior_H = q.prior_W, q.prior_H
    posterior = replace(
        q,
        W=jax.tree.map(lambda a: a[:, kept], q.W),
        H=jax.tree.map(lambda a: a[kept], q.H),
        prior_W=prior_W._replace(rate=prior_W.rate[:, kept], log_rate=prior_W.log_rate[:, kept]),
        prior_H=prior_H._replace(rate=prior_H.rate[kept], log_rate=prior_H.log_rate[kept]),
    )
    cosine = fit.agreement.cosine[:, kept]
    agreement = replace(fit.agreement, cosine=cosine, rank=np.full(len(cosine), cosine.shape[1]))
    return replace(
        fit, W=fit.W[:, kept], H=fit.H[kept], rate_W=fit.rate_W[kept], agreement=agreement, posterior=posterior
    )


def with_dirichlet(fit: bn.Fit) -> bn.Fit:
    """Return a fit whose rows of H have a Dirichlet posterior, and which is no optimum to take a response at."""
    assert fit.posterior is not None
    return replace(fit, posterior=replace(fit.posterior, H=Dirichlets(fit.posterior.H.shape), linear=False))


def with_normals(fit: bn.Fit) -> bn.Fit:
    """Return a fit whose W is truncated normal, and of which no response is affordable."""
    assert fit.posterior is not None
    q = fit.posterior.W
    return replace(fit, posterior=replace(fit.posterior, W=TruncatedNormals(q.shape - 1, q.rate, power=1)))


def stopped_early(fit: bn.Fit) -> bn.Fit:
    q = fit.posterior
    assert q is not None
    return replace(fit, posterior=replace(q, W=Gammas(q.W.shape[::-1], q.W.rate)))


def test_components_are_matched_by_the_names_of_features() -> None:
    H = np.array([[0.6, 0.3, 0.1, 0.0], [0.0, 0.1, 0.3, 0.6]])
    X = pd.DataFrame(np.random.default_rng(0).poisson(np.random.default_rng(1).gamma(1.0, 200.0, (30, 2)) @ H))
    X.columns = list("abcd")
    one, other = (bn.fit(frame, rank=2, engine=bn.MAP()) for frame in (X, X.iloc[:, ::-1]))
    found = bn.match(one, other)
    np.testing.assert_allclose(other.H[found.other][:, ::-1], one.H[found.own], atol=0.01)
    assert found.cosine.min() > 0.999
    renamed = replace(other, features=("d", "c", "b", "z"))
    with pytest.raises(bn.DataError, match="one of them has"):
        bn.match(one, renamed)
    with pytest.raises(bn.DataError, match="got 4 and 3"):
        bn.match(one, bn.fit(X.to_numpy()[:, :3], rank=2, engine=bn.MAP()))


# markers


def test_markers_count_draws(fit: bn.Fit) -> None:
    drawn = fit.draws(200, seed=3)["H"]
    low, high = fit.interval("H", 0.5)
    for k in range(3):
        table = fit.markers(k, prob=0.5, size=200, seed=3)
        assert table.columns.tolist() == ["feature", "share", "low", "high", "probability"]
        for j, row in table.iterrows():
            larger = [all(H[k, j] > H[other, j] for other in range(3) if other != k) for H in drawn]
            assert row["probability"] == np.mean(larger)
            assert (row["feature"], row["share"]) == (f"feature {j}", fit.H[k, j])
            assert (row["low"], row["high"]) == (low[k, j], high[k, j])
        assert sorted(table.index) == list(range(15))
        order = list(zip(-table["probability"], -table["share"], strict=True))
        assert order == sorted(order)


def test_markers_are_the_planted_ones(fit: bn.Fit) -> None:
    blocks = [set(table.index[table["probability"] > 0.95]) for table in map(fit.markers, range(3))]
    assert sorted(map(sorted, blocks)) == [list(range(5)), list(range(5, 10)), list(range(10, 15))]


def test_markers_of_many_numbers_are_drawn_in_blocks(fit: bn.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit.markers(0, size=400)
    monkeypatch.setattr(summaries, "HELD", 45 * 100)
    np.testing.assert_allclose(fit.markers(0, size=400)["probability"].sort_index(), whole["probability"].sort_index(),
                               atol=0.15)  # fmt: skip


def test_markers_of_one_component_have_nothing_to_compare(fit: bn.Fit) -> None:
    table = only(fit, slice(1)).markers(0)
    assert table["probability"].isna().all()
    assert table["share"].is_monotonic_decreasing


def test_markers_that_there_are_not(fit: bn.Fit, point: bn.Fit) -> None:
    for wrong in (3, -1, 1.0, True, "0"):
        with pytest.raises(bn.EngineError, match="a component from 0 to 2"):
            fit.markers(wrong)  # type: ignore[arg-type]
    with pytest.raises(bn.EngineError, match="kept none"):
        only(fit, slice(0)).markers(0)
    with pytest.raises(bn.EngineError, match="at least 1; got 0"):
        fit.markers(0, size=0)
    with pytest.raises(bn.EngineError, match="between 0 and 1"):
        fit.markers(0, prob=90)
    with pytest.raises(bn.EngineError, match=r"engine=bn.CAVI\(\)"):
        point.markers(0)


# intervals and draws


def test_intervals_of_nothing_are_empty(fit: bn.Fit) -> None:
    none = only(fit, slice(0))
    shapes = {"W": (24, 0), "H": (0, 15), "mean": (24, 15), "mass": (0,), "share": (0,)}
    for name in NAMES:
        assert [a.shape for a in none.interval(name)] == [shapes[name]] * 2
    assert {name: a.shape for name, a in none.draws(7).items()} == {"W": (7, 24, 0), "H": (7, 0, 15)}


def test_wrong_names_methods_and_probabilities(fit: bn.Fit) -> None:
    with pytest.raises(bn.EngineError, match="Expected name"):
        fit.interval("V")  # type: ignore[arg-type]
    with pytest.raises(bn.EngineError, match="Expected method"):
        fit.interval("W", method="bootstrap")  # type: ignore[arg-type]
    with pytest.raises(bn.EngineError, match="between 0 and 1"):
        fit.interval("W", 1.0)
    with pytest.raises(bn.EngineError, match="between 0 and 1, such as 0.9; got '0.9'"):
        fit.interval("W", "0.9")  # type: ignore[arg-type]
    for size in (0, -1, 2.5):
        with pytest.raises(bn.EngineError, match="size to be a whole number of at least 1"):
            fit.draws(size)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [with_dirichlet, with_normals])
def test_without_a_response_intervals_and_draws_are_of_the_mean_field(
    fit: bn.Fit, change: Callable[[bn.Fit], bn.Fit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayesnmf.posterior.MOST_WORK", 0)
    other = change(fit)
    assert other.posterior is not None
    for name in NAMES:
        np.testing.assert_array_equal(other.interval(name), other.interval(name, method="mean_field"))
    drawn = other.draws(4000, seed=1)
    np.testing.assert_allclose(drawn["H"].sum(2), 1)
    for name in ("W", "H"):
        expected = other.posterior.estimate(name, "mean_field")
        sd = np.sqrt(expected.variance)
        assert np.abs((drawn[name].mean(0) - expected.mean) / sd).max() < 5 / np.sqrt(4000)
        kurtosis = ((drawn[name] - expected.mean) ** 4).mean(0) / sd**4
        # the Monte Carlo error of a standard deviation, and what the delta method may miss
        assert (np.abs(drawn[name].std(0) / sd - 1) < 5 * np.sqrt(kurtosis / 16000) + 0.02).all()


def test_draws_of_H_are_those_of_draws(fit: bn.Fit) -> None:
    for given in (fit, with_dirichlet(fit)):
        assert given.posterior is not None
        np.testing.assert_array_equal(given.posterior.draws_of_H(5, 2), given.draws(5, seed=2)["H"])
    with pytest.raises(bn.EngineError, match="mean_field"):
        with_dirichlet(fit).interval("W", method="linear_response")


def test_a_fit_that_stopped_early_says_so(fit: bn.Fit) -> None:
    early = stopped_early(fit)
    with pytest.raises(bn.EngineError, match="init=fit, rank=fit.rank and more max_steps"):
        early.interval("share")
    with pytest.raises(bn.EngineError, match="init=fit"):
        early.draws(2)
    assert early.summary()[["share_low", "share_high"]].isna().all(axis=None)
    assert np.isfinite(early.interval("share", method="mean_field")).all()


def test_new_samples_move_with_the_components_of_the_fit(fit: bn.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    X = counts()
    new, all_again = fit.project(X[:4]), fit.project(X)
    assert new.posterior is not None
    assert fit.posterior is not None
    assert new.posterior.linear_response.response is fit.posterior.response_of_H
    for found, expected in zip(all_again.interval(), fit.interval("W"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.05)
    # what cannot be said of the fit cannot be said of fewer samples either
    early = stopped_early(fit).project(X[:4])
    assert np.isfinite(early.interval(method="mean_field")).all()
    with pytest.raises(bn.EngineError, match="at its optimum"):
        early.interval()
    monkeypatch.setattr("bayesnmf.posterior.MOST_WORK", (new.posterior.work + fit.posterior.work) / 2)
    np.testing.assert_array_equal(new.interval(), new.interval(method="mean_field"))


# table and words


def test_summary_has_the_interval_of_shares(fit: bn.Fit, point: bn.Fit) -> None:
    table = fit.summary()
    assert table.columns.tolist()[:5] == ["mass", "share", "share_low", "share_high", "relevance"]
    np.testing.assert_array_equal(table[["share_low", "share_high"]].to_numpy().T, fit.interval("share", 0.9))
    assert (table["share_low"] < table["share"]).all()
    assert (table["share"] < table["share_high"]).all()
    assert only(fit, slice(0)).summary().shape == (0, 7)
    assert "share_low" not in point.summary()


def test_words(fit: bn.Fit, point: bn.Fit) -> None:
    text = repr(fit)
    assert "Poisson, CAVI" in text
    assert f"ELBO {fit.elbo:.6g}" in text
    assert "objective" not in text.split("starts")[0]
    assert "intervals  linear response" in text
    shape, mean = (float(a) for a in (fit.model.W.shape, fit.model.W.mean))  # type: ignore[union-attr, arg-type]
    assert f"priors     W Gamma(shape {shape:.3g}, mean {mean:.3g}), H Gamma(" in text
    assert "; learned: shape of W" in text
    assert "mean field: too narrow" in repr(with_dirichlet(fit))
    assert "none: a MAP fit is one point" in repr(point)
    assert "priors" not in repr(point)


def test_a_likelihood_that_was_chosen_is_said(fit: bn.Fit, point: bn.Fit) -> None:
    assert "was chosen" not in repr(replace(fit, likelihood_chosen=False))
    assert "Poisson was chosen, since X holds whole numbers" in repr(replace(fit, likelihood_chosen=True))
    assert "since X has no negative entry" in repr(replace(point, likelihood_chosen=True))
    normal = replace(point.model, likelihood=bn.Gaussian(1.0))
    assert "since X has negative entries" in repr(replace(point, likelihood_chosen=True, model=normal))
