"""Spikes of hippocampal neurons on a linear track."""

from __future__ import annotations

import numpy as np

from ._dataset import Dataset, packaged

BIN_S = 0.25


def ca1() -> Dataset:
    """Load the spike counts of 31 units in a rat's CA1, with its position on a linear track.

    Some 16 minutes on the track, then some 16 minutes of rest off it. Counts are in bins of 250 ms.

    Returns
    -------
    Dataset
        X has shape (7876, 31), spikes per bin. One value per bin in ``coords``:

        - ``time_s``: the bin's start in seconds from the first bin's.
        - ``position_px``: position along the track in camera pixels from its lowest value, the
          mean over the bin; NaN where the rat is not tracked on the track (the first 27 s, and
          the rest after the run).
        - ``speed_px_per_s``: speed along the track in pixels per second, from the positions of the
          bins before and after; NaN beside a missing position.

    Notes
    -----
    Spike times (seconds) and video frames (ticks) are taken to share one clock. The tracker's
    header says 30,000 ticks per second; divided by it, the frames run from 4397.03 s to 6379.46 s.
    The spike file states a range from 4397.00 s to 6365.27 s for every unit. Nothing was shifted.
    Bins run from 4397 s to 6366 s, the whole seconds around the first and the last spike; the last
    three hold no spikes.

    The tracker's pixel scale is not set, so pixels cannot be turned into centimetres. Position is
    the projection on the first principal axis of the tracked points. Not tracked: a point that
    stays put for more than 5 s (the longest such stay during the run is 2.5 s), or lies more than
    60 px off the axis.

    References
    ----------
    nelpy example data, linear-track: https://github.com/nelpy/example-data

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> recording = datasets.load("ca1")
    >>> round(float((recording.X == 0).mean()), 2), int(recording.X.max())
    (0.93, 15)
    """
    arrays = packaged("ca1.npz")
    position = np.where(arrays["tracked"], arrays["position_dpx"] / 10.0, np.nan)
    return Dataset(
        name="ca1",
        X=arrays["counts"].astype(np.int64),
        feature_names=tuple(f"tetrode{t:02d}_unit{u:02d}" for t, u in arrays["units"]),
        coords={
            "time_s": np.arange(len(position)) * BIN_S,
            "position_px": position,
            "speed_px_per_s": np.abs(np.gradient(position, BIN_S)),
        },
        description=(
            "Spikes of 31 units in the CA1 of a rat that runs on a linear track and then rests, "
            "7876 bins of 250 ms, counts, 93% zeros."
        ),
        known=(
            "Where the rat was (position_px), which no fit sees: while it runs, place explains more than a tenth of "
            "the variance of some units. How many ensembles there are is not known."
        ),
        likelihood="Poisson",
        licence="MIT (repository nelpy/example-data)",
        citation="nelpy example data, linear-track. Files: nelpy/example-data.",
    )
