"""The number of components: what counts as evidence, and what is said beside the answer."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from helpers import recovered
from scipy.cluster.hierarchy import average

import bayesnmf as bn
from bayesnmf._fit import fit_starts
from bayesnmf._input import read
from bayesnmf._runs import arithmetic, bars, side_by_side
from bayesnmf.align import cosines, match_rows
from bayesnmf.rank import _work
from bayesnmf.rank._fits import COLUMNS, OF_FIT, Fits, _could_be_best, _evidence, better_by, score
from bayesnmf.rank._held_out import Crossed, log_density, thinned
from bayesnmf.rank._noise import LEAST_ADDED, _adds, _gain, _split, candidates, instead
from bayesnmf.rank._search import CHAINS, Chains, Descent, least_near_best, mixed, without_one
from bayesnmf.rank._select import _dense
from bayesnmf.rank._stability import bic, cophenetic, elbow, silhouette
from bayesnmf.rank._structure import residual_correlation, structure
from bayesnmf.rank._work import Done, Recipe, Work, fit_of


def counts(seed: int = 0, dispersion: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    profiles = rng.dirichlet(np.full(24, 0.25), 3)
    mean = rng.gamma(1.0, 60.0, (60, 3)) @ profiles
    if dispersion:
        mean = rng.gamma(1 / dispersion, dispersion * mean)
    return rng.poisson(mean), profiles


@pytest.fixture(scope="module")
def selections() -> list[bn.rank.RankSelection]:
    """Of Poisson counts, with two seeds."""
    return [bn.select_rank(counts()[0], max_rank=7, starts=3, seed=seed) for seed in (0, 1)]


def test_the_answer_is_right_and_the_same_with_another_seed(selections: list[Any]) -> None:
    for found in selections:
        assert found.noise.chosen == "Poisson"
        assert found.best == found.fit.rank == 3
        assert found.answers == dict.fromkeys(
            ("shrinkage", "compressive", "evidence", "elbo", "held_out", "bi_cross", "bic", "elbow"), 3
        )
        assert recovered(found.fit, counts()[1]) == (1.0, 1.0)
        assert found.warnings == ()
        assert found.table["evidence"].idxmax() == found.table["elbo"].idxmax() == 3
        assert found.table["evidence"][3] < found.fit.evidence  # of the answer alone shapes are weighed
        assert found.within(0.0) == [3]
        assert found.within(np.inf) == found.table.index.tolist()
        assert found.recurrence.tolist() == [1.0] * 3
    for name in ("evidence", "elbo"):
        assert selections[0].table[name][3] == pytest.approx(selections[1].table[name][3], abs=1.0)


@pytest.mark.exhaustive
def test_counts_that_vary_more_are_told_from_poisson() -> None:
    found = bn.select_rank(counts(dispersion=0.1)[0], max_rank=7, starts=3)
    assert found.noise.chosen == "NegativeBinomial"
    assert found.best == 3
    assert found.noise.gain > 2 * found.noise.error
    assert found.fit.noise["dispersion"] == pytest.approx(0.1, abs=0.05)


def test_it_says_what_it_found(selections: list[Any]) -> None:
    text = repr(selections[0])
    assert text.startswith("RankSelection: 3 components, Poisson noise (shrinkage 3, compressive 3, evidence 3,")
    assert "3 by the evidence; next best 4," in text


def test_features_that_share_nothing_are_named() -> None:
    """Neurons that each drift by themselves."""
    rng = np.random.default_rng(0)
    drift = rng.normal(size=(200, 6))
    for t in range(1, 200):
        drift[t] = 0.9 * drift[t - 1] + np.sqrt(1 - 0.9**2) * drift[t]
    drift = 3 * np.exp(drift)
    alone = bn.select_rank(rng.poisson(drift), ranks=[1, 2], likelihood=bn.Poisson(), starts=2)
    names = {w.name for w in alone.warnings}
    assert {"no_more_than_surrogates", "dependent_noise"} <= names
    assert "hits_max_rank" not in names


def test_few_groups_and_a_rank_at_its_end_are_named() -> None:
    found = bn.select_rank(
        counts()[0], max_rank=2, likelihood=bn.Poisson(), starts=2, groups=np.repeat(np.arange(4), 15)
    )
    assert {"hits_max_rank", "replicates_too_few"} <= {w.name for w in found.warnings}


def test_a_run_that_was_stopped_goes_on_to_the_same_answer(
    selections: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at its first resampled fit; then only what was not done is done."""
    expected, options = selections[0], {"max_rank": 7, "starts": 3, "checkpoint": str(tmp_path)}

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bayesnmf.rank._select.resampled", stopped)
        with pytest.raises(KeyboardInterrupt):
            bn.select_rank(counts()[0], **options)
    with monkeypatch.context() as patch:
        patch.setattr("bayesnmf.rank._work.Recipe.fit", recording := Recording(Recipe.fit))
        found = bn.select_rank(counts()[0], **options)
    assert recording.count == 10
    np.testing.assert_array_equal(found.fit.H, expected.fit.H)
    np.testing.assert_array_equal(found.table.to_numpy(), expected.table.to_numpy())
    np.testing.assert_array_equal(found.recurrence, expected.recurrence)
    assert repr(found) == repr(expected)
    groups = np.repeat(np.arange(12), 5)
    for X, other in ((counts()[0] + 1, {}), (counts()[0], {"groups": groups}), (pd.DataFrame(counts()[0]), {})):
        with pytest.raises(bn.EngineError, match="another run left"):
            bn.select_rank(X, **options, **other)


