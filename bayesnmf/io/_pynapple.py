"""pynapple: spikes and time series in memory or in its .npz files, and activities back as one of its frames."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import DataError
from ._recording import Recording, malformed, need, refuse_other_size, table
from ._spikes import counted

if TYPE_CHECKING:
    import pandas as pd

    from ..result import Fit

SUPPORT = "time_support"
"""Where ``samples.attrs`` keeps the intervals that an object of pynapple is defined on: [start, end] in seconds."""


def from_pynapple(obj: Any, bin_s: float | None = None) -> Recording:
    """Return a TsGroup as spike counts, or a TsdFrame as it is.

    Counts are those of ``obj.count(bin_s)``, in half-open bins from the start of each interval of the time support. But
    what is left of an interval after its last whole bin is not counted, whereas pynapple has a shorter bin there if
    half of it is in. Not for a Tsd, which has one column and so no parts.

    Parameters
    ----------
    obj : pynapple.TsGroup or pynapple.TsdFrame
        Spikes of units, or values in columns.
    bin_s : float, optional
        Width of the bins in seconds, for a TsGroup. 0.1 if left out.

    Returns
    -------
    Recording
        Time x units or columns. ``samples`` has ``time_s`` (where a bin starts, or the time of a value), for spikes
        ``bin_s``, and ``epoch``, the number of the interval of the time support. ``features`` has the metadata.

    Raises
    ------
    DataError
        For another object, and for a TsdFrame with `bin_s`.

    References
    ----------
    Viejo et al. (2023), Pynapple, a toolbox for data analysis in neuroscience. eLife 12, RP85786.

    Examples
    --------
    >>> import pynapple as nap, bayesnmf as bn
    >>> spikes = nap.TsGroup({3: nap.Ts([0.1, 0.2, 0.9]), 8: nap.Ts([0.5, 0.7])}, nap.IntervalSet(0, 1))
    >>> recording = bn.io.from_pynapple(spikes, bin_s=0.5)
    >>> recording.X.tolist(), list(recording.features.index)
    ([[2, 0], [1, 2]], [3, 8])
    """
    kind = type(obj).__name__
    if kind not in ("TsGroup", "TsdFrame"):
        raise DataError(f"Expected a pynapple TsGroup or TsdFrame; got {kind}.")
    support = np.column_stack([obj.time_support.start, obj.time_support.end])
    known = {str(name): list(values) for name, values in obj.metadata.items()}
    if kind == "TsGroup":
        known.pop("rate", None)
        return _counts([obj[key].t for key in obj.keys()], list(obj.keys()), support, bin_s, "TsGroup", known)
    return _values(obj.t, np.asarray(obj.values), list(obj.columns), support, bin_s, "TsdFrame", known)


def read_pynapple(path: str | PathLike[str], *, bin_s: float | None = None) -> Recording:
    """Read a TsGroup or a TsdFrame that pynapple saved as .npz. Nothing in the file is run, and pynapple is not needed.

    pynapple pickles metadata, and names of columns that are text. They are left out, and that is said: to keep them,
    ``bn.io.from_pynapple(pynapple.load_file(path))``, for a file that you trust.

    Parameters
    ----------
    path : str or path
        The file.
    bin_s : float, optional
        Width of the bins in seconds, for a TsGroup. 0.1 if left out.

    Returns
    -------
    Recording
        As `from_pynapple` gives it.

    Raises
    ------
    DataError
        For a file that is damaged, or holds another object.
    FileNotFoundError
        Where there is no such file.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, pynapple as nap, bayesnmf as bn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "calcium.npz")
    ...     nap.TsdFrame(t=np.arange(4.0), d=np.ones((4, 2))).save(str(path))
    ...     print(bn.io.read(path))
    calcium.npz, TsdFrame of pynapple; what is pickled in it was left out (_metadata). 4 samples x 2 features, counts
    """
    path = Path(path)
    pickled = []
    with malformed(path, "a file of pynapple"), path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        held: dict[str, np.ndarray] = {}
        for name in file.files:
            try:
                held[name] = file[name]
            except ValueError as error:
                if "pickle" not in str(error):
                    raise
                pickled.append(name)
        kind = str(held["type"][0])
        if kind not in ("TsGroup", "TsdFrame"):
            raise DataError(f"Expected {path.name} to hold a TsGroup or a TsdFrame; it holds a {kind}.")
        support = np.column_stack([held["start"], held["end"]])
        t = held["t"]
        if kind == "TsGroup":
            units = list(held["keys"])
            times = [t[held["index"] == unit] for unit in units]
        else:
            columns, d = held.get("columns"), held["d"]
    said = f"{path.name}, {kind} of pynapple"
    if pickled:
        said += f"; what is pickled in it was left out ({', '.join(pickled)})"
    if kind == "TsGroup":
        return _counts(times, units, support, bin_s, said, {})
    return _values(t, d, columns, support, bin_s, said, {})


def is_pynapple(path: Path) -> bool:
    """Whether an .npz file has what pynapple writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"type.npy", "t.npy", "start.npy", "end.npy"} <= set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def to_pynapple(fit: Fit, recording: Recording) -> Any:
    """Return the activities of a fit as a TsdFrame, with a column for each component.

    Parameters
    ----------
    fit : Fit
        A fit to the recording.
    recording : Recording
        With ``time_s`` in its samples, as those of `from_pynapple`, `read_nwb` and `read_spikes` have it.

    Returns
    -------
    pynapple.TsdFrame
        At the middle of each bin, as ``TsGroup.count`` has it, or at the times of the values. The time support is that
        of the object that the recording came from; from the first to the last time where it came from something else.

    Raises
    ------
    DataError
        For a fit of another size, and a recording without times.
    ImportError
        Where pynapple is not installed.

    Examples
    --------
    >>> import numpy as np, pynapple as nap, bayesnmf as bn
    >>> rng = np.random.default_rng(0)
    >>> spikes = nap.TsGroup({j: nap.Ts(np.sort(rng.uniform(0, 10, 60))) for j in range(4)})
    >>> recording = bn.io.from_pynapple(spikes, bin_s=0.5)
    >>> activities = bn.io.to_pynapple(bn.fit(recording, rank=2, engine=bn.MAP()), recording)
    >>> activities.shape, float(activities.t[1] - activities.t[0])
    ((19, 2), 0.5)
    """
    nap = need("pynapple", "spikes")
    refuse_other_size(fit, recording)
    samples = recording.samples
    if "time_s" not in samples:
        raise DataError('Expected a recording with "time_s" in its samples, as from_pynapple gives it; got none.')
    t = (samples["time_s"] + samples.get("bin_s", 0.0) / 2).to_numpy(float)
    support = samples.attrs.get(SUPPORT)
    epochs = None if support is None else nap.IntervalSet(*np.transpose(support))
    return nap.TsdFrame(t=t, d=fit.W, time_support=epochs)


def _counts(
    times: Sequence[np.ndarray], names: Sequence[Any], support: np.ndarray, bin_s: float | None, said: str,
    known: Mapping[str, Any],
) -> Recording:  # fmt: skip
    X, samples, how = counted(times, bin_s, *support.T)
    features = table(names, len(names), "unit", **known)
    return Recording(X, _of_epochs(samples, support), features, f"{said}, {how}.")


def _values(
    t: np.ndarray, d: np.ndarray, names: Any, support: np.ndarray, bin_s: float | None, said: str,
    known: Mapping[str, Any],
) -> Recording:  # fmt: skip
    if bin_s is not None:
        raise DataError("Only the spikes of a TsGroup are counted in bins; this is a TsdFrame. Leave bin_s out.")
    samples = _of_epochs(table(None, len(t), "frame", time_s=t), support)
    return Recording(d, samples, table(names, d.shape[1], "column", **known), f"{said}.")


def _of_epochs(samples: pd.DataFrame, support: np.ndarray) -> pd.DataFrame:
    samples["epoch"] = np.searchsorted(support[:, 0], samples["time_s"], side="right") - 1
    samples.attrs[SUPPORT] = support.tolist()
    return samples
