"""Pictures and words of a fit: they show what the fit says."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from scipy.sparse import csr_array

import bayesnmf as bn
from bayesnmf.engines._families import Dirichlets
from bayesnmf.plotting import CHANNELS
from bayesnmf.plotting._draw import PALETTE, TOP
from bayesnmf.plotting._mutations import GROUPS
from bayesnmf.plotting._predictive import said
from bayesnmf.report import page, write_report

ENGINE = bn.MAP(starts=3, max_steps=200)
ONE = bn.CAVI(starts=1)
PLOTS = ("components", "activities", "shares", "relevance", "agreement", "trace")


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


def counts(n: int = 20, m: int = 8) -> np.ndarray:
    rng = np.random.default_rng(5)
    return rng.poisson(rng.gamma(1.0, 4.0, (n, 2)) @ rng.dirichlet(np.ones(m), 2) * m) + 1


def named() -> pd.DataFrame:
    return pd.DataFrame(counts(), [f"s{i}" for i in range(20)], [f"gene|{j}" for j in range(8)])


def empty() -> bn.Fit:
    fit = bn.fit(counts(), bn.Model(8, shrinkage=bn.ARD()), engine=ENGINE)
    agreement = replace(fit.agreement, rank=np.zeros(3, int), cosine=np.zeros((3, 0)))
    return replace(fit, W=fit.W[:, :0], H=fit.H[:0], rate_W=fit.rate_W[:0], agreement=agreement)


@cache
def posterior() -> bn.Fit:
    return bn.fit(named(), rank=2, engine=bn.CAVI(starts=2))


def stopped_early() -> bn.Fit:
    """Return a fit whose posterior is not at an optimum, so that it has no linear response."""
    fit = posterior()
    assert fit.posterior is not None
    W = fit.posterior.W
    return replace(fit, posterior=replace(fit.posterior, W=W._replace(shape=W.shape[::-1])))  # type: ignore[union-attr]


def mean_field() -> bn.Fit:
    fit = posterior()
    assert fit.posterior is not None
    return replace(fit, posterior=replace(fit.posterior, H=Dirichlets(fit.posterior.H.shape), linear=False))  # type: ignore[union-attr]


FITS = {
    "posterior": posterior,
    "posterior, stopped early": stopped_early,
    "posterior, mean field": mean_field,
    "names": lambda: bn.fit(named(), rank=3, engine=ENGINE),
    "shrinkage": lambda: bn.fit(counts(), bn.Model(8, shrinkage=bn.ARD()), engine=ENGINE),
    "rank 0": empty,
    "rank 1, one start": lambda: bn.fit(counts(), rank=1, engine=replace(ENGINE, starts=1)),
    "many features": lambda: bn.fit(counts(30, 300), rank=2, engine=ENGINE),
    "one step": lambda: bn.fit(counts(), rank=2, engine=bn.MAP(max_steps=1, starts=2, tol=0.0, residual_tol=0.0)),
    "one of each": lambda: bn.fit(np.array([[3.0]]), rank=1, engine=ENGINE),
    "noise by feature": lambda: bn.fit(
        counts() - 2.5, rank=2, likelihood=bn.Gaussian(per_feature=True), engine=ENGINE, seed=1
    ),
}


@cache
def made(case: str) -> bn.Fit:
    return FITS[case]()


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("case", FITS)
def test_every_plot_draws_into_the_axes_given(case: str, plot: str) -> None:
    fit = made(case)
    ax = Figure(layout="constrained").subplots()
    assert getattr(fit.plot, plot)(ax) is ax
    ax.figure.canvas.draw()
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert not plt.get_fignums()


@pytest.mark.parametrize("plot", PLOTS)
def test_every_plot_makes_its_own_figure(plot: str) -> None:
    ax = getattr(made("names").plot, plot)()
    assert isinstance(ax, Axes)
    assert len(plt.get_fignums()) == 1


def test_components_show_H_and_its_names() -> None:
    fit = made("names")
    ax = fit.plot.components()
    np.testing.assert_array_equal(ax.images[0].get_array(), fit.H)
    assert tuple(tick.get_text() for tick in ax.get_xticklabels()) == fit.features


def heights(ax: Axes, rows: int, top: np.ndarray) -> np.ndarray:
    """Return what the bars of each row say, in the unit of the values."""
    bars = np.array([[bar.get_height() for bar in row] for row in ax.containers])
    assert len(bars) == rows
    return bars / TOP * top[:, None]


def ends(ax: Axes, top: np.ndarray) -> np.ndarray:
    """Return lower and upper ends of the intervals of each row."""
    lines = [row.get_segments() for row in ax.collections]
    y = np.array([[[segment[0][1], segment[1][1]] for segment in row] for row in lines])
    return (y + np.arange(len(y))[:, None, None]) / TOP * top[:, None, None]


def test_components_and_activities_show_intervals() -> None:
    fit = posterior()
    low, high = fit.interval("H", 0.9)
    ax = fit.plot.components()
    top = np.full(2, high.max())
    np.testing.assert_allclose(heights(ax, 2, top), fit.H, atol=1e-9)
    np.testing.assert_allclose(ends(ax, top), np.stack([low, high], 2), atol=1e-9)
    assert tuple(tick.get_text() for tick in ax.get_xticklabels()) == fit.features
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0", "1"]
    assert heights_said(ax) == [f"{high.max():.3g}"]
    low, high = fit.interval("W", 0.9)
    ax = fit.plot.activities()
    assert heights_said(ax) == [f"{most:.3g}" for most in high.max(0)]
    np.testing.assert_allclose(heights(ax, 2, high.max(0)), fit.W.T, atol=1e-9)
    np.testing.assert_allclose(ends(ax, high.max(0)), np.stack([low.T, high.T], 2), atol=1e-9)


def heights_said(ax: Axes) -> list[str]:
    """Return the numbers at the right, which say what the full height of each row is."""
    return [tick.get_text() for tick in ax.child_axes[0].get_yticklabels()]


def test_intervals_are_left_out_where_they_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = posterior()
    monkeypatch.setattr("bayesnmf.plotting._fit.MOST_TICKS", 7)
    np.testing.assert_array_equal(fit.plot.components().images[0].get_array(), fit.H)
    assert fit.plot.activities().images
    monkeypatch.setattr("bayesnmf.plotting._fit.MOST_TICKS", 40)
    monkeypatch.setattr("bayesnmf.plotting._fit.MOST_BANDS", 1)
    assert fit.plot.components().images


@pytest.mark.parametrize("plot", ["shares", "relevance"])
def test_shares_have_intervals(plot: str) -> None:
    fit = posterior()
    ax = getattr(fit.plot, plot)()
    assert [bar.get_height() for bar in ax.containers[0]] == pytest.approx(fit.share, rel=1e-5)
    shown = [(segment[0][1], segment[1][1]) for segment in ax.collections[0].get_segments()]
    np.testing.assert_allclose(np.transpose(shown), fit.interval("share", 0.9))
    assert not getattr(made("names").plot, plot)().collections


def test_relevance_tells_kept_from_dropped() -> None:
    fit = made("shrinkage")
    kept, dropped = fit.plot.relevance().containers
    assert [bar.get_height() for bar in kept] == fit.relevance[: fit.rank].tolist()
    assert len(kept) + len(dropped) == fit.model.rank
    assert set(fit.plot.relevance().lines[0].get_ydata()) == {fit.model.shrinkage.threshold}


def test_agreement_marks_what_was_found_again() -> None:
    fit = made("names")
    ax = fit.plot.agreement()
    assert len(ax.lines[0].get_xdata()) == (fit.agreement.cosine >= 0.9).sum()
    assert ax.get_yticklabels()[0].get_text() == "+0"
    cosine = np.random.default_rng(0).random((3, fit.rank))
    agreement = replace(fit.agreement, objective=np.array([3.0, 1.0, 2.0]), cosine=cosine, best=1)
    ax = replace(fit, agreement=agreement).plot.agreement()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["+0", "+1", "+2"]
    np.testing.assert_array_equal(ax.images[0].get_array(), cosine[[1, 2, 0]])


def test_trace_has_the_checks_at_their_steps() -> None:
    """All but the least, which is at 0 on a logarithmic axis."""
    fit = bn.fit(counts(), rank=2, engine=bn.MAP(starts=1, max_steps=25, check_every=10, tol=0.0, residual_tol=0.0))
    line = fit.plot.trace().lines[0]
    np.testing.assert_array_equal(line.get_xdata(), [0, 10, 20])
    np.testing.assert_allclose(line.get_ydata(), (fit.trace - fit.trace[-1])[:3])


@pytest.mark.parametrize("engine", [bn.Gibbs(chains=2, warmup=50, draws=50), bn.SVI(starts=1, max_steps=200)])
def test_engines_without_checks_have_a_trace(engine: Any) -> None:
    fit = bn.fit(counts(), rank=2, likelihood=bn.Poisson(), engine=engine)
    place = fit.plot.trace().lines[0].get_xdata()
    assert np.all(np.diff(place) > 0)
    assert 0 <= place[0]
    assert place[-1] <= fit.steps


def segments(collection: Any) -> np.ndarray:
    """Return the two ends of each line, (lines, 2, 2)."""
    return np.array(collection.get_segments())


def bands(ax: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return place and height of the outline of each band."""
    return [np.array(band.get_paths()[0].vertices).T for band in ax.collections]


