"""Programs say what models say, coordinates have the volumes they promise, and NUTS draws what Gibbs draws."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arviz_stats.base import array_stats
from helpers import observations, thinned
from scipy import stats
from test_gibbs import planted

import bayesnmf as bn
from bayesnmf._input import read
from bayesnmf._resolve import resolve
from bayesnmf.engines._gibbs import Draw
from bayesnmf.engines._walk import draw_of, values_of
from bayesnmf.engines.gibbs import _Task as GibbsTask
from bayesnmf.engines.nuts import _Task
from bayesnmf.priors import SHAPES

LEARNED: dict[str, Any] = {"W": bn.Gamma(None), "H": bn.Gamma(None)}
MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "priors given": (bn.Poisson(), {"W": bn.Gamma(1.5, mean=4.0), "H": bn.Gamma(0.8, mean=1.0)}),
    "priors learned": (bn.Poisson(), LEARNED),
    "mean of W given": (bn.Poisson(), {"W": bn.Gamma(None, mean=2.0), "H": bn.Gamma(None)}),
    "dirichlet": (bn.Poisson(), {"W": bn.Gamma(1.5), "H": bn.Dirichlet(0.8)}),
    "shrinkage": (bn.Poisson(), {"W": bn.Exponential(), "H": bn.Exponential(), "shrinkage": bn.ARD()}),
    "known rows": (bn.Poisson(), LEARNED | {"known": np.arange(1.0, 16.0)[None]}),
    "shrinkage, known rows": (
        bn.Poisson(),
        {"W": bn.Gamma(2.0), "H": bn.Exponential(), "shrinkage": bn.ARD(), "known": np.arange(1.0, 16.0)[None]},
    ),
    "negative binomial": (bn.NegativeBinomial(), LEARNED),
    "compound Poisson": (bn.CompoundPoisson(), LEARNED),
    "gaussian": (bn.Gaussian(), {"W": bn.Exponential(), "H": bn.Exponential()}),
    "half-normal": (bn.Gaussian(variance=2.0), {"W": bn.HalfNormal(), "H": bn.HalfNormal()}),
}


def tasks(name: str) -> tuple[_Task, GibbsTask, Draw]:
    """Return one model in both engines, and a draw."""
    likelihood, parts = MODELS[name]
    X = planted() if name == "compound Poisson" else np.round(planted())
    table = read(X, **observations())
    made = []
    for engine, task in ((bn.NUTS(precision="float64"), _Task), (bn.Gibbs(precision="float64"), GibbsTask)):
        made.append(task(engine, resolve(bn.Model(3, likelihood, **parts), table, engine), table))
    start = bn.CAVI(starts=1, max_steps=20).run(made[0].model, table, jax.random.key(0))
    return made[0], made[1], made[0].dispersed(start.beliefs, jax.random.key(1), 1e-3)


@pytest.mark.parametrize("name", thinned(MODELS, "priors learned", "known rows", "shrinkage, known rows"))
def test_a_program_has_the_log_joint_of_its_model(name: str, x64: None) -> None:
    """Up to the hyper-prior of logarithms, which is 1 over the value, and what lean coordinates add."""
    nuts, gibbs, draw = tasks(name)
    joint = nuts.joint
    z = joint.coordinates(values_of(draw, joint))
    found, values = joint.density(z)
    again = draw_of(values, joint, len(draw.W))
    np.testing.assert_allclose(again.W, draw.W, rtol=1e-12)
    np.testing.assert_allclose(again.H, draw.H, rtol=1e-12)
    expected = float(gibbs.target.log_joint(again))
    for site, value in values.items():
        if site in ("shape_W", "shape_H"):
            expected -= np.log(float(value)) + np.log(np.log(SHAPES[1] / SHAPES[0]))
        elif site in again.likelihood.noise_ranges:
            low, high = again.likelihood.noise_ranges[site]
            expected -= np.log(float(value)) + np.log(np.log(high / low))
    expected += volume(joint, z)
    assert float(found) == pytest.approx(expected, rel=1e-8)


def volume(joint: Any, z: dict[str, jax.Array]) -> float:
    """Return log |d values / d coordinates|, by JAX's Jacobian; of Dirichlet rows with their sums."""
    simplex = isinstance(joint.program.H, bn.Dirichlet)
    total = 0.0
    for name in z:

        def value(own: Any, name: str = name) -> Any:
            return joint.density(z | {name: own})[1][name]

        if name == "H" and simplex:
            log_sum = jax.nn.logsumexp(z["H"], 1)
            m = z["H"].shape[1]
            own = stats.gamma(m).logpdf(np.exp(log_sum)) - np.asarray(log_sum) * (m - 1)
            total += float(np.sum(own) + jnp.sum(z["H"]))
            continue
        size = z[name].size
        jacobian = np.asarray(jax.jacobian(value)(z[name])).reshape(size, size)
        total += float(np.linalg.slogdet(jacobian)[1])
    return total


