"""Components of EEG: scalp maps and spectra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from .._errors import DataError
from ..io._recording import need
from ..result import Fit
from ._draw import COLOURS, Components, chosen, colour, drawn_interval, new_grid, say_empty

if TYPE_CHECKING:
    import pandas as pd

    from ..io import Recording


def scalp(
    fit: Fit,
    recording: Recording,
    band: float | tuple[float, float] | None = None,
    components: Components = None,
    axes: Sequence[Axes] | None = None,
) -> np.ndarray:
    """Draw the scalp map of each component, and its spectrum beside it with 90% intervals.

    The map is the share of the component in each channel, over the frequencies of `band`; the spectrum its share in
    each frequency, over all channels. Marked sensors hold more than an even share of the map with a probability of at
    least 0.95. A map is where power is measured; it is no map of sources. Sensors of MEG in one spot are added up.

    Parameters
    ----------
    fit : Fit
        To the recording.
    recording : Recording
        Features are channels, or channel x frequency, as of `bayesnmf.io.from_mne`, with columns x, y, z: places of the
        sensors in head coordinates, in metres. Channels without a place are not in the map.
    band : float or (float, float), optional
        The map's frequency, the nearest there is, or lowest and highest frequency; all summed when left out.
    components : int or sequence of int, optional
        Rows of H, counted from 0; all when left out.
    axes : Axes of shape (components, 2), optional
        Maps and spectra; of shape (components, 1) where there are no frequencies. A new figure when left out.

    Returns
    -------
    array of Axes of shape (components, 2) or (components, 1)

    Raises
    ------
    DataError
        Where features are no channels with places, or no frequency is in the band.
    ImportError
        Where MNE is not installed.

    Examples
    --------
    >>> import mne, numpy as np, bayesnmf as bn
    >>> info = mne.create_info(["Fz", "C3", "Cz", "C4", "Pz", "Oz"], sfreq=100.0, ch_types="eeg")
    >>> raw = mne.io.RawArray(1e-5 * np.random.default_rng(0).normal(size=(6, 3000)), info, verbose=False)
    >>> recording = bn.io.from_mne(raw.set_montage("biosemi16"), frequencies=(5, 15))
    >>> fit = bn.fit(recording, rank=2, likelihood=bn.GammaNoise(), engine=bn.MAP(starts=1))
    >>> bn.plotting.scalp(fit, recording, band=(8, 12)).shape
    (2, 2)
    """
    table = recording.features
    if fit.H.shape[1] != len(table):
        raise DataError(f"Expected the fit of this recording, with {len(table)} features; got {fit.H.shape[1]}.")
    hertz, of_hertz = _frequencies(table)
    inside = _inside(hertz[of_hertz], band)
    places = table[["x", "y", "z"]].to_numpy(float)
    known = np.isfinite(places).all(1)
    spots, of_spot = np.unique(places[known], axis=0, return_inverse=True)
    if len(spots) < 4:
        raise DataError(f"Expected channels with places x, y, z, in at least four spots; got {len(spots)}.")
    ks = chosen(fit, components)
    spectra = len(hertz) > 1
    lines = max(len(ks), 1)
    made = new_grid(
        axes, lines, 1 + spectra, 3.5 if spectra else 1.75, 0.3 + 1.3 * lines,
        **({"width_ratios": [1, 1.6]} if spectra else {}),
    )  # fmt: skip
    if not ks:
        return np.array([[say_empty(ax) for ax in made[0]]])
    to_map = np.zeros((len(table), len(spots)))
    to_map[known] = np.eye(len(spots))[of_spot.ravel()] * inside[known, None]
    to_spectrum = np.eye(len(hertz))[of_hertz]
    sure = _more_than_even(fit, to_map)
    ends = drawn_interval(fit, "H", lambda H: H @ to_spectrum) if spectra else None
    for row, k in enumerate(ks):
        _map(made[row, 0], fit.H[k] @ to_map, spots, sure[k])
        made[row, 0].set_ylabel(f"component {k}", fontsize="small")
        if spectra:
            _spectrum(made[row, 1], hertz, fit.H[k] @ to_spectrum, ends and [end[k] for end in ends], k, band)
    if spectra:
        made[-1, 1].set_xlabel("frequency (Hz)", fontsize="small")
    return made


def _frequencies(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the frequencies, and which one each feature is of; a single one where features are channels."""
    levels = list(table.index.names)
    if not {"x", "y", "z"} <= set(table.columns) or not (levels == ["channel", "frequency"] or len(levels) == 1):
        raise DataError(
            "Expected features to be channel x frequency, or channels, with columns x, y, z, as bayesnmf.io.from_mne "
            f"makes them; got {' x '.join(map(str, levels))} with columns {', '.join(map(str, table.columns))}."
        )
    if len(levels) == 1:
        return np.zeros(1), np.zeros(len(table), int)
    return np.unique(table.index.get_level_values(1).to_numpy(float), return_inverse=True)


def _inside(hertz: np.ndarray, band: float | tuple[float, float] | None) -> np.ndarray:
    """Return which features are in the band."""
    if band is None:
        return np.ones(len(hertz), bool)
    if np.ndim(band) == 0:
        distance = np.abs(hertz - band)
        return distance == distance.min()
    low, high = band  # type: ignore[misc]
    inside = (hertz >= low) & (hertz <= high)
    if not inside.any():
        raise DataError(f"Expected a band within {hertz.min():g} and {hertz.max():g} Hz; got {band}.")
    return inside


def _more_than_even(fit: Fit, to_map: np.ndarray) -> np.ndarray:
    """Return which channels surely hold more of the map than an even share, (rank, channels)."""

    def share(H: np.ndarray) -> np.ndarray:
        shown = H @ to_map
        return shown / np.maximum(shown.sum(-1, keepdims=True), np.finfo(float).tiny)

    ends = drawn_interval(fit, "H", share)
    count = to_map.shape[1]
    return np.zeros((fit.rank, count), bool) if ends is None else ends[0] > 1 / count


def _map(ax: Axes, values: np.ndarray, spots: np.ndarray, sure: np.ndarray) -> None:
    mne = need("mne", "eeg")
    names = [str(spot) for spot in range(len(spots))]
    montage = mne.channels.make_dig_montage(dict(zip(names, spots, strict=True)), coord_frame="head")
    info = mne.create_info(names, 1.0, "eeg").set_montage(montage)
    most = max(values.max(), np.finfo(float).tiny)
    mne.viz.plot_topomap(
        values, info, axes=ax, show=False, cmap=COLOURS, vlim=(0, most), contours=0, mask=sure,
        mask_params={"marker": "o", "markerfacecolor": "w", "markeredgecolor": "k", "markersize": 3, "linewidth": 0},
    )  # fmt: skip
    ax.text(0.5, -0.02, f"share 0 to {most:.2g}", transform=ax.transAxes, ha="center", va="top", fontsize="x-small")


def _spectrum(
    ax: Axes, hertz: np.ndarray, values: np.ndarray, ends: Any, component: int, band: float | tuple[float, float] | None
) -> None:
    if ends is not None:
        ax.fill_between(hertz, *ends, color=colour(component), alpha=0.35, lw=0)
    ax.plot(hertz, values, color=colour(component), lw=1)
    if band is not None:
        ax.axvspan(*np.broadcast_to(band, 2), color="#DDDDDD", zorder=0)
    ax.set(xlim=(hertz[0], hertz[-1]), ylim=(0, None))
    ax.set_ylabel("share", fontsize="small")
    ax.tick_params(labelsize="small")
    ax.spines[["top", "right"]].set_visible(False)