def blank() -> Axes:
    return Figure(figsize=(7, 4), layout="constrained").subplots()


def test_many_samples_are_shown_as_means_of_neighbours() -> None:
    fit = replace(made("names"), W=np.random.default_rng(0).gamma(1.0, size=(2500, 3)), samples=None)
    image = fit.plot.activities().images[0]
    shown = np.array(image.get_array())
    assert shown.shape == (3, 1000)
    mean = np.array([fit.W[slice(*ends)].mean(0) for ends in pairwise(int(2.5 * i) for i in range(1001))]).T
    np.testing.assert_allclose(shown, mean / np.percentile(mean, 99, axis=1, keepdims=True), rtol=1e-12)
    assert image.get_extent() == [-0.5, 2499.5, 2.5, -0.5]


@cache
def catalogue(engine: bn.CAVI | bn.MAP) -> bn.Fit:
    rng = np.random.default_rng(2)
    X = rng.poisson(rng.gamma(1.0, 200.0, (12, 2)) @ rng.dirichlet(np.full(96, 0.5), 2))
    return bn.fit(pd.DataFrame(X, columns=rng.permutation(CHANNELS)), rank=2, engine=engine)


def test_mutations_are_in_the_customary_order_whatever_the_fit_has() -> None:
    fit = catalogue(ONE)
    assert CHANNELS[:5] == ("A[C>A]A", "A[C>A]C", "A[C>A]G", "A[C>A]T", "C[C>A]A")
    assert CHANNELS[95] == "T[T>G]T"
    order = [fit.features.index(name) for name in CHANNELS]
    low, high = (end[:, order] for end in fit.interval("H", 0.9))
    ax = fit.plot.mutations()
    np.testing.assert_allclose(heights(ax, 2, high.max(1)), fit.H[:, order], atol=1e-12)
    np.testing.assert_allclose(ends(ax, high.max(1)), np.stack([low, high], 2), atol=1e-12)
    assert [tick.get_text() for tick in ax.get_xticklabels()][:2] == ["ACA", "ACC"]
    colours = [to_hex(bar.get_facecolor()) for bar in ax.containers[0]]
    assert len(set(colours)) == 6
    assert [line.get_color() for line in ax.lines[-6:]] == [c.lower() if c.islower() else c for c in GROUPS.values()]
    assert colours == [c.lower() for c in GROUPS.values() for _ in range(16)]
    one = bn.plotting.mutations(fit, 1)
    assert [tick.get_text() for tick in one.get_yticklabels()] == ["1"]
    np.testing.assert_allclose(heights(one, 1, high[1:].max(1)), fit.H[1:, order], atol=1e-12)


