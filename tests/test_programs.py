"""Programs of the user's: fitted as models are, and refused by name for what cannot be."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from arviz_stats import loo
from numpyro import distributions as dist
from scipy import stats
from test_gibbs import planted

import bayesnmf as bn

pytestmark = [
    pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto"), pytest.mark.usefixtures("promoted")
]  # fmt: skip


NUTS = bn.NUTS(chains=2, warmup=100, draws=100, starts=1)


def capacities(X: Any, *, n: int, m: int, rank: int, size_factors: Any = None) -> None:
    """Samples with a scale of their own, and log-normal components."""
    xi = numpyro.sample("xi", dist.Gamma(1.0, 1.0).expand([n]).to_event(1))
    W = numpyro.sample("W", dist.Gamma(1.0, xi[:, None]).expand([n, rank]))
    H = numpyro.sample("H", dist.LogNormal(0.0, 1.0).expand([rank, m]).to_event(2))
    mean = W @ H if size_factors is None else size_factors[:, None] * (W @ H)
    numpyro.sample("X", dist.Poisson(numpyro.deterministic("mean", mean)).to_event(2), obs=X)


def test_a_program_is_fitted_weighed_saved_and_compared(tmp_path: Path) -> None:
    X = planted()
    observed = np.ones(X.shape, bool)
    observed[3, 4] = False
    size = np.linspace(0.5, 2.0, len(X))
    fit = bn.fit(X, capacities, rank=3, engine=NUTS, observed=observed, weights=np.full(len(X), 2.0), size_factors=size)
    np.testing.assert_allclose(fit.H.sum(1), 1)
    assert np.all(np.diff(fit.mass) <= 0)
    assert "program capacities" in repr(fit)
    low, high = fit.interval("W")
    assert np.all(low <= high)
    tree = fit.to_datatree()
    assert tree.posterior["xi"].shape == (2, 100, len(X))
    assert tree.log_likelihood["X"].shape == (2, 100, X.size - 1)
    assert set(tree.sample_stats) == {"lp", "n_steps", "acceptance_rate", "diverging", "step_size"}
    v = size[:, None] * (tree.posterior["W"].values[0, 0] @ tree.posterior["H"].values[0, 0])
    expected = 2 * stats.poisson(v).logpmf(X)[observed]
    np.testing.assert_allclose(tree.log_likelihood["X"].values[0, 0], expected, rtol=1e-4, atol=1e-3)
    fit.save(tmp_path / "fit.nc")
    loaded = bn.load(tmp_path / "fit.nc", program=capacities)
    assert repr(loaded) == repr(fit)
    np.testing.assert_array_equal(loaded.to_datatree().log_likelihood["X"], tree.log_likelihood["X"])
    with pytest.raises(bn.EngineError, match="program="):
        bn.load(tmp_path / "fit.nc").to_datatree()
    with pytest.raises(bn.EngineError, match="no projection"):
        fit.project(X[:3])


@pytest.mark.exhaustive
def test_the_same_program_says_the_same_as_the_model() -> None:
    """Its SVI bound is that of the built-in model, within four Monte Carlo errors."""
    X = np.random.default_rng(0).poisson(4.0, (20, 10))

    def program(X: Any, *, n: int, m: int, rank: int) -> None:
        W = numpyro.sample("W", dist.Gamma(1.5, 0.75).expand([n, rank]))
        H = numpyro.sample("H", dist.Gamma(1.2, 0.6).expand([rank, m]))
        numpyro.sample("X", dist.Poisson(W @ H), obs=X)

    engine = bn.SVI(starts=1, max_steps=3000)
    model = bn.Model(2, bn.Poisson(), W=bn.Gamma(1.5, mean=2.0), H=bn.Gamma(1.2, mean=2.0))
    one, two = bn.fit(X, program, rank=2, engine=engine), bn.fit(X, model, engine=engine)
    assert abs(one.elbo - two.elbo) < 4 * np.hypot(one.residual, two.residual) + 0.5
    tree = one.to_datatree()
    assert np.isfinite(loo(tree).elpd)


def walk(X: Any, *, n: int, m: int, rank: int) -> None:
    """Activities that are coupled in time."""
    steps = numpyro.sample("steps", dist.Normal(0.0, 0.3).expand([n, rank]))
    W = numpyro.deterministic("W", jnp.exp(jnp.cumsum(steps, 0)))
    H = numpyro.sample("H", dist.Dirichlet(jnp.ones(m)).expand([rank]))
    numpyro.sample("X", dist.Poisson(10 * (W @ H)), obs=X)


def rotated(X: Any, *, n: int, m: int, rank: int) -> None:
    """A mean that is not W H."""
    W = numpyro.sample("W", dist.Gamma(1.0, 1.0).expand([n, rank]))
    H = numpyro.sample("H", dist.Gamma(1.0, 1.0).expand([rank, m]))
    mean = numpyro.deterministic("mean", W @ jnp.roll(H, 1, 1) + 0.1)
    numpyro.sample("X", dist.Poisson(mean), obs=X)


def test_deterministic_factors_and_other_means() -> None:
    X = planted()
    fit = bn.fit(X, walk, rank=2, engine=bn.SVI(max_steps=200))
    np.testing.assert_allclose(fit.H.sum(1), 1, rtol=1e-5)
    fit = bn.fit(X, rotated, rank=2, engine=bn.SVI(max_steps=200))
    assert "mean_is_not_WH" in [finding.name for finding in fit.warnings]


def shares(X: Any, *, n: int, m: int, rank: int) -> None:
    """X between 0 and 1, as methylation is."""
    W = numpyro.sample("W", dist.Gamma(1.0, 1.0).expand([n, rank]))
    H = numpyro.sample("H", dist.Gamma(1.0, 1.0).expand([rank, m]))
    numpyro.sample("X", dist.Beta(1 + W @ H, 2.0), obs=X)


def test_missing_entries_need_not_be_possible_at_one() -> None:
    X = np.random.default_rng(0).beta(2.0, 2.0, (10, 6))
    X[3, 2] = X[0, 4] = np.nan
    fit = bn.fit(X, shares, rank=2, engine=bn.SVI(max_steps=50, draws=20, starts=1))
    assert np.isfinite(fit.W).all()
    assert np.isfinite(fit.objective)


def budgets(X: Any, *, n: int, m: int, rank: int) -> None:
    """Sites by sample and by feature, which no plate names, and whose lengths may be those of others."""
    xi = numpyro.sample("xi", dist.Gamma(2.0, 2.0).expand([n]))
    eta = numpyro.sample("eta", dist.Gamma(2.0, 2.0).expand([m]))
    W = numpyro.sample("W", dist.Gamma(1.0, xi[:, None]).expand([n, rank]))
    H = numpyro.sample("H", dist.Gamma(1.0, eta[None]).expand([rank, m]))
    numpyro.sample("X", dist.Poisson(W @ H), obs=X)


def ordered(X: Any, *, n: int, m: int, rank: int) -> None:
    """Components that their priors tell apart."""
    W = numpyro.sample("W", dist.Gamma(1.0, 1.0 / jnp.arange(1.0, rank + 1)).expand([n, rank]))
    H = numpyro.sample("H", dist.Dirichlet(jnp.ones(m)).expand([rank]))
    numpyro.sample("X", dist.Poisson(W @ H), obs=X)


def known_and_new(X: Any, *, n: int, m: int, rank: int, known: Any = None) -> None:
    """The first rows of H are known, if there are any."""
    known = jnp.zeros((0, m)) if known is None else jnp.asarray(known)
    W = numpyro.sample("W", dist.Gamma(1.0, 0.1).expand([n, rank]))
    new = numpyro.sample("new_H", dist.Dirichlet(jnp.ones(m)).expand([rank - len(known)]))
    H = numpyro.deterministic("H", jnp.concatenate([known, new]))
    numpyro.sample("X", dist.Poisson(W @ H), obs=X)


QUICK = bn.SVI(max_steps=100, draws=20, starts=1)


def test_lengths_that_are_equal_by_chance_move_nothing() -> None:
    """Three features and three components: what features have stays with features."""
    X = np.random.default_rng(0).poisson(np.outer(np.ones(15), [100, 10, 1]))
    fit = bn.fit(X, budgets, rank=3, engine=QUICK)
    assert fit.posterior.dims["eta"] == ("eta_0",)
    assert np.all(np.diff(fit.posterior.others["eta"].mean((0, 1))) > 0)
    assert "components_not_matched" not in [finding.name for finding in fit.warnings]


def test_components_that_are_told_apart_stay_where_they_are() -> None:
    fit = bn.fit(1000 * planted(), ordered, rank=3, engine=QUICK)  # data beside which priors are lost in rounding
    assert "components_not_matched" in [finding.name for finding in fit.warnings]
    np.testing.assert_allclose(fit.H.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 3])
def test_known_rows_stay_and_new_ones_move_in_all_sites(count: int) -> None:
    """With all rows known too, where there is nothing to be matched."""
    X = planted()
    known = np.random.default_rng(1).dirichlet(np.ones(X.shape[1]), count)
    fit = bn.fit(X, partial(known_and_new, known=known), rank=3, engine=QUICK)
    np.testing.assert_allclose(fit.H[:count], known, rtol=1e-4)
    draws = fit.posterior
    np.testing.assert_allclose(draws.others["new_H"], draws.H[:, :, count:], rtol=1e-4, atol=1e-6)


def test_groups_that_have_a_default_need_not_be_given() -> None:
    def program(X: Any, *, groups: Any = None, **sizes: Any) -> None:
        assert groups is None or len(groups) == sizes["n"]
        capacities(X, n=sizes["n"], m=sizes["m"], rank=sizes["rank"])

    X = planted()
    for given in ({}, {"groups": np.arange(len(X)) // 5}):
        assert bn.fit(X, program, rank=2, engine=QUICK, **given).rank == 2


def test_what_groups_have_is_named_by_them(tmp_path: Path) -> None:
    X = planted()
    donors = np.repeat(["b", "a"], [12, len(X) - 12])
    fit = bn.fit(X, bn.models.load("hierarchical-groups"), rank=3, groups=donors, engine=QUICK)
    level = fit.to_datatree().posterior["level"]
    assert level.dims == ("chain", "draw", "group", "component")
    assert level["group"].values.tolist() == ["a", "b"]
    posterior = replace(fit.posterior, dims=fit.posterior.dims | {"level": ("group",)})
    replace(fit, posterior=posterior).save(tmp_path / "fit.nc")
    with pytest.raises(bn.DataError, match="other dimensions"):
        bn.load(tmp_path / "fit.nc")


def sites(**missing: Any) -> Any:
    def program(X: Any, *, n: int, m: int, rank: int) -> None:
        for name in missing.get("discrete", ()):
            numpyro.sample(name, dist.Poisson(1.0))
        if "named" in missing:
            numpyro.sample(missing["named"], dist.Gamma(1.0, 1.0))
        if "plate" in missing:
            with numpyro.plate("component", missing["plate"]):
                numpyro.sample("rate", dist.Gamma(1.0, 1.0))
        for name in missing.get("param", ()):
            numpyro.param(name, 1.0)
        if "boom" in missing:
            raise RuntimeError("boom")
        W = numpyro.sample(missing.get("W", "W"), dist.Gamma(1.0, 1.0).expand([n, rank]))
        H = numpyro.sample(missing.get("H", "H"), dist.Gamma(1.0, 1.0).expand([rank, m + missing.get("more", 0)]))
        mean = (W @ H)[:, :m]
        numpyro.sample("X", missing.get("noise", dist.Poisson)(mean), obs=None if "free" in missing else X)

    return program


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (sites(boom=True), "could not be run: RuntimeError"),
        (sites(W="activities"), "no site W"),
        (sites(more=1), r"Expected site H of shape \(3, 15\); got \(3, 16\)"),
        (sites(free=True), "no observed site X"),
        (sites(discrete=["z"]), "'z' is discrete"),
        (sites(named="scale"), "'scale' has a name that a fit has"),
        (sites(named="noise/shape"), "'noise/shape' has a slash"),
        (sites(plate=7), "Expected plate 'component' to have length 3; got 7"),
        (sites(param=["level"]), "numpyro.param"),
        (sites(noise=lambda mean: dist.Beta(mean, 1.0)), "log density of the program is"),
    ],
)
def test_programs_that_cannot_be_fitted_are_refused_by_name(program: Any, message: str) -> None:
    with pytest.raises(bn.ModelError, match=message):
        bn.fit(planted(), program, rank=3, engine=NUTS)


def test_engines_and_arguments_that_do_not_go_with_programs_are_refused() -> None:
    X = planted()
    with pytest.raises(bn.EngineError, match="got CAVI"):
        bn.fit(X, capacities, rank=3, engine=bn.CAVI())
    with pytest.raises(bn.EngineError, match="got no engine"):
        bn.fit(X, capacities, rank=3)
    with pytest.raises(bn.ModelError, match="not for a program"):
        bn.fit(X, capacities, rank=3, engine=NUTS, negative="clip")
    with pytest.raises(bn.ModelError, match="how many components"):
        bn.fit(X, capacities, engine=NUTS)
    with pytest.raises(bn.ModelError, match="opportunities are given"):
        bn.fit(X, capacities, rank=3, engine=NUTS, opportunities=np.ones(X.shape[1]))
    with pytest.raises(bn.EngineError, match="leave out batch"):
        bn.fit(X, capacities, rank=3, engine=bn.SVI(batch=5))
