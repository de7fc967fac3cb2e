"""Whether activities have to do with position: spatial information against circular shifts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Places(NamedTuple):
    """What activities have to do with position, (k,) each but `curve`.

    `bits` is the spatial information in bits per unit of activity; `null` its mean over circular shifts; `share` the
    share of shifts that reach it (counting the data themselves); `curve` the mean activity by position bin, (bins, k).
    """

    bits: np.ndarray
    null: np.ndarray
    share: np.ndarray
    curve: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """Which have places at 5% over all of them together (Bonferroni), (k,)."""
        return self.share * len(self.share) <= 0.05


def place_curve(activity: np.ndarray, place: np.ndarray, bins: int) -> np.ndarray:
    """Return the mean activity in each position bin, (bins, k): occupancy divided out, NaN where the animal never was.

    Parameters
    ----------
    activity : array of shape (n, k)
        Activities, or counts.
    place : int array of shape (n,)
        Position bin of each sample, from 0.
    bins : int
        Number of position bins.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesnmf._places import place_curve
    >>> place_curve(np.array([[1.0], [3.0], [5.0]]), np.array([0, 0, 1]), 2).ravel().tolist()
    [2.0, 5.0]
    """
    occupancy = np.bincount(place, minlength=bins)
    total = np.eye(bins)[place].T @ activity
    return np.where(occupancy[:, None] > 0, total, np.nan) / np.maximum(occupancy, 1)[:, None]


def spatial_information(curve: np.ndarray, occupancy: np.ndarray) -> np.ndarray:
    """Return the spatial information of each column of a place curve, in bits per unit of activity, (k,).

    ``sum_p share_p r_p / r log2(r_p / r)`` (Skaggs et al. 1993): 0 where activity is the same everywhere. It is
    biased upwards in short recordings, so compare it with shifted data, never with 0.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesnmf._places import spatial_information
    >>> spatial_information(np.array([[1.0, 2.0], [1.0, 0.0]]), np.array([5, 5])).tolist()
    [0.0, 1.0]
    """
    share = occupancy / occupancy.sum()
    curve = np.where(occupancy[:, None] > 0, curve, 0)
    mean = share @ curve
    ratio = curve / np.where(mean > 0, mean, 1)
    return share @ (ratio * np.log2(np.where(ratio > 0, ratio, 1)))


def find_places(activity: np.ndarray, place: np.ndarray, bins: int, least_shift: int) -> Places:
    """Compare the spatial information of activities with that under every circular shift of position.

    A shift keeps the rhythm of the activity and of the run, and breaks only what ties the two. Every shift of at least
    `least_shift` samples either way is used, so there is no seed. Neighbouring shifts are much alike: the share is
    coarser than their number suggests.

    Parameters
    ----------
    activity : array of shape (n, k)
        Activities, in order of time.
    place : int array of shape (n,)
        Position bin of each sample, from 0.
    bins : int
        Number of position bins.
    least_shift : int
        Least shift in samples; below n / 2.

    Returns
    -------
    Places

    Examples
    --------
    >>> import numpy as np
    >>> from bayesnmf._places import find_places
    >>> place = np.random.default_rng(0).integers(0, 5, 500)
    >>> find_places((place == 3)[:, None] * 1.0, place, 5, 20).found.tolist()
    [True]
    """
    occupancy = np.bincount(place, minlength=bins)
    curve = place_curve(activity, place, bins)
    bits = spatial_information(curve, occupancy)
    shifts = range(least_shift, len(place) - least_shift + 1)
    shifted = np.array(
        [spatial_information(place_curve(activity, np.roll(place, shift), bins), occupancy) for shift in shifts]
    )
    share = (1 + (shifted >= bits).sum(0)) / (1 + len(shifts))
    return Places(bits, shifted.mean(0), share, curve)