@pytest.mark.parametrize("groups", [None, np.repeat(np.arange(12), 5)])
def test_bi_cross_validation_is_a_projection_by_half_of_the_features(groups: np.ndarray | None) -> None:
    """Learned from half of the samples, or groups; the same by the doors that users have, and by scipy."""
    X = counts()[0]
    crossed = Crossed(read(X, groups=groups), Recipe(bn.Model(3, bn.Poisson()), bn.CAVI(starts=2), 0, 8))
    learned = {tuple(row) for row in crossed.learned.X}
    one, other = crossed.halves
    new = one.X + other.X
    assert crossed.learned.shape == X.shape
    assert len(learned) == len(new) == 30
    assert learned | {tuple(row) for row in new} == {tuple(row) for row in X}
    np.testing.assert_array_equal(one.weight + other.weight, np.ones_like(new))
    if groups is not None:
        owners = {tuple(row): g for row, g in zip(X, groups, strict=True)}
        assert not {owners[row] for row in learned} & {owners[tuple(row)] for row in new}

    fit, _ = fit_starts(read(crossed.learned.X), bn.Model(3, bn.Poisson()), bn.CAVI(starts=2), 0)
    expected = np.zeros(len(new))
    for given in (one, other):
        mean = fit.project(new, observed=given.weight > 0).W @ fit.H
        expected += np.where(given.weight > 0, 0, scipy.stats.poisson(mean).logpmf(new)).sum(1)
    if groups is not None:
        expected = np.bincount(np.unique(one.groups, return_inverse=True)[1], expected)
    np.testing.assert_allclose(crossed.score(3).values, expected, rtol=1e-5)  # float32


def test_bi_cross_validation_needs_two_samples_with_data() -> None:
    recipe = Recipe(bn.Model(1, bn.Poisson()), bn.CAVI(starts=1), 0, 8)
    assert Crossed(read(np.ones((4, 3))), recipe).possible
    assert not Crossed(read(np.ones((1, 3))), recipe).possible
    assert not Crossed(read(np.ones((4, 1))), recipe).possible
    assert not Crossed(read(np.eye(1, 6).repeat(2, 1).reshape(2, 6)), recipe).possible


class Recording:
    """A method, and how often it was called."""

    def __init__(self, method: Any):
        self.method, self.count = method, 0

    def __get__(self, owner: Any, kind: type) -> Any:
        def call(*arguments: Any) -> Any:
            self.count += 1
            return self.method(owner, *arguments)

        return call


@pytest.mark.exhaustive
def test_positive_values_with_multiplicative_noise() -> None:
    """The noise is recognised, and modes of one part of X predict the other best with the right number."""
    rng = np.random.default_rng(0)
    profiles = rng.dirichlet(np.full(16, 0.25), 2)
    mean = rng.gamma(0.5, 2.0, (40, 2)) @ profiles
    X = mean * rng.gamma(4.0, 0.25, mean.shape)
    found = bn.select_rank(X, ranks=[1, 2, 3], starts=1)
    assert (found.noise.chosen, found.best, found.decided_by) == ("GammaNoise", 2, "held_out")
    assert found.noise.gain > 2 * found.noise.error
    assert not {"evidence", "elbo"} & set(found.answers)
    assert "2 by held-out data" in repr(found)
    assert found.plot().get_xlabel() == "components"


