"""Text tables: comma, semicolon or tab between cells."""

from __future__ import annotations

import csv
from array import array
from os import PathLike
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from .._errors import DataError
from ._recording import Recording, table

MISSING = {"", "na", "nan", "n/a", "null", "none"}
"""Cells of a text table that are not data."""


def read_text(path: str | PathLike[str]) -> Recording:
    r"""Read a text table of samples x features: .csv or .tsv, comma, semicolon or tab between cells.

    A header of feature names and a first column of sample names are detected; under a header, a first column of whole
    numbers that count up by one is names too. Empty cells, NA and the like are missing.
    Not for tables of positions (`read_deeplabcut`), of spike times (`read_spikes`), or of mutations (`read_mutations`).

    Parameters
    ----------
    path : str or path
        The file, in UTF-8.

    Returns
    -------
    Recording

    Raises
    ------
    DataError
        For a file that does not hold one matrix of numbers; the message has the line and the cell.
    FileNotFoundError
        Where there is no such file.

    Examples
    --------
    >>> import pathlib, tempfile, bayesnmf as bn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "rates.csv")
    ...     _ = path.write_text("trial,a,b\nfirst,1,2\nsecond,3,4\n")
    ...     print(bn.io.read_text(path))
    rates.csv, a text table with sample and feature names: 2 samples x 2 features, counts
    """
    path = Path(path)
    with path.open(newline="", encoding="utf-8-sig") as stream:
        try:
            X, names = _rows(path, stream)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path.name} is not a text table in UTF-8: {error}.") from error
    n, m = X.shape
    return Recording(X, table(names.rows, n), table(names.columns, m), f"{path.name}, a text table {names}:")


class _Names(NamedTuple):
    rows: list[str] | None
    columns: list[str] | None

    def __str__(self) -> str:
        found = [word for word, names in (("sample", self.rows), ("feature", self.columns)) if names is not None]
        return f"with {' and '.join(found)} names" if found else "without names"


def _rows(path: Path, stream: TextIO) -> tuple[np.ndarray, _Names]:
    top = next((line for line in stream if line.strip()), "").strip("\n")
    stream.seek(0)
    rows = csv.reader(stream, delimiter=delimiter(top))
    first, second = (next((row for row in rows if row), None) for _ in range(2))
    if first is None or second is None:
        raise DataError(f"Expected at least two lines in {path.name}; it has fewer.")
    # R leaves the corner out; pandas leaves it empty, and counts features that have no names
    short = len(first) == len(second) - 1
    rest = [cell.strip() for cell in first[1:]]
    counted = first[0].strip() == "" and rest == [str(j) for j in range(len(rest))]
    header = short or counted or not all(map(is_number, rest or first))
    named = short or (header and first[0].strip() == "") or not is_number(second[0])
    width = len(second)
    if width == named:
        raise DataError(f"Expected cells of {path.name} to be parted by commas, semicolons or tabs; line 1 is {top!r}.")
    values: array[float] = array("d")
    names: list[str] = []
    for number, row in ((2, second),) if header else ((1, first), (2, second)):
        append(path, number, row, width, named, values, names)
    for row in rows:
        if row:
            append(path, rows.line_num, row, width, named, values, names)
    columns = None if not header else first if short else first[named:]
    if columns is not None and len(columns) != width - named:
        raise DataError(f"{path.name} has {len(first)} cells in its header and {width} in line 2.")
    matrix = np.frombuffer(values, dtype=float).reshape(-1, width - named)
    if columns is not None and not named and width > 1 and _counts_up(matrix[:, 0]):
        names, named, columns, matrix = [f"{x:.0f}" for x in matrix[:, 0]], True, columns[1:], matrix[:, 1:].copy()
    return matrix, _Names(names if named else None, columns)


def _counts_up(x: np.ndarray) -> bool:
    """Return whether a column is an index that was written with a name: whole numbers, one more in each row."""
    return len(x) > 2 and bool(x[0] == np.floor(x[0]) and np.all(np.diff(x) == 1))


def delimiter(top: str) -> str:
    """Return what stands between the cells of a table with this first line."""
    return "\t" if "\t" in top else ";" if ";" in top and "," not in top else ","


def append(
    path: Path, line: int, row: list[str], width: int, named: bool, values: array[float], names: list[str]
) -> None:
    if len(row) != width:
        raise DataError(f"{path.name}, line {line}: expected {width} cells as in the lines above; got {len(row)}.")
    if named:
        names.append(row[0])
    cells = row[named:]
    try:
        numbers = list(map(float, cells))
    except ValueError:
        numbers = [number(path, line, column, cell) for column, cell in enumerate(cells, 1 + named)]
    values.extend(numbers)


def number(path: Path, line: int, column: int, cell: str) -> float:
    if cell.strip().lower() in MISSING:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        raise DataError(f"{path.name}, line {line}, cell {column}: expected a number; got {cell!r}.") from None


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() in MISSING
    return True
