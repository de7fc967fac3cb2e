"""Pose by DeepLabCut: speeds of body parts."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._errors import DataError
from ._recording import Recording
from ._text import append

if TYPE_CHECKING:
    import pandas as pd


def read_deeplabcut(
    path: str | PathLike[str],
    *,
    bodyparts: Sequence[str] | None = None,
    likelihood: float = 0.9,
    fps: float | None = None,
) -> Recording:
    r"""Read a pose from a CSV file of DeepLabCut as speeds: rows are frames, columns are body parts.

    A speed is the distance that a body part moved since the frame before, so that the first frame has none. It is
    missing (NaN) where the likelihood of either position is below `likelihood`; a fit takes missing entries as such.
    Frames and body parts without a single speed are left out, and it is said how many. Jumps of the tracker that it
    was sure of stay: filter positions in DeepLabCut before. Speeds do not depend on where the animal is and where it
    looks; what a pose is like when nothing moves is not in them.

    For one animal and for several (the header then has a line of individuals). The .h5 file beside the CSV is not read:
    its names are pickled, and reading them would run what is in it.

    Parameters
    ----------
    path : str or path
        The CSV file, as DeepLabCut writes it with ``save_as_csv=True``.
    bodyparts : sequence of str, optional
        Which to take; all when left out. Corners of an arena, which do not move, are no body parts.
    likelihood : float
        Least likelihood of a position that is believed.
    fps : float, optional
        Frames per second: speeds are in pixels per second. When left out, in pixels per frame.

    Returns
    -------
    Recording
        `samples` are named by frame; `features` by body part, or by individual and body part, and have a column
        missing: the share of frames in which the speed is.

    Raises
    ------
    DataError
        For a file that is malformed or truncated, names that are not in it, or where no speed is left.
    FileNotFoundError
        Where there is no such file.

    Examples
    --------
    >>> import pathlib, tempfile, bayesnmf as bn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "pose.csv")
    ...     head = "scorer,DLC,DLC,DLC\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n"
    ...     _ = path.write_text(head + "0,1,1,1\n1,4,5,1\n2,4,7,1\n")
    ...     recording = bn.io.read_deeplabcut(path, fps=25)
    >>> recording.X.T
    array([[125.,  50.]])
    """
    path = Path(path)
    if fps is not None and not fps > 0:
        raise DataError(f"Expected fps, frames per second, above 0; got {fps}.")
    frames, names, pose = positions(path)
    known = names.get_level_values("bodypart")
    if bodyparts is not None:
        bodyparts = [bodyparts] if isinstance(bodyparts, str) else list(bodyparts)
        kept = known.isin(bodyparts)
        if not kept.any() or not set(bodyparts) <= set(known):
            raise DataError(f"Expected bodyparts among {', '.join(known.unique())}; got {bodyparts}.")
        names, pose = names[kept], pose[:, kept]
    steps = np.diff(frames)
    if len(steps) == 0 or not (steps > 0).all():
        raise DataError(f"Expected two frames or more in {path.name}, their numbers increasing.")
    sure = pose[..., 2] >= likelihood
    speeds = np.hypot(*np.moveaxis(np.diff(pose[..., :2], axis=0), -1, 0)) / steps[:, None]
    speeds[~(sure[1:] & sure[:-1])] = np.nan
    return _kept(path, frames[1:], names, speeds * (fps or 1), "second" if fps else "frame", likelihood)


def _kept(
    path: Path, frames: np.ndarray, names: pd.Index, speeds: np.ndarray, per: str, likelihood: float
) -> Recording:
    """Return the recording, without frames and body parts that have no speed."""
    import pandas as pd

    missing = np.isnan(speeds)
    rows, columns = ~missing.all(axis=1), ~missing.all(axis=0)
    if not rows.any():
        raise DataError(f"No position in {path.name} has a likelihood of {likelihood} in two frames that follow.")
    said = (
        f"{path.name}, DeepLabCut, pixels per {per}, {100 * missing.mean():.2g}% missing by likelihood < {likelihood}"
    )
    for gone, what in (((~rows).sum(), "frames"), ((~columns).sum(), "body parts")):
        said += f", {gone} {what} without any speed left out" if gone else ""
    return Recording(
        speeds[rows][:, columns],
        pd.DataFrame(index=pd.Index(frames[rows], name="frame")),
        pd.DataFrame({"missing": missing.mean(axis=0)[columns]}, names[columns]),
        f"{said}:",
    )


def positions(path: Path) -> tuple[np.ndarray, pd.Index, np.ndarray]:
    """Return numbers of frames, names, and frames x names x (x, y, likelihood)."""
    import pandas as pd

    values: array[float] = array("d")
    frames: list[str] = []
    header: dict[str, list[str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.reader(stream)
            for row in rows:
                if "coords" in header:
                    append(path, rows.line_num, row, len(header["coords"]) + 1, True, values, frames)
                elif row and row[0] in ("scorer", "individuals", "bodyparts", "coords"):
                    header[row[0]] = row[1:]
                else:
                    break
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not a CSV file of DeepLabCut: {error}.") from error
    width = len(header.get("coords", []))
    if (
        not {"scorer", "bodyparts", "coords"} <= set(header)
        or width == 0
        or header["coords"] != ["x", "y", "likelihood"] * (width // 3)
        or {len(line) for line in header.values()} != {width}
    ):
        raise DataError(
            f"Expected {path.name} to begin with lines scorer, (individuals,) bodyparts and coords, the last of "
            "x, y, likelihood for each body part, as DeepLabCut writes its predictions. Labels made by hand have none."
        )
    try:
        numbers = np.array(frames, dtype=str).astype(int)
    except ValueError as error:
        raise DataError(f"Expected numbers of frames in the first column of {path.name}: {error}.") from None
    levels = [header[line][::3] for line in ("individuals", "bodyparts") if line in header]
    names: pd.Index = (
        pd.MultiIndex.from_arrays(levels, names=["individual", "bodypart"])
        if len(levels) == 2
        else pd.Index(levels[0], name="bodypart")
    )
    return numbers, names, np.frombuffer(values, dtype=float).reshape(len(frames), width // 3, 3)
