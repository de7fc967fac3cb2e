"""Diagnostics see planted faults, and are quiet where there are none."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats
from scipy.special import gammaln

import bayesnmf as bn
from bayesnmf.diagnostics import _simulate
from bayesnmf.diagnostics._loo import _of_rows
from bayesnmf.diagnostics._predictive import _quantities
from bayesnmf.engines._prepare import Rows
from bayesnmf.program import Joint

MODEL = bn.Model(2, bn.Poisson(), W=bn.Gamma(1.5, mean=3.0), H=bn.Gamma(1.2, mean=1.0))
GIBBS = bn.Gibbs(chains=1, warmup=50, draws=200, starts=1)


def counts(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mean = rng.gamma(1.0, 2.0, (30, 3)) @ rng.gamma(1.0, 2.0, (3, 20))
    return rng.poisson(mean), mean


def test_predictive_checks_see_what_is_wrong_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    X, mean = counts()
    engine = bn.CAVI(starts=1)
    good = bn.diagnostics.predictive(bn.fit(X, rank=3, engine=engine))
    assert good.probability.between(0.01, 0.99).all()
    assert np.all(good.low <= good.high)
    overdispersed = rng.poisson(mean * rng.gamma(1.5, 1 / 1.5, mean.shape))
    found = bn.diagnostics.predictive(bn.fit(overdispersed, rank=3, likelihood=bn.Poisson(), engine=engine))
    assert found.probability["dispersion"] == 0
    shared = np.exp(np.cumsum(rng.normal(0, 0.15, mean.shape), 0))  # each feature drifts by itself
    drifting = bn.fit(rng.poisson(mean * shared / shared.mean(0)), rank=2, engine=engine)
    assert bn.diagnostics.predictive(drifting).probability["lag-1 autocorrelation"] < 0.02
    alone = replace(drifting, groups=np.arange(len(X)))  # no two samples follow each other
    assert bn.diagnostics.predictive(alone, 20).observed["lag-1 autocorrelation"] == 0
    with pytest.raises(bn.EngineError, match="MAP"):
        bn.diagnostics.predictive(bn.fit(X, rank=2, engine=bn.MAP(starts=1)))


def test_quantities_are_those_of_their_names() -> None:
    """Beside NumPy: entries of weight 0, and pairs over a seam between groups, do not count."""
    rng = np.random.default_rng(3)
    x, v, weight = rng.poisson(1.0, (9, 5)), rng.gamma(2.0, 1.0, (9, 5)), rng.integers(0, 3, (9, 5)).astype(float)
    following = np.array([True, True, False, True, False, True, True, True])
    seen, spread = weight > 0, np.sqrt(v)
    residual = np.where(seen, (x - v) / spread, 0)
    pairs = [
        residual[i, j] * residual[i + 1, j]
        for i, j in np.ndindex(8, 5)
        if seen[i, j] and seen[i + 1, j] and following[i]
    ]
    totals = [
        np.mean([(x[a][seen[a]] - v[a][seen[a]]).sum() ** 2 / v[a][seen[a]].sum() for a in lines])
        for lines in ([(i, slice(None)) for i in range(9)], [(slice(None), j) for j in range(5)])
    ]
    square = np.mean(residual[seen] ** 2)
    expected = [square, np.mean(x[seen] == 0), *totals, np.mean(pairs) / square]
    found = _quantities(*(jnp.asarray(a, float) for a in (x, v)), bn.Poisson(), jnp.asarray(weight), following)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert seen.any(1).all()


def test_predictive_checks_know_how_much_was_seen_of_each_sample() -> None:
    rng = np.random.default_rng(0)
    _, mean = counts()
    size = rng.uniform(0.1, 3.0, len(mean))
    fit = bn.fit(rng.poisson(size[:, None] * mean), rank=3, size_factors=size, engine=bn.CAVI(starts=1))
    assert bn.diagnostics.predictive(fit).probability.between(0.005, 0.995).all()


def test_the_referee_sees_intervals_that_are_too_narrow() -> None:
    fit = bn.fit(counts()[0], MODEL, engine=bn.CAVI(starts=2))
    table = bn.diagnostics.referee(fit, sweeps=200, chains=2)
    assert 0.7 < table.width["mean"] < 1.4
    assert table.moved["mean"] < 0.5
    q = fit.posterior
    assert q is not None
    narrow = replace(q, W=q.W._replace(shape=9 * q.W.shape, rate=9 * q.W.rate), linear=False)
    assert bn.diagnostics.referee(replace(fit, posterior=narrow), sweeps=200, chains=2).width["W"] < 0.7
    with pytest.raises(bn.EngineError, match="by CAVI or SVI"):
        bn.diagnostics.referee(replace(fit, status="sampled"))


@pytest.mark.parametrize("beside", [False, True])
def test_activities_are_integrated_out(beside: bool, x64: None) -> None:
    """With one component log p(x_i | H) is a negative binomial total, shared out by a multinomial.

    With weights c and factors f it is that of ``sum c x`` at a rate of ``rate + sum c f h``, times what has no w in it.
    Weights of 20,000 points vary by less than their mean, so that the error is below 0.007: within three of them.
    """
    X, h, shape, rate = np.array([[3.0, 5.0, 2.0], [0.0, 1.0, 0.0]]), np.array([0.3, 0.5, 0.2]), 2.0, 0.2
    weight, factor = np.ones(X.shape), np.ones(X.shape)
    if beside:
        weight, factor = np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 1.0]]), np.outer([0.5, 3.0], [1.0, 0.4, 2.0])
    after, rate_after = shape + (weight * X).sum(1), rate + (weight * factor * h).sum(1)
    found = _of_rows(
        bn.Poisson(), Rows(X, weight, factor), np.log(after / rate_after)[:, None], 1 / np.sqrt(after)[:, None],
        jnp.asarray(h)[None, None], jnp.array([rate]), jax.random.split(jax.random.key(0), 2), jnp.asarray(shape),
        points=20_000,
    )  # fmt: skip
    fixed = (weight * (X * np.log(factor * h) - gammaln(X + 1))).sum(1)
    expected = fixed + shape * np.log(rate) - gammaln(shape) + gammaln(after) - after * np.log(rate_after)
    np.testing.assert_allclose(found[0], expected, atol=0.02)
    if not beside:
        total = X.sum(1)
        known = stats.nbinom(shape, rate / (rate + 1)).logpmf(total) + stats.multinomial(total, h).logpmf(X)
        np.testing.assert_allclose(expected, known)


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
def test_samples_left_out_are_best_predicted_by_the_right_rank() -> None:
    X, _ = counts()
    groups = np.repeat(np.arange(10), 3)
    fits = {rank: bn.fit(X, rank=rank, groups=groups, engine=bn.CAVI(starts=2)) for rank in (1, 3)}
    elpd = {rank: bn.diagnostics.loo(fit, size=100) for rank, fit in fits.items()}
    assert elpd[3].elpd > elpd[1].elpd + 4 * elpd[3].se
    by_group = bn.diagnostics.loo(fits[3], by="group", size=100)
    assert by_group.n_data_points == 10
    assert abs(by_group.elpd - elpd[3].elpd) < 0.1 * abs(elpd[3].elpd)  # sums over rows, not means
    alone = bn.diagnostics.loo(replace(fits[3], groups=np.arange(len(X))), by="group", size=100)
    assert alone.elpd == pytest.approx(elpd[3].elpd)
    with pytest.raises(bn.EngineError, match="needs groups"):
        bn.diagnostics.loo(replace(fits[3], groups=None), by="group")


def test_sbc_takes_programs_with_groups_and_with_other_means(promoted: None) -> None:
    def shifted(X: Any, *, n: int, m: int, rank: int) -> None:
        W = numpyro.sample("W", dist.Gamma(1.0, 1.0).expand([n, rank]))
        H = numpyro.sample("H", dist.Gamma(1.0, 1.0).expand([rank, m]))
        numpyro.sample("X", dist.Poisson(1 + W @ H), obs=X)

    engine = bn.SVI(max_steps=20, draws=30, starts=1)
    assert bn.diagnostics.sbc(shifted, (6, 4), rank=2, engine=engine, sets=1).ranks["sum of W"].shape == (1,)
    program, groups = bn.models.load("hierarchical-groups"), [0, 0, 0, 1, 1, 1]
    found = bn.diagnostics.sbc(program, (6, 4), rank=2, engine=engine, sets=1, groups=groups)
    assert found.ranks["sum of W"].shape == (1,)


@pytest.mark.exhaustive
def test_ranks_are_uniform_and_swapped_rates_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 sets: mean ranks within 4 standard errors; with the means of W and H swapped one is beyond 5."""
    found = bn.diagnostics.sbc(MODEL, (8, 6), engine=GIBBS, sets=40).summary()
    assert found.z.abs().max() < 4
    assert found.probability.min() > 1e-4
    draw = _simulate.Simulation.draw

    def spoiled(self: Any, key: Any) -> Any:
        program = self.joint.program
        wrong = replace(program, means={"W": program.means["H"], "H": program.means["W"]})
        return draw(replace(self, joint=replace(self.joint, program=wrong)), key)

    monkeypatch.setattr(_simulate.Simulation, "draw", spoiled)
    assert bn.diagnostics.sbc(MODEL, (8, 6), engine=GIBBS, sets=40).summary().z.abs().max() > 5
    with pytest.raises(bn.ModelError, match="there must be a truth"):
        bn.diagnostics.sbc(bn.Model(2), (8, 6))
    with pytest.raises(bn.EngineError, match="engine that draws"):
        bn.diagnostics.sbc(MODEL, (8, 6), engine=bn.CAVI())


@pytest.mark.exhaustive
def test_a_lost_jacobian_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 12 scores in all none is beyond 4.5; without the volume of the coordinates one is beyond 8."""
    for engine in (bn.Gibbs(), bn.NUTS()):
        table = bn.diagnostics.geweke(MODEL, (5, 4), engine=engine, steps=4000)
        assert table.z.abs().max() < 4.5, table
    value = Joint._value
    monkeypatch.setattr(Joint, "_value", lambda self, site, z: (value(self, site, z)[0], jnp.zeros(())))
    assert bn.diagnostics.geweke(MODEL, (5, 4), engine=bn.NUTS(), steps=4000).z.abs().max() > 8
