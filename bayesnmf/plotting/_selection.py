"""How many components: what each evidence says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ._draw import CROSSED, DROPPED, HELD, KEPT, new_axes

if TYPE_CHECKING:
    from ..rank import RankSelection


def selection(found: RankSelection, ax: Axes | None = None) -> Axes:
    """Draw the evidence, or its bound, and the held-out scores below their best. See `RankSelection.plot`."""
    ax = new_axes(ax, width=6)
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
    ax.set(xlabel="components", ylabel="nats below the best")
    ax.legend(
        title=f"How many components? {found.noise.chosen} noise", title_fontsize="medium", fontsize="x-small",
        frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1),
    )  # fmt: skip
    ax.spines[["top", "right"]].set_visible(False)
    return ax
