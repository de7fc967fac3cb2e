"""Whether the model would make data like these, drawn."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ..diagnostics import predictive as check
from ..result import Fit
from ._draw import HELD, KEPT, new_axes

EXTREME = 0.05
"""Probability beyond which, at either end, an observed quantity is marked."""


def predictive(fit: Fit, ax: Axes | None = None, *, size: int = 200, seed: int = 0) -> Axes:
    """Draw predictive checks: what X looks like beside what the fitted model makes.

    One row is one quantity of `bayesnmf.diagnostics.predictive`, where it says what they are. The bar is 90% of what
    the model makes, of one width for all quantities; the dot is what is observed, full where its probability is below
    0.05 or above 0.95. Numbers say both in the quantity's own unit, and p is the probability that the model makes at
    least what is observed. Not for ranking models: the same data were fitted and are judged.

    Parameters
    ----------
    fit : Fit
        With a posterior.
    ax : Axes, optional
        Where to draw; a new figure of 7 inches when left out.
    size, seed : int
        Draws.

    Returns
    -------
    Axes

    Raises
    ------
    EngineError
        For a MAP fit and for a program of your own, which cannot be checked so.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2, engine=bn.CAVI(starts=1))
    >>> bn.plotting.predictive(fit).get_yticklabels()[0].get_text()
    'dispersion'
    """
    table = check(fit, size, seed=seed)
    ax = new_axes(ax, 7, 0.9 + 0.3 * len(table))
    observed, low, high, p = table.to_numpy().T
    middle, half = (low + high) / 2, (high - low) / 2
    away = (observed - middle) / np.where(half > 0, half, 1)
    place = np.arange(len(table))
    ax.barh(place, 2, left=-1, height=0.5, color=KEPT, alpha=0.35, label="90% of what the model makes")
    marked = (p < EXTREME) | (p > 1 - EXTREME)
    fill = [HELD if mark else "white" for mark in marked]
    ax.scatter(away, place, s=30, zorder=3, edgecolors=HELD, facecolors=fill, label="observed")
    for row in range(len(table)):
        text = f"{observed[row]:.3g}  ({low[row]:.3g} to {high[row]:.3g})  {said(p[row], size)}"
        ax.annotate(
            text, (1, row), (6, 0), xycoords=ax.get_yaxis_transform(), textcoords="offset points", va="center",
            fontsize="small",
        )  # fmt: skip
    reach = max(10.0, 2 * np.abs(away).max())
    powers = [sign * 10.0**power for power in range(int(np.log10(reach)) + 1) for sign in (-1, 1)]
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xticks([0, *powers], [f"{power:g}" for power in (0, *powers)])
    ax.minorticks_off()
    ax.set(xlim=(-reach, reach), ylim=(len(table) - 0.5, -0.5), xlabel="half-widths of the bar from its middle")
    ax.set_yticks(place, table.index)
    ax.legend(frameon=False, fontsize="small", ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def said(p: float, size: int) -> str:
    """Return a probability as so many draws can know it."""
    if p in (0, 1):
        return f"p < {1 / size:.2g}" if p == 0 else f"p > {1 - 1 / size:.3g}"
    return f"p = {p:.2g}"
