"""MAP: the theorems of the algorithms, and agreement with other software."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import HOLDERS, LIKELIHOODS, PRIORS, Descent, methods, observations, planted, repeated, slow_kl
from sklearn.decomposition import NMF

import bayesnmf as bn
from bayesnmf.engines._multiplicative import exponent

CASES = [
    (likelihood, method, prior, shrinkage)
    for likelihood in LIKELIHOODS
    for method in methods(LIKELIHOODS[likelihood]())
    for prior in PRIORS
    for shrinkage in (False, True)
    if not (prior == "flat" and shrinkage)
]


def data_for(likelihood: bn.likelihoods.Likelihood) -> np.ndarray:
    """Return data in the support of a likelihood, negative entries included where it takes them."""
    X = planted(positive=likelihood.support == "positive")
    if likelihood.support == "real":
        X[:, ::4] -= 1.0
    return X


def exactly(steps: int, **options: Any) -> bn.MAP:
    """Return the engine that runs a number of steps."""
    return bn.MAP(max_steps=steps, tol=0.0, residual_tol=0.0, precision="float64", starts=1, **options)


@pytest.mark.parametrize(("likelihood", "method", "prior", "shrinkage"), CASES)
def test_no_step_raises_the_objective(likelihood: str, method: str, prior: str, shrinkage: bool, x64: None) -> None:
    """Masked and weighted, dense and by non-zeros; every third also with all entries alike, which sums otherwise."""
    made = LIKELIHOODS[likelihood]()
    model = bn.Model(4, made, W=PRIORS[prior](), H=PRIORS[prior](), shrinkage=bn.ARD(a=5.0) if shrinkage else None)
    index = CASES.index((likelihood, method, prior, shrinkage))
    for holder in list(HOLDERS)[: 1 + (method == "mu")]:
        for beside in [observations(), {}][: 1 + (index % 3 == 0)]:
            way = Descent(HOLDERS[holder](data_for(made)), model, method, **beside)
            values = [way.objective]
            for step in range(20):
                way.step()
                values.append(way.objective)
                if step % 2:
                    way.learn_noise()
                    values.append(way.objective)
            falls(np.array(values))


@pytest.mark.parametrize("name", ["poisson", "negative-binomial", "gaussian"])
def test_the_course_of_a_fit_never_rises(name: str) -> None:
    """The loop of the engine itself, with shrinkage and all that comes beside X."""
    X, model = data_for(LIKELIHOODS[name]()), bn.Model(4, LIKELIHOODS[name](), shrinkage=bn.ARD(a=5.0))
    fit = bn.fit(X, model, engine=exactly(60, check_every=1), **observations())
    assert len(fit.trace) >= 50
    falls(fit.trace)


def falls(values: np.ndarray) -> None:
    """Assert that the objective of each step is below the last, up to rounding."""
    assert np.all(np.isfinite(values))
    rises = np.diff(values) / np.abs(values[1:])
    assert rises.max() < 1e-10, f"rose by {rises.max()} at step {rises.argmax()}"
    assert values[-1] < values[0]


@pytest.mark.smoke
def test_exponent_of_known_cases() -> None:
    assert exponent(bn.Poisson(), bn.Flat()) == 1
    assert exponent(bn.Gaussian(), bn.Exponential()) == 1
    assert exponent(bn.Poisson(), bn.HalfNormal()) == 1 / 2
    assert exponent(bn.BetaDivergence(0.0), bn.Flat()) == 1 / 2
    assert exponent(bn.BetaDivergence(3.0), bn.Flat()) == 1 / 2
    assert exponent(bn.BetaDivergence(0.5), bn.HalfNormal()) == pytest.approx(1 / 2.5)


def sklearn_mu(X: Any, W: np.ndarray, H: np.ndarray, beta: float, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    model = NMF(len(H), init="custom", solver="mu", beta_loss=beta, tol=0.0, max_iter=200, **options)
    return model.fit_transform(X, W=W.copy(), H=H.copy()), model.components_


def start(n: int = 40, m: int = 25, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.uniform(0.1, 1.0, (n, k)), rng.uniform(0.1, 1.0, (k, m))


def assert_same_factors(fit: bn.Fit, W: np.ndarray, H: np.ndarray) -> None:
    order = np.argsort(-(W.sum(0) * H.sum(1)))
    np.testing.assert_allclose(fit.W, (W * H.sum(1))[:, order], rtol=1e-6, atol=1e-6 * fit.W.max())
    np.testing.assert_allclose(fit.H, (H / H.sum(1, keepdims=True))[order], rtol=1e-6, atol=1e-6 * fit.H.max())


@pytest.mark.parametrize("beta", [2.0, 1.0, 0.5, 0.0])
def test_multiplicative_updates_are_scikit_learns(beta: float) -> None:
    X, (W, H) = planted(40, 25, 5, positive=True), start()
    likelihood = {2.0: bn.Gaussian(), 1.0: bn.Poisson()}.get(beta, bn.BetaDivergence(beta))
    fit = bn.fit(X, rank=5, likelihood=likelihood, init=(W, H), engine=exactly(200, method="mu"))
    assert_same_factors(fit, *sklearn_mu(X, W, H, beta))


@pytest.mark.parametrize("beta", [2.0, 1.0])
@pytest.mark.parametrize("holder", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("alpha", [0.0, 0.01])
def test_sparse_and_penalised_updates_are_scikit_learns(beta: float, holder: Callable, alpha: float) -> None:
    X, (W, H) = holder(planted(40, 25, 5)), start()
    likelihood = {2.0: bn.Gaussian(variance=1.0), 1.0: bn.Poisson()}[beta]
    priors = {"W": bn.Exponential(mean=1 / (25 * alpha)), "H": bn.Exponential(mean=1 / (40 * alpha))} if alpha else {}
    model = bn.Model(5, likelihood, **priors)
    fit = bn.fit(X, model, init=(W, H), engine=exactly(200, method="mu"))
    other = sklearn_mu(X, W, H, beta, alpha_W=alpha, alpha_H=alpha, l1_ratio=1.0)
    assert_same_factors(fit, *other)


def test_masked_weighted_kl_with_offsets_is_the_plain_loop() -> None:
    """Whole weights are repeated observations that share w_i and h_j."""
    X, beside = planted(), observations()
    W, H = start(24, 15, 3)
    entries = repeated(X, beside["weights"], beside["observed"])
    expected = slow_kl(entries, W, H, beside["size_factors"], beside["opportunities"], 30)
    for holder in HOLDERS.values():
        fit = bn.fit(holder(X), rank=3, init=(W, H), engine=exactly(30), **beside)
        assert_same_factors(fit, *expected)


def test_nan_masked_array_observed_and_weight_zero_say_the_same() -> None:
    X, observed = planted(), observations()["observed"]
    engine = exactly(20)
    expected = bn.fit(X, rank=3, observed=observed, engine=engine)
    hidden = np.where(observed, X, np.nan)
    for given, beside in (
        (hidden, {}),
        (np.ma.masked_array(np.where(observed, X, 1e6), ~observed), {}),
        (X, {"weights": observed.astype(float)}),
        (sp.csr_array(X), {"observed": sp.csr_array(observed)}),
        (sp.coo_array(np.nan_to_num(hidden, nan=7.0)), {"observed": observed}),
    ):
        np.testing.assert_allclose(bn.fit(given, rank=3, engine=engine, **beside).mean, expected.mean, rtol=1e-9)


@pytest.mark.parametrize("name", ["poisson", "gaussian", "beta-0.5"])
@pytest.mark.parametrize("shrinkage", [False, True])
def test_converged_means_a_small_residual(name: str, shrinkage: bool) -> None:
    """The residual is computed here from the derivatives of the objective, not from the engine's sums."""
    likelihood = LIKELIHOODS[name]()
    X = planted(40, 25, 4, positive=True) + 20.0 * planted(40, 25, 4, seed=1)
    model = bn.Model(6, likelihood, shrinkage=bn.ARD() if shrinkage else None)
    fit = bn.fit(X, model, engine=bn.MAP(starts=2, precision="float64", residual_tol=1e-3, tol=1e-8, max_steps=50_000))
    assert fit.status == "converged"
    assert fit.residual <= 1e-3
    assert not [w for w in fit.warnings if w.name == "max_steps"]
    if not shrinkage:
        v = np.maximum(fit.mean, 1e-12)
        made = LIKELIHOODS["gaussian-fixed"]() if name == "gaussian" else likelihood
        up, down = (np.asarray(a, float) for a in made.halves(jnp.asarray(X), jnp.asarray(v), jnp.asarray(v)))
        slope = 1 - (up @ fit.H.T) / (down @ fit.H.T)
        assert np.abs(np.minimum(fit.W / fit.W.max(0), slope)).max() < 2e-3


