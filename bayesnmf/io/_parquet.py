"""Parquet: tables of columns that know their types."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import DataError
from ._recording import Recording, malformed, need

if TYPE_CHECKING:
    import pandas as pd


def read_parquet(path: str | PathLike[str], *, features: Sequence[str] | None = None) -> Recording:
    """Read a Parquet table whose rows are samples.

    Columns of numbers are features; all others (text, categories, times, True and False) describe the samples. Say
    `features` where some numbers describe them too: a depth, a trial, a label. A data frame in memory needs no reader:
    ``bn.fit(frame[features], rank=...)``.

    Parameters
    ----------
    path : str or path
        The file, or a folder of files that are one table.
    features : sequence of str, optional
        Columns that are features, in this order; all others describe the samples.

    Returns
    -------
    Recording
        Names of samples are the index of pandas where it was written with one, else the first column if it is text and
        no two cells are the same. Columns that are no features are those of ``samples``. Nulls are missing (NaN).

    Raises
    ------
    DataError
        For a file that is damaged, has no column of numbers, or lacks one that was asked for.
    FileNotFoundError
        Where there is no such file.
    ImportError
        Where pyarrow is not installed.

    Examples
    --------
    >>> import pathlib, tempfile, pandas as pd, bayesnmf as bn
    >>> frame = pd.DataFrame({"unit": ["u1", "u2"], "region": ["CA1", "CA3"], "first": [3, 0], "second": [1, 4]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "rates.parquet")
    ...     frame.to_parquet(path)
    ...     print(bn.io.read_parquet(path))
    rates.parquet, names of samples from unit, not features: region. 2 samples x 2 features, counts
    """
    import pandas as pd

    need("pyarrow.parquet", "tables")
    path = Path(path)
    with malformed(path, "a Parquet table"):
        frame = pd.read_parquet(path, engine="pyarrow")
    asked = [features] if isinstance(features, str) else features
    columns = _numeric(frame) if asked is None else list(asked)
    lacking = [str(name) for name in columns if name not in frame.columns]
    if lacking or not columns:
        wanted = f"columns {', '.join(lacking)}" if lacking else "a column of numbers"
        raise DataError(f"Expected {wanted} in {path.name}; it has {', '.join(map(str, frame.columns)) or 'none'}.")
    said = "no names of samples"
    if not isinstance(frame.index, pd.RangeIndex):
        said = "names of samples from its index"
    elif (first := frame.columns[0]) not in columns and _names_rows(frame[first]):
        frame, said = frame.set_index(first), f"names of samples from {first}"
    samples = frame.drop(columns=columns)
    if len(samples.columns):
        said += f", not features: {', '.join(map(str, samples.columns))}"
    X = frame[columns]
    return Recording(_values(X, path), samples, pd.DataFrame(index=X.columns), f"{path.name}, {said}.")


def _numeric(frame: pd.DataFrame) -> list[Any]:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return [name for name, kind in frame.dtypes.items() if is_numeric_dtype(kind) and not is_bool_dtype(kind)]


def _names_rows(column: pd.Series) -> bool:
    from pandas.api.types import is_string_dtype

    return is_string_dtype(column) and column.is_unique and not column.isna().any()


def _values(frame: pd.DataFrame, path: Path) -> np.ndarray:
    """Return the numbers, nulls of any kind as NaN."""
    if all(isinstance(kind, np.dtype) and kind.kind in "buif" for kind in frame.dtypes):
        return frame.to_numpy()
    try:
        return frame.to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"Expected numbers in the features of {path.name}; got what is not ({error}).") from error
