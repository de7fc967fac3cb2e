"""X itself, its features sorted and coloured by component, below the activities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from .._errors import DataError
from .._input import labelled
from ..result import Fit
from ..summaries import intervals
from ._activities import courses
from ._draw import MOST_TICKS, Components, chosen, colour, fewer_columns, new_grid, say_empty

MISSING = 0.88
"""Grey of what was not observed."""


def raster(
    fit: Fit,
    X: Any,
    time: Any = None,
    components: Components = None,
    axes: Sequence[Axes] | None = None,
    *,
    samples: slice | None = None,
) -> np.ndarray:
    """Draw X in time, its features sorted by their main component and coloured by it, below the activities.

    For spikes, calcium and speeds: rows of the raster are features, columns are samples. The main component of a
    feature is the one that holds most of it, by mass; in each component the features that it holds most of are on top.
    Colour goes from white to that of the component, at the feature's 99th percentile in what is shown; grey is missing.
    Beyond 1000 samples means of neighbours are shown, and single spikes fade: show a part by `samples`.

    Parameters
    ----------
    fit : Fit
        Any fit; the activities have 90% intervals where it has.
    X : matrix of shape (n, m), or Recording
        What was fitted, dense or sparse.
    time : array of shape (n,), optional
        Of each sample, at equal steps; counted when left out. A name (of a pandas Series) becomes the label.
    components : int or sequence of int, optional
        Counted from 0; all when left out. Features of others are left out too.
    axes : two Axes, optional
        For the activities and for the raster; a new figure of 7 inches when left out.
    samples : slice, optional
        Which samples to show, all when left out.

    Returns
    -------
    array of Axes of shape (2,)

    Raises
    ------
    DataError
        Where X or the times are not those of the fit.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> X = np.random.default_rng(0).poisson(3.0, (20, 10))
    >>> fit = bn.fit(X, rank=2, engine=bn.CAVI(starts=1))
    >>> activities, features = bn.plotting.raster(fit, X)
    >>> features.get_ylabel()
    'feature, by main component'
    """
    X = labelled(X)[0]
    X = X.tocsr() if hasattr(X, "tocsr") else np.ma.filled(np.ma.asarray(X, float), np.nan)
    n, m = len(fit.W), fit.H.shape[1]
    place = np.arange(n) if time is None else np.asarray(time, float)
    if X.shape != (n, m):
        raise DataError(f"Expected the X that was fitted, of shape {(n, m)}; got {X.shape}.")
    if place.shape != (n,) or not np.all(np.diff(place) > 0):
        raise DataError(f"Expected times of {n} samples that rise; got shape {place.shape}.")
    part = samples or slice(None)
    place, shown = place[part], X[part]
    shown = np.asarray(shown.todense() if hasattr(shown, "todense") else shown, float)
    if len(place) < 2:
        raise DataError(f"Expected at least two samples to show; got {len(place)}.")
    ks = chosen(fit, components)
    named = fit.features if m <= MOST_TICKS else None
    heights = [0.3 + 0.25 * max(len(ks), 2), max(2.6, 0.085 * m if named else 0)]
    made = new_grid(axes, 2, 1, 7, 0.8 + sum(heights), sharex=True, height_ratios=heights)
    top, below = made[:, 0]
    top.set(ylabel="component")
    below.set(xlabel=getattr(time, "name", None) or ("sample" if time is None else "time"))
    below.set(ylabel="feature, by main component")
    if not ks:
        return np.array([say_empty(top), say_empty(below)])
    ends = intervals(fit, "W")
    courses(top, place, fit.W[part], None if ends is None else [end[part] for end in ends], ks)
    order, main = _sorted(fit, ks)
    shown = shown[:, order].T
    values, missing = fewer_columns(np.nan_to_num(shown)), fewer_columns(np.isnan(shown).astype(float)) > 0.5
    most = np.percentile(values, 99, axis=1, keepdims=True)
    most = np.where(most > 0, most, values.max(1, keepdims=True))
    share = np.clip(values / np.where(most > 0, most, 1), 0, 1)
    tints = np.array([to_rgb(colour(k)) for k in main])[:, None]
    step = (place[-1] - place[0]) / (len(place) - 1) / 2
    extent = (place[0] - step, place[-1] + step, len(order) - 0.5, -0.5)
    image = np.where(missing[..., None], MISSING, 1 - share[..., None] * (1 - tints))
    below.imshow(image, aspect="auto", interpolation="nearest", extent=extent)
    _strip(below, main)
    if named:
        names = below.secondary_yaxis("right")
        names.set_yticks(range(len(order)), [named[j] for j in order], fontsize="xx-small")
        names.tick_params(length=0)
    top.set_xlim(*extent[:2])
    return np.array([top, below])


def _sorted(fit: Fit, components: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return columns of X by main component, those it holds most of first, and the main component of each."""
    held = fit.mass[:, None] * fit.H
    main = held.argmax(0)
    share = held.max(0) / np.maximum(held.sum(0), np.finfo(float).tiny)
    order = np.concatenate([sorted(np.flatnonzero(main == k), key=lambda j: -share[j]) for k in components]).astype(int)
    return order, main[order]


def _strip(ax: Axes, main: np.ndarray) -> None:
    """Draw a strip in the colour of each component beside its features, with its number."""
    across = ax.get_yaxis_transform()
    starts = np.flatnonzero(np.r_[True, main[1:] != main[:-1]])
    ends = np.r_[starts[1:], len(main)]
    for start, end in zip(starts, ends, strict=True):
        span = (start - 0.4, end - 0.6)
        ax.plot((-0.008, -0.008), span, color=colour(main[start]), lw=4, solid_capstyle="butt", transform=across,
                clip_on=False)  # fmt: skip
        if start:
            ax.axhline(start - 0.5, color="#BBBBBB", lw=0.5)
    ax.set_yticks((starts + ends - 1) / 2, [str(main[start]) for start in starts], fontsize="small")
    ax.tick_params(axis="y", length=0, pad=7)
    ax.set_ylim(len(main) - 0.5, -0.5)
