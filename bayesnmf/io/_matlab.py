"""MATLAB: matrices in .mat files of any version."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import DataError
from .._input import sound_csr
from ._recording import Recording, malformed, table

SHOWN = 12
"""Variables that an error names."""

HABIT = "rows as MATLAB shows them; transpose=True of bayesnmf.io.read turns neurons x time"


def read_mat(path: str | PathLike[str], variable: str | None = None) -> Recording:
    """Read a matrix of numbers from a MATLAB file: version 4, 5 to 7.2, or 7.3, dense or sparse.

    Rows and columns are as MATLAB shows them, in 7.3 too, where the file has them the other way round. A .mat file does
    not say which are samples, and neurons x time is the habit: read that with ``bn.io.read(path, transpose=True)``.
    Not for objects, cells, tables and spike times in structs: bring those into a matrix in MATLAB, or give
    `read_spikes` a data frame.

    Parameters
    ----------
    path : str or path
        The file.
    variable : str, optional
        The name of the matrix; ``"a.b"`` for a field of a struct. Left out: the only one that has more than one row and
        column.

    Returns
    -------
    Recording
        Without names; X is sparse where the file is.

    Raises
    ------
    DataError
        For a file that is damaged, one that holds several matrices or none (the message has their names and shapes),
        and for a variable that is not a matrix of real numbers.
    FileNotFoundError
        Where there is no such file.

    Notes
    -----
    Nothing in a file is run. SciPy's reader of files before version 7.3 does not check every byte that it follows: one
    that was made to do harm can crash Python. Do not read such files from strangers.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, scipy.io, bayesnmf as bn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "session.mat")
    ...     scipy.io.savemat(path, {"spikes": np.arange(6).reshape(2, 3), "rate_hz": 30.0})
    ...     recording = bn.io.read(path, transpose=True)
    >>> recording.X.shape, recording.said.split(":")[0]
    ((3, 2), 'session.mat, variable spikes')
    """
    import h5py

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    with malformed(path, "a MATLAB file"):
        if h5py.is_hdf5(path):
            with h5py.File(path) as file:
                items = dict(_stored(file))
                name = _chosen(path, {name: _shape(item) for name, item in items.items()}, variable)
                X = _loaded(items[name])
        else:
            from scipy.io import loadmat, whosmat

            top = [name for name, *_ in whosmat(path, appendmat=False) if name == str(variable).split(".")[0]]
            held = loadmat(path, appendmat=False, variable_names=top or None)
            values = dict(leaf for name, value in held.items() if name[:2] != "__" for leaf in _leaves(name, value))
            name = _chosen(path, {name: value.shape for name, value in values.items()}, variable)
            X = values[name]
    X = X.astype(X.dtype.newbyteorder("="), copy=False)
    n, m = X.shape
    return Recording(X, table(None, n), table(None, m), f"{path.name}, variable {name}: {HABIT}.")


def _chosen(path: Path, shapes: dict[str, tuple[int, ...]], variable: str | None) -> str:
    matrices = [name for name, shape in shapes.items() if len(shape) == 2 and min(shape) > 1]
    if variable is None and len(matrices) == 1:
        return matrices[0]
    if variable in shapes and len(shapes[variable]) == 2 and min(shapes[variable]) > 0:
        return variable
    shown = matrices or list(shapes)
    held = ", ".join(f"{name} ({' x '.join(map(str, shapes[name]))})" for name in shown[:SHOWN])
    held += f" and {len(shown) - SHOWN} more" * (len(shown) > SHOWN)
    if variable in shapes:
        raise DataError(
            f"Expected {variable!r} in {path.name} to be a matrix; its shape is {shapes[variable]}. bayesnmf.io.unfold "
            "makes a matrix of an array with more dimensions."
        )
    wanted = f"real numbers in {variable!r}" if variable else "one matrix of real numbers, or variable= to choose"
    nothing = "no array of real numbers outside of cells and objects, which are not read (tables are objects)"
    raise DataError(f"Expected {wanted}; {path.name} has {held or nothing}.")


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of numbers in a variable of a file before 7.3. Objects are of other classes, and left out."""
    if hasattr(value, "tocsr"):
        if value.dtype.kind in "buif":
            yield name, sound_csr(value)
    elif type(value) is np.ndarray:
        if value.dtype.kind in "buif":
            yield name, value
        elif value.dtype.names and value.size == 1:
            for field in value.dtype.names:
                yield from _leaves(f"{name}.{field}", value.item()[value.dtype.names.index(field)])


def _stored(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays of numbers in a file of version 7.3, not yet read."""
    for name, item in group.items():
        made = item.attrs.get("MATLAB_class", b"").decode()
        if name[0] == "#" or "MATLAB_object_decode" in item.attrs:
            continue
        if "MATLAB_sparse" in item.attrs:
            yield prefix + name, item
        elif made == "struct" and hasattr(item, "items"):
            yield from _stored(item, f"{prefix}{name}.")
        elif made not in ("", "char") and hasattr(item, "dtype") and item.dtype.kind in "buif":
            yield prefix + name, item


def _shape(item: Any) -> tuple[int, ...]:
    if "MATLAB_sparse" in item.attrs:
        return int(item.attrs["MATLAB_sparse"]), len(item["jc"]) - 1
    if "MATLAB_empty" in item.attrs:
        return tuple(int(length) for length in item[()].ravel())
    return item.shape[::-1]


def _loaded(item: Any) -> Any:
    if "MATLAB_sparse" not in item.attrs:
        return item[()].T
    from scipy.sparse import csc_array

    # a matrix of zeros has neither data nor ir
    data, rows = (item[name][()] if name in item else np.zeros(0, int) for name in ("data", "ir"))
    X = csc_array((data, rows.astype(np.int64), item["jc"][()].astype(np.int64)), shape=_shape(item))
    if X.dtype.kind not in "buif":
        raise DataError(f"Expected real numbers; got {X.dtype}.")
    return sound_csr(X)