def test_one_door(selections: list[Any]) -> None:
    X = counts()[0]
    fit = bn.fit(X, bn.Model(7), rank="auto", engine=bn.CAVI(starts=3))
    assert fit.selection is not None
    assert fit.selection.table.equals(selections[0].table)
    np.testing.assert_array_equal(fit.H, selections[0].fit.H)
    assert selections[0].reason in repr(fit)
    with pytest.raises(bn.ModelError, match='rank="auto" asks for it'):
        bn.fit(X, rank="auto", init=fit)
    with pytest.raises(bn.ModelError, match="has no mode"):
        bn.fit(X, bn.Model(7, W=bn.Gamma(0.5)), rank="auto", engine=bn.MAP())


@pytest.mark.exhaustive
def test_one_sample_and_whole_numbers_below_zero() -> None:
    assert bn.select_rank(counts()[0][:1] + 1, starts=2).best == 1
    found = bn.select_rank(counts()[0][:20] - 3.0, ranks=[1, 2], starts=2)
    assert found.noise.chosen == "Gaussian"


@pytest.mark.exhaustive
def test_noise_round_zero_has_one_component_however_many_are_empty() -> None:
    """All fits are empty then, and log k! would be for the most components."""
    X = np.random.default_rng(0).normal(size=(24, 15))
    found = bn.select_rank(X, ranks=[1, 2, 4], starts=1)
    assert found.best == 1
    assert "no_more_than_surrogates" in {w.name for w in found.warnings}
    assert np.isneginf(found.table["evidence"][[2, 4]]).all()


def test_which_noise_data_may_have() -> None:
    X = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert list(candidates(read(X))) == ["Poisson", "NegativeBinomial"]
    assert list(candidates(read(X + 0.5))) == ["CompoundPoisson", "GammaNoise", "Gaussian"]
    assert list(candidates(read((X - 1) / 2))) == ["CompoundPoisson"]
    assert list(candidates(read(X - 1.5))) == ["Gaussian"]


def test_a_sample_that_one_noise_cannot_explain_does_not_decide_alone() -> None:
    """By 900 nats in one of 100 samples; and it does not hide what all others say."""
    others = np.random.default_rng(0).normal(0.0, 1.0, 100)
    outlier = np.where(np.arange(100) == 0, 900.0, 0.0)
    gain, error = _gain(others + outlier, np.zeros(100))
    assert abs(gain) < 2 * error
    gain, error = _gain(others + outlier + 1, np.zeros(100))
    assert gain > 2 * error


def test_fits_begin_again_where_that_above_has_changed_and_nowhere_else() -> None:
    """Rank 3 gets better from 4, so 2 is tried from the new 3; all is tried once for each fit above."""
    fits = {k: Done(f"fit {k}", np.array([float(k)])) for k in (2, 3, 4)}  # type: ignore[arg-type]
    calls = []

    def step(name: str, k: int, above: Any, own: Done) -> Done:
        calls.append((name, k, above))
        return Done("better 3", own.values + 10) if (k, above) == (3, "fit 4") else Done(None, own.values)  # type: ignore[arg-type]

    descent = Descent(step)
    descent(fits)
    descent(fits)
    assert calls == [("3-1", 3, "fit 4"), ("2-1", 2, "better 3")]
    assert fits[3].values[0] == 13
    fits[5] = Done("fit 5", np.array([5.0]))  # type: ignore[arg-type]
    descent(fits)
    assert calls[2:] == [("4-1", 4, "fit 5")]


def test_a_greater_number_must_be_better_by_20_to_1(selections: list[Any]) -> None:
    found = selections[0]
    above = found.table["evidence"][4]
    for gain, best in ((2.9, 3), (3.1, 4)):
        scores = {3: above - gain, 4: above, 5: above - 1.0, 2: -np.inf}
        assert least_near_best(scores) == best
    assert least_near_best({2: -np.inf, 1: -np.inf}) == 1
    table = found.table.copy()
    table.loc[4, "evidence"] = table["evidence"][3] + 2.94
    close = dataclasses.replace(found, table=table)
    assert close.reason == "3 by the evidence; 4 is 2.9 nats above, and a greater number must be 3 above"
    assert close.within(3.0)[0] == close.best


