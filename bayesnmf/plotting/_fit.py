"""Pictures of a fit that need nothing but the fit."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.ticker import MaxNLocator

from ..result import NEAR, Fit
from ..summaries import intervals
from ._draw import (
    COLOURS,
    DROPPED,
    KEPT,
    MOST_BANDS,
    MOST_TICKS,
    UNIT,
    Components,
    colour,
    fewer_columns,
    name_ticks,
    new_axes,
    rows,
    say_empty,
)
from ._genes import ranking
from ._mutations import mutations
from ._predictive import predictive


class FitPlots:
    """Pictures of one fit; ``fit.plot`` makes it.

    For a first look and for papers. Each method draws into `ax`, or into a new figure where it is left out, and
    returns the Axes for your own changes. Nothing is shown or saved: use ``ax.figure.savefig(path)``.

    Parameters
    ----------
    fit : Fit
        Any fit, of rank 0 too.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
    >>> fit.plot.components().get_xlabel()
    'feature'
    """

    def __init__(self, fit: Fit) -> None:
        self.fit = fit

    def components(self, ax: Axes | None = None) -> Axes:
        """Draw H, (rank, m): what share of each component each feature holds. One row is one component.

        Bars with 90% intervals, all to one scale, where a fit has these and up to 40 features and 10 components. Else
        colour, which goes with the square root, so that small shares are seen beside large ones.

        >>> import numpy as np, bayesnmf as bn
        >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
        >>> fit.plot.components().get_ylabel()
        'component'
        """
        ax = new_axes(ax, 7, self._height(self.fit.H))
        ax.set(xlabel="feature", ylabel="component", title="Components")
        if self.fit.rank == 0:
            return say_empty(ax)
        ends = self._ends("H") if self.fit.H.shape[1] <= MOST_TICKS else None
        if ends is None:
            _heatmap(ax, fewer_columns(self.fit.H), "share of component", PowerNorm(0.5, vmin=0), self.fit.H.shape[1])
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        else:
            top = max(self.fit.H.max(), ends[1].max())
            _bars(ax, self.fit.H, *ends, np.full(self.fit.rank, top), "share of component,\n90% interval")
        name_ticks(ax, self.fit.features)
        return ax

    def activities(self, ax: Axes | None = None) -> Axes:
        """Draw W, (n, rank), over samples. One row is one component, each on its own scale: its 99th percentile is 1.

        Heights of different rows do not compare; ``fit.mass`` does. Bars with 90% intervals where a fit has these and
        up to 40 samples and 10 components; the largest is 1 then. Else colour.

        >>> import numpy as np, bayesnmf as bn
        >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
        >>> fit.plot.activities().get_xlabel()
        'sample'
        """
        ax = new_axes(ax, 7, self._height(self.fit.W.T))
        ax.set(xlabel="sample", ylabel="component", title="Activities")
        if self.fit.rank == 0:
            return say_empty(ax)
        ends = self._ends("W") if len(self.fit.W) <= MOST_TICKS else None
        if ends is None:
            shown = fewer_columns(self.fit.W.T)
            top = np.percentile(shown, 99, axis=1, keepdims=True)
            top = np.where(top > 0, top, shown.max(1, keepdims=True))
            _heatmap(ax, shown / np.where(top > 0, top, 1), "activity / 99th percentile", n=len(self.fit.W))
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        else:
            top = np.maximum(self.fit.W.max(0), ends[1].max(0))
            _bars(ax, self.fit.W.T, ends[0].T, ends[1].T, top, "activity,\n90% interval")
        name_ticks(ax, self.fit.samples)
        return ax

    def shares(self, ax: Axes | None = None) -> Axes:
        """Draw the share of the mass of W H that is each component's, with 90% intervals where the fit has these.

        >>> import numpy as np, bayesnmf as bn
        >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
        >>> fit.plot.shares().get_ylabel()
        'share of mass'
        """
        ax = new_axes(ax)
        ax.set(xlabel="component", ylabel="share of mass", title="Shares")
        if self.fit.rank == 0:
            return say_empty(ax)
        ax.bar(np.arange(self.fit.rank), self.fit.share, color=KEPT)
        self._share_intervals(ax)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def relevance(self, ax: Axes | None = None) -> Axes:
        """Draw how strongly each of the model's components is needed, those kept first.

        Under shrinkage the dashed line is the least relevance of a component that is kept. Without it, bars are
        shares of the mass, with 90% intervals where the fit has these.

        >>> import numpy as np, bayesnmf as bn
        >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
        >>> fit.plot.relevance().get_ylabel()
        'share of mass'
        """
        ax = new_axes(ax)
        relevance, shrinkage = self.fit.relevance, self.fit.model.shrinkage
        place = np.arange(len(relevance))
        kept = place < self.fit.rank
        ax.bar(place[kept], relevance[kept], color=KEPT, label="kept")
        ax.set(xlabel="component of the model", ylabel="share of mass", title="Relevance")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if shrinkage is None:
            self._share_intervals(ax)
        else:
            if not kept.all():
                ax.bar(place[~kept], np.maximum(relevance[~kept], 0), color=DROPPED, label="dropped")
            ax.axhline(shrinkage.threshold, color="black", linestyle="--", linewidth=1, label="threshold")
            ax.set_yscale("symlog", linthresh=shrinkage.threshold)
            ax.set_ylim(0)
            ax.set_ylabel("relevance")
            ax.legend(frameon=False, fontsize="small", loc="upper right")
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def agreement(self, ax: Axes | None = None) -> Axes:
        """Draw which components of the best start the other starts find too.

        One row is one start, the best on top, labelled by how far its objective lies above the best. Colour is the
        cosine with the matching component, 0 where there is none; a dot marks 0.9 and more, what counts as found.

        >>> import numpy as np, bayesnmf as bn
        >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
        >>> fit.plot.agreement().get_xlabel()
        'component'
        """
        ax = new_axes(ax)
        ax.set(xlabel="component", ylabel="start, by objective\nabove the best", title="Agreement of starts")
        if self.fit.rank == 0:
            return say_empty(ax)
        agreement = self.fit.agreement
        order = np.argsort(agreement.objective, kind="stable")
        cosine = agreement.cosine[order]
        _heatmap(ax, cosine, "cosine")
        row, column = np.nonzero(cosine >= NEAR)
        ax.plot(column, row, linestyle="none", marker=".", color="black", markersize=4)
        above = agreement.objective[order] - agreement.objective[agreement.best]
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(order) <= MOST_TICKS:
            ax.set_yticks(range(len(order)), [f"+{value:.4g}" for value in above], fontsize="small")
        return ax

    def trace(self, ax: Axes | None = None) -> Axes:
        """Draw the objective of the best start at each check, above the least it reached.

        >>> import numpy as np, bayesnmf as bn
        >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
        >>> fit.plot.trace().get_xlabel()
        'step'
        """
        ax = new_axes(ax)
        trace = self.fit.trace
        every = getattr(self.fit.engine, "check_every", self.fit.steps / max(len(trace) - 1, 1))
        step = np.minimum(np.arange(len(trace)) * every, self.fit.steps)
        above = trace - np.min(trace)
        shown = above > 0
        if shown.any():
            ax.plot(step[shown], above[shown], color=KEPT)
            ax.set_yscale("log")
        name = "objective" if self.fit.posterior is None else "minus the ELBO"
        name = "minus the log joint" if self.fit.status == "sampled" else name
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        ax.set(xlabel="step", ylabel=f"{name},\nabove its least", title=f"Course: {self.fit.status}")
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def mutations(self, components: Components = None, ax: Axes | None = None) -> Axes:
        """Draw mutational signatures in the 96 channels of substitutions. See `bayesnmf.plotting.mutations`."""
        return mutations(self.fit, components, ax)

    def ranking(self, component: int, top: int = 15, ax: Axes | None = None) -> Axes:
        """Draw the features that mark a component, the surest on top. See `bayesnmf.plotting.ranking`."""
        return ranking(self.fit, component, top, ax)

    def predictive(self, ax: Axes | None = None, *, size: int = 200, seed: int = 0) -> Axes:
        """Draw what X looks like beside what the model makes. See `bayesnmf.plotting.predictive`."""
        return predictive(self.fit, ax, size=size, seed=seed)

    def _ends(self, name: Literal["W", "H"]) -> tuple[np.ndarray, np.ndarray] | None:
        """Return 90% intervals, or None where there are none or too many components to show them."""
        return intervals(self.fit, name) if self.fit.rank <= MOST_BANDS else None

    @staticmethod
    def _height(values: np.ndarray) -> float:
        """Return the height of a new figure in inches: more where there is a row of bars for each component."""
        k, n = values.shape
        return max(3, 1.4 + 0.4 * k) if n <= MOST_TICKS and k <= MOST_BANDS else 3

    def _share_intervals(self, ax: Axes) -> None:
        ends = intervals(self.fit, "share")
        if ends is not None:
            ax.vlines(np.arange(self.fit.rank), *ends, color="black", linewidth=1.5)


def _heatmap(ax: Axes, values: np.ndarray, label: str, norm: Normalize = UNIT, n: int | None = None) -> None:
    """Draw values (k, columns) by colour; `n` is how many columns they stand for."""
    k, n = len(values), n or values.shape[1]
    extent = (-0.5, n - 0.5, k - 0.5, -0.5)
    image = ax.imshow(values, aspect="auto", cmap=COLOURS, norm=norm, interpolation="nearest", extent=extent)
    ax.figure.colorbar(image, ax=ax, label=label)


def _bars(ax: Axes, values: np.ndarray, low: np.ndarray, high: np.ndarray, top: np.ndarray, label: str) -> None:
    """Draw a row of bars with intervals for each row of values (k, n)."""
    k, n = values.shape
    base, scale = rows(ax, range(k), top, label)
    for row in range(k):
        at, whole = base[row], scale[row]
        ax.bar(np.arange(n), whole * values[row], bottom=at, color=colour(row), alpha=0.6)
        ax.vlines(np.arange(n), at + whole * low[row], at + whole * high[row], color="black", lw=1)
    ax.set_xlim(-0.7, n - 0.3)
