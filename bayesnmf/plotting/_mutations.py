"""Mutational signatures, in the 96 channels of single-base substitutions."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from .._errors import DataError
from ..result import Fit
from ..summaries import intervals
from ._draw import Components, chosen, new_axes, rows, say_empty

GROUPS = {
    "C>A": "#56B4E9", "C>G": "#000000", "C>T": "#D55E00", "T>A": "#BBBBBB", "T>C": "#117733", "T>G": "#AA4499",
}  # fmt: skip
"""Colours near the customary ones, and apart for all colour vision."""

CHANNELS = tuple(f"{five}[{group}]{three}" for group in GROUPS for five, three in product("ACGT", repeat=2))
"""The customary order: by substitution, then by the base before, then by the base after."""

LEAST_PITCH = 4.0
"""Points between ticks that names of contexts need."""


def mutations(fit: Fit, components: Components = None, ax: Axes | None = None) -> Axes:
    """Draw mutational signatures: bars of 96 channels by substitution and context, with 90% intervals.

    One row is one component, on its own scale: the height of its largest value stands at the right. Channels are in the
    customary order, whatever their order in the fit. Not for other catalogues (indels, 192 strands, 1536 contexts); use
    ``fit.plot.components()`` there.

    Parameters
    ----------
    fit : Fit
        With 96 features named like "A[C>A]T": base before, substitution of the pyrimidine, base after.
    components : int or sequence of int, optional
        Rows of H, counted from 0; all when left out.
    ax : Axes, optional
        Where to draw; a new figure of 7 inches when left out.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        Where features are not the 96 channels, or have no names.

    References
    ----------
    Alexandrov, L. B. et al. (2013). Signatures of mutational processes in human cancer. Nature 500, 415-421.

    Examples
    --------
    >>> import numpy as np, pandas as pd, bayesnmf as bn
    >>> from bayesnmf.plotting import CHANNELS
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson(rng.gamma(1.0, 50.0, (20, 2)) @ rng.dirichlet(np.full(96, 0.3), 2))
    >>> fit = bn.fit(pd.DataFrame(counts, columns=CHANNELS), rank=2, engine=bn.CAVI(starts=1))
    >>> len(bn.plotting.mutations(fit).containers)
    2
    """
    order = _order(fit)
    ks = chosen(fit, components)
    ax = new_axes(ax, 7, 1.2 + 0.65 * max(len(ks), 1))
    ax.set(ylabel="component")
    if not ks:
        return say_empty(ax)
    H, ends = fit.H[ks][:, order], intervals(fit, "H")
    low, high = (None, None) if ends is None else (end[ks][:, order] for end in ends)
    top = H.max(1) if high is None else np.maximum(H.max(1), high.max(1))
    label = "share of component" + ("" if ends is None else ",\n90% interval")
    base, scale = rows(ax, ks, top, label)
    place, colours = np.arange(96), np.repeat(list(GROUPS.values()), 16)
    for row in range(len(ks)):
        ax.bar(place, scale[row] * H[row], bottom=base[row], color=colours, width=0.75)
        if low is not None and high is not None:
            ends_of_row = (base[row] + scale[row] * end[row] for end in (low, high))
            ax.vlines(place, *ends_of_row, color="#777777", lw=0.8)
    ax.set_xlim(-0.7, 95.7)
    _strips(ax)
    _ticks(ax)
    return ax


def _order(fit: Fit) -> list[int]:
    """Return the columns of H in the order of `CHANNELS`."""
    names = fit.features or ()
    if sorted(names) != sorted(CHANNELS):
        wrong = [name for name in names if not re.fullmatch(r"[ACGT]\[(C>[AGT]|T>[ACG])\][ACGT]", name)]
        got = f"{wrong[0]!r}" if wrong else f"{len(set(names))} of them" if names else "features without names"
        raise DataError(
            f"Expected the 96 channels of single-base substitutions as features, named like 'A[C>A]T'; got {got}."
        )
    place = {name: column for column, name in enumerate(names)}
    return [place[name] for name in CHANNELS]


def _strips(ax: Axes) -> None:
    """Draw a strip with its name above the channels of each substitution, of one height on every size of paper."""
    above = ScaledTranslation(0, 6 / 72, ax.figure.dpi_scale_trans)
    for group, (name, colour) in enumerate(GROUPS.items()):
        ends = 16 * group - 0.4, 16 * group + 15.4
        strip = ax.plot(ends, (1, 1), color=colour, lw=6, solid_capstyle="butt", clip_on=False)[0]
        strip.set_transform(ax.get_xaxis_transform() + above)
        ax.annotate(
            name, (16 * group + 7.5, 1), (0, 11), xycoords=ax.get_xaxis_transform(), textcoords="offset points",
            ha="center", fontsize="small",
        )  # fmt: skip


def _ticks(ax: Axes) -> None:
    """Name the contexts where they can be read, and mark where substitutions begin where they cannot."""
    pitch = 72 * ax.get_position().width * ax.figure.bbox.width / ax.figure.dpi / 97
    if pitch >= LEAST_PITCH:
        names = [f"{name[0]}{name[2]}{name[6]}" for name in CHANNELS]
        ax.set_xticks(range(96), names, rotation=90, fontsize=min(pitch, 7), family="monospace")
        ax.tick_params(axis="x", length=0, pad=1)
    else:
        ax.set_xticks(np.arange(0, 97, 16) - 0.5, [])