def done(evidence: float, spread: float) -> Done:
    return Done(None, np.r_[evidence, evidence, np.zeros(len(COLUMNS) - 3), spread])


def test_ranks_that_could_be_the_best() -> None:
    """2 leads; 3 is behind it by less than its starts lie apart, 4 than those of 2 do; 1 and 6 are not. 7 is far.

    A smaller rank that is no fit could be, for nothing is known of it; where anything could, a greater one too.
    """
    ends = {
        1: (-50.0, 9.0), 2: (-10.0, 6.0), 3: (-30.0, 25.0), 4: (-15.0, 2.0), 6: (-40.0, 25.0), 7: (-np.inf, 20.0),
    }  # fmt: skip
    found = {k: done(evidence, spread) for k, (evidence, spread) in ends.items()}
    assert _could_be_best(found) == {2, 3, 4}
    assert _could_be_best({k: found[k] for k in (1, 2, 6)}) == set()
    assert _could_be_best({k: found[7] if k == 5 else found[k] for k in (1, 2, 5)}) == set()
    assert _could_be_best({1: found[7], 2: found[2], 5: found[7]}) == {1, 2, 5}


def test_chains_begin_above_the_ranks_that_are_open_and_go_down_once() -> None:
    """3 gets better, so that 2 is open as well, and 1 is not; nothing is asked twice."""
    found = {k: Done(f"fit {k}", np.zeros(1)) for k in (1, 2, 3, 4, 6)}  # type: ignore[arg-type]
    asked = []

    def step(k: int, own: Done, above: list[Done] | None) -> tuple[list[Done], Done]:
        asked.append((k, own.fit, above and [done.fit for done in above]))
        return [Done(f"chain {k}", own.values)], Done("better 3", own.values) if k == 3 else own  # type: ignore[arg-type]

    chains = Chains(step, lambda found: {3, 6} if found[3].fit == "fit 3" else {2, 3})
    assert [chains(found) for _ in range(3)] == [True, True, False]
    assert asked == [
        (6, "fit 6", None), (4, "fit 4", None), (3, "fit 3", ["chain 4"]), (2, "fit 2", ["chain 3"]),
    ]  # fmt: skip
    assert [found[k].fit for k in (1, 2, 3, 4)] == ["fit 1", "fit 2", "better 3", "fit 4"]


@pytest.mark.parametrize("from_above", [False, True])
def test_a_poor_fit_is_replaced_where_other_starts_could_change_the_answer(from_above: bool) -> None:
    """The right rank as its worst start left it, 30 nats below what was found: chains find it, and go to the end."""
    table = read(counts()[0])
    recipe = Recipe(bn.Model(1, bn.Poisson()), bn.CAVI(starts=2), 0, 8)
    with bars(False) as shown:
        fits = Fits(table, recipe, Work(None, shown))
        found = fits.at([3, 4])
        right, above = found[3], [found[4]] * CHAINS if from_above else None
        planted = right.values.copy()
        planted[:2] -= 30
        chains, better = fits._again(3, Done(right.fit, planted), above)
        _, own = fits._again(3, right, above)
    assert own is right
    assert len(chains) == CHAINS
    agreement = fit_of(better).agreement  # with the chains, and not of five starts at one point
    assert agreement.cosine.shape == (1 + CHAINS, 3)
    np.testing.assert_allclose(agreement.objective[1:], [fit_of(done).objective for done in chains])
    cosine = [match_rows(fit_of(better).H, fit_of(done).H).cosine for done in chains]
    np.testing.assert_allclose(agreement.cosine[1:], cosine)
    assert better.values[0] == pytest.approx(right.values[0], abs=0.1)
    assert max(done.values[0] for done in chains) == pytest.approx(right.values[0], abs=2)
    np.testing.assert_array_equal(better.values[len(OF_FIT) :], planted[len(OF_FIT) :])


