"""What all pictures share: colours, axes, and one row for each component."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from .._errors import DataError, EngineError
from ..result import Fit
from ..summaries import HELD as HELD_AT_ONCE
from ..summaries import PROB

KEPT, DROPPED, HELD, CROSSED = "#0072B2", "#BBBBBB", "#D55E00", "#009E73"

COLOURS = "cividis"
"""Read alike by all colour vision, and in grey print."""

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000")
"""One colour for each component, in turn: those of Okabe and Ito, without the yellow that is lost on white."""

UNIT = Normalize(0, 1)

MOST_TICKS = 40
"""Beyond this many names along an axis they cannot be read; nor can bars with their intervals."""

MOST_BANDS = 10
"""Components of which each can have its own row of bars."""

MOST_COLUMNS = 1000
"""Beyond this many columns, more than a picture has pixels, means of neighbours are shown."""

TOP = 0.85
"""Height of the largest value of a row, of which each is 1 high."""

DRAWS = 200
"""Draws of which intervals of sums and means are quantiles."""

Components = int | Sequence[int] | None


def new_axes(ax: Axes | None, width: float = 4.5, height: float = 3) -> Axes:
    """Return `ax`, or the Axes of a new figure."""
    return plt.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def new_grid(axes: Any, rows: int, columns: int, width: float, height: float, **options: Any) -> np.ndarray:
    """Return `axes` as an array of rows x columns, or those of a new figure."""
    if axes is None:
        size = (width, height)
        return plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)[1]
    given = np.array(axes, dtype=object)
    if given.size != rows * columns:
        raise DataError(f"Expected {rows} x {columns} Axes for this picture; got {given.size}.")
    return given.reshape(rows, columns)


def new_panels(axes: Any, count: int, columns: int, height: float) -> np.ndarray:
    """Return `axes` as an array (count,), or panels of a new figure, so many beside each other in 7 inches."""
    if axes is not None:
        return new_grid(axes, 1, count, 0, 0)[0]
    width, columns = 7 / columns, min(count, columns)
    lines = -(-count // columns)
    figure = plt.figure(figsize=(width * columns, height * lines), layout="constrained")
    return np.array([figure.add_subplot(lines, columns, 1 + panel) for panel in range(count)])


def colour(component: int) -> str:
    """Return the colour of a component, the same in every picture."""
    return PALETTE[component % len(PALETTE)]


def chosen(fit: Fit, components: Components) -> list[int]:
    """Return which components to draw, all where None is said."""
    if components is None:
        return list(range(fit.rank))
    asked = np.atleast_1d(np.asarray(components))
    if asked.ndim > 1 or asked.dtype.kind not in "iu" or np.any(asked < 0) or np.any(asked >= fit.rank):
        there = f"Expected components from 0 to {fit.rank - 1}" if fit.rank else "The fit kept no component"
        raise EngineError(f"{there}; got {components!r}.")
    return [int(k) for k in asked]


def drawn_interval(
    fit: Fit, name: Literal["W", "H"], of: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the ends of intervals of what `of` makes of draws (size, ...), or None where a fit has no intervals."""
    if fit.posterior is None or fit.rank == 0:
        return None
    most = max(1, HELD_AT_ONCE // (fit.W.size + fit.H.size))
    found = []
    try:
        for block, start in enumerate(range(0, DRAWS, most)):
            size = min(most, DRAWS - start)
            drawn = fit.posterior.draws_of_H(size, block) if name == "H" else fit.draws(size, seed=block)["W"]
            found.append(of(drawn))
    except EngineError:
        return None
    low, high = np.quantile(np.concatenate(found), [(1 - PROB) / 2, (1 + PROB) / 2], axis=0)
    return low, high


def rows(ax: Axes, components: Sequence[int], top: np.ndarray, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Prepare a row for each component, and return base and scale: a value is drawn at ``base + scale * value``.

    `top` (k,) is what is drawn at full height, and said at the right; once, where it is the same for all.
    """
    k = len(components)
    base, scale = -np.arange(k), TOP / np.where(top > 0, top, 1)
    for y in base.tolist():
        ax.axhline(y, color="black", lw=0.5)
    ax.set_yticks(base, [str(component) for component in components])
    ax.set_ylim(-k + 0.9, 1)
    right = ax.secondary_yaxis("right")
    same = np.all(top == top[0])
    said = slice(0, 1) if same else slice(0, k)
    right.set_yticks((base + TOP)[said], [_number(value) for value in top[said]], fontsize="small")
    right.set_ylabel(label, fontsize="small")
    return base, scale


def _number(value: float) -> str:
    return f"{value:.0f}" if 1000 <= value < 1e6 else f"{value:.3g}"


def fewer_columns(values: np.ndarray) -> np.ndarray:
    """Return values (k, n) as they are up to `MOST_COLUMNS`; else that many means of neighbours."""
    n = values.shape[1]
    if n <= MOST_COLUMNS:
        return values
    edges = np.linspace(0, n, MOST_COLUMNS + 1).astype(int)
    return np.add.reduceat(values, edges[:-1], axis=1) / np.diff(edges)


def name_ticks(ax: Axes, names: Sequence[str] | None) -> None:
    """Name what is along the x axis, where there are names and room for them; else count it."""
    if names is not None and len(names) <= MOST_TICKS:
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize="x-small")
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def say_empty(ax: Axes) -> Axes:
    """Say that there is nothing to draw."""
    ax.text(0.5, 0.5, "no components kept", ha="center", va="center", transform=ax.transAxes)
    ax.set(xticks=[], yticks=[])
    return ax