def test_mutations_without_intervals_and_on_small_paper() -> None:
    ax = bn.plotting.mutations(catalogue(ENGINE), ax=Figure(figsize=(3.3, 2)).subplots())
    assert not ax.collections
    assert not any(tick.get_text() for tick in ax.get_xticklabels())


@pytest.mark.parametrize(
    ("names", "got"),
    [(None, "without names"), ([*CHANNELS[:95], "T[T>T]T"], r"'T\[T>T\]T'"), ([*CHANNELS[:95], CHANNELS[0]], "95 of")],
)
def test_mutations_refuse_other_features(names: list[str] | None, got: str) -> None:
    fit = replace(catalogue(ONE), features=names if names is None else tuple(names))
    with pytest.raises(bn.DataError, match=f"96 channels .* got .*{got}"):
        fit.plot.mutations()


def test_mutations_of_a_catalogue() -> None:
    if not Path(os.environ.get("BAYESNMF_DATA", ""), "pcawg_breast_sbs.csv").is_file():
        pytest.skip("BAYESNMF_DATA names no folder with the catalogue")
    breast = bn.datasets.load("breast")
    X = pd.DataFrame(breast.X, columns=list(breast.feature_names))
    fit = bn.fit(X, rank=2, engine=bn.MAP(starts=1, max_steps=10, tol=0.0, residual_tol=0.0))
    ax = fit.plot.mutations(0)
    np.testing.assert_allclose(
        heights(ax, 1, fit.H[:1].max(1)), fit.H[:1, np.argsort([CHANNELS.index(f) for f in fit.features])]
    )


def test_ranking_shows_the_markers() -> None:
    fit = catalogue(ONE)
    markers = fit.markers(1)[:12]
    ax = fit.plot.ranking(1, 12)
    interval, dots = ax.collections
    np.testing.assert_array_equal(segments(interval)[:, :, 0], markers[["low", "high"]])
    np.testing.assert_array_equal(dots.get_offsets()[:, 0], markers["share"])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == markers["feature"].tolist()
    full = [tuple(face[:3]) != (1, 1, 1) for face in dots.get_facecolors()]
    assert full == (markers["probability"] > 0.95).tolist()
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), fit.H[0, markers.index])


