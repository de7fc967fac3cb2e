"""Components of pose: how much of each is in which part of the body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from .._errors import DataError
from ..result import Fit
from ..summaries import feature_names, intervals
from ._draw import Components, chosen, colour, new_panels, say_empty

LARGEST = 250.0
"""Area of the largest dot in square points."""

NAMED = 3
"""How many parts of each component are named."""


def body(fit: Fit, positions: Any, components: Components = None, axes: Sequence[Axes] | None = None) -> np.ndarray:
    """Draw the body parts of each component where they are, in dots whose area is their share.

    One picture is one component. Rings are the ends of 90% intervals: a part whose inner ring is a point may have no
    share at all. Positions should be those in the frame of the body, for instance the mean over frames that were turned
    to face one way; those in an arena average to one spot.

    Parameters
    ----------
    fit : Fit
        To speeds of body parts, or whatever else is measured at each.
    positions : array of shape (m, 2), DataFrame or Recording
        x and y of each feature; of a DataFrame, or of the features of a Recording, columns x and y. y is down, as in
        images.
    components : int or sequence of int, optional
        Rows of H, counted from 0; all when left out.
    axes : sequence of Axes, optional
        One for each component; a new figure of up to 7 inches when left out.

    Returns
    -------
    array of Axes of shape (components,)

    Raises
    ------
    DataError
        Where there is not one position for each feature.

    Examples
    --------
    >>> import numpy as np, pandas as pd, bayesnmf as bn
    >>> parts = ["nose", "centre", "tail"]
    >>> X = pd.DataFrame(np.random.default_rng(0).gamma(1.0, 2.0, (30, 3)), columns=parts)
    >>> fit = bn.fit(X, rank=2, engine=bn.MAP(starts=1))
    >>> len(bn.plotting.body(fit, [[0, 0], [0, 5], [0, 10]]))
    2
    """
    place = _positions(positions, fit)
    ks = chosen(fit, components)
    panels = new_panels(axes, max(len(ks), 1), 4, 2.2)
    if not ks:
        return np.array([say_empty(panels[0])])
    ends, names = intervals(fit, "H"), feature_names(fit)
    most = (fit.H if ends is None else ends[1])[ks].max()
    for ax, k in zip(panels, ks, strict=True):
        ax.scatter(*place.T, s=LARGEST * fit.H[k] / most, color=colour(k), alpha=0.6, lw=0, clip_on=False)
        for end in ends or ():
            ax.scatter(
                *place.T, s=LARGEST * end[k] / most, facecolors="none", edgecolors="black", lw=0.6, clip_on=False
            )
        for j in np.argsort(-fit.H[k], kind="stable")[:NAMED]:
            ax.annotate(names[j], place[j], (8, 0), textcoords="offset points", fontsize="x-small", va="center")
        ax.set_title(f"component {k}", fontsize="small")
        ax.set_aspect("equal", "datalim")
        ax.set(xticks=[], yticks=[])
        ax.invert_yaxis()
        ax.spines[:].set_visible(False)
    return panels


def _positions(positions: Any, fit: Fit) -> np.ndarray:
    """Return x and y of each feature, (m, 2)."""
    table = getattr(positions, "features", positions)
    m = fit.H.shape[1]
    if hasattr(table, "columns"):
        if not {"x", "y"} <= set(table.columns):
            raise DataError(f"Expected positions with columns x and y; got {', '.join(map(str, table.columns))}.")
        if fit.features is not None and set(map(str, table.index)) == set(fit.features):
            table = table.set_axis(table.index.map(str)).loc[list(fit.features)]
        table = table[["x", "y"]]
    place = np.asarray(table, float)
    if place.shape != (m, 2) or not np.isfinite(place).all():
        raise DataError(f"Expected x and y of each of {m} features, all known; got shape {place.shape}.")
    return place