def test_starts_from_above_lack_one_of_the_smallest_and_keep_what_is_known() -> None:
    X, profiles = counts()
    fit = bn.fit(X, bn.Model(3, bn.Poisson(), known=profiles[:1]), engine=bn.CAVI(starts=1))
    W, H = without_one(fit, 3)
    assert (W.shape, H.shape) == ((3, 60, 2), (3, 2, 24))
    np.testing.assert_array_equal(H[:, 0], np.tile(fit.H[0], (3, 1)))
    np.testing.assert_array_equal(H[:, 1], fit.H[[1, 2, 1]])


def test_mixtures_have_each_component_once_some_of_one_fit_and_some_of_another() -> None:
    """The other fit has the same components in another order, ten times as active, which tells them apart."""
    X, profiles = counts()
    one = bn.fit(X, bn.Model(4, bn.Poisson(), known=profiles[:1]), engine=bn.CAVI(starts=1))
    other = dataclasses.replace(one, W=10 * one.W[:, [0, 3, 1, 2]], H=one.H[[0, 3, 1, 2]])
    W, H = mixed([one, other], 40, np.random.default_rng(0))
    factor = np.zeros((40, 4))
    for start in range(40):
        own = np.argmax(cosines(H[start], one.H), 1)
        assert sorted(own) == [0, 1, 2, 3]
        assert own[0] == 0
        np.testing.assert_array_equal(H[start], one.H[own])
        factor[start] = W[start].sum(0) / one.W[:, own].sum(0)
    tenfold = np.isclose(factor, 10)
    assert np.all(tenfold | np.isclose(factor, 1))
    assert set(tenfold[:, 1:].sum(1)) == {1, 2}


def test_what_mixtures_lead_to_is_brought_to_the_optimum() -> None:
    """Two fits of 3 parts, each with another of them flat. One component has nothing to be mixed with."""
    table = read(counts()[0])
    with bars(False) as shown:
        fits = Fits(table, Recipe(bn.Model(1, bn.Poisson()), bn.CAVI(starts=2), 0, 8), Work(None, shown))
        right = fits.at([3])[3]
        flat = [
            dataclasses.replace(right.fit, H=np.where(np.arange(3)[:, None] == j, 1 / 24, right.fit.H)) for j in (0, 1)
        ]
        found = fits._mixed(3, [Done(fit, right.values - 30) for fit in flat])
        assert found.values[0] == pytest.approx(right.values[0], abs=0.1)
        assert fits._mixed(1, [right]) is right


def test_mixtures_end_when_three_times_none_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a nat; the best of all fits are the next parents."""
    brought, parents = iter([-20.0, -15.0, -14.5, -30.0, -14.2, 0.0]), []

    def children(self: Fits, k: int, generation: int, of: list[Any]) -> list[Done]:
        parents.append(of)
        evidence = next(brought)
        return [Done(evidence, np.array([evidence, 0.0]))]  # type: ignore[arg-type]

    monkeypatch.setattr(Fits, "_children", children)
    fits = Fits(read(counts()[0]), Recipe(bn.Model(1, bn.Poisson()), bn.CAVI(), 0, 8), Work(None, None))
    first = [Done(evidence, np.array([evidence, 0.0])) for evidence in (-40.0, -20.5)]  # type: ignore[arg-type]
    assert fits._mixed(3, first).fit == -14.2
    assert parents == [[-20.5, -40.0], [-20.0, -20.5], [-15.0, -20.0], [-14.5, -15.0], [-14.5, -15.0]]


def test_components_without_events_and_saddles_are_no_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of four that are fitted to one: the evidence is not asked."""
    X = np.random.default_rng(0).poisson(np.outer(np.arange(1, 41), np.random.default_rng(0).gamma(1, 3, 20)))
    four = bn.fit(X, rank=4, likelihood=bn.Poisson(), engine=bn.CAVI(starts=3))
    assert four.posterior.events.sum() == pytest.approx(X.sum(), rel=1e-3)  # type: ignore[union-attr]
    assert four.posterior.events.min() < 1  # type: ignore[union-attr]
    assert _evidence(four) == -np.inf
    one = bn.fit(X, rank=1, likelihood=bn.Poisson(), engine=bn.CAVI(starts=1))
    assert _evidence(one) == one.evidence
    monkeypatch.setattr("bayesnmf.rank._fits.MOST_CORRECTION", -1.0)
    assert _evidence(one) == -np.inf
    for none in (np.nan, -np.inf):
        assert score({1: Done(one, np.array([none, 2.0]))}) == ("elbo", {1: 2.0})


