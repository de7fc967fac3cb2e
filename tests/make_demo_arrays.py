"""Rebuild the two arrays that come with the package from the upstream files.

Run it as ``python tests/make_demo_arrays.py``. It fetches the upstream files, or reads them from
the folder named by BAYESNMF_DATA, checks their SHA-256 first, and writes the arrays into
``bayesnmf/datasets/data``.
"""

from pathlib import Path

import numpy as np
import scipy.io

from bayesnmf.datasets._ca1 import BIN_S
from bayesnmf.datasets._registry import fetch

HEADER_END = b"<End settings>\n"
FRAME = np.dtype([("time", "<u4"), ("x", "<u2"), ("y", "<u2"), ("x2", "<u2"), ("y2", "<u2")])
TICKS_PER_SECOND = 30_000
FROZEN_S = 5.0
OFF_TRACK_PX = 60.0


def read_spikes() -> tuple[np.ndarray, list[np.ndarray]]:
    """Tetrode and cluster of each unit, counted from 1, and its spike times in seconds."""
    tetrodes = scipy.io.loadmat(fetch("spikes.mat"))["spikes"][0, 0][0, 0].ravel()
    units, times = [], []
    for tetrode, clusters in enumerate(tetrodes, start=1):
        for cluster, unit in enumerate(np.ravel(clusters), start=1):
            if unit.size and unit["time"].item().size:
                units.append((tetrode, cluster))
                times.append(unit["time"].item().ravel())
    return np.array(units, dtype=np.uint8), times


def read_tracker() -> tuple[np.ndarray, np.ndarray]:
    """Time of each video frame in seconds, and the point tracked in it in pixels, (frames, 2)."""
    raw = fetch("trajectory.videoPositionTracking").read_bytes()
    start = raw.index(HEADER_END) + len(HEADER_END)
    if f"clockrate: {TICKS_PER_SECOND}\n".encode() not in raw[:start]:
        raise ValueError("the tracker's clock rate is not the expected one")
    frames = np.frombuffer(raw, dtype=FRAME, offset=start)
    points = np.column_stack([frames["x"], frames["y"]]).astype(float)
    return frames["time"] / TICKS_PER_SECOND, points


def along_and_off(points: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position along the first principal axis of the used points, and distance from it."""
    centre = points[used].mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(points[used].T))
    # Position increases to the right in the camera's picture.
    axis = axes[:, 1] * np.sign(axes[0, 1])
    along = (points - centre) @ axis
    return along, np.abs((points - centre) @ np.array([-axis[1], axis[0]]))


def track_position(seconds: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position along the track for each frame in pixels, and whether the rat is tracked on it."""
    moved = np.any(np.diff(points, axis=0) != 0, axis=1)
    first = np.r_[0, np.flatnonzero(moved) + 1]
    last = np.r_[first[1:], len(points)] - 1
    tracked = np.repeat(seconds[last] - seconds[first] <= FROZEN_S, last - first + 1)
    _, off = along_and_off(points, tracked)
    tracked &= off <= OFF_TRACK_PX
    along, _ = along_and_off(points, tracked)
    return along - along[tracked].min(), tracked


def ca1_arrays() -> dict[str, np.ndarray]:
    """Counts, units and position, as they are stored in ca1.npz."""
    units, times = read_spikes()
    start = np.floor(min(t.min() for t in times))
    stop = np.ceil(max(t.max() for t in times))
    bins = round((stop - start) / BIN_S)
    edges = start + BIN_S * np.arange(bins + 1)
    counts = np.column_stack([np.histogram(t, edges)[0] for t in times])
    if counts.max() > np.iinfo(np.uint8).max:
        raise ValueError(f"a count of {counts.max()} does not fit in a byte")

    seconds, points = read_tracker()
    along, tracked = track_position(seconds, points)
    index = np.floor((seconds - start) / BIN_S).astype(int)
    tracked &= (index >= 0) & (index < bins)
    frames = np.bincount(index[tracked], minlength=bins)
    total = np.bincount(index[tracked], weights=along[tracked], minlength=bins)
    # Tenths of a pixel: the tracker itself gives whole pixels.
    position = np.round(10 * total / np.maximum(frames, 1)).astype(np.uint16)
    return {
        "counts": counts.astype(np.uint8),
        "units": units,
        "position_dpx": position,
        "tracked": frames > 0,
    }


def songbird_arrays() -> dict[str, np.ndarray]:
    """Non-zero values and the steps between them, neuron by neuron, as stored in songbird.npz."""
    recording = scipy.io.loadmat(fetch("MackeviciusData.mat"), variable_names=["NEURAL"])["NEURAL"]
    values = recording.astype(np.float32)
    where = np.flatnonzero(values)
    return {
        "shape": np.array(values.shape, dtype=np.uint16),
        "step": np.diff(where, prepend=0).astype(np.uint16),
        "value": values.ravel()[where],
    }


def main() -> None:
    """Write both files."""
    folder = Path(__file__).parents[1] / "bayesnmf" / "datasets" / "data"
    for name, arrays in {"ca1": ca1_arrays(), "songbird": songbird_arrays()}.items():
        np.savez_compressed(folder / f"{name}.npz", **arrays)
        print(f"{name}.npz: {(folder / f'{name}.npz').stat().st_size} bytes")


if __name__ == "__main__":
    main()
