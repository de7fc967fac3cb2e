"""Activities over time or position, and by condition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .._errors import DataError
from ..result import Fit
from ..summaries import PROB, intervals
from ._draw import MOST_COLUMNS, Components, chosen, colour, drawn_interval, new_axes, rows, say_empty

BINS = 50
"""Bins of a coordinate that comes back to where it was."""

UPRIGHT = 5
"""Letters of a condition's name up to which it is not turned."""


def over(
    fit: Fit, coordinate: Any, components: Components = None, ax: Axes | None = None, *, bins: int | None = None
) -> Axes:
    """Draw activities over a continuous coordinate, time or position, with 90% intervals as bands.

    One row is one component, on its own scale: what its full height is stands at the right. A coordinate that only
    rises, as time does, is taken as it is up to 1000 samples; else the band is that of the mean of the activities in
    each of `bins` equal steps. It says how sure the mean of these samples is, not how much single ones vary.

    Parameters
    ----------
    fit : Fit
        Any fit; without intervals there are no bands.
    coordinate : array of shape (n,)
        Of each sample. Samples where it is NaN are left out. A name (of a pandas Series) becomes the label.
    components : int or sequence of int, optional
        Columns of W, counted from 0; all when left out.
    ax : Axes, optional
        Where to draw; a new figure of 7 inches when left out.
    bins : int, optional
        Steps that samples are averaged in; when left out, 50 where they must be, else none.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        Where the coordinate is not one number for each sample, or `bins` is no number of bins.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2, engine=bn.CAVI(starts=1))
    >>> bn.plotting.over(fit, 0.1 * np.arange(20)).set_xlabel("time (s)").get_text()
    'time (s)'
    """
    place = _coordinate(coordinate, len(fit.W))
    ks = chosen(fit, components)
    ax = new_axes(ax, 7, 1.0 + 0.5 * max(len(ks), 2))
    ax.set(xlabel=getattr(coordinate, "name", None) or "coordinate", ylabel="component")
    if not ks:
        return say_empty(ax)
    known = np.flatnonzero(np.isfinite(place))
    if bins is None and len(known) <= MOST_COLUMNS and np.all(np.diff(place[known]) > 0):
        ends = intervals(fit, "W")
        courses(ax, place[known], fit.W[known], None if ends is None else [end[known] for end in ends], ks)
        return ax
    bins = BINS if bins is None else bins
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise DataError(f"Expected bins to be a whole number of at least 1; got {bins!r}.")
    edges = np.linspace(place[known].min(), place[known].max(), bins + 1)
    member = np.full(len(place), -1)
    member[known] = np.clip(np.searchsorted(edges, place[known], "right") - 1, 0, bins - 1)
    ends = drawn_interval(fit, "W", lambda W: _means(W, member, bins))
    courses(ax, (edges[:-1] + edges[1:]) / 2, _means(fit.W, member, bins), ends, ks)
    return ax


def courses(ax: Axes, place: np.ndarray, values: np.ndarray, ends: Any, components: list[int]) -> None:
    """Draw values (n, rank) over place (n,), with bands between `ends` where there are any."""
    high = values if ends is None else np.fmax(values, ends[1])
    label = "activity" + ("" if ends is None else ",\n90% interval")
    base, scale = rows(ax, components, np.nanmax(high[:, components], axis=0), label)
    for row, k in enumerate(components):
        if ends is not None:
            band = [base[row] + scale[row] * end[:, k] for end in ends]
            ax.fill_between(place, *band, color=colour(k), alpha=0.35, lw=0)
        ax.plot(place, base[row] + scale[row] * values[:, k], color=colour(k), lw=0.8)
    ax.margins(x=0)