def test_ranking_of_a_point_and_of_what_is_not_there() -> None:
    fit = catalogue(ENGINE)
    dots = fit.plot.ranking(0, top=3).collections[0]
    np.testing.assert_array_equal(dots.get_offsets()[:, 0], np.sort(fit.H[0])[:-4:-1])
    assert bn.plotting.ranking(made("rank 1, one start"), 0).get_xlabel()
    with pytest.raises(bn.EngineError, match="components from 0 to 1; got 2"):
        fit.plot.ranking(2)
    with pytest.raises(bn.EngineError, match="kept no component"):
        made("rank 0").plot.ranking(0)


def test_over_time_shows_activities_and_intervals() -> None:
    fit = posterior()
    time = pd.Series(0.5 * np.arange(20), name="time (s)")
    time[3] = np.nan
    ax = bn.plotting.over(fit, time, components=1)
    low, high = fit.interval("W", 0.9)
    kept = np.delete(np.arange(20), 3)
    scale = TOP / high[kept, 1].max()
    np.testing.assert_allclose(ax.lines[-1].get_xydata(), np.stack([time[kept], scale * fit.W[kept, 1]], 1))
    band = bands(ax)[0]
    for x, bottom, top in zip(time[kept], low[kept, 1], high[kept, 1], strict=True):
        there = band[1][np.isclose(band[0], x)]
        assert (there.min(), there.max()) == pytest.approx((scale * bottom, scale * top))
    assert ax.get_xlabel() == "time (s)"
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["1"]


def test_over_position_shows_means() -> None:
    fit = posterior()
    position = np.tile([0.0, 1.0, 2.0, np.nan], 5)
    ax = bn.plotting.over(fit, position, bins=2)
    mean = np.stack([fit.W[position == 0].mean(0), fit.W[(position == 1) | (position == 2)].mean(0)])
    drawn = fit.draws(200, seed=0)["W"]
    means = np.stack([drawn[:, position == 0].mean(1), drawn[:, (position == 1) | (position == 2)].mean(1)], 1)
    high = np.quantile(means, 0.95, axis=0)
    scale = TOP / np.maximum(high, mean).max(0)
    for k, line in enumerate(ax.lines[-2:]):
        np.testing.assert_allclose(line.get_xdata(), [0.5, 1.5])
        np.testing.assert_allclose(line.get_ydata(), scale[k] * mean[:, k] - k)
        assert bands(ax)[k][1].max() == pytest.approx((scale * high)[:, k].max() - k)
    assert len(bn.plotting.over(fit, position).lines[-1].get_xdata()) == 50
    assert not bn.plotting.over(made("names"), position).collections


@pytest.mark.parametrize(
    ("coordinate", "bins", "message"),
    [
        (np.arange(19), None, "for each of 20 samples"),
        (np.full(20, np.nan), None, "some of it known"),
        (["a"] * 20, None, "by_condition"),
        (np.arange(20), 0, "at least 1; got 0"),
    ],
)
def test_over_says_what_is_no_coordinate(coordinate: Any, bins: int | None, message: str) -> None:
    with pytest.raises(bn.DataError, match=message):
        bn.plotting.over(posterior(), coordinate, bins=bins)


def test_by_condition_shows_means_and_intervals_of_the_posterior() -> None:
    fit = posterior()
    condition = pd.Categorical(["on", "off", None, "on"] * 5, categories=["on", "off", "never"])
    ax = bn.plotting.by_condition(fit, condition)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["on", "off"]
    members = [condition == name for name in ("on", "off")]
    mean = np.stack([fit.W[member].mean(0) for member in members])
    drawn = fit.draws(200, seed=0)["W"]
    low, high = np.quantile(np.stack([drawn[:, member].mean(1) for member in members], 1), [0.05, 0.95], axis=0)
    scale = TOP / np.maximum(mean, high).max(0)
    for k in range(2):
        np.testing.assert_allclose(ax.lines[2 + k].get_ydata(), scale[k] * mean[:, k] - k)
        shown = segments(ax.collections[k])[:, :, 1]
        np.testing.assert_allclose(shown, scale[k] * np.stack([low, high], 1)[:, :, k] - k)
    assert not bn.plotting.by_condition(made("names"), condition).collections


def test_by_condition_speaks_of_groups_where_there_are_any() -> None:
    from scipy.stats import t

    fit = made("names")
    condition, group = np.tile(["a", "b"], 10), np.repeat([0, 1, 2, 3, 3], 4)
    ax = bn.plotting.by_condition(fit, condition, group, components=[2])
    each = np.array([[fit.W[(condition == c) & (group == g), 2].mean() for c in "ab"] for g in range(4)])
    half = t.ppf(0.95, 3) * each.std(0, ddof=1) / 2
    low, high = np.maximum(each.mean(0) - half, 0), each.mean(0) + half
    scale = TOP / max(high.max(), each.max())
    np.testing.assert_allclose(segments(ax.collections[0])[:, :, 1], scale * np.stack([low, high], 1))
    np.testing.assert_allclose(ax.lines[1].get_ydata(), scale * each.ravel())
    np.testing.assert_allclose(ax.lines[2].get_ydata(), scale * each.mean(0))
    alone = bn.plotting.by_condition(fit, condition, condition)
    assert not any(len(line) for line in alone.collections[0].get_segments())
    for wrong in ({"condition": condition[:5]}, {"condition": condition, "groups": group[:5]}):
        with pytest.raises(bn.DataError, match="each of 20 samples; got 5"):
            bn.plotting.by_condition(fit, **wrong)