@pytest.mark.parametrize("prior", ["exponential", "half-normal"])
@pytest.mark.parametrize("name", ["poisson", "gaussian"])
def test_ard_balances_both_sides(prior: str, name: str) -> None:
    """At the mode f(w_k) = f(h_k), since both are divided by one scale."""
    import jax

    from bayesnmf._input import read
    from bayesnmf._resolve import resolve
    from bayesnmf.engines.map import _Task

    model = bn.Model(6, LIKELIHOODS[name](), W=PRIORS[prior](), H=PRIORS[prior](), shrinkage=bn.ARD())
    table = read(20.0 * planted(40, 25, 4))
    engine = bn.MAP(starts=2, precision="float64", max_steps=3000)
    with jax.enable_x64(True):
        task = _Task(engine, resolve(model, table, engine), table, None)
        outcome = task.run(jax.random.key(0), None)
        penalty = task.problem.penalty
        for W, H in zip(outcome.state.W, outcome.state.H, strict=True):
            live = np.asarray(penalty.relevance(W, H)) > 0.05
            assert live.sum() >= 2
            own, other = penalty.W.statistic(W[: penalty.n], 0), penalty.H.statistic(H, 1)
            np.testing.assert_allclose(own[live], other[live], rtol=1e-9)


def test_hals_and_multiplicative_updates_reach_the_same_optimum() -> None:
    X = planted(40, 25, 3) + 0.1
    for beside in ({}, {"observed": np.random.default_rng(0).random(X.shape) > 0.1}):
        fits = [
            bn.fit(
                X, rank=3, likelihood=bn.Gaussian(),
                engine=bn.MAP(method=method, starts=3, precision="float64", tol=1e-10, residual_tol=1e-4,
                max_steps=50_000),
                **beside,
            )
            for method in ("mu", "hals")
        ]  # fmt: skip
        assert fits[0].objective == pytest.approx(fits[1].objective, rel=1e-6)
        assert fits[1].steps < fits[0].steps


