"""Gibbs: draws that leave the joint distribution as it is, and what a fit makes of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arviz_stats.base import array_stats
from helpers import observations, planted, thinned
from scipy import stats

import bayesnmf as bn
from bayesnmf._input import read
from bayesnmf._resolve import resolve
from bayesnmf.engines import _gibbs
from bayesnmf.engines._gibbs import Draw, Target
from bayesnmf.engines._slice import slice_within
from bayesnmf.engines._truncated import TruncatedNormals
from bayesnmf.engines.gibbs import _Task
from bayesnmf.likelihoods._wright import draw_number
from bayesnmf.report import write_report

N, M, K = 5, 6, 2
SHAPES = (0.6, 2.5)
STEPS = 8000
RANGES = {
    bn.NegativeBinomial: {"dispersion": (0.1, 1.0)},
    bn.CompoundPoisson: {"shape": (0.5, 3.0), "jump": (0.5, 2.0)},
    bn.Gaussian: {"variance": (0.5, 2.0)},
}
"""Narrow hyper-priors, under which no draw from the prior is extreme."""

GEWEKE: dict[str, tuple[Any, dict[str, Any]]] = {
    "poisson": (bn.Poisson(), {"W": bn.Gamma(1.5, mean=1.5), "H": bn.Gamma(0.7, mean=1.2)}),
    "poisson-learned": (bn.Poisson(), {"W": bn.Gamma(None), "H": bn.Gamma(None)}),
    "dirichlet": (bn.Poisson(), {"W": bn.Gamma(1.5, mean=4.0), "H": bn.Dirichlet(0.8)}),
    "ard": (bn.Poisson(), {"shrinkage": bn.ARD(a=30.0, b=29.0)}),
    "negative-binomial": (bn.NegativeBinomial(), {"W": bn.Gamma(1.5, mean=1.5), "H": bn.Gamma(1.5, mean=1.0)}),
    "compound-poisson": (bn.CompoundPoisson(), {"W": bn.Gamma(1.5, mean=1.5), "H": bn.Gamma(1.5, mean=1.0)}),
    "gaussian": (bn.Gaussian(), {"W": bn.Exponential(mean=1.0), "H": bn.Exponential(mean=1.5)}),
    "gaussian-half-normal": (bn.Gaussian(), {"W": bn.HalfNormal(mean=1.2), "H": bn.HalfNormal(mean=1.0)}),
}


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gibbs, "SHAPES", SHAPES)


def target_for(name: str) -> tuple[_Task, np.ndarray]:
    """Return a task whose X is all ones, so that every observed entry is among the positive ones."""
    likelihood, priors = GEWEKE[name]
    beside = {"observed": observations(0, N, M)["observed"], "size_factors": np.linspace(0.7, 1.4, N)}
    engine = bn.Gibbs(precision="float64")
    table = read(np.ones((N, M)), **beside)
    return _Task(engine, resolve(bn.Model(K, likelihood, **priors), table, engine), table), beside["size_factors"]


def from_prior(key: jax.Array, target: Target, likelihood: Any, given: tuple[float, ...]) -> Draw:
    """Draw everything but X."""
    keys = iter(jax.random.split(key, 20))
    shapes, rates = list(given[:2]), [jnp.full(K, rate) for rate in given[2:]]
    for side, prior in enumerate((target.W, target.H)):
        letter = "WH"[side]
        mean = shapes[side] / rates[side][-1]
        if f"shape_{letter}" in target.learned:
            low, high = np.log(SHAPES)
            shapes[side] = jnp.exp(jax.random.uniform(next(keys), (), float, low, high))
            rates[side] = jnp.full(K, shapes[side] / mean)
        if f"rate_{letter}" in target.learned:
            rates[side] = jnp.full(K, jax.random.exponential(next(keys)) / target.size**prior.power)
    if target.shrinkage is not None:
        rates = [jax.random.gamma(next(keys), target.shrinkage.shape, (K,)) / target.shrinkage.rate] * 2
    factors = []
    for prior, shape, rate, size in (
        (target.W, shapes[0], rates[0][None], (N, K)),
        (target.H, shapes[1], rates[1][:, None], (K, M)),
    ):
        if isinstance(prior, bn.Dirichlet):
            factors.append(jax.random.dirichlet(next(keys), jnp.full(M, shape), (K,)))
        elif prior.power == 2:
            factors.append(jnp.abs(jax.random.normal(next(keys), size)) / jnp.sqrt(rate))
        else:
            factors.append(jax.random.gamma(next(keys), shape, size) / rate)
    for parameter, (low, high) in RANGES.get(type(likelihood), {}).items():
        value = jnp.exp(jax.random.uniform(next(keys), (), float, np.log(low), np.log(high)))
        likelihood = replace(likelihood, **{parameter: value})
    return Draw(*factors, *map(jnp.asarray, shapes), *rates, likelihood)


def quantities(draw: Draw) -> jax.Array:
    mean = draw.W[:N] @ draw.H
    noise = [jnp.log(jnp.asarray(a)) for a in jax.tree.leaves(draw.likelihood)]
    values = [
        mean[0, 0], mean[N - 1, M - 1], jnp.sum(draw.W), jnp.sum(draw.H), jnp.sum(jnp.log(draw.W[:N])),
        jnp.sum(jnp.log(draw.H)), jnp.log(draw.rate_W[0]), jnp.log(draw.shape_W), jnp.log(draw.shape_H), *noise,
    ]  # fmt: skip
    return jnp.tanh(jnp.stack(values) / 10)  # bounded, so that means have Monte Carlo errors


def z_scores(name: str, steps: int, spoil: Any = lambda *given: given) -> np.ndarray:
    """Return how far means under "draw X, then sweep" are from those of the prior, in standard errors (Geweke 2004)."""
    task, factors = target_for(name)
    target = task.target
    likelihood = target_likelihood = task.prepared.likelihood
    ranges = RANGES.get(type(likelihood), {})
    W, H = (float(np.asarray(1.0 if p.shape is None else p.shape)) for p in (task.W, task.H))
    rates = [
        float(p.rate(np.float64(task.prepared.size if p.mean is None else p.mean)))
        for p in (task.W, task.H)
    ]  # fmt: skip
    given = (W, H, *rates)
    seen = target.positive

    def with_X(key: jax.Array, draw: Draw) -> Target:
        X = draw.likelihood.sample(key, factors[:, None] * (draw.W @ draw.H))
        data = replace(target.data, x=X[None], signed=True)
        transposed = None if target.transposed is None else replace(target.transposed, x=X.T[None], signed=True)
        positive = None if seen is None else seen._replace(x=jnp.where(seen.x > 0, X[seen.row, seen.column], 0))
        return replace(target, data=data, transposed=transposed, positive=positive)

    @jax.jit
    def run(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def prior(key: jax.Array) -> jax.Array:
            return quantities(from_prior(key, target, target_likelihood, given))

        def step(draw: Draw, key: jax.Array) -> tuple[Draw, jax.Array]:
            of_X, of_sweep = jax.random.split(key)
            at, given = spoil(with_X(of_X, draw), draw)
            new = at.sweep(of_sweep, given)
            draw = (
                new._replace(shape_W=draw.shape_W, rate_W=draw.rate_W, rate_H=draw.rate_H) if given is not draw else new
            )
            return draw, quantities(draw)

        first, free, bound = jax.random.split(key, 3)
        exact = jax.lax.map(prior, jax.random.split(free, 20_000), batch_size=500)
        chain = jax.lax.scan(step, from_prior(first, target, target_likelihood, given), jax.random.split(bound, steps))[
            1
        ]
        return exact, chain

    with pytest.MonkeyPatch.context() as patch:
        if ranges:
            patch.setattr(type(likelihood), "noise_ranges", property(lambda self: ranges))
        exact, chain = (np.asarray(a) for a in run(jax.random.key(0)))
    varies = exact.std(0) > 1e-9
    exact, chain = exact[:, varies], chain[None, :, varies]
    effective = array_stats.ess(chain, chain_axis=0, draw_axis=1, method="mean")
    error = np.sqrt(exact.var(0) / len(exact) + chain.var((0, 1)) / effective)
    assert np.all(effective > 50), effective
    return (chain.mean((0, 1)) - exact.mean(0)) / error


@pytest.mark.parametrize("name", thinned(GEWEKE, "poisson", drop="poisson-learned"))
def test_sweeps_leave_the_joint_distribution_as_it_is(name: str, x64: None) -> None:
    """Of some 60 scores in all, one beyond 4.2 has a probability below 0.002."""
    scores = z_scores(name, STEPS)
    assert np.abs(scores).max() < 4.2, scores


FAULTS = {
    "wrong shape": lambda target, draw: (target, draw._replace(shape_W=draw.shape_W * 1.3)),
    "forgotten mask": lambda target, draw: (replace(target, data=replace(target.data, weight=None)), draw),
    "swapped rate": lambda target, draw: (target, draw._replace(rate_W=draw.rate_H, rate_H=draw.rate_W)),
}


@pytest.mark.parametrize("fault", thinned(FAULTS, "forgotten mask"))
def test_planted_faults_are_seen(fault: str, x64: None) -> None:
    assert np.abs(z_scores("poisson", STEPS // 2, FAULTS[fault])).max() > 6


def test_parameters_of_priors_are_drawn_from_their_conditional(x64: None) -> None:
    """W from its prior, then shape and rate given W: the hyper-priors must stay."""
    target = target_for("poisson-learned")[0].target
    steps, low_high = 40_000, np.log(SHAPES)

    def step(draw: Draw, key: jax.Array) -> tuple[Draw, jax.Array]:
        of_W, of_H, own = jax.random.split(key, 3)
        W = jax.random.gamma(of_W, draw.shape_W, draw.W.shape) / draw.rate_W[None]
        H = jax.random.gamma(of_H, draw.shape_H, draw.H.shape) / draw.rate_H[:, None]
        draw = target._learn(own, draw._replace(W=W, H=H), {"W": jnp.log(W), "H": jnp.log(H)})
        return draw, jnp.stack([jnp.log(draw.shape_W), jnp.log(draw.shape_H), jnp.exp(-target.size * draw.rate_W[0])])

    one = jnp.ones(())
    first = Draw(jnp.ones((N, K)), jnp.ones((K, M)), one, one, jnp.ones(K), jnp.ones(K) / target.size, bn.Poisson())
    chain = np.asarray(
        jax.jit(lambda keys: jax.lax.scan(step, first, keys)[1])(jax.random.split(jax.random.key(1), steps))
    )
    uniform = np.column_stack([(chain[:, :2] - low_high[0]) / np.diff(low_high), chain[:, 2]])
    effective = array_stats.ess(uniform[None], chain_axis=0, draw_axis=1, method="mean")
    assert np.all(effective > 300)
    assert np.abs((uniform.mean(0) - 0.5) / np.sqrt(1 / 12 / effective)).max() < 4


def test_slices_are_draws_from_the_density(x64: None) -> None:
    """Two densities at once, one of them far from its chain's first value."""
    mean = jnp.array([0.0, 30.0])

    def step(x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = slice_within(key, lambda y: -0.5 * ((y - mean) / 2) ** 2, x, jnp.float64(-100.0), jnp.float64(100.0))
        return x, x

    keys = jax.random.split(jax.random.key(0), 5000)
    chain = np.asarray(jax.jit(lambda keys: jax.lax.scan(step, jnp.array([90.0, -90.0]), keys)[1])(keys))[10:]
    for values, centre in zip(chain.T, mean, strict=True):
        assert stats.kstest(values[::10], stats.norm(centre, 2).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("mu", "shape"), [(0.3, 1.0), (4.0, 0.5), (60.0, 2.0), (300.0, 20.0)])
def test_numbers_of_jumps_have_the_probabilities_of_the_series(mu: float, shape: float, x64: None) -> None:
    drawn = np.asarray(draw_number(jax.random.key(0), jnp.full(20_000, mu), jnp.asarray(shape)))
    n = np.arange(1, 1000)
    log_z = (1 + shape) * np.log(mu) + shape * np.log(shape)
    log_p = n * log_z - np.vectorize(lambda i: np.sum(np.log(np.arange(1, i + 1))))(n)
    log_p -= np.array([float(jax.scipy.special.gammaln(shape * i)) for i in n])
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    mean, sd = p @ n, np.sqrt(p @ n**2 - (p @ n) ** 2)
    assert abs(drawn.mean() - mean) < 4 * sd / np.sqrt(len(drawn)) + 1e-9
    common = p * len(drawn) > 20
    counts = np.array([(drawn == i).sum() for i in n[common]])
    assert stats.chi2.sf(np.sum((counts - p[common] * len(drawn)) ** 2 / (p[common] * len(drawn))), common.sum()) > 1e-3


def test_numbers_of_jumps_do_not_run_away(x64: None) -> None:
    """In float32 probabilities add up to less than 1: the rest is nowhere far out. Beyond 8 widths are 1e-15 of all."""
    mu = jnp.asarray(np.random.default_rng(0).uniform(20, 200, 400_000), jnp.float32)
    drawn = np.asarray(draw_number(jax.random.key(1), mu, jnp.asarray(30.0, jnp.float32)))
    width = np.sqrt(np.asarray(mu, float) / 31)
    assert np.abs(drawn - np.asarray(mu, float)).max() < 8 * width.max()


@pytest.mark.parametrize("holes", [False, True])
def test_known_rows_are_held_while_others_are_drawn(holes: bool, x64: None) -> None:
    """One component after the other, by the same uniform numbers, in NumPy."""
    rng = np.random.default_rng(0)
    X, known = planted(12, 7) + rng.normal(size=(12, 7)), rng.gamma(1.0, 1.0, (1, 7))
    seen = rng.random(X.shape) > 0.2 if holes else np.ones(X.shape, bool)
    engine, table = bn.Gibbs(precision="float64"), read(X, observed=seen if holes else None)
    task = _Task(engine, resolve(bn.Model(3, bn.Gaussian(variance=0.5), known=known), table, engine), table)
    start = bn.CAVI(starts=1, max_steps=20).run(task.model, table, jax.random.key(0))
    draw, key = task.dispersed(start.beliefs, jax.random.key(1), 1e-3), jax.random.key(2)
    found, _ = task.target._normal(key, draw, "H")
    uniform = jax.random.uniform(key, draw.H.shape, float, np.finfo(float).eps / 4, 1)
    W, H = np.array(draw.W)[:12], np.array(draw.H)
    precision = seen / float(task.prepared.likelihood.variance)
    x = np.asarray(X) / task.prepared.unit
    for k in range(1, 3):
        rest = x - W @ H + np.outer(W[:, k], H[k])
        linear = (precision * W[:, [k]] * rest).sum(0) - np.asarray(draw.rate_H)[k]
        q = TruncatedNormals(linear, (precision * W[:, [k]] ** 2).sum(0), 1)
        H[k] = q.draw(uniform[k])
    np.testing.assert_allclose(found.H, H, rtol=1e-8)


def test_the_scale_of_components_that_are_not_there_is_not_drawn(x64: None) -> None:
    """What they are drawn from is none of the move's business, with a learned rate too."""
    engine, table = bn.Gibbs(precision="float64"), read(np.round(planted(12, 7)))
    task = _Task(engine, resolve(bn.Model(3, bn.Poisson()), table, engine), table)
    start = bn.CAVI(starts=1, max_steps=20).run(task.model, table, jax.random.key(0))
    draw = task.dispersed(start.beliefs, jax.random.key(1), 1e-3)._replace(on=jnp.array([1.0, 0.0, 1.0]))
    logs = {"W": jnp.log(draw.W), "H": jnp.log(draw.H)}
    moved, _ = task.target._rescale(jax.random.key(2), draw, logs)
    assert [bool(np.all(moved.H[k] == draw.H[k])) for k in range(3)] == [False, True, False]
    np.testing.assert_array_equal(moved.W[:, 1], draw.W[:, 1])


def test_truncated_normals_have_the_moments_they_are_made_of(x64: None) -> None:
    mean = np.array([1.0, 1.0, 1.0, 2e-9, 3e9])
    variance = np.array([1e-3, 0.3, 0.98, 1e-18, 1e18])
    q = TruncatedNormals.of_moments(mean, variance)
    np.testing.assert_allclose(q.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(q.variance, variance, rtol=1e-5)
    wide = TruncatedNormals.of_moments(np.ones(1), np.full(1, 1.5))  # wider than an exponential none is
    np.testing.assert_allclose([wide.mean, wide.variance], 1, rtol=1e-5)


@pytest.mark.parametrize("z", [-30.0, -3.5, -2.5, 0.0, 4.0, 30.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_truncated_normals_are_inverted(z: float, dtype: str, x64: None) -> None:
    uniform = np.linspace(0.001, 0.999, 101)
    drawn = np.asarray(
        TruncatedNormals(jnp.asarray(2 * z, dtype), jnp.asarray(4.0, dtype), 1).draw(jnp.asarray(uniform, dtype))
    )
    expected = stats.truncnorm(-z, np.inf, loc=z).isf(uniform) / 2
    np.testing.assert_allclose(drawn, expected, rtol=2e-3 if dtype == "float32" else 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_tails_are_exponential(dtype: str, x64: None) -> None:
    """At z = -1e4 the next term is 1e-8 of it: no digit may be lost to the square of z.

    0.999 in float32 is off by up to 3e-8, which is 3e-5 of its logarithm.
    """
    uniform = np.linspace(0.001, 0.999, 101)
    drawn = TruncatedNormals(jnp.asarray(-1e4, dtype), jnp.asarray(1.0, dtype), 1).draw(jnp.asarray(uniform, dtype))
    np.testing.assert_allclose(drawn, -np.log(uniform) / 1e4, rtol=3e-5 if dtype == "float32" else 1e-7)


OPTIONS = {"chains": 2, "warmup": 50, "draws": 100, "starts": 1}


def test_a_run_that_was_stopped_goes_on_to_the_same_draws(tmp_path: Path) -> None:
    X, folder = planted(), str(tmp_path / "run")
    whole = bn.fit(X, rank=3, engine=bn.Gibbs(**OPTIONS))
    first = bn.fit(X, rank=3, engine=bn.Gibbs(**OPTIONS, checkpoint=folder))
    blocks = sorted(Path(folder).glob("*.npz"))
    assert len(blocks) == 6
    for block in blocks[1:5]:
        block.unlink()
    (Path(folder) / "chain00-block00009.77.part").write_bytes(b"cut short")
    again = bn.fit(X, rank=3, engine=bn.Gibbs(**OPTIONS, checkpoint=folder))
    for fit in (first, again):
        np.testing.assert_array_equal(fit.posterior.W, whole.posterior.W)
        for name, values in whole.posterior.others.items():
            np.testing.assert_array_equal(fit.posterior.others[name], values)
    other = bn.Model(3, W=bn.Gamma(None), H=bn.Exponential())
    for model, seed in ((bn.Model(3), 1), (other, 0)):
        with pytest.raises(bn.EngineError, match="another run"):
            bn.fit(X, model, seed=seed, engine=bn.Gibbs(**OPTIONS, checkpoint=folder))


def test_a_fit_by_draws_has_all_that_a_fit_has(tmp_path: Path) -> None:
    X, beside = planted(), observations()
    fit = bn.fit(X, rank=3, engine=bn.Gibbs(**OPTIONS), **beside)
    n, m = X.shape
    np.testing.assert_allclose(fit.H.sum(1), 1)
    assert np.all(np.diff(fit.mass) <= 0)
    for name, shape in (("W", (n, 3)), ("H", (3, m)), ("mean", (n, m)), ("mass", (3,)), ("share", (3,))):
        low, high = fit.interval(name)
        assert low.shape == high.shape == shape
        assert np.all(low <= high)
    draws = fit.draws(150, seed=3)
    low, high = np.quantile(draws["W"] @ draws["H"], [0.05, 0.95], axis=0)
    assert np.corrcoef(low.ravel(), fit.interval("mean")[0].ravel())[0, 1] > 0.99
    assert {"feature", "share", "low", "high", "probability"} <= set(fit.markers(0).columns)
    assert "R-hat" in repr(fit)
    others = fit.posterior.others
    assert fit.model.W.shape == pytest.approx(others["shape_W"].mean())
    assert fit.model.W.mean == pytest.approx(others["shape_W"].mean() / others["rate_W"].mean())
    with pytest.raises(bn.EngineError, match="draws"):
        fit.interval("W", method="linear_response")
    with pytest.raises(bn.EngineError, match="evidence bound"):
        _ = fit.elbo
    fit.save(tmp_path / "fit.nc")
    loaded = bn.load(tmp_path / "fit.nc")
    for name in ("W", "mean", "share"):
        np.testing.assert_array_equal(loaded.interval(name), fit.interval(name))
    assert repr(loaded) == repr(fit)
    write_report(loaded, tmp_path / "report", "Draws")
    assert "mean field" not in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    found = loaded.project(X[:4], **{k: v[:4] if np.shape(v)[0] == n else v for k, v in beside.items()})
    assert np.all(found.interval()[0] <= found.W)
    sd = np.sqrt(fit.posterior.variance("W")[:4])
    assert np.abs((found.W - fit.W[:4]) / sd).max() < 2


def test_scales_go_with_their_components() -> None:
    """ARD draws rate_k from Gamma(a + n + m, b + sum w_ik + sum h_kj) given all others: their product has mean 1.

    Within 5 errors of 200 such draws, each of variance 1 / (a + n + m); the masses are 1 to 4 to 16.
    """
    rng = np.random.default_rng(0)
    X = rng.poisson(rng.gamma(2.0, [20.0, 80.0, 320.0], (20, 3)) @ rng.dirichlet(np.ones(12), 3))
    fit = bn.fit(X, bn.Model(3, shrinkage=bn.ARD()), engine=bn.Gibbs(**OPTIONS))
    assert fit.rank == 3
    posterior, shrinkage = fit.posterior, fit.model.shrinkage
    scale = posterior.others["scale"]
    raw = posterior.W.sum(2) / scale
    shape = shrinkage.a + sum(X.shape)
    pivot = posterior.others["rate_W"] * (shrinkage.b + raw + scale) / shape
    np.testing.assert_allclose(pivot.mean((0, 1)), 1, atol=5 / np.sqrt(200 * shape))


def test_precision_reaches_the_chains() -> None:
    """Each runs in a thread of its own, which does not inherit the setting."""
    fit = bn.fit(planted(), rank=2, engine=bn.Gibbs(**OPTIONS, precision="float64"))
    shape = fit.posterior.others["shape_W"]
    assert np.mean(shape.astype(np.float32) == shape) < 0.1


def test_chains_apart_are_said_so() -> None:
    """Two chains in two modes: the columns of one are those of the other in a part of the samples only."""
    fit = bn.fit(planted(), rank=3, engine=bn.Gibbs(**OPTIONS))
    from bayesnmf._checks import interval_findings

    W = fit.posterior.W.copy()
    W[1] *= np.linspace(0.3, 3.0, W.shape[2])[:, None]
    names = {finding.name for finding in interval_findings(replace(fit.posterior, W=W))}
    assert "chains_disagree" in names


def test_labels_that_switch_are_put_right() -> None:
    from bayesnmf.engines._chains import Kept, align

    rng = np.random.default_rng(0)
    H = rng.dirichlet(np.full(12, 0.3), 4)
    kept = Kept(
        np.empty((2, 5, 7, 4)), np.empty((2, 5, 4, 12)),
        {"rate_W": np.empty((2, 5, 4)), "log_joint": np.zeros((2, 5)), "scale": np.full((2, 5, 4), 3.0)},
    )  # fmt: skip
    W = rng.gamma(1.0, 1.0, (7, 4))
    for c, d in np.ndindex(2, 5):
        order = np.r_[0, 1 + rng.permutation(3)]
        kept.W[c, d], kept.H[c, d], kept.others["rate_W"][c, d] = W[:, order], 3.0 * H[order], order
    found = align(kept, H, 1)
    np.testing.assert_allclose(found.H, np.broadcast_to(H, found.H.shape))
    np.testing.assert_allclose(found.W, np.broadcast_to(3 * W, found.W.shape))
    np.testing.assert_array_equal(found.others["rate_W"], np.broadcast_to(np.arange(4), (2, 5, 4)))


def test_weights_that_are_not_whole_and_noise_by_feature_are_refused() -> None:
    X = planted()
    with pytest.raises(bn.EngineError, match="whole weights"):
        bn.fit(X, rank=2, weights=np.full(X.shape, 0.5), engine=bn.Gibbs(**OPTIONS))
    with pytest.raises(bn.EngineError, match="one noise parameter"):
        bn.fit(X, rank=2, likelihood=bn.NegativeBinomial(per_feature=True), engine=bn.Gibbs(**OPTIONS))
    with pytest.raises(bn.EngineError, match="every event"):
        bn.fit(1e9 * X, rank=2, engine=bn.Gibbs(**OPTIONS))
    with pytest.raises(bn.EngineError, match="chains"):
        bn.fit(X, rank=2, engine=bn.Gibbs(chains=0))


@pytest.mark.exhaustive
def test_half_normal_factors_are_projected() -> None:
    model = bn.Model(2, bn.Gaussian(), W=bn.HalfNormal(), H=bn.HalfNormal())
    fit = bn.fit(planted(), model, engine=bn.Gibbs(**OPTIONS))
    sd = np.sqrt(fit.posterior.variance("W")[:4])
    assert np.abs((fit.project(planted()[:4]).W - fit.W[:4]) / sd).max() < 2