def by_condition(
    fit: Fit, condition: Any, groups: Any = None, components: Components = None, ax: Axes | None = None
) -> Axes:
    """Draw mean activities by condition with 90% intervals.

    One row is one component, on its own scale. With groups, runs or animals or donors, small dots are the means of
    each, the large one is their mean, and its interval is Student's t over them: it speaks of further groups. Without,
    the interval is that of the posterior: it speaks of these samples alone, and is narrow where there are many. Samples
    that follow each other are no groups.

    Parameters
    ----------
    fit : Fit
        Any fit; without a posterior and without groups there are no intervals.
    condition : array of shape (n,)
        Of each sample, a name or a number; of a pandas Categorical its order is kept. Samples where it is missing are
        left out.
    groups : array of shape (n,), optional
        Group of each sample, such as `Fit.groups`.
    components : int or sequence of int, optional
        Columns of W, counted from 0; all when left out.
    ax : Axes, optional
        Where to draw; a new figure when left out.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        Where there is not one condition, or group, for each sample.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2, engine=bn.CAVI(starts=1))
    >>> ax = bn.plotting.by_condition(fit, ["face", "house"] * 10, groups=np.repeat([1, 2, 3, 4], 5))
    >>> [tick.get_text() for tick in ax.get_xticklabels()]
    ['face', 'house']
    """
    n = len(fit.W)
    member = _labels(condition, n, "condition")
    names = [f"{name:g}" if isinstance(name, float) else str(name) for name in member.categories]
    count = len(names)
    ks = chosen(fit, components)
    longest = max(map(len, names))
    width, below = float(np.clip(1.6 + 0.4 * count, 3.5, 7)), 0.07 * longest if longest > UPRIGHT else 0.2
    ax = new_axes(ax, width, 0.8 + 0.45 * max(len(ks), 2) + below)
    ax.set(xlabel=getattr(condition, "name", None) or "condition", ylabel="component")
    if not ks:
        return say_empty(ax)
    if groups is None:
        values, each = _means(fit.W, member.codes, count), None
        ends: Any = drawn_interval(fit, "W", lambda W: _means(W, member.codes, count))
    else:
        own = _labels(groups, n, "groups").codes
        each = np.stack([_means(fit.W, np.where(own == g, member.codes, -1), count) for g in range(own.max() + 1)])
        values, ends = _over_groups(each)
    drawn = [a for a in (values, *(ends or ()), each) if a is not None]
    top = np.nanmax(np.concatenate([a.reshape(-1, fit.rank) for a in drawn]), axis=0)[ks]
    base, scale = rows(ax, ks, top, "mean activity" + ("" if ends is None else ",\n90% interval"))
    place = np.arange(count)
    for row, k in enumerate(ks):
        if each is not None:
            aside = np.repeat(place[None] + 0.2, len(each), 0)
            ax.plot(aside.ravel(), base[row] + scale[row] * each[:, :, k].ravel(), ".", color="#888888", ms=3, mew=0)
        if ends is not None:
            low, high = (base[row] + scale[row] * np.maximum(end[:, k], 0) for end in ends)
            ax.vlines(place, low, high, color=colour(k), lw=1.5)
        ax.plot(place, base[row] + scale[row] * values[:, k], "o", color=colour(k), ms=3)
    ax.set_xticks(place, names, rotation=90 if longest > UPRIGHT else 0, fontsize="small")
    ax.set_xlim(-0.5, count - 0.5)
    return ax


def _coordinate(values: Any, n: int) -> np.ndarray:
    try:
        place = np.asarray(values, float)
    except (TypeError, ValueError) as error:
        raise DataError(f"Expected numbers for a coordinate ({error}); conditions are drawn by by_condition.") from None
    if place.shape != (n,) or not np.isfinite(place).any():
        raise DataError(f"Expected a coordinate for each of {n} samples, some of it known; got shape {place.shape}.")
    return place


def _labels(values: Any, n: int, name: str) -> pd.Categorical:
    """Return labels as categories that occur."""
    found = pd.Categorical(values if hasattr(values, "dtype") else list(values))
    if len(found) != n or not (found.codes >= 0).any():
        raise DataError(f"Expected {name} to have one entry for each of {n} samples; got {len(found)}.")
    return found.remove_unused_categories()


def _means(values: np.ndarray, member: np.ndarray, bins: int) -> np.ndarray:
    """Return means of values (..., n, k) in each bin, (..., bins, k), NaN where it is empty; -1 is no bin."""
    order = np.argsort(member, kind="stable")
    order = order[member[order] >= 0]
    there, starts, counts = np.unique(member[order], return_index=True, return_counts=True)
    found = np.full((*values.shape[:-2], bins, values.shape[-1]), np.nan)
    if len(there):
        found[..., there, :] = np.add.reduceat(values[..., order, :], starts, axis=-2) / counts[:, None]
    return found


def _over_groups(each: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Return mean (conditions, rank) over groups (groups, conditions, rank), and Student's interval of it."""
    from scipy.stats import t

    there = np.isfinite(each)
    count = there.sum(0)
    mean = np.where(there, each, 0).sum(0) / np.maximum(count, 1)
    square = np.where(there, (each - mean) ** 2, 0).sum(0) / np.maximum(count - 1, 1)
    half = np.where(count > 1, t.ppf((1 + PROB) / 2, np.maximum(count - 1, 1)), np.nan) * np.sqrt(
        square / np.maximum(count, 1)
    )
    return mean, (mean - half, mean + half)