def test_known_rows_are_held_while_hals_moves_the_others() -> None:
    """With a row that is a third off; were it moved in between, HALS would end where nothing is at an optimum."""
    rng = np.random.default_rng(0)
    X = planted(40, 25, 3) + 0.1
    known = planted(1, 25, 1) * np.exp(0.3 * rng.normal(size=(1, 25)))
    for beside in ({}, {"observed": rng.random(X.shape) > 0.1}):
        fits = [
            bn.fit(
                X, bn.Model(3, bn.Gaussian(variance=1.0), known=known),
                engine=bn.MAP(method=method, starts=3, precision="float64", tol=1e-10, residual_tol=1e-4,
                max_steps=50_000),
                **beside,
            )
            for method in ("mu", "hals")
        ]  # fmt: skip
        assert fits[1].status == "converged"
        assert fits[0].objective == pytest.approx(fits[1].objective, rel=1e-6)


def test_known_rows_stay_and_the_others_are_learned(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    profiles = rng.dirichlet(np.full(30, 0.3), 4)
    X = rng.poisson(rng.gamma(1.0, 60.0, (80, 4)) @ profiles)
    fit = bn.fit(X, bn.Model(rank=4, known=5.0 * profiles[2:]), engine=bn.MAP(starts=5))
    np.testing.assert_allclose(fit.H[:2], profiles[2:], rtol=1e-5)
    assert bn.align.match_rows(profiles[:2], fit.H[2:]).cosine.min() > 0.95
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(30)])
    catalogue = pd.DataFrame(5.0 * profiles[2:], ["a", "b"], frame.columns).iloc[:, ::-1]
    by_name = bn.fit(frame, bn.Model(rank=4, known=catalogue), engine=bn.MAP(starts=5))
    np.testing.assert_array_equal(by_name.H, fit.H)
    by_name.save(tmp_path / "fit.nc")
    np.testing.assert_array_equal(bn.load(tmp_path / "fit.nc").model.known, 5.0 * profiles[2:])
    with pytest.raises(bn.ModelError, match="each once; other are not"):
        bn.fit(frame, bn.Model(rank=4, known=catalogue.rename(columns={"c3": "other"})), engine=bn.MAP())
    shrunk = bn.fit(X, bn.Model(rank=8, known=profiles[2:], shrinkage=bn.ARD()), engine=bn.MAP(starts=5))
    assert shrunk.rank == 4
    np.testing.assert_allclose(shrunk.H[:2], profiles[2:], rtol=1e-5)


