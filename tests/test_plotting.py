"""Pictures and words of a fit: they show what the fit says."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import bayesnmf as bn
from bayesnmf import plotting
from bayesnmf.engines._families import Dirichlets
from bayesnmf.report import page, write_report

ENGINE = bn.MAP(starts=3, max_steps=200)
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


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("case", FITS)
def test_every_plot_draws_into_the_axes_given(case: str, plot: str) -> None:
    fit = FITS[case]()
    ax = Figure(layout="constrained").subplots()
    assert getattr(fit.plot, plot)(ax) is ax
    ax.figure.canvas.draw()
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert not plt.get_fignums()


@pytest.mark.parametrize("plot", PLOTS)
def test_every_plot_makes_its_own_figure(plot: str) -> None:
    ax = getattr(FITS["names"]().plot, plot)()
    assert isinstance(ax, Axes)
    assert len(plt.get_fignums()) == 1


def test_components_show_H_and_its_names() -> None:
    fit = FITS["names"]()
    ax = fit.plot.components()
    np.testing.assert_array_equal(ax.images[0].get_array(), fit.H)
    assert tuple(tick.get_text() for tick in ax.get_xticklabels()) == fit.features


def heights(ax: Axes, rows: int, top: np.ndarray) -> np.ndarray:
    """Return what the bars of each row say, in the unit of the values."""
    bars = np.array([[bar.get_height() for bar in row] for row in ax.containers])
    assert len(bars) == rows
    return bars / plotting.TOP * top[:, None]


def ends(ax: Axes, top: np.ndarray) -> np.ndarray:
    """Return lower and upper ends of the intervals of each row."""
    lines = [row.get_segments() for row in ax.collections]
    y = np.array([[[segment[0][1], segment[1][1]] for segment in row] for row in lines])
    return (y + np.arange(len(y))[:, None, None]) / plotting.TOP * top[:, None, None]


def test_components_and_activities_show_intervals() -> None:
    fit = posterior()
    low, high = fit.interval("H", 0.9)
    ax = fit.plot.components()
    top = np.full(2, high.max())
    np.testing.assert_allclose(heights(ax, 2, top), fit.H, atol=1e-9)
    np.testing.assert_allclose(ends(ax, top), np.stack([low, high], 2), atol=1e-9)
    assert tuple(tick.get_text() for tick in ax.get_xticklabels()) == fit.features
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0", "1"]
    low, high = fit.interval("W", 0.9)
    ax = fit.plot.activities()
    np.testing.assert_allclose(heights(ax, 2, high.max(0)), fit.W.T, atol=1e-9)
    np.testing.assert_allclose(ends(ax, high.max(0)), np.stack([low.T, high.T], 2), atol=1e-9)


def test_intervals_are_left_out_where_they_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = posterior()
    monkeypatch.setattr(plotting, "MOST_TICKS", 7)
    np.testing.assert_array_equal(fit.plot.components().images[0].get_array(), fit.H)
    assert fit.plot.activities().images
    monkeypatch.setattr(plotting, "MOST_TICKS", 40)
    monkeypatch.setattr(plotting, "MOST_BANDS", 1)
    assert fit.plot.components().images


@pytest.mark.parametrize("plot", ["shares", "relevance"])
def test_shares_have_intervals(plot: str) -> None:
    fit = posterior()
    ax = getattr(fit.plot, plot)()
    assert [bar.get_height() for bar in ax.containers[0]] == pytest.approx(fit.share, rel=1e-5)
    shown = [(segment[0][1], segment[1][1]) for segment in ax.collections[0].get_segments()]
    np.testing.assert_allclose(np.transpose(shown), fit.interval("share", 0.9))
    assert not getattr(FITS["names"]().plot, plot)().collections


def test_relevance_tells_kept_from_dropped() -> None:
    fit = FITS["shrinkage"]()
    kept, dropped = fit.plot.relevance().containers
    assert [bar.get_height() for bar in kept] == fit.relevance[: fit.rank].tolist()
    assert len(kept) + len(dropped) == fit.model.rank


def test_agreement_marks_what_was_found_again() -> None:
    fit = FITS["names"]()
    ax = fit.plot.agreement()
    assert len(ax.lines[0].get_xdata()) == (fit.agreement.cosine >= 0.9).sum()
    assert ax.get_yticklabels()[0].get_text() == "+0"


def test_trace_ends_at_the_last_step() -> None:
    fit = bn.fit(counts(), rank=2, engine=bn.MAP(starts=1, max_steps=25, tol=0.0, residual_tol=0.0))
    line = fit.plot.trace().lines[0]
    assert np.all(np.diff(line.get_ydata()) < 0)
    assert line.get_xdata()[0] == 0
    assert line.get_xdata()[-1] <= 25


def test_summary_is_the_fit_in_a_table() -> None:
    fit = FITS["names"]()
    table = fit.summary(top=2)
    assert table.index.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(table["mass"], fit.W.sum(0))
    np.testing.assert_array_equal(table["recurrence"], fit.agreement.recurrence)
    assert table["share"].sum() == pytest.approx(1)
    first = table["top_features"][0].split(", ")
    assert first[0].startswith(f"gene|{fit.H[0].argmax()} {100 * fit.H[0].max():.3g}%")
    assert len(first) == 2


def test_summary_of_nothing_and_of_one_start() -> None:
    assert FITS["rank 0"]().summary().shape == (0, 5)
    assert FITS["rank 1, one start"]().summary()["recurrence"].isna().all()


def test_repr_says_what_a_reader_needs() -> None:
    fit = replace(FITS["shrinkage"](), warnings=(bn.Finding("not_pruned", "all are kept."),))
    text = repr(fit)
    assert "20 samples x 8 features" in text
    assert "Poisson, MAP (kept of 8 by ARD)" in text
    assert "no error bars" in text
    assert "not_pruned: all are kept." in text


@pytest.mark.parametrize("case", FITS)
def test_report_holds_the_fit(case: str, tmp_path: Path) -> None:
    fit = FITS[case]()
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
    write_report(FITS["names"](), tmp_path)
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
    fit = FITS["names"]()
    cosine = np.ones((4, 3))
    cosine[1:, 1] = 0.2
    agreement = replace(
        fit.agreement, cosine=cosine, rank=np.full(4, 3), objective=np.arange(4.0), status=("converged",) * 4
    )
    assert "1 of 3 components come back in fewer than half of the 4" in page(replace(fit, agreement=agreement), "t")
    sure = replace(agreement, cosine=np.ones((4, 3)))
    assert "Every component comes back" in page(replace(fit, agreement=sure), "t")


def test_page_says_what_is_missing_and_what_was_found() -> None:
    fit = replace(FITS["names"](), warnings=(bn.Finding("max_steps", "not converged."),))
    text = page(fit, "Title", lead=["Lead."], found=["Found."], cautions=["That it is so."])
    assert "without intervals" in text
    assert "The rank was stated" in text
    assert "- **max_steps**: not converged." in text
    assert "gene\\|" in text
    assert text.index("Lead.") < text.index("Found.") < text.index("- That it is so.")