def test_predictive_shows_what_was_observed_beside_what_the_model_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = posterior()
    table = bn.diagnostics.predictive(fit, 100, seed=3)
    ax = fit.plot.predictive(size=100, seed=3)
    middle, half = (table["low"] + table["high"]) / 2, (table["high"] - table["low"]) / 2
    shown = ax.collections[0].get_offsets()[:, 0]
    np.testing.assert_allclose(shown, (table["observed"] - middle) / np.where(half > 0, half, 1))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == table.index.tolist()
    assert f"p = {table['probability'].iloc[0]:.2g}" in ax.texts[0].get_text()
    assert [said(p, 50) for p in (0, 0.125, 1)] == ["p < 0.02", "p = 0.12", "p > 0.98"]
    with pytest.raises(bn.EngineError, match="MAP"):
        made("names").plot.predictive()
    table.iloc[[0, 2], table.columns.get_loc("probability")] = 0.0, 1.0
    monkeypatch.setattr("bayesnmf.plotting._predictive.check", lambda *_, **__: table)
    faces = fit.plot.predictive(size=100).collections[0].get_facecolors()
    marked = (table["probability"] < 0.05) | (table["probability"] > 0.95)
    np.testing.assert_array_equal([to_hex(face) != "#ffffff" for face in faces], marked)
    assert 2 <= marked.sum() < len(table)


def test_raster_sorts_features_by_their_component() -> None:
    fit, X = posterior(), named().to_numpy(float)
    X[4:6, 0] = np.nan
    top, below = bn.plotting.raster(fit, X, pd.Series(0.1 * np.arange(20), name="time (s)"))
    held = fit.mass[:, None] * fit.H
    main, share = held.argmax(0), held.max(0) / held.sum(0)
    order = np.lexsort([-share, main])
    most = np.percentile(np.nan_to_num(X[:, order]), 99, axis=0)
    image = np.array(below.images[0].get_array())
    for row, (j, k) in enumerate(zip(order, main[order], strict=True)):
        tint = np.array(to_rgb(PALETTE[k]))
        expected = 1 - np.clip(X[:, j, None] / most[row], 0, 1) * (1 - tint)
        np.testing.assert_allclose(image[row], np.where(np.isnan(X[:, j, None]), 0.88, expected))
    assert below.get_xlabel() == "time (s)"
    assert below.images[0].get_extent() == pytest.approx([-0.05, 1.95, 7.5, -0.5])
    (right,) = below.child_axes
    assert [tick.get_text() for tick in right.get_yticklabels()] == [fit.features[j] for j in order]
    np.testing.assert_allclose(top.lines[-1].get_ydata(), TOP * fit.W[:, 1] / fit.interval("W", 0.9)[1][:, 1].max() - 1)


def test_raster_of_a_part() -> None:
    fit, X = posterior(), named().to_numpy()
    whole = bn.plotting.raster(fit, X, samples=slice(5, 15))[1].images[0]
    sparse = bn.plotting.raster(fit, csr_array(X), samples=slice(5, 15))[1].images[0]
    np.testing.assert_array_equal(whole.get_array(), sparse.get_array())
    assert whole.get_array().shape == (8, 10, 3)
    held = fit.mass[:, None] * fit.H
    one = bn.plotting.raster(fit, X, components=1)[1].images[0]
    assert len(one.get_array()) == (held.argmax(0) == 1).sum()
    holed = np.where(np.arange(8) == 3, np.nan, X)
    missing = bn.plotting.raster(fit, holed)[1].images[0].get_array()
    called_x = pd.DataFrame(holed, columns=["X", *"bcdefgh"])
    for held_so in (called_x, np.ma.masked_invalid(holed)):
        np.testing.assert_array_equal(bn.plotting.raster(fit, held_so)[1].images[0].get_array(), missing)
    of_coo = bn.plotting.raster(fit, csr_array(X).tocoo(), samples=slice(5, 15))[1].images[0]
    np.testing.assert_array_equal(whole.get_array(), of_coo.get_array())
    for wrong in ({"X": X.T}, {"X": X, "time": np.zeros(20)}, {"X": X, "samples": slice(0, 1)}):
        with pytest.raises(bn.DataError, match="Expected"):
            bn.plotting.raster(fit, **wrong)