def test_a_dispersion_that_adds_nothing_is_no_other_noise() -> None:
    """At its lower bound it may predict better, by another optimum."""
    X = counts()[0]
    added = [
        _adds(bn.fit(X, rank=3, likelihood=bn.NegativeBinomial(dispersion=d), engine=bn.MAP(starts=1)))
        for d in (1e-8, 0.1)
    ]
    assert added[0] < LEAST_ADDED < added[1]


def test_the_other_noise_is_looked_at_where_the_fit_rejects_poisson() -> None:
    fit = bn.fit(counts(dispersion=0.3)[0], rank=3, likelihood=bn.Poisson(), engine=bn.CAVI(starts=1))
    assert instead(bn.rank.Noise("Poisson", "NegativeBinomial"), fit) == bn.NegativeBinomial()
    assert instead(bn.rank.Noise("Poisson"), fit) is None  # it was given
    fit = bn.fit(counts()[0], rank=3, likelihood=bn.Poisson(), engine=bn.CAVI(starts=1))
    assert instead(bn.rank.Noise("Poisson", "NegativeBinomial"), fit) is None


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"ranks": []}, bn.ModelError, "at least one number of components"),
        ({"ranks": [0]}, bn.ModelError, "ranks to be whole numbers of at least 1; got 0"),
        ({"max_rank": 2.5}, bn.ModelError, "max_rank to be whole numbers"),
        ({"starts": 0}, bn.EngineError, "starts to be a whole number of at least 1"),
        ({"likelihood": bn.BetaDivergence(1.0)}, bn.EngineError, "is a divergence, not a distribution"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(given: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        bn.select_rank(counts()[0], **given)


THINNED = {
    "Poisson": bn.Poisson(),
    "NegativeBinomial": bn.NegativeBinomial(dispersion=0.4),
    "CompoundPoisson": bn.CompoundPoisson(shape=1.5, jump=2.0),
    "Gaussian": bn.Gaussian(variance=3.0),
    "GammaNoise": bn.GammaNoise(shape=2.0),
}


@pytest.mark.parametrize("name", THINNED)
def test_a_part_of_x_is_independent_of_the_rest_and_has_its_noise(name: str) -> None:
    """Means, variances and covariance over 40,000 entries, within five Monte Carlo errors."""
    likelihood, share, mean = THINNED[name], 0.7, 5.0
    v = np.full((200, 200), mean)
    X = np.asarray(likelihood.sample(jax.random.key(1), v.astype(np.float32)), float)
    part = thinned(read(X), likelihood, v, share, np.random.default_rng(2)).X
    rest = X - part
    for own, size in ((part, share), (rest, 1 - share)):
        variance = float(likelihood.of_part(size).variance_at(np.float64(size * mean)))
        assert abs(own.mean() - size * mean) < 5 * own.std() / 200
        square = (own - size * mean) ** 2
        assert abs(square.mean() - variance) < 5 * square.std() / 200
    product = (part - share * mean) * (rest - (1 - share) * mean)
    assert abs(product.mean()) < 5 * product.std() / 200
    assert rest.min() >= -1e-4 or likelihood.support == "real"


def test_a_part_keeps_what_is_missing_and_how_x_is_held() -> None:
    import scipy.sparse as sp

    X = counts()[0]
    table = read(sp.csr_array(X), observed=np.arange(24) % 5 > 0 * X)
    part = thinned(table, bn.Poisson(), X.astype(float), 0.5, np.random.default_rng(0))
    assert part.is_sparse
    assert np.all(part.X.toarray() <= np.where(np.arange(24) % 5 > 0, X, 0))


def test_small_sparse_data_are_held_dense_with_what_is_missing() -> None:
    import scipy.sparse as sp

    X, seen = counts()[0], np.arange(24) % 5 > 0 * counts()[0]
    found, expected = _dense(read(sp.csr_array(X), observed=seen)), read(X, observed=seen)
    np.testing.assert_array_equal(found.X, expected.X)
    np.testing.assert_array_equal(found.weight, expected.weight)


def test_shifting_breaks_what_features_share_and_not_what_each_does() -> None:
    rng = np.random.default_rng(0)
    drifts = rng.normal(size=(300, 12))
    for t in range(1, 300):
        drifts[t] += 0.9 * drifts[t - 1]
    alone = [structure(read(drifts + 0.0), np.random.default_rng(s)).z for s in range(3)]
    together = structure(read(drifts @ rng.gamma(1, 1, (12, 1)) + 0.3 * drifts), rng)
    assert max(alone) < 3 < together.z
    assert structure(read(drifts[:, :1]), rng).z == 0


def test_residuals_of_neighbours_are_correlated_where_noise_drifts() -> None:
    rng = np.random.default_rng(0)
    W = rng.gamma(1.0, 4.0, (200, 2))
    mean = W @ rng.dirichlet(np.ones(20), 2)
    noise = np.repeat(rng.gamma(4.0, 0.25, (50, 20)), 4, 0)
    for gain, drifts in ((noise, True), (np.ones_like(noise), False)):
        X = rng.poisson(5 * mean * gain)
        fit = bn.fit(X, rank=2, likelihood=bn.Poisson(), engine=bn.CAVI(starts=1))
        correlation, error = residual_correlation(fit, read(X))
        assert (correlation > max(0.05, 4 * error)) == drifts


def test_features_that_few_samples_have_do_not_end_a_selection() -> None:
    """One was seen in one of four groups: halves and resampled groups are without it, mostly."""
    X, groups = counts()[0][:40, :8].astype(float), np.repeat(np.arange(4), 10)
    X[groups > 0, 0] = np.nan
    table = read(X, groups=groups)
    learned = [Crossed(table, Recipe(bn.Model(1, bn.Poisson()), bn.CAVI(), seed, 8)) for seed in range(8)]
    seen = np.array([np.any(crossed.learned.weight[:, 0]) for crossed in learned])
    assert 0 < seen.sum() < 8
    assert [np.any([half.weight[:, 0] for half in crossed.halves]) for crossed in learned] == [False] * 8
    found = bn.select_rank(X, ranks=[1, 2], starts=1, likelihood=bn.Poisson(), groups=groups)
    assert np.isfinite(found.table[["held_out", "bi_cross"]].to_numpy()).all()
    with pytest.raises(bn.DataError, match="Column 0 of X has no observed entry"):
        bn.select_rank(X[10:])


def test_no_part_that_noise_is_judged_on_is_without_a_sample_or_feature() -> None:
    """Rows and columns with two observed entries lose at most one."""
    X = np.full((40, 30), np.nan)
    for shift in range(0, 30, 15):
        X[np.arange(40), (np.arange(40) + shift) % 30] = 1.0
    for seed in range(20):
        learned, left = _split(read(X), np.random.default_rng(seed))
        np.testing.assert_array_equal(learned.weight + left.weight, ~np.isnan(X))
        assert min(learned.weight.sum(0).min(), learned.weight.sum(1).min()) >= 1
    assert left.weight.any()


def test_held_out_density_and_residuals_are_the_same_in_any_unit() -> None:
    """As small as the square of a magnetic field in Tesla, and smaller: the variance is beyond float32."""
    rng = np.random.default_rng(0)
    X = rng.gamma(4.0, 1.0, (40, 10)) * rng.gamma(1.0, 1.0, (40, 1))
    for likelihood in (bn.GammaNoise(4.0), bn.Gaussian(2.0)):
        fit = bn.fit(X, rank=1, likelihood=likelihood, engine=bn.MAP(starts=1))
        for unit in (1e-28, 1e28):
            noise = likelihood if isinstance(likelihood, bn.GammaNoise) else bn.Gaussian(2.0 * unit**2)
            model = dataclasses.replace(fit.model, likelihood=noise)
            moved = dataclasses.replace(fit, W=fit.W * unit, model=model)
            density = log_density(noise, moved.mean, read(X * unit)) + X.shape[1] * np.log(unit)
            np.testing.assert_allclose(density, log_density(likelihood, fit.mean, read(X)), rtol=1e-6)
            expected = residual_correlation(fit, read(X))
            assert residual_correlation(moved, read(X * unit)) == pytest.approx(expected, rel=1e-6)


def test_gains_are_compared_by_what_decides_in_both() -> None:
    """The bound of both where one has no evidence: 40 - 25, and not 40 - 30."""
    fit = bn.fit(counts()[0], rank=1, engine=bn.CAVI(starts=1))
    with_evidence, without = {2: Done(fit, np.array([30.0, 25.0]))}, {2: Done(fit, np.array([np.nan, 40.0]))}
    assert better_by(without, 2, with_evidence, 2) == 15
    assert better_by(with_evidence, 2, with_evidence, 2) == 0


def test_tasks_side_by_side_have_the_device_and_precision_of_the_caller() -> None:
    device = jax.devices()[0]
    with jax.default_device(device), arithmetic("float64"):
        names = ("device", "matmul_precision")
        found = side_by_side(lambda _: [getattr(jax.config, f"jax_default_{name}") for name in names], range(2))
        wide = side_by_side(lambda _: jnp.ones(1).dtype, range(2))
    assert found == [[device, "highest"]] * 2
    assert wide == [np.float64] * 2


@pytest.mark.parametrize("engine", [bn.MAP(starts=1), bn.CAVI(starts=1)])
def test_products_of_matrices_have_all_digits_of_the_precision(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On some devices they have fewer unless they are asked for."""
    asked = []
    own = bn.likelihoods.Poisson.start

    def start(self: Any, spread: np.ndarray) -> Any:
        asked.append(jax.config.jax_default_matmul_precision)
        return own(self, spread)

    monkeypatch.setattr(bn.likelihoods.Poisson, "start", start)
    bn.fit(counts()[0], rank=2, likelihood=bn.Poisson(), engine=engine)
    assert set(asked) == {"highest"}


def test_what_the_literature_reads_is_computed_as_it_says() -> None:
    X = counts()[0]
    fit = bn.fit(X, rank=3, likelihood=bn.Poisson(), engine=bn.MAP(starts=2))
    from scipy import stats

    log_density = stats.poisson.logpmf(X, np.maximum(fit.mean, 1e-12)).sum()
    assert bic(fit, read(X)) == pytest.approx(-2 * log_density + 3 * 83 * np.log(60 * 24), rel=1e-5)
    assert elbow(np.arange(1, 6), np.array([1.0, 0.5, 0.1, 0.09, 0.08])) == 3
    W, H = np.eye(4)[[0, 0, 1, 1, 2, 3]][None], np.ones((1, 4, 5))
    assert cophenetic(np.repeat(W, 3, 0), np.repeat(H, 3, 0)) == pytest.approx(1.0)
    both = np.concatenate([W, W[:, [2, 0, 4, 1, 3, 5]]])
    assert cophenetic(both, np.repeat(H, 2, 0)) < 1
    parts = np.eye(3)[None] + 1e-3
    assert silhouette(np.concatenate([parts, parts[:, ::-1]]), 0) == pytest.approx(1.0)
    assert np.isnan(silhouette(parts[:, :1], 0))


def test_a_tree_that_is_none_loses_no_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else depends on the cophenetic correlation."""
    W, H = np.random.default_rng(0).gamma(1.0, 1.0, (5, 30, 3)), np.ones((5, 3, 4))
    assert 0 < cophenetic(W, H) < 1
    tree = average(np.arange(1.0, 436.0))
    tree[5, 0] = tree[4, 0]
    monkeypatch.setattr("scipy.cluster.hierarchy.average", lambda distance: tree)
    assert np.isnan(cophenetic(W, H))


def test_large_data_are_fitted_roughly_until_the_answer_is_known(
    monkeypatch: pytest.MonkeyPatch, selections: list[Any]
) -> None:
    monkeypatch.setattr(_work, "LARGE", 1)
    usual, rough = selections[0], bn.select_rank(counts()[0], ranks=[2, 3, 7], starts=3)
    assert rough.best == usual.best
    assert rough.fit.engine == bn.CAVI(starts=_work.LARGE_STARTS)  # with the tolerances that were asked for
    assert rough.fit.elbo == pytest.approx(usual.fit.elbo, abs=1.0)
    assert np.isfinite(rough.table["held_out"]).tolist() == [True, True, False]
    assert rough.plot().get_xlabel() == "components"