def test_unit_of_x_changes_nothing_where_the_scale_is_learned() -> None:
    X = planted(40, 25, 4) * 5.0
    for name, shrinkage in (("gaussian", None), ("gaussian", bn.ARD()), ("beta-0.5", None), ("beta-1.5", bn.ARD())):
        X_in = X + 0.01
        model = bn.Model(6, LIKELIHOODS[name](), shrinkage=shrinkage)
        base = bn.fit(X_in, model, engine=bn.MAP(starts=2))
        for unit in (1e-6, 1e6):
            other = bn.fit(X_in * unit, model, engine=bn.MAP(starts=2))
            assert other.rank == base.rank
            np.testing.assert_allclose(other.mean / unit, base.mean, rtol=2e-2, atol=2e-2 * base.mean.max())
            np.testing.assert_allclose(other.relevance, base.relevance, rtol=2e-2, atol=2e-2)


def test_start_of_a_component_depends_on_nothing_else() -> None:
    import jax

    from bayesnmf.engines._starts import draw_starts

    W, H = draw_starts(jax.random.key(5), 3, 7, 4, 8)
    other_W, other_H = draw_starts(jax.random.key(5), 2, 7, 4, 16)
    np.testing.assert_array_equal(W[:2], other_W[..., :8])
    np.testing.assert_array_equal(H[:2], other_H[:, :8])


def test_same_seed_same_result_and_going_on_from_a_fit() -> None:
    X = planted()
    first, again = (bn.fit(X, rank=3, seed=4, engine=bn.MAP(starts=3)) for _ in range(2))
    np.testing.assert_array_equal(first.W, again.W)
    short = bn.fit(X, rank=3, engine=bn.MAP(starts=1, max_steps=5))
    assert [w.name for w in short.warnings] == ["max_steps"]
    longer = bn.fit(X, rank=3, init=short, engine=bn.MAP(max_steps=2000))
    assert longer.objective < short.objective


def test_projection_of_the_training_data_gives_its_activities() -> None:
    X = planted(40, 25, 3)
    for model in (bn.Model(3), bn.Model(6, shrinkage=bn.ARD(a=5.0)), bn.Model(3, bn.Gaussian())):
        fit = bn.fit(
            X, model, engine=bn.MAP(starts=2, precision="float64", tol=1e-10, residual_tol=1e-4, max_steps=50_000)
        )
        W = fit.project(X).W
        np.testing.assert_allclose(W, fit.W, atol=3e-3 * fit.W.max())
        np.testing.assert_allclose(fit.project(X[3:5]).W, W[3:5], atol=3e-3 * fit.W.max())


def test_a_mode_has_no_interval() -> None:
    with pytest.raises(bn.EngineError, match="engine=bn.CAVI"):
        bn.fit(planted(), rank=2, engine=bn.MAP(starts=1, max_steps=5)).interval("H")


def test_priors_do_not_take_signal_for_noise_that_is_still_to_be_learned() -> None:
    """HALS under priors ends where multiplicative updates do; it once dropped a component at its first steps."""
    X = bn.models.data("gaussian-exponential")["X"]
    model = bn.Model(2, bn.Gaussian(), W=bn.Exponential(mean=1.0), H=bn.Exponential(mean=1.0))
    objectives = [
        bn.fit(X, model, engine=bn.MAP(method=method, max_steps=5000, precision="float64")).objective
        for method in ("mu", "hals")
    ]
    np.testing.assert_allclose(*objectives, atol=0.1)
