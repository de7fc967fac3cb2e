"""Pictures and words of a fit: they show what the fit says."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import bayesnmf as bn
from bayesnmf.report import page, write_report

ENGINE = bn.MAP(starts=3, max_steps=200)
PLOTS = ("components", "activities", "relevance", "agreement", "trace")


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
    fit = bn.fit(counts(), rank="auto", engine=ENGINE)
    agreement = replace(fit.agreement, rank=np.zeros(3, int), cosine=np.zeros((3, 0)))
    return replace(fit, W=fit.W[:, :0], H=fit.H[:0], rate_W=fit.rate_W[:0], agreement=agreement)


FITS = {
    "names": lambda: bn.fit(named(), rank=3, engine=ENGINE),
    "shrinkage": lambda: bn.fit(counts(), rank="auto", engine=ENGINE),
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