@pytest.mark.parametrize("name", thinned(("negative binomial", "compound Poisson", "gaussian"), "negative binomial"))
def test_a_lean_density_has_the_gradient_of_the_full_one(name: str, x64: None) -> None:
    """In all coordinates, of noise that is learned too."""
    nuts, _, draw = tasks(name)
    z = nuts.joint.coordinates(values_of(draw, nuts.joint))
    full = replace(nuts.joint, program=replace(nuts.joint.program, lean=False))
    lean, exact = (jax.grad(lambda z, j=j: j.density(z)[0])(z) for j in (nuts.joint, full))
    for site in z:
        np.testing.assert_allclose(lean[site], exact[site], rtol=1e-7, atol=1e-7, err_msg=site)


OPTIONS: dict[str, Any] = {"chains": 2, "warmup": 100, "draws": 100, "starts": 1}


@pytest.mark.exhaustive
def test_nuts_and_gibbs_draw_from_one_posterior(x64: None) -> None:
    """Means and squares of what labels cannot spoil, within 4 standard errors: 28 scores."""
    X = np.random.default_rng(3).poisson(4.0, (8, 6))
    model = bn.Model(2, bn.Poisson(), W=bn.Gamma(1.5, mean=2.0), H=bn.Gamma(1.2, mean=2.0))
    found = []
    for engine in (bn.NUTS(chains=2, warmup=300, draws=3000, starts=1), bn.Gibbs(chains=2, draws=20_000, starts=1)):
        posterior = bn.fit(X, model, engine=engine).posterior
        values = np.concatenate(
            [
                (posterior.W[:, :, :3] @ posterior.H[..., :4]).reshape(*posterior.W.shape[:2], -1),
                np.sort(posterior.W.sum(2), 2),
            ],
            2,
        )
        values = np.concatenate([values, values**2], 2)
        effective = array_stats.ess(values, chain_axis=0, draw_axis=1, method="mean")
        found.append((values.mean((0, 1)), values.var((0, 1)) / effective))
    (nuts, of_nuts), (gibbs, of_gibbs) = found
    scores = (nuts - gibbs) / np.sqrt(of_nuts + of_gibbs)
    assert np.abs(scores).max() < 4, scores


def test_a_run_that_was_stopped_goes_on_to_the_same_draws(tmp_path: Any) -> None:
    X, folder = planted(), tmp_path / "run"
    whole = bn.fit(X, rank=2, engine=bn.NUTS(**OPTIONS))
    first = bn.fit(X, rank=2, engine=bn.NUTS(**OPTIONS, checkpoint=str(folder)))
    for block in sorted(folder.glob("*.npz"))[1:6]:
        block.unlink()
    again = bn.fit(X, rank=2, engine=bn.NUTS(**OPTIONS, checkpoint=str(folder)))
    for fit in (first, again):
        np.testing.assert_array_equal(fit.posterior.W, whole.posterior.W)
        np.testing.assert_array_equal(fit.posterior.others["log_joint"], whole.posterior.others["log_joint"])


def test_nuts_fits_what_has_no_conditionals(tmp_path: Any) -> None:
    """Gamma noise, and priors that go with no conjugate update; intervals hold the mean that made X."""
    rng = np.random.default_rng(5)
    mean = rng.gamma(2.0, 2.0, (20, 2)) @ rng.gamma(2.0, 1.0, (2, 12))
    X = mean * rng.gamma(8.0, 1 / 8, mean.shape)
    model = bn.Model(2, bn.GammaNoise(), W=bn.HalfNormal(), H=bn.Gamma(2.0, mean=2.0))
    fit = bn.fit(X, model, engine=bn.NUTS(**OPTIONS))
    low, high = fit.interval("mean", 0.9)
    # 240 entries, the effective number of parameters is some 60: four binomial errors of that
    assert abs(np.mean((low <= mean) & (mean <= high)) - 0.9) < 4 * np.sqrt(0.09 / 60)
    assert 4 < float(fit.noise["shape"]) < 16
    fit.save(tmp_path / "fit.nc")
    assert repr(bn.load(tmp_path / "fit.nc")) == repr(fit)
    with pytest.raises(bn.EngineError, match="no density"):
        bn.fit(X, rank=2, likelihood=bn.BetaDivergence(1.5), engine=bn.NUTS())
    with pytest.raises(bn.EngineError, match="target"):
        bn.fit(X, rank=2, engine=bn.NUTS(target=1.5))
