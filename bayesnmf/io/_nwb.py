"""Neurodata Without Borders: spikes and series from an .nwb file, and what was found in them back into it."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import DataError
from .._runs import written
from ._recording import Recording, malformed, need, refuse_other_size, table
from ._spikes import counted

if TYPE_CHECKING:
    import pandas as pd

    from ..result import Fit

MODULE = "bayesnmf"
"""The processing module that results are written to."""


def read_nwb(
    path: str | PathLike[str], *, bin_s: float | None = None, series: str | None = None, start: float | None = None,
    stop: float | None = None,
) -> Recording:  # fmt: skip
    """Read spike counts, or a series such as the fluorescence of cells, from an NWB file in HDF5.

    Spikes of the units table are counted in half-open bins, as `read_spikes` does. Where the table says when units were
    observed (``obs_intervals``), bins that are not wholly within are missing (NaN) for that unit, and left out if no
    unit was observed. Not for raw voltage, which has negative values and no parts, nor for movies.

    Parameters
    ----------
    path : str or path
        The file.
    bin_s : float, optional
        Width of the bins that spikes are counted in, in seconds. 0.1 if left out.
    series : str, optional
        "units", or the name of a series of two dimensions, with as much of its place as makes it unique:
        "ophys/DfOverF/RoiResponseSeries" or a part of that between slashes. Left out: the units table or the responses
        of cells (RoiResponseSeries), if the file has one of them, else its only series.
    start, stop : float, optional
        The time read, in seconds of the session. Left out: all of a series; for spikes, the observed time, else whole
        bins around the first and the last spike.

    Returns
    -------
    Recording
        Time x units (or cells, electrodes, columns). ``samples`` has ``time_s``, where a bin starts or when a frame
        was taken; for spikes ``bin_s``; where there are trials, ``trial``: the number of the trial that holds the
        frame, or the middle of the bin, and -1 outside of trials. ``features`` has the columns of the table of units,
        cells or electrodes that are text or numbers. Series are in their unit (conversion applied).

    Raises
    ------
    DataError
        For a file that is damaged, one with several series to choose from or none (the message names them), and a
        series that is not there.
    FileNotFoundError
        Where there is no such file.
    ImportError
        Where pynwb is not installed.

    References
    ----------
    Rübel et al. (2022), The Neurodata Without Borders ecosystem for neurophysiological data science. eLife 11, e78362.

    Examples
    --------
    >>> import datetime, pathlib, tempfile, pynwb, bayesnmf as bn
    >>> began = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    >>> file = pynwb.NWBFile(session_description="a", identifier="b", session_start_time=began)
    >>> for times in ([0.1, 0.2, 0.9], [0.5]):
    ...     file.add_unit(spike_times=times)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "session.nwb")
    ...     with pynwb.NWBHDF5IO(path, "w") as stream:
    ...         stream.write(file)
    ...     recording = bn.io.read_nwb(path, bin_s=0.5)
    >>> print(recording)
    session.nwb, spikes of the units table, counted in bins of 0.5 s from 0 to 1 s. 2 samples x 2 features, counts
    >>> recording.X.tolist()
    [[2, 0], [1, 1]]
    """
    path = Path(path)
    with _opened(path, "r") as (_, nwb):
        held = _held(nwb)
        name = _chosen(path, held, series)
        if name == "units":
            X, samples, features, said = _spikes(nwb.units, bin_s, start, stop)
        elif bin_s is not None:
            raise DataError(f"Only spikes are counted in bins; {name} in {path.name} is a series. Leave bin_s out.")
        else:
            X, samples, features, said = _series(held[name], name, start, stop)
        if nwb.trials is not None:
            samples["trial"] = _trial(nwb.trials, samples["time_s"] + samples.get("bin_s", 0.0) / 2)
    return Recording(X, samples, features, f"{path.name}, {said}.")


def write_nwb(fit: Fit, recording: Recording, path: str | PathLike[str]) -> None:
    """Write the activities and components of a fit into an NWB file, as the processing module "bayesnmf".

    The results are added to a copy beside the file, which then takes its place: a write that breaks off leaves the file
    as it was. This needs room for the copy.

    Parameters
    ----------
    fit : Fit
        A fit to the recording.
    recording : Recording
        With ``time_s`` in its samples; that of `read_nwb` of the same file has it.
    path : str or path
        An NWB file without results of bayesnmf in it.

    Returns
    -------
    None
        In the module, W is the series ``activities`` (time x component), and H the table ``components``: a row for each
        feature, with its name, the row of the units or cells table that it is, and ``weight``, one value for each
        component. Where the fit has intervals of 90%, their ends are ``activities_low``, ``activities_high``,
        ``weight_low`` and ``weight_high``.

    Raises
    ------
    DataError
        For a fit of another size, a recording without times, a file that is damaged, and one that has results already.
    FileNotFoundError
        Where there is no such file.
    ImportError
        Where pynwb is not installed.

    Examples
    --------
    >>> import datetime, pathlib, tempfile, numpy as np, pynwb, bayesnmf as bn
    >>> began = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    >>> file = pynwb.NWBFile(session_description="a", identifier="b", session_start_time=began)
    >>> for seed in range(4):
    ...     file.add_unit(spike_times=np.sort(np.random.default_rng(seed).uniform(0, 10, 80)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "session.nwb")
    ...     with pynwb.NWBHDF5IO(path, "w") as stream:
    ...         stream.write(file)
    ...     recording = bn.io.read_nwb(path, bin_s=0.5)
    ...     fit = bn.fit(recording, rank=2, engine=bn.MAP())
    ...     bn.io.write_nwb(fit, recording, path)
    ...     activities = bn.io.read_nwb(path, series="activities").X
    >>> np.array_equal(activities, fit.W)
    True
    """
    from ..summaries import PROB, describe, intervals

    refuse_other_size(fit, recording)
    if "time_s" not in recording.samples:
        raise DataError('Expected a recording with "time_s" in its samples, as read_nwb gives it; got none.')
    need("pynwb", "spikes")  # before a large file is copied
    path = Path(path).resolve()
    ends = {"W": intervals(fit, "W", PROB), "H": intervals(fit, "H", PROB)}
    with written(path) as part:
        shutil.copy2(path, part)
        with _opened(part, "a", path.name) as (io, nwb):
            if MODULE in nwb.processing:
                raise DataError(f"{path.name} has results of bayesnmf already. Write to a copy without them.")
            module = nwb.create_processing_module(name=MODULE, description=describe(fit))
            for end, values in {"": fit.W, **_ends(ends["W"])}.items():
                module.add(_activities(values, recording.samples, f"activities{end}"))
            weights = {f"weight{end}": values.T for end, values in {"": fit.H, **_ends(ends["H"])}.items()}
            module.add(_components(nwb, recording.features, weights))
            io.write(nwb)


@contextmanager
def _opened(path: Path, mode: str, name: str | None = None) -> Iterator[tuple[Any, Any]]:
    """Yield the open file and what is in it."""
    pynwb = need("pynwb", "spikes")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    with malformed(name or path, "an NWB file"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*transposed")  # we look at that ourselves, and say it
        with pynwb.NWBHDF5IO(path, mode) as io:
            yield io, io.read()


def _held(nwb: Any) -> dict[str, Any]:
    """Return what can be read, by its place: units with spikes, and series with two dimensions."""
    held: dict[str, Any] = {}
    if nwb.units is not None and "spike_times" in nwb.units.colnames:
        held["units"] = nwb.units
    for item in nwb.objects.values():
        if isinstance(item, need("pynwb", "spikes").TimeSeries) and len(getattr(item.data, "shape", ())) == 2:
            if item.data.size and item.data.dtype.kind in "uif":
                held[_place(item)] = item
    return held


def _place(item: Any) -> str:
    names = []
    while item.parent is not None:
        names.append(item.name)
        item = item.parent
    return "/".join(reversed(names))


def _chosen(path: Path, held: dict[str, Any], series: str | None) -> str:
    if series is None:
        fresh = [name for name in held if name.split("/")[0] != MODULE]
        likely = [name for name in fresh if name == "units" or type(held[name]).__name__ == "RoiResponseSeries"]
        pool = likely or fresh
    else:
        pool = [series] if series in held else [name for name in held if f"/{series}/" in f"/{name}/"]
    if len(pool) != 1:
        asked = "units with spikes or one series" if series is None else f"{series!r}"
        raise DataError(
            f"Expected {asked} in {path.name}; {'several fit' if pool else 'there is none'}. Choose by series=: it has "
            f"{', '.join(pool or held) or 'neither units with spikes nor a series of two dimensions'}."
        )
    return pool[0]


def _spikes(
    units: Any, bin_s: float | None, start: float | None, stop: float | None
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame, str]:
    times, observed = _ragged(units, "spike_times"), _ragged(units, "obs_intervals")
    ends = np.concatenate(observed).reshape(-1, 2) if observed else np.zeros((0, 2))
    if len(ends):
        start, stop = ends.min() if start is None else start, ends.max() if stop is None else stop
    X, samples, said = counted(times, bin_s, start, stop)
    low, seen = samples["time_s"].to_numpy(), np.ones(X.shape, bool)
    for column, intervals in enumerate(observed):
        if len(intervals):
            seen[:, column] = _inside(low, low + samples["bin_s"].to_numpy(), intervals) >= 0
    if not seen.all():
        rows = seen.any(axis=1)
        if not rows.any():
            raise DataError("No unit was observed for a whole bin. Give a smaller bin_s, or start and stop.")
        X, samples = np.where(seen, X, np.nan)[rows], table(None, rows.sum(), "bin", **samples[rows].to_dict("list"))
        said += f"; {np.sum(~rows)} bins in which no unit was observed left out, {np.isnan(X).sum()} entries missing"
    features = _known(units, np.arange(len(times)), "unit")
    return X, samples, features, f"spikes of the units table, {said}"


def _ragged(units: Any, name: str) -> list[np.ndarray]:
    if name not in units.colnames:
        return []
    index = units[name]
    return np.split(np.asarray(index.target.data[:], float), np.asarray(index.data[:], int)[:-1])


def _inside(low: np.ndarray, high: np.ndarray, intervals: np.ndarray) -> np.ndarray:
    """Return which interval holds each stretch from low to high, to half a nanosecond; -1 for none."""
    if not len(intervals):
        return np.full(len(low), -1)
    order = np.argsort(intervals[:, 0], kind="stable")
    starts, stops = intervals[order].T
    place = np.searchsorted(starts, low + 0.5e-9, side="right") - 1
    return np.where((place >= 0) & (high <= stops[place] + 0.5e-9), order[place], -1)


def _trial(trials: Any, time_s: pd.Series) -> np.ndarray:
    middle = time_s.to_numpy()
    place = _inside(
        middle, middle + 1e-9, np.column_stack([trials[f"{end}_time"].data[:] for end in ("start", "stop")])
    )
    return np.append(np.asarray(trials.id[:], int), -1)[place]


def _series(
    series: Any, name: str, start: float | None, stop: float | None
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame, str]:
    data, said = series.data, f"{name} ({type(series).__name__}, unit {series.unit})"
    dim, region = next(
        ((dim, getattr(series, f"{dim}s")) for dim in ("roi", "electrode") if hasattr(series, f"{dim}s")), (None, None)
    )
    n, m = data.shape
    turned = region is not None and len(region) == n != m
    if turned:
        n, m, said = m, n, f"{said}, turned: its columns were times, against the format"
    if region is not None and len(region) != m:
        raise DataError(f"{name} has {m} columns, and its table of {dim}s is {len(region)} long.")
    times = np.asarray(series.timestamps[:], float) if series.timestamps is not None else _regular(series, n)
    if len(times) != n or not np.isfinite(times).all():
        raise DataError(f"Expected {n} finite times of {name}; got {len(times)}.")
    low, high = -np.inf if start is None else start, np.inf if stop is None else stop
    kept = np.flatnonzero((times >= low) & (times < high))
    if not kept.size:
        raise DataError(f"{name} has nothing from {low:g} to {high:g} s; it is from {times[0]:g} to {times[-1]:g} s.")
    rows = slice(kept[0], kept[-1] + 1)
    X = (data[:, rows].T if turned else data[rows])[kept - kept[0]]
    by_channel = getattr(series, "channel_conversion", None)
    scale = np.multiply(series.conversion, 1.0 if by_channel is None else by_channel[:])
    if np.any(scale != 1) or series.offset:
        X = X * scale + series.offset
    features = table(None, m) if region is None else _known(region.table, np.asarray(region.data[:], int), dim)
    return X, table(None, len(X), "frame", time_s=times[kept]), features, said


def _regular(series: Any, n: int) -> np.ndarray:
    if not series.rate:
        raise DataError(f"{series.name} has neither timestamps nor a rate.")
    return (series.starting_time or 0.0) + np.arange(n) / series.rate


def _known(source: Any, rows: np.ndarray, dim: str | None) -> pd.DataFrame:
    """Return the rows of a table of the file: its ids, and its columns of one text or number a row."""
    columns = {}
    for name in source.colnames:
        column = source[name]
        if type(column).__name__ in ("VectorData", "EnumData") and len(getattr(column.data, "shape", ())) == 1:
            values = [getattr(value, "name", value) for value in column.data[:]]
            if all(isinstance(value, str | np.number | np.bool_) for value in values):
                columns[name] = [values[row] for row in rows]
    return table(np.asarray(source.id[:])[rows].tolist(), len(rows), dim, **columns)


def _ends(interval: tuple[np.ndarray, np.ndarray] | None) -> dict[str, np.ndarray]:
    return {} if interval is None else dict(zip(("_low", "_high"), interval, strict=True))


def _activities(values: np.ndarray, samples: pd.DataFrame, name: str) -> Any:
    t = samples["time_s"].to_numpy(float)
    binned = "bin_s" in samples
    step = (t[-1] - t[0]) / max(len(t) - 1, 1)
    regular = step > 0 and np.allclose(np.diff(t), step, rtol=0, atol=1e-6 * step)
    when: dict[str, Any] = {"starting_time": t[0], "rate": 1 / step} if regular else {"timestamps": t}
    what = {"activities": "Point estimate", "activities_low": "Lower end", "activities_high": "Upper end"}[name]
    return need("pynwb", "spikes").TimeSeries(
        name=name, data=values, unit="spikes per bin" if binned else "unit of the data", **when,
        description=f"{what} of the activities W, time x component{'; time is where a bin starts' * binned}",
    )  # fmt: skip


def _components(nwb: Any, features: pd.DataFrame, weights: dict[str, np.ndarray]) -> Any:
    common = need("hdmf.common", "spikes")
    columns = [common.VectorData(name="feature", description="Name", data=[str(name) for name in features.index])]
    dim = str(features.index.name)
    kind = {"unit": "Units", "roi": "PlaneSegmentation"}.get(dim, "")
    sources = [item for item in nwb.objects.values() if type(item).__name__ == kind]
    sources = [source for source in sources if set(features.index) <= set(source.id[:])]
    if len(sources) == 1:
        row_of = {name: row for row, name in enumerate(sources[0].id[:])}
        rows = [row_of[name] for name in features.index]
        columns.append(common.DynamicTableRegion(name=dim, description="Its row", data=rows, table=sources[0]))
    for name, values in weights.items():
        what = {"weight": "Point estimate", "weight_low": "Lower end", "weight_high": "Upper end"}[name]
        columns.append(common.VectorData(name=name, description=f"{what}, one for each component", data=values))
    description = "Components H, each summing to 1 over the features; a row for each feature"
    return common.DynamicTable(name="components", description=description, columns=columns)
