"""How a mouse moves on an open arm."""

from __future__ import annotations

import numpy as np

from ..io._deeplabcut import positions
from ._dataset import Dataset
from ._registry import fetch

FRAMES_PER_SECOND = 25
ON_THE_MAZE = 369
"""First frame, of 962, in which most points are on the mouse."""
OPEN_ARMS_Y_PX = (400.0, 540.0)
LEAST_LIKELIHOOD, FARTHEST_PX, LONGEST_STEP_PX = 0.9, 200.0, 40.0
REPEATED_PX = 0.5
"""Median steps are of two sorts, near 0.04 and near 4, and few are between: below it a frame repeats a picture."""
BODY = (
    "nose", "headcentre", "neck", "earl", "earr", "bodycentre", "bcl", "bcr", "hipl", "hipr", "tailbase", "tailcentre",
    "tailtip",
)  # fmt: skip


def mouse() -> Dataset:
    """Load how far 13 points of a mouse's body move from picture to picture, 24 s on an elevated plus maze.

    Positions were found by DeepLabCut. X is how far a point moved from one picture to the next. Of the video's frames,
    25 a second, 36% show the picture before once more: there half of the points or more move by less than 0.5 pixels,
    and they are left out, for their small steps would be taken for movement in common. So are the first 369 of 962
    frames: the mouse is not on the maze yet, or the tracker still holds on to something beside it, as it does again for
    a moment later.

    A step is missing (NaN) where one of the two positions has a likelihood below 0.9 or is more than 200 pixels from
    the median of all points, and where it is longer than 40 pixels, for there one point was taken for another.

    Returns
    -------
    Dataset
        X has shape (371, 13), pictures x points of the body, in pixels from the picture before. ``coords``:

        - ``frame``: of the video, from 0.
        - ``time_s``: at 25 frames per second, as the authors read such files; the file does not say it.
        - ``x_px`` and ``y_px``: the median of the points; y points down.

    Raises
    ------
    DatasetError
        If the file is neither in the cache folder nor can be fetched.

    References
    ----------
    Sturman, O. et al. (2020). Deep learning-based behavioral analysis reaches human accuracy and is capable of
    outperforming commercial solutions. Neuropsychopharmacology 45, 1942-1952.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> datasets.load("mouse").X.shape  # doctest: +SKIP
    (371, 13)
    """
    frames, names, pose = positions(fetch("EPM_15DeepCut_resnet50_epmMay17shuffle1_1030000.csv"))
    x, y, likelihood = np.moveaxis(pose[ON_THE_MAZE:, names.get_indexer(list(BODY))], -1, 0)
    sure = likelihood >= LEAST_LIKELIHOOD
    middle = [np.nanmedian(np.where(sure, place, np.nan), axis=1) for place in (x, y)]
    sure &= np.hypot(x - middle[0][:, None], y - middle[1][:, None]) <= FARTHEST_PX
    sure &= ((middle[1] > OPEN_ARMS_Y_PX[0]) & (middle[1] < OPEN_ARMS_Y_PX[1]))[:, None]
    step = np.hypot(np.diff(x, axis=0), np.diff(y, axis=0))
    X = np.where(sure[1:] & sure[:-1] & (step <= LONGEST_STEP_PX), step, np.nan)
    seen = np.array([np.isfinite(row).any() and np.nanmedian(row) >= REPEATED_PX for row in X])
    frame = frames[ON_THE_MAZE + 1 :][seen]
    return Dataset(
        name="mouse",
        X=X[seen],
        feature_names=BODY,
        coords={
            "frame": frame,
            "time_s": frame / FRAMES_PER_SECOND,
            "x_px": middle[0][1:][seen],
            "y_px": middle[1][1:][seen],
        },
        description=(
            "How far 13 points of a mouse's body move from one picture to the next, in pixels, on the open arms of an "
            "elevated plus maze, 24 s of video; 16% are missing (NaN), where the tracker is in doubt."
        ),
        known=(
            "Points that are near each other on the body move together, and ends do not: steps correlate by 0.88 "
            "between nose and head, 0.44 between nose and root of the tail, and not at all between nose and tip of the "
            "tail. Nobody scored what the mouse does in this video, and how many movements there are is not known."
        ),
        likelihood="CompoundPoisson",
        licence="GPL-3.0 (repository ETHZ-INS/DLCAnalyzer): fetched, and not part of this package",
        citation=(
            "Sturman, O. et al. (2020). Deep learning-based behavioral analysis reaches human accuracy and is capable "
            "of outperforming commercial solutions. Neuropsychopharmacology 45, 1942-1952. File: ETHZ-INS/DLCAnalyzer."
        ),
    )
