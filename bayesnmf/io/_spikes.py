"""Spike times: the one place where they are counted in bins, and tables with a row for each spike."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import DataError
from ._recording import Recording, malformed, need, table
from ._text import delimiter

if TYPE_CHECKING:
    import pandas as pd

BIN_S = 0.1
"""Width of a bin in seconds, where none was asked for."""

DIGITS = 9
"""Edges of bins are rounded to a nanosecond, so that a spike at 0.3 s begins the fourth bin of 0.1 s."""

MOST = 2**28
"""Entries of a matrix of counts above which the times are taken not to be in seconds."""

UNIT = ("unit", "unit_id", "neuron", "neuron_id", "cell", "cell_id", "cluster", "cluster_id")
TIME = ("spike_time_s", "time_s", "spike_time", "spike_times", "time", "times")
"""Names of columns that are known without being said, in any case."""


def read_spikes(
    source: str | PathLike[str] | pd.DataFrame, *, bin_s: float | None = None, unit: str | None = None,
    time: str | None = None, start: float | None = None, stop: float | None = None,
) -> Recording:  # fmt: skip
    r"""Read a table with a row for each spike, and count the spikes of each unit in bins.

    Bins are half-open, [start, start + bin_s), and none is shorter than the others: what is left over before `stop` is
    not counted. Their edges are rounded to a nanosecond. Not for a table that has a row for each bin (`read_text`).

    Parameters
    ----------
    source : str or path or pandas.DataFrame
        A text table (comma, semicolon or tab between cells), a .parquet file, or a data frame.
    bin_s : float, optional
        Width of a bin in seconds. 0.1 if left out.
    unit, time : str, optional
        The columns of unit names and of times in seconds. Left out: the first of the names that are usual
        ("unit_id", "cluster", ...; "spike_time", "time_s", ...).
    start, stop : float, optional
        The time counted, in seconds. Left out: whole bins, at multiples of `bin_s`, around the first and the last
        spike. Give them where the recording is longer than that: silence is data.

    Returns
    -------
    Recording
        Counts, bins x units. ``samples`` has ``time_s``, where a bin starts, and ``bin_s``.

    Raises
    ------
    DataError
        For a file that is damaged, a column that is not there, times that are no numbers, a window without a whole
        bin, or bins so many that the times cannot be in seconds.
    FileNotFoundError
        Where there is no such file.
    ImportError
        For .parquet, where pyarrow is not installed.

    Examples
    --------
    >>> import pandas as pd, bayesnmf as bn
    >>> spikes = pd.DataFrame({"unit": ["a", "b", "a", "a"], "time": [0.05, 0.32, 0.3, 0.71]})
    >>> recording = bn.io.read_spikes(spikes, bin_s=0.25)
    >>> print(recording)
    Spikes from columns unit and time (s), counted in bins of 0.25 s from 0 to 0.75 s. 3 samples x 2 features, counts
    >>> recording.X.tolist()
    [[1, 0], [1, 1], [1, 0]]
    """
    import pandas as pd

    frame, name = (source, "") if isinstance(source, pd.DataFrame) else _frame(Path(source))
    unit, time = _column(frame, unit, UNIT, "unit"), _column(frame, time, TIME, "time")
    seconds = pd.to_numeric(frame[time], errors="coerce").to_numpy(float, na_value=np.nan)
    wrong = np.flatnonzero(~np.isfinite(seconds) | frame[unit].isna().to_numpy())
    if wrong.size:
        row = frame.iloc[wrong[0]]
        raise DataError(
            f"Expected a unit and a time in seconds in each row{' of ' * bool(name)}{name}; {wrong.size} have not, "
            f"first row {wrong[0] + 1}: {row[unit]!r}, {row[time]!r}."
        )
    of_row, labels = pd.factorize(frame[unit], sort=True)
    order = np.argsort(of_row, kind="stable")
    times = np.split(seconds[order], np.flatnonzero(np.diff(of_row[order])) + 1)
    X, samples, said = counted(times, bin_s, start, stop)
    said = f"{f'{name}, spikes' if name else 'Spikes'} from columns {unit} and {time} (s), {said}."
    return Recording(X, samples, table(list(labels), len(labels), "unit"), said)


def is_spikes(path: Path) -> bool:
    """Whether the columns of a text table are named as those of a table with a row for each spike."""
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        top = stream.readline()
    names = {cell.strip().strip('"').lower() for cell in top.split(delimiter(top))}
    return bool(names & set(UNIT)) and bool(names & set(TIME))


def counted(
    times: Sequence[np.ndarray], bin_s: float | None, starts: Any = None, stops: Any = None
) -> tuple[np.ndarray, pd.DataFrame, str]:
    """Return counts (bins, units), the table of bins, and what was done in words. Bins are laid from each of `starts`.

    Left out, `starts` and `stops` are whole bins at multiples of their width around all spikes. Bins are half-open, and
    their edges rounded to a nanosecond; what is left of an interval after its last whole bin is not counted.
    """
    width = BIN_S if bin_s is None else float(bin_s)
    if not (np.isfinite(width) and width >= 10.0**-DIGITS):
        raise DataError(f"Expected bin_s to be seconds, not less than a nanosecond; got {bin_s!r}.")
    times = [np.sort(np.asarray(t, float)) for t in times]
    if not all(np.isfinite(t[-1:]).all() and np.isfinite(t[:1]).all() for t in times):
        raise DataError("Expected spike times in seconds; some are not finite.")
    some = [t for t in times if t.size]
    if not some and (starts is None or stops is None):
        raise DataError("Expected spikes; got none. Give start and stop to count silence.")
    if starts is None:
        starts = _edge(0.0, _bin_of(min(t[0] for t in some), 0.0, width), width)
    if stops is None:
        stops = _edge(starts, _bin_of(max(t[-1] for t in some), starts, width) + 1, width)
    starts, stops = (np.round(np.atleast_1d(np.asarray(a, float)), DIGITS) for a in (starts, stops))
    if not (np.isfinite(starts).all() and np.isfinite(stops).all()):
        raise DataError(f"Expected finite start and stop; got {starts} and {stops}.")
    number = np.maximum(_bin_of(stops, starts, width), 0)
    span = f"{starts.min():.10g} to {stops.max():.10g} s"
    if number.sum() == 0:
        raise DataError(f"There is no whole bin of {width:g} s from {span}. Give a smaller bin_s.")
    if number.sum() * len(times) > MOST:
        raise DataError(
            f"{number.sum():g} bins of {width:g} s from {span} for {len(times)} units are too many. Are the times in "
            "seconds? If so, give a larger bin_s, or start and stop."
        )
    number = number.astype(int)
    n = number.sum()
    within, of_bin = np.arange(n) - np.repeat(np.cumsum(number) - number, number), np.repeat(starts, number)
    low, high = _edge(of_bin, within, width), _edge(of_bin, within + 1, width)
    X = np.empty((n, len(times)), np.int64)
    for column, t in enumerate(times):
        X[:, column] = np.searchsorted(t, high) - np.searchsorted(t, low)
    said = f"counted in bins of {width:g} s{' (the default)' * (bin_s is None)} from {span}"
    if left := sum(t.size for t in times) - int(X.sum()):
        said += f", {left} spike{'s' * (left > 1)} outside of whole bins left out"
    return X, table(None, n, "bin", time_s=low, bin_s=width), said


def _edge(start: Any, number: Any, width: float) -> Any:
    return np.round(start + number * width, DIGITS)


def _bin_of(t: Any, start: Any, width: float) -> Any:
    """Return which bin after `start` holds `t`: as many whole bins lie before it."""
    number = np.floor((t - start) / width)
    return number - (_edge(start, number, width) > t) + (_edge(start, number + 1, width) <= t)


def _frame(path: Path) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    if path.suffix.lower() == ".parquet":
        need("pyarrow.parquet", "tables")
        with malformed(path, "a Parquet table"):
            return pd.read_parquet(path), path.name
    with malformed(path, "a text table of spikes"), path.open(encoding="utf-8-sig", newline="") as stream:
        top = stream.readline()
        stream.seek(0)
        return pd.read_csv(stream, sep=delimiter(top), low_memory=False), path.name


def _column(frame: pd.DataFrame, asked: str | None, known: tuple[str, ...], what: str) -> str:
    if asked is None:
        found = {str(name).strip().lower(): name for name in reversed(frame.columns)}
        asked = next((found[name] for name in known if name in found), None)
    if asked is None or asked not in frame.columns:
        wanted = repr(asked) if asked is not None else f"one of {', '.join(known)}, or {what}="
        raise DataError(f"Expected a column {wanted}; got {', '.join(map(str, frame.columns)) or 'none'}.")
    return asked
