"""Pictures of a fit. Every function takes and returns matplotlib Axes, and none shows a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.ticker import MaxNLocator

from .result import NEAR, Fit
from .summaries import feature_names, intervals

if TYPE_CHECKING:
    from .rank import RankSelection

KEPT, DROPPED, HELD, CROSSED = "#0072B2", "#BBBBBB", "#D55E00", "#009E73"
COLOURS = "cividis"
"""Read alike by all colour vision, and in grey print."""

UNIT = Normalize(0, 1)

MOST_TICKS = 40
"""Beyond this many names along an axis they cannot be read; nor can bars with their intervals."""

MOST_BANDS = 10
"""Components of which each can have its own row of bars."""

TOP = 0.85
"""Height of the largest bar of a row, of which each is 1 high."""


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
        ax = _axes(ax, width=7)
        ax.set(xlabel="feature", ylabel="component", title="Components")
        if self.fit.rank == 0:
            return _say_empty(ax)
        ends = self._ends("H") if self.fit.H.shape[1] <= MOST_TICKS else None
        if ends is None:
            _heatmap(ax, self.fit.H, "share of component", PowerNorm(0.5, vmin=0))
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        else:
            top = max(self.fit.H.max(), ends[1].max())
            _bars(ax, self.fit.H, *ends, np.full(self.fit.rank, top), "share of component,\n90% interval")
        names = feature_names(self.fit)
        if self.fit.features is not None and len(names) <= MOST_TICKS:
            ax.set_xticks(range(len(names)), names, rotation=90, fontsize="x-small")
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
        ax = _axes(ax, width=7)
        ax.set(xlabel="sample", ylabel="component", title="Activities")
        if self.fit.rank == 0:
            return _say_empty(ax)
        ends = self._ends("W") if len(self.fit.W) <= MOST_TICKS else None
        if ends is None:
            top = np.percentile(self.fit.W, 99, axis=0)
            top = np.where(top > 0, top, self.fit.W.max(0))
            _heatmap(ax, (self.fit.W / np.where(top > 0, top, 1)).T, "activity / 99th percentile")
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        else:
            top = np.maximum(self.fit.W.max(0), ends[1].max(0))
            _bars(ax, self.fit.W.T, ends[0].T, ends[1].T, top, "activity,\n90% interval")
        names = self.fit.samples
        if names is not None and len(names) <= MOST_TICKS:
            ax.set_xticks(range(len(names)), names, rotation=90, fontsize="x-small")
        return ax

    def shares(self, ax: Axes | None = None) -> Axes:
        """Draw the share of the mass of W H that is each component's, with 90% intervals where the fit has these.

        >>> import numpy as np, bayesnmf as bn
        >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
        >>> fit.plot.shares().get_ylabel()
        'share of mass'
        """
        ax = _axes(ax)
        ax.set(xlabel="component", ylabel="share of mass", title="Shares")
        if self.fit.rank == 0:
            return _say_empty(ax)
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
        ax = _axes(ax)
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
            ax.set_title("Relevance")
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
        ax = _axes(ax)
        ax.set(xlabel="component", ylabel="start: objective above best", title="Agreement of starts")
        if self.fit.rank == 0:
            return _say_empty(ax)
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
        ax = _axes(ax)
        trace = self.fit.trace
        step = np.minimum(np.arange(len(trace)) * self.fit.engine.check_every, self.fit.steps)
        above = trace - np.min(trace)
        shown = above > 0
        if shown.any():
            ax.plot(step[shown], above[shown], color=KEPT)
            ax.set_yscale("log")
        name = "objective" if self.fit.posterior is None else "minus the ELBO"
        name = "minus the log joint" if self.fit.status == "sampled" else name
        ax.set(xlabel="step", ylabel=f"{name}, above its least", title=f"Course: {self.fit.status}")
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def _ends(self, name: Literal["W", "H"]) -> tuple[np.ndarray, np.ndarray] | None:
        """Return 90% intervals, or None where there are none or too many components to show them."""
        return intervals(self.fit, name) if self.fit.rank <= MOST_BANDS else None

    def _share_intervals(self, ax: Axes) -> None:
        ends = intervals(self.fit, "share")
        if ends is not None:
            ax.vlines(np.arange(self.fit.rank), *ends, color="black", linewidth=1.5)


def selection(found: RankSelection, ax: Axes | None = None) -> Axes:
    """Draw the evidence, or its bound, and the held-out scores below their best. See `RankSelection.plot`."""
    ax = _axes(ax, width=6)
    ranks, table = found.table.index.to_numpy(), found.table
    drawn = [("held_out", HELD, "s", "held-out log density")]
    if "bi_cross" in table:
        drawn.append(("bi_cross", CROSSED, "^", "bi-cross-validation"))
    if found.decided_by != "held_out":
        drawn.insert(0, (found.decided_by, KEPT, "o", {"elbo": "ELBO"}.get(found.decided_by, found.decided_by)))
    for column, colour, marker, name in drawn:
        below = (table[column].max() - table[column]).where(np.isfinite(table[column]))
        error = table.get(f"{column}_error")
        says = found.answers[column]
        ax.errorbar(ranks, below, error, color=colour, marker=marker, ms=4, capsize=2, label=f"{name}: {says}")
    ax.axvline(
        found.answers["shrinkage"], color="black", ls=":", lw=1, label=f"shrinkage: {found.answers['shrinkage']}"
    )
    ax.axvline(found.best, color=DROPPED, lw=6, alpha=0.5, zorder=0, label=f"answer: {found.best}")
    ax.set_yscale("symlog", linthresh=10)
    ax.set_ylim(max(*ax.get_ylim(), 10), -1)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="components", ylabel="nats below the best", title=f"How many components? {found.noise.chosen} noise")
    ax.legend(fontsize="small", frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _axes(ax: Axes | None, width: float = 4.5) -> Axes:
    return plt.subplots(figsize=(width, 3), layout="constrained")[1] if ax is None else ax


def _heatmap(ax: Axes, values: np.ndarray, label: str, norm: Normalize = UNIT) -> None:
    image = ax.imshow(values, aspect="auto", cmap=COLOURS, norm=norm, interpolation_stage="data")
    ax.figure.colorbar(image, ax=ax, label=label)


def _bars(ax: Axes, values: np.ndarray, low: np.ndarray, high: np.ndarray, top: np.ndarray, label: str) -> None:
    """Draw a row of bars with intervals for each row of values (k, n); `top` (k,) is what is drawn at full height."""
    k, n = values.shape
    place, base = np.arange(n), -np.arange(k)
    scale = TOP / np.where(top > 0, top, 1)
    for row in range(k):
        ax.bar(place, values[row] * scale[row], bottom=base[row], color=KEPT, alpha=0.6)
        ax.vlines(place, base[row] + low[row] * scale[row], base[row] + high[row] * scale[row], color="black", lw=1)
        ax.axhline(base[row], color="black", linewidth=0.5)
    ax.set_yticks(base, [str(row) for row in range(k)])
    ax.set_ylim(-k + 0.9, 1)
    ax.set_xlim(-0.7, n - 0.3)
    right = ax.secondary_yaxis("right")
    right.set_yticks(base + TOP, [f"{value:.3g}" for value in top], fontsize="small")
    right.set_ylabel(label)


def _say_empty(ax: Axes) -> Axes:
    ax.text(0.5, 0.5, "no components kept", ha="center", va="center", transform=ax.transAxes)
    ax.set(xticks=[], yticks=[])
    return ax