def test_body_shows_shares_as_areas() -> None:
    fit = posterior()
    place = np.random.default_rng(0).normal(size=(8, 2))
    low, high = fit.interval("H", 0.9)
    panels = bn.plotting.body(fit, place)
    for k, ax in enumerate(panels):
        shown = [np.array(dots.get_sizes()) for dots in ax.collections]
        for sizes, values in zip(shown, (fit.H[k], low[k], high[k]), strict=True):
            np.testing.assert_allclose(sizes, 250 * values / high.max())
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), place)
    order = np.random.default_rng(1).permutation(8)
    table = pd.DataFrame(place, fit.features, ["x", "y"]).iloc[order]
    recording = bn.io.Recording(named().to_numpy()[:, order], pd.DataFrame(index=range(20)), table)
    for positions in (table, recording):
        (ax,) = bn.plotting.body(fit, positions, components=1)
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), place)
    assert len(bn.plotting.body(made("names"), place)[0].collections) == 1
    for wrong in (place[:5], table[["x"]], np.full((8, 2), np.nan)):
        with pytest.raises(bn.DataError, match="Expected"):
            bn.plotting.body(fit, wrong)


def test_pictures_of_nothing_say_so() -> None:
    fit, X = made("rank 0"), counts()
    place = np.zeros((8, 2))
    fit = replace(fit, features=None)
    pictures = [
        bn.plotting.over(fit, np.arange(20)), bn.plotting.by_condition(fit, np.arange(20) % 2),
        *bn.plotting.raster(fit, X), *bn.plotting.body(fit, place),
        bn.plotting.mutations(replace(catalogue(ONE), H=np.zeros((0, 96)), W=np.zeros((12, 0)))),
    ]  # fmt: skip
    assert all("no components kept" in ax.texts[0].get_text() for ax in pictures)


def test_pictures_draw_into_the_axes_given() -> None:
    fit, X, place = posterior(), counts(), np.zeros((8, 2))
    ax, both = blank(), Figure().subplots(2)
    assert bn.plotting.over(fit, np.arange(20), ax=ax) is ax
    assert bn.plotting.by_condition(fit, np.arange(20) % 2, ax=blank()).get_xlabel() == "condition"
    assert bn.plotting.raster(fit, X, axes=both).tolist() == both.tolist()
    assert bn.plotting.body(fit, place, axes=both).tolist() == both.tolist()
    assert not plt.get_fignums()
    with pytest.raises(bn.DataError, match="Expected 2 x 1 Axes for this picture; got 1"):
        bn.plotting.raster(fit, X, axes=[ax])
    with pytest.raises(bn.EngineError, match=r"components from 0 to 1; got \[0, 2\]"):
        bn.plotting.over(fit, np.arange(20), [0, 2])


HERTZ = (6.0, 10.0, 20.0)


