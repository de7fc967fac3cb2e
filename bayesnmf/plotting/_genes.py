"""What a component consists of, ranked: genes, or any features."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ..result import Fit
from ..summaries import feature_names, intervals
from ._draw import chosen, colour, new_axes

SURE = 0.95
"""Probability from which a feature is marked as the component's own."""


def ranking(fit: Fit, component: int, top: int = 15, ax: Axes | None = None) -> Axes:
    """Draw the features that mark a component: shares with 90% intervals, the surest on top.

    Features are those of `Fit.markers`, first by the probability that the share is larger here than in every other
    component. Full dots are surer of it than 0.95; a grey bar is the largest share in another component. A MAP fit has
    no probabilities: its features are those of the largest shares.

    Parameters
    ----------
    fit : Fit
        Any fit.
    component : int
        Row of H, counted from 0.
    top : int
        How many features.
    ax : Axes, optional
        Where to draw; a new figure of 3.5 inches when left out.

    Returns
    -------
    Axes

    Raises
    ------
    EngineError
        For a component that there is not.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2, engine=bn.CAVI(starts=1))
    >>> bn.plotting.ranking(fit, 0, top=5).get_xlabel()
    'share of component 0'
    """
    (component,) = chosen(fit, component)
    share = fit.H[component]
    ends, sure = intervals(fit, "H"), np.ones(len(share), bool)
    if ends is None:
        order = np.argsort(-share, kind="stable")[:top]
    else:
        markers = fit.markers(component)
        order = markers.index.to_numpy()[:top]
        sure[markers.index] = ~(markers["probability"] <= SURE)
    ax = new_axes(ax, 3.5, 0.9 + 0.17 * len(order))
    place = np.arange(len(order))
    others = np.delete(fit.H, component, 0)
    if len(others):
        ax.plot(others.max(0)[order], place, "|", color="#888888", ms=7, mew=1.5, label="largest elsewhere")
    if ends is not None:
        low, high = (end[component, order] for end in ends)
        ax.hlines(place, low, high, color=colour(component), lw=1.2, label="90% interval")
        ax.plot([], [], "o", color=colour(component), ms=4, label=f"largest here, P > {SURE:g}")
    ax.scatter(
        share[order], place, s=18, zorder=3, edgecolors=colour(component),
        facecolors=[colour(component) if full else "white" for full in sure[order]],
    )  # fmt: skip
    names = feature_names(fit)
    ax.set_yticks(place, [names[j] for j in order], fontsize="small")
    ax.set(xlabel=f"share of component {component}", xlim=(0, None), ylim=(len(order) - 0.5, -0.5))
    if ends is not None or len(others):
        ax.legend(frameon=False, fontsize="x-small", loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
