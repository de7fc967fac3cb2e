"""Matrices from files: text tables and NumPy's formats, for the command line."""

from __future__ import annotations

import csv
from array import array
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from ._errors import DataError

MISSING = {"", "na", "nan", "n/a", "null", "none"}
"""Cells of a text table that are not data."""


class Matrix(NamedTuple):
    """What was read: X (a data frame where the file has names, else an array or sparse matrix), and how, in words."""

    X: Any
    said: str


def read_matrix(path: Path, transpose: bool = False) -> Matrix:
    """Read a matrix of samples x features.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.tsv`` (a header of feature names and a first column of sample names are detected),
        ``.npy``, or ``.npz`` (of ``scipy.sparse.save_npz``, or holding one array).
    transpose : bool
        The file is features x samples.

    Returns
    -------
    Matrix

    Raises
    ------
    DataError
        For a file that does not hold one matrix of numbers. Nothing in a file is run.
    FileNotFoundError
        Where there is no such file.
    """
    readers = {".csv": _text, ".tsv": _text, ".npy": _npy, ".npz": _npz}
    if path.suffix.lower() not in readers:
        raise DataError(f"Expected a file ending in {', '.join(readers)}; got {path.name!r}.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    X, said = readers[path.suffix.lower()](path)
    if X.ndim != 2 or X.dtype.kind not in "buif":
        raise DataError(f"Expected {path.name} to hold a matrix of numbers; got shape {X.shape}, dtype {X.dtype}.")
    names = said if isinstance(said, _Names) else _Names(None, None)
    n, m = X.shape
    if transpose:
        X, names, n, m = X.T, _Names(names.columns, names.rows), m, n
    turned = " (turned)" if transpose else ""
    text = f"Read {path.name}{turned}: {n} samples x {m} features; {names if isinstance(said, _Names) else said}."
    if names.rows is None and names.columns is None:
        return Matrix(X, text)
    import pandas as pd

    return Matrix(pd.DataFrame(X, names.rows, names.columns), text)


class _Names(NamedTuple):
    rows: list[str] | None
    columns: list[str] | None

    def __str__(self) -> str:
        found = [word for word, names in (("sample", self.rows), ("feature", self.columns)) if names is not None]
        return f"with {' and '.join(found)} names" if found else "no names found"


def _text(path: Path) -> tuple[np.ndarray, _Names]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        try:
            return _rows(path, stream)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path.name} is not a text table in UTF-8: {error}.") from error


def _rows(path: Path, stream: TextIO) -> tuple[np.ndarray, _Names]:
    top = stream.readline()
    delimiter = "\t" if "\t" in top else ";" if ";" in top and "," not in top else ","
    stream.seek(0)
    rows = csv.reader(stream, delimiter=delimiter)
    first = next(rows, None)
    second = next(rows, None)
    if first is None or second is None:
        raise DataError(f"Expected at least two lines in {path.name}; it has fewer.")
    # R leaves the corner out; pandas leaves it empty, and counts features that have no names
    short = len(first) == len(second) - 1
    rest = [cell.strip() for cell in first[1:]]
    counted = first[0].strip() == "" and rest == [str(j) for j in range(len(rest))]
    header = short or counted or not all(map(_is_number, rest or first))
    named = short or (header and first[0].strip() == "") or not _is_number(second[0])
    width = len(second)
    values: array[float] = array("d")
    names: list[str] = []
    for number, row in ((2, second),) if header else ((1, first), (2, second)):
        _append(path, number, row, width, named, values, names)
    for row in rows:
        if row:
            _append(path, rows.line_num, row, width, named, values, names)
    columns = None if not header else first if short else first[named:]
    if columns is not None and len(columns) != width - named:
        raise DataError(f"{path.name} has {len(first)} cells in its header and {width} in line 2.")
    matrix = np.frombuffer(values, dtype=float).reshape(-1, width - named)
    return matrix, _Names(names if named else None, columns)


def _append(
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
        numbers = [_number(path, line, column, cell) for column, cell in enumerate(cells, 1 + named)]
    values.extend(numbers)


def _number(path: Path, line: int, column: int, cell: str) -> float:
    if cell.strip().lower() in MISSING:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        raise DataError(f"{path.name}, line {line}, cell {column}: expected a number; got {cell!r}.") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() in MISSING
    return True


def _npy(path: Path) -> tuple[np.ndarray, str]:
    try:
        with path.open("rb") as stream:
            return np.load(stream, allow_pickle=False), "no names"
    except (ValueError, EOFError) as error:
        raise DataError(f"{path.name} is not a NumPy array of numbers: {error}.") from error


def _npz(path: Path) -> tuple[Any, str]:
    import zipfile
    from zlib import error as zlib_error

    try:
        # a stream of our own: NumPy leaves a damaged archive open
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            if "format" in arrays and "shape" in arrays:
                from scipy.sparse import load_npz

                return load_npz(path), "sparse"
            if len(arrays.files) == 1:
                return arrays[arrays.files[0]], "no names"
            held = ", ".join(arrays.files) or "nothing"
    except (ValueError, EOFError, KeyError, AttributeError, TypeError, zipfile.BadZipFile, zlib_error) as error:
        raise DataError(f"{path.name} is not an archive of NumPy arrays: {error}.") from error
    raise DataError(f"Expected one array in {path.name}, or a file of scipy.sparse.save_npz; it holds {held}.")
