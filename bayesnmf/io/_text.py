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


def read_text(path: str | PathLike[str], *, header: bool | None = None) -> Recording:
    r"""Read a text table of samples x features: .csv or .tsv, comma, semicolon or tab between cells.

    A header of feature names and a first column of sample names are detected; under a header, a first column of whole
    numbers that count up by one is names too. A header of numbers is known by an empty corner, as pandas writes it; say
    ``header=True`` where it has none. Empty cells, NA and the like are missing.
    Not for tables of positions (`read_deeplabcut`), of spike times (`read_spikes`), or of mutations (`read_mutations`).

    Parameters
    ----------
    path : str or path
        The file, in UTF-8.
    header : bool, optional
        Whether the first line has names of features. Left out: whether it has words, or an empty corner over names.

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
            X, names = _rows(path, stream, header)
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


def _rows(path: Path, stream: TextIO, header: bool | None) -> tuple[np.ndarray, _Names]:
    top = next((line for line in stream if line.strip()), "").strip("\n")
    stream.seek(0)
    rows = csv.reader(stream, delimiter=delimiter(top))
    first, second = (next((row for row in rows if row), None) for _ in range(2))
    if first is None or second is None:
        raise DataError(f"Expected at least two lines in {path.name}; it has fewer.")
    short = len(first) == len(second) - 1  # R leaves the corner out; pandas leaves it empty
    corner = first[0].strip() == ""
    words, named = not all(map(is_number, first[1:] or first)), not is_number(second[0])
    unsure = header is None and corner and not words and not named and not short  # a header, or a missing cell
    header = header if header is not None else short or words or (corner and named)
    named = named or short or (header and corner)
    width = len(second)
    if width == named:
        raise DataError(f"Expected cells of {path.name} to be parted by commas, semicolons or tabs; line 1 is {top!r}.")
    values: array[float] = array("d")
    names: list[str] = []
    for line, row in ((2, second),) if header else ((1, first), (2, second)):
        append(path, line, row, width, named, values, names)
    for row in rows:
        if row:
            append(path, rows.line_num, row, width, named, values, names)
    columns = None if not header else first if short else first[named:]
    if columns is not None and len(columns) != width - named:
        raise DataError(f"{path.name} has {len(first)} cells in its header and {width} in line 2.")
    matrix = np.frombuffer(values, dtype=float).reshape(-1, width - named)
    if unsure and _are_names(first[1:], matrix[1:, 0]):
        names, named, columns, matrix = names[1:], True, first[1:], matrix[1:, 1:].copy()
    elif columns is not None and not named and width > 1 and _counts_up(matrix[:, 0]):
        named, columns, matrix = True, columns[1:], matrix[:, 1:].copy()
    return matrix, _Names(names if named else None, columns)


def _are_names(columns: list[str], rows: np.ndarray) -> bool:
    """Return whether numbers in a first line and in a first column, under an empty corner, can be names."""
    once = len(set(columns)) == len(columns) and len(np.unique(rows)) == len(rows)
    return once and bool(np.all(rows == np.floor(rows)) or np.all(np.diff(rows) > 0))


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
    names.append(row[0])
    cells = row[named:]
    try:
        numbers = list(map(_float if "_" in "".join(cells) else float, cells))
    except ValueError:
        numbers = [number(path, line, column, cell) for column, cell in enumerate(cells, 1 + named)]
    values.extend(numbers)


def number(path: Path, line: int, column: int, cell: str) -> float:
    if cell.strip().lower() in MISSING:
        return float("nan")
    try:
        return _float(cell)
    except ValueError:
        raise DataError(f"{path.name}, line {line}, cell {column}: expected a number; got {cell!r}.") from None


def is_number(cell: str) -> bool:
    try:
        _float(cell)
    except ValueError:
        return cell.strip().lower() in MISSING
    return True


def _float(cell: str) -> float:
    """Return the number of a cell; 1_1 is a name, although Python reads it as eleven."""
    if "_" in cell:
        raise ValueError(cell)
    return float(cell)