def eeg(engine: bn.CAVI | bn.MAP) -> tuple[bn.Fit, bn.io.Recording]:
    """Return a fit, and a recording it could be of: 31 channels of a montage of MNE and one of the eye."""
    mne = pytest.importorskip("mne")
    found = mne.channels.make_standard_montage("biosemi32").get_positions()["ch_pos"]
    names = [*found][:31] + ["EYE"]
    places = np.array([found.get(name, np.full(3, np.nan)) for name in names])
    index = pd.MultiIndex.from_product([names, HERTZ], names=["channel", "frequency"])
    features = pd.DataFrame(np.repeat(places, 3, 0), index, ["x", "y", "z"])
    fit = catalogue(engine)
    return fit, bn.io.Recording(fit.mean, pd.DataFrame(index=range(12)), features)


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Keep what MNE is asked to draw."""
    mne = pytest.importorskip("mne")
    drawn: list[dict[str, Any]] = []
    keep = lambda values, pos, **given: drawn.append({"values": values, "pos": pos, **given})  # noqa: E731
    monkeypatch.setattr(mne.viz, "plot_topomap", keep)
    return drawn


def test_scalp_shows_maps_and_spectra(maps: list[dict[str, Any]]) -> None:
    fit, recording = eeg(ONE)
    axes = bn.plotting.scalp(fit, recording, band=(5, 12))
    H = fit.H.reshape(2, 32, 3)
    drawn = fit.posterior.draws_of_H(200, 0).reshape(200, 2, 32, 3)  # type: ignore[union-attr]
    low, high = np.quantile(drawn.sum(2), [0.05, 0.95], axis=0)
    shares = drawn[:, :, :31, :2].sum(3)
    sure = np.quantile(shares / shares.sum(2, keepdims=True), 0.05, axis=0) > 1 / 31
    for k, (shown, ax) in enumerate(zip(maps, axes[:, 1], strict=True)):
        places = np.array([channel["loc"][:3] for channel in shown["pos"]["chs"]])
        order = [
            int(np.abs(places - place).sum(1).argmin())
            for place in recording.features[["x", "y", "z"]].to_numpy()[:93:3]
        ]
        assert sorted(order) == list(range(31))
        np.testing.assert_allclose(shown["values"][order], H[k, :31, :2].sum(1))
        np.testing.assert_array_equal(shown["mask"][order], sure[k])
        assert shown["vlim"] == pytest.approx((0, H[k, :31, :2].sum(1).max()))
        assert f"share 0 to {H[k, :31, :2].sum(1).max():.2g}" in [text.get_text() for text in axes[k, 0].texts]
        grey = ax.patches[0].get_extents().transformed(ax.transData.inverted())
        assert (grey.x0, grey.x1) == pytest.approx((5, 12))
        np.testing.assert_allclose(ax.lines[0].get_xydata(), np.stack([HERTZ, H[k].sum(0)], 1))
        x, y = bands(ax)[0]
        for f, hertz in enumerate(HERTZ):
            assert (y[x == hertz].min(), y[x == hertz].max()) == pytest.approx((low[k, f], high[k, f]))
    assert 0 < sure.sum() < sure.size
    assert axes[0, 0].get_ylabel() == "component 0"


def test_scalp_takes_a_frequency_and_channels_alone(maps: list[dict[str, Any]]) -> None:
    fit, recording = eeg(ENGINE)
    bn.plotting.scalp(fit, recording, band=11.0, components=1)
    assert maps[-1]["values"].sum() == pytest.approx(fit.H[1].reshape(32, 3)[:31, 1].sum())
    assert not maps[-1]["mask"].any()
    channels = recording.features.xs(10.0, level="frequency")
    single = replace(recording, X=recording.X[:, 1::3], features=channels)
    axes = bn.plotting.scalp(replace(fit, H=fit.H[:, 1::3]), single)
    assert axes.shape == (2, 1)
    np.testing.assert_allclose(np.sort(maps[-1]["values"]), np.sort(fit.H[1, 1:93:3]))
    nothing = replace(fit, H=fit.H[:0], W=fit.W[:, :0])
    assert "no components" in bn.plotting.scalp(nothing, recording)[0, 1].texts[0].get_text()


def test_scalp_says_what_is_missing() -> None:
    fit, recording = eeg(ENGINE)
    wrong = replace(recording, features=recording.features[["x", "y"]])
    unknown = replace(recording, features=recording.features * np.nan)
    with pytest.raises(bn.DataError, match="columns x, y, z, as .* with columns x, y"):
        bn.plotting.scalp(fit, wrong)
    with pytest.raises(bn.DataError, match="at least four spots; got 0"):
        bn.plotting.scalp(fit, unknown)
    with pytest.raises(bn.DataError, match="within 6 and 20 Hz; got"):
        bn.plotting.scalp(fit, recording, band=(30, 40))
    with pytest.raises(bn.DataError, match="the fit of this recording, with 96 features; got 8"):
        bn.plotting.scalp(posterior(), recording)


def test_scalp_is_drawn_by_mne() -> None:
    fit, recording = eeg(ENGINE)
    axes = Figure(layout="constrained").subplots(2, 2)
    assert bn.plotting.scalp(fit, recording, axes=axes).tolist() == axes.tolist()
    assert axes[0, 0].images
    axes[0, 0].figure.canvas.draw()


def test_brain_shows_the_slice_that_holds_most() -> None:
    nibabel = pytest.importorskip("nibabel")
    affine, inside = np.diag([-3.0, 3.0, 4.0, 1.0]), np.ones((7, 5, 3), "int16")
    inside[:3, 0] = 0
    series = nibabel.Nifti1Image(np.ones((7, 5, 3, 12), "int16"), affine)
    recording = bn.io.read_nifti(series, nibabel.Nifti1Image(inside, affine))
    fit = catalogue(ONE)
    panels = bn.plotting.brain(fit, recording)
    low = fit.interval("H", 0.9)[0]
    for k, ax in enumerate(panels):
        of_slice = recording.features.groupby("k").indices
        cut = max(of_slice, key=lambda z: fit.H[k, of_slice[z]].sum())
        assert ax.get_title() == f"component {k}, z = {4 * cut} mm"
        shown = ax.images[0].get_array()
        assert shown.mask.sum() == 3
        for j in of_slice[cut]:
            voxel = recording.features.iloc[j]
            left, _, bottom, _ = ax.images[0].get_extent()
            column, row = int((voxel.x - left) // 3), int((voxel.y - bottom) // 3)
            assert shown[row, column] == pytest.approx(fit.H[k, j])
        assert len(ax.collections) == (low[k, of_slice[cut]] > 1 / 96).any()
        assert {text.get_text(): text.get_position()[0] for text in ax.texts} == {"L": 0.02, "R": 0.98}
        assert ax.get_xlim()[0] < ax.get_xlim()[1]
    assert not bn.plotting.brain(replace(fit, posterior=None), recording, components=1)[0].collections
    nothing = replace(fit, H=fit.H[:0], W=fit.W[:, :0], posterior=None)
    assert "no components" in bn.plotting.brain(nothing, recording)[0].texts[0].get_text()
    with pytest.raises(bn.DataError, match="read_nifti"):
        bn.plotting.brain(fit, replace(recording, features=recording.features[["x"]]))


def test_summary_is_the_fit_in_a_table() -> None:
    fit = made("names")
    table = fit.summary(top=2)
    assert table.index.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(table["mass"], fit.W.sum(0))
    np.testing.assert_array_equal(table["recurrence"], fit.agreement.recurrence)
    assert table["share"].sum() == pytest.approx(1)
    first = table["top_features"][0].split(", ")
    assert first[0].startswith(f"gene|{fit.H[0].argmax()} {100 * fit.H[0].max():.3g}%")
    assert len(first) == 2


def test_summary_of_nothing_and_of_one_start() -> None:
    assert made("rank 0").summary().shape == (0, 5)
    assert made("rank 1, one start").summary()["recurrence"].isna().all()


def test_repr_says_what_a_reader_needs() -> None:
    fit = replace(made("shrinkage"), warnings=(bn.Finding("not_pruned", "all are kept."),))
    text = repr(fit)
    assert "20 samples x 8 features" in text
    assert "Poisson, MAP (kept of 8 by ARD)" in text
    assert "no error bars" in text
    assert "not_pruned: all are kept." in text


@pytest.mark.parametrize(
    "case", ["posterior", "posterior, stopped early", "names", "shrinkage", "rank 0", "one of each"]
)
def test_report_holds_the_fit(case: str, tmp_path: Path) -> None:
    fit = made(case)
    write_report(fit, tmp_path / "new" / "folder", "A title")
    folder = tmp_path / "new" / "folder"
    H = pd.read_csv(folder / "components.csv", index_col=0)
    W = pd.read_csv(folder / "activities.csv", index_col=0)
    assert H.shape == fit.H.shape
    np.testing.assert_allclose(W.to_numpy(), fit.W, rtol=1e-12)
    assert bn.load(folder / "fit.nc").rank == fit.rank == len(pd.read_csv(folder / "summary.csv"))
    assert (folder / "fit.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "report.md").read_text(encoding="utf-8").startswith("# A title\n")


def test_report_holds_the_intervals(tmp_path: Path) -> None:
    fit = posterior()
    write_report(fit, tmp_path)
    for name, values, axes in (
        ("components", fit.H, ["component", "feature"]),
        ("activities", fit.W, ["sample", "component"]),
    ):
        table = pd.read_csv(tmp_path / f"{name}_interval.csv")
        assert table.columns.tolist() == [*axes, "mean", "low", "high"]
        wide = table.pivot(index=axes[0], columns=axes[1], values="mean")
        assert wide.shape == values.shape
        np.testing.assert_allclose(table["mean"], values.ravel(), rtol=1e-12)
        found = fit.interval("H" if name == "components" else "W", 0.9)
        np.testing.assert_allclose(table[["low", "high"]].T, [end.ravel() for end in found], rtol=1e-12)
    assert table["sample"][0] == "s0"
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "components_interval.csv" in text
    write_report(made("names"), tmp_path)
    assert not list(tmp_path.glob("*_interval.csv"))
    assert "_interval.csv" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_page_says_what_intervals_do_not_promise() -> None:
    fit = posterior()
    low, high = fit.interval("share", 0.9)
    text = page(fit, "t")
    assert "MAP" not in text
    assert f"{100 * fit.share[0]:.1f}% ({100 * low[0]:.1f} to {100 * high[0]:.1f})" in text
    assert "by linear response" in text
    assert "Too few components is the dangerous side" in text
    assert "other starts" in text
    assert "too narrow" not in text
    assert "they are too narrow" in page(mean_field(), "t")
    early = page(stopped_early(), "t")
    assert "There are no intervals: Linear response needs a posterior at its optimum" in early
    assert "90% interval" not in early


def test_page_names_what_does_not_come_back() -> None:
    fit = made("names")
    cosine = np.ones((4, 3))
    cosine[1:, 1] = 0.2
    agreement = replace(
        fit.agreement, cosine=cosine, rank=np.full(4, 3), objective=np.arange(4.0), status=("converged",) * 4
    )
    assert "1 of 3 components come back in fewer than half of the 4" in page(replace(fit, agreement=agreement), "t")
    sure = replace(agreement, cosine=np.ones((4, 3)))
    assert "Every component comes back" in page(replace(fit, agreement=sure), "t")


def test_page_says_what_is_missing_and_what_was_found() -> None:
    fit = replace(made("names"), warnings=(bn.Finding("max_steps", "not converged."),))
    text = page(fit, "Title", lead=["Lead."], found=["Found."], cautions=["That it is so."])
    assert "without intervals" in text
    assert "The rank was stated" in text
    assert "- **max_steps**: not converged." in text
    assert "gene\\|" in text
    assert text.index("Lead.") < text.index("Found.") < text.index("- That it is so.")
