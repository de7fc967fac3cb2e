"""The scikit-learn estimator: scikit-learn's own checks, and that it says what the library says."""

from collections.abc import Callable, Iterator

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import planted
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import bayesnmf as bn
from bayesnmf import BayesianNMF

CHECKED = [BayesianNMF(2, engine="map", starts=2)]
AT_RISK = ("check_methods_sample_order_invariance", "check_methods_subset_invariance")
"""What coordinate ascent could get wrong. Not all: each check brings a shape, and a program that takes long to compile.
"""


@pytest.fixture
def quick_compiling() -> Iterator[None]:
    """Trade speed of the compiled code for speed of compiling: the checks have many shapes, all of them small."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


# the checks feed noise, and findings about that are right; their names are in snake case
@pytest.mark.filterwarnings("ignore:[a-z]+_[a-z_]+")
@pytest.mark.usefixtures("quick_compiling")
@parametrize_with_checks(CHECKED)
def test_scikit_learn_checks(estimator: BayesianNMF, check: Callable[[BayesianNMF], None]) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore:[a-z]+_[a-z_]+")
@pytest.mark.usefixtures("quick_compiling")
@pytest.mark.parametrize("name", AT_RISK)
def test_scikit_learn_checks_of_a_posterior(name: str) -> None:
    checks = estimator_checks_generator(BayesianNMF(2, likelihood=bn.Gaussian(1.0), starts=1))
    chosen = [(estimator, check) for estimator, check in checks if check.func.__name__ == name]
    assert chosen
    for estimator, check in chosen:
        check(estimator)


@pytest.mark.smoke
def test_negative_data_are_refused_where_the_likelihood_has_none() -> None:
    with pytest.raises(ValueError, match="Negative values in data"):
        BayesianNMF(2, likelihood="poisson", starts=1).fit(planted() - 1)


def model(k: int = 3, **options: object) -> BayesianNMF:
    return BayesianNMF(k, **{"engine": "map", "starts": 2, **options})


@pytest.fixture(scope="module")
def fitted() -> BayesianNMF:
    return model().fit(planted())


@pytest.mark.parametrize("likelihood", ["poisson", "gaussian"])
@pytest.mark.parametrize("seed", [0, 7])
def test_same_seed_gives_the_fit_of_the_library(likelihood: str, seed: int) -> None:
    found = model(likelihood=likelihood, random_state=seed).fit(planted())
    made = {"poisson": bn.Poisson(), "gaussian": bn.Gaussian()}[likelihood]
    fit = bn.fit(planted(), rank=3, likelihood=made, engine=bn.MAP(starts=2), seed=seed)
    np.testing.assert_array_equal(found.components_, fit.H)
    assert found.n_iter_ == fit.steps
    assert (found.n_features_in_, found.n_components_) == (15, 3)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "engine"), [("map", bn.MAP), ("cavi", bn.CAVI)])
def test_auto_is_the_rank_of_the_library(name: str, engine: type) -> None:
    rng = np.random.default_rng(0)
    X = rng.poisson(rng.gamma(1, 40, (24, 2)) @ np.kron(np.eye(2), np.full((1, 5), 0.2)))
    found = BayesianNMF(engine=name, starts=2).fit(X)
    fit = bn.fit(X, rank="auto", engine=engine(starts=2))
    assert found.n_components_ == fit.rank == found.fit_.selection.best == 2
    assert isinstance(fit.engine, engine)
    assert found.transform(X).shape == (24, 2)


def test_transform_is_fit_transform_and_close_to_the_fit(fitted: BayesianNMF) -> None:
    X = planted()
    np.testing.assert_array_equal(model().fit_transform(X), fitted.transform(X))
    np.testing.assert_allclose(fitted.transform(X), fitted.fit_.W, atol=0.02 * fitted.fit_.W.max())


@pytest.mark.parametrize("likelihood", ["poisson", "gaussian"])
def test_transform_treats_each_sample_by_itself(likelihood: str) -> None:
    X = planted()
    found = model(likelihood=likelihood).fit(X)
    together = found.transform(X)
    apart = np.vstack([found.transform(X[i : i + 8]) for i in range(0, 24, 8)])
    np.testing.assert_allclose(apart, together, atol=1e-3 * together.max())


@pytest.mark.parametrize("likelihood", ["poisson", "gaussian"])
def test_transform_meets_the_conditions_of_an_optimum(likelihood: str) -> None:
    X = planted(seed=1)[:24]
    found = model(likelihood=likelihood).fit(planted())
    W, H = found.transform(X), found.components_
    mean = W @ H + 1e-300
    gradient = (X - mean) @ H.T if likelihood == "gaussian" else np.where(X > 0, X / mean, 0) @ H.T - 1
    scale = 1.0 if likelihood == "poisson" else (mean @ H.T).max()
    assert np.abs(gradient[W > 1e-3 * W.max()]).max() < 1e-2 * scale
    assert gradient[W <= 1e-3 * W.max()].max() < 1e-2 * scale


def test_inverse_transform_is_the_mean(fitted: BayesianNMF) -> None:
    W = fitted.transform(planted())
    np.testing.assert_allclose(fitted.inverse_transform(W), W @ fitted.components_)
    with pytest.raises(bn.DataError, match="3 components.*2 columns"):
        fitted.inverse_transform(W[:, :2])


def test_reconstruction_error_is_that_of_scikit_learn() -> None:
    from sklearn.decomposition._nmf import _beta_divergence

    X = planted()
    for likelihood, loss in (("poisson", "kullback-leibler"), ("gaussian", "frobenius")):
        found = model(likelihood=likelihood).fit(X)
        expected = _beta_divergence(X, found.fit_.W, found.fit_.H, loss, square_root=True)
        assert found.reconstruction_err_ == pytest.approx(expected, rel=1e-6)


def slow_score(found: BayesianNMF, X: np.ndarray) -> float:
    least = found.fit_.mean.mean(0) / 100
    total, count = 0.0, 0
    for fold in range(5):
        out = np.arange(X.shape[1]) % 5 == fold
        told = X.copy()
        told[:, out] = np.nan
        mean = np.maximum(found.transform(told) @ found.components_, least)
        seen = out & ~np.isnan(X)
        total += stats.poisson.logpmf(X[seen], mean[seen]).sum()
        count += seen.sum()
    return total / count


def test_score_is_the_log_density_of_features_held_out(fitted: BayesianNMF) -> None:
    X = planted(seed=2)
    assert fitted.score(X) == pytest.approx(slow_score(fitted, X), rel=1e-9)
    X[3, 4] = X[5, :6] = np.nan
    assert fitted.score(X) == pytest.approx(slow_score(fitted, X), rel=1e-9)
    with pytest.raises(bn.DataError, match="1 feature"):
        BayesianNMF(1, engine="map", starts=1).fit(planted()[:, :1]).score(planted()[:, :1])


@pytest.mark.filterwarnings("ignore:components_not_recurring")
def test_grid_search_finds_the_planted_rank() -> None:
    rng = np.random.default_rng(0)
    X = rng.poisson(rng.gamma(1, 100, (60, 3)) @ rng.dirichlet(np.full(30, 0.5), 3))
    # a coarse stop will do to rank four numbers that are far apart
    search = GridSearchCV(
        BayesianNMF(engine=bn.MAP(starts=2, residual_tol=0.1)), {"n_components": [1, 2, 3, 5]}, cv=3
    ).fit(X)
    assert search.best_params_ == {"n_components": 3}
    assert list(np.argsort(search.cv_results_["mean_test_score"])[:2]) == [0, 1]


def test_in_a_pipeline() -> None:
    X = planted()
    pipeline = make_pipeline(MaxAbsScaler(), model(likelihood="gaussian"))
    W = pipeline.fit_transform(X)
    assert W.shape == (24, 3)
    np.testing.assert_allclose(pipeline.inverse_transform(W), (W @ pipeline[-1].components_) * np.abs(X).max(0))
    assert list(pipeline.get_feature_names_out()) == ["bayesiannmf0", "bayesiannmf1", "bayesiannmf2"]


def test_names_go_in_and_come_out() -> None:
    X = pd.DataFrame(planted(), index=[f"s{i}" for i in range(24)], columns=[f"g{j}" for j in range(15)])
    found = model().set_output(transform="pandas").fit(X)
    W = found.transform(X)
    assert list(W.columns) == ["bayesiannmf0", "bayesiannmf1", "bayesiannmf2"]
    assert list(W.index) == list(X.index)
    assert list(found.feature_names_in_) == list(X.columns) == list(found.fit_.features or ())
    assert found.fit_.samples == tuple(X.index)


@pytest.mark.parametrize("holder", [sp.csr_array, sp.csc_matrix, sp.coo_array])
def test_sparse_is_dense(holder: Callable[[np.ndarray], object], fitted: BayesianNMF) -> None:
    X = planted()
    found = model().fit(holder(X))
    np.testing.assert_allclose(found.components_, fitted.components_, atol=1e-4)
    np.testing.assert_allclose(found.transform(holder(X)), fitted.transform(X), atol=1e-3 * X.max())
    assert found.score(holder(X)) == pytest.approx(fitted.score(X), rel=1e-4)
    assert found.reconstruction_err_ == pytest.approx(fitted.reconstruction_err_, rel=1e-5)


def test_missing_entries_are_left_out(fitted: BayesianNMF) -> None:
    X = planted()
    hole = np.zeros(X.shape, bool)
    hole[::5, ::4] = True
    masked = model().fit(np.ma.MaskedArray(np.where(hole, 1e6, X), hole))
    missing = model().fit(np.where(hole, np.nan, X))
    np.testing.assert_array_equal(masked.components_, missing.components_)
    assert not np.allclose(missing.components_, fitted.components_, atol=1e-3)
    # one new sample without one of the features has activities all the same
    one = X[:1].copy()
    one[0, 3] = np.nan
    assert np.isfinite(fitted.transform(one)).all()
    with pytest.raises(bn.DataError, match="Row 0 .*no observed entry"):
        fitted.transform(np.full((1, 15), np.nan))


@pytest.mark.parametrize("holder", [np.asarray, sp.csr_array])
def test_blocks_of_rows_are_all_of_X(
    holder: Callable[[np.ndarray], object], fitted: BayesianNMF, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = holder(planted())
    error, score = fitted._reconstruction_error(X), fitted.score(X)
    monkeypatch.setattr("bayesnmf.estimator.BLOCK", 15 * 7)  # the last of four blocks is shorter
    assert fitted._reconstruction_error(X) == pytest.approx(error, rel=1e-12)
    assert fitted.score(X) == pytest.approx(score, rel=1e-4)  # blocks of activities stop at other steps


def test_float32_stays_float32(fitted: BayesianNMF) -> None:
    X = planted().astype(np.float32)
    found = model().fit(X)
    assert found.transform(X).dtype == found.components_.dtype == np.float32
    assert fitted.transform(planted()).dtype == np.float64


@pytest.mark.filterwarnings("ignore:components_not_recurring")
def test_no_convergence_is_a_warning() -> None:
    with pytest.warns(ConvergenceWarning, match="max_steps"):
        model(max_iter=10).fit(planted())


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"n_components": 0}, bn.ModelError, 'n_components to be "auto" or a whole number of at least 1; got 0'),
        ({"n_components": 2.5}, bn.ModelError, "got 2.5"),
        ({"n_components": True}, bn.ModelError, "got True"),
        ({"n_components": "mle"}, bn.ModelError, "got 'mle'"),
        ({"likelihood": "normal"}, bn.ModelError, '"auto", "poisson", .*"gamma" or an object.*got \'normal\''),
        ({"likelihood": bn.Poisson}, bn.ModelError, "object such as bn.Poisson"),
        ({"engine": "svi"}, bn.EngineError, '"cavi", "map" or an object.*got \'svi\''),
        ({"engine": bn.CAVI}, bn.EngineError, "object such as bn.CAVI"),
        ({"engine": bn.CAVI(), "tol": 1e-3}, bn.EngineError, "set tol there"),
        ({"engine": bn.MAP(), "starts": 3}, bn.EngineError, "set starts there"),
        ({"max_iter": 0}, bn.EngineError, "max_iter .* got 0"),
        ({"starts": 0}, bn.EngineError, "starts .* got 0"),
        ({"tol": -1.0}, bn.EngineError, "tol .* got -1.0"),
        ({"precision": "float16"}, bn.EngineError, "precision .* got 'float16'"),
        ({"random_state": "a"}, ValueError, "seed"),
    ],
)
def test_parameters_out_of_range(options: dict[str, object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        BayesianNMF(**options).fit(planted())


def test_objects_are_cloned_as_they_are() -> None:
    engine, likelihood = bn.MAP(starts=2, max_steps=300, residual_tol=0.1), bn.Gaussian(variance=2.0)
    copy = clone(BayesianNMF(2, likelihood=likelihood, engine=engine))
    copy.fit(planted())
    assert copy.fit_.engine == engine
    assert float(copy.fit_.noise["variance"]) == pytest.approx(2.0)


def test_random_state_as_scikit_learn_means_it() -> None:
    X = planted()
    state = np.random.RandomState(3)
    first, second = (model(random_state=state).fit(X).fit_.seed for _ in range(2))
    assert first != second
    assert model(random_state=np.random.RandomState(3)).fit(X).fit_.seed == first


# a posterior


@pytest.fixture(scope="module")
def believed() -> BayesianNMF:
    return BayesianNMF(3, starts=2).fit(planted())


def test_the_default_is_the_posterior_of_the_library(believed: BayesianNMF) -> None:
    fit = bn.fit(planted(), rank=3, engine=bn.CAVI(starts=2))
    assert believed.fit_.engine == fit.engine
    np.testing.assert_array_equal(believed.components_, fit.H)
    assert fit.posterior is not None
    variance = fit.posterior.estimate("H", "linear_response").variance
    np.testing.assert_array_equal(believed.components_std_, np.sqrt(variance))
    np.testing.assert_array_equal(believed.interval("share", 0.8), fit.interval("share", 0.8))
    low, high = believed.interval()
    np.testing.assert_array_equal([low, high], fit.interval("H", 0.9))


def test_a_mode_has_no_standard_deviations(fitted: BayesianNMF) -> None:
    assert not hasattr(fitted, "components_std_")
    with pytest.raises(AttributeError, match="Use engine='cavi'"):
        _ = fitted.components_std_
    with pytest.raises(bn.EngineError, match=r"bn.CAVI\(\)"):
        fitted.interval("H")
    with pytest.raises(NotFittedError):
        BayesianNMF().interval()
    assert not hasattr(BayesianNMF(), "components_std_")


def test_engines_have_their_own_number_of_starts() -> None:
    assert BayesianNMF()._engine() == bn.CAVI()
    assert BayesianNMF(engine="map")._engine() == bn.MAP()
    made = BayesianNMF(starts=3, max_iter=7, tol=0.1, precision="float64")._engine()
    assert made == bn.CAVI(starts=3, max_steps=7, tol=0.1, precision="float64")


@pytest.mark.parametrize(
    ("name", "likelihood"),
    [
        ("poisson", bn.Poisson()),
        ("negative_binomial", bn.NegativeBinomial()),
        ("compound_poisson", bn.CompoundPoisson()),
        ("gaussian", bn.Gaussian()),
        ("gamma", bn.GammaNoise()),
        ("auto", None),
    ],
)
def test_names_of_likelihoods(name: str, likelihood: object) -> None:
    assert BayesianNMF(likelihood=name)._likelihood() == likelihood


def test_transform_gives_posterior_means_sample_by_sample(believed: BayesianNMF) -> None:
    X = planted()
    X[3] = 0
    together = believed.transform(X)
    np.testing.assert_array_equal(together, believed.transform(X))
    np.testing.assert_allclose(believed.transform(planted()), believed.fit_.W, rtol=0.02, atol=0.02)
    apart = np.vstack([believed.transform(X[i : i + 8]) for i in range(0, 24, 8)])
    np.testing.assert_allclose(apart, together, rtol=1e-3, atol=1e-4)
    order = np.random.default_rng(0).permutation(24)
    np.testing.assert_allclose(believed.transform(X[order]), together[order], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("holder", [np.asarray, sp.csr_array])
def test_samples_of_nothing_have_a_posterior_too(believed: BayesianNMF, holder: Callable[[np.ndarray], object]) -> None:
    X = np.vstack([planted()[:6], np.zeros((2, 15))])
    together, alone = believed.transform(X), believed.transform(holder(X[6:]))
    assert (alone > 0).all()
    np.testing.assert_allclose(alone, together[6:], rtol=1e-3)
    assert alone.shape == (2, 3)


def test_a_posterior_is_scored_on_features_held_out(believed: BayesianNMF) -> None:
    assert believed.score(planted(seed=2)) == pytest.approx(slow_score(believed, planted(seed=2)), rel=1e-9)


def test_unfitted() -> None:
    with pytest.raises(NotFittedError):
        model().transform(planted())


def test_what_has_names_is_fitted_and_transformed() -> None:
    X = np.random.default_rng(0).poisson(3.0, (12, 5))
    recording = bn.io.Recording(X, pd.DataFrame(index=range(12)), pd.DataFrame(index=list("abcde")))
    model = BayesianNMF(n_components=2, engine="map", starts=1)
    W = model.fit_transform(recording)
    assert model.fit_.features == tuple("abcde")
    np.testing.assert_array_equal(W, model.transform(recording))
    np.testing.assert_array_equal(W, clone(model).fit_transform(X))
