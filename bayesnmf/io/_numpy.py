"""NumPy's own formats, and sparse matrices of SciPy."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import DataError
from .._input import sound_csr
from ._recording import Recording, table


def read_numpy(path: str | PathLike[str]) -> Recording:
    """Read a matrix from .npy, or from .npz that holds one array or was written by ``scipy.sparse.save_npz``.

    Nothing in a file is run: arrays of Python objects are refused.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    Recording
        Without names; X is sparse where the file is.

    Raises
    ------
    DataError
        For a file that is damaged, or holds anything but one matrix of numbers.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, bayesnmf as bn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "counts.npy")
    ...     np.save(path, np.arange(6).reshape(3, 2))
    ...     print(bn.io.read_numpy(path))
    counts.npy, no names: 3 samples x 2 features, counts
    """
    path = Path(path)
    X, said = _npy(path) if path.suffix.lower() == ".npy" else _npz(path)
    if X.ndim != 2 or X.dtype.kind not in "buif":
        raise DataError(f"Expected {path.name} to hold a matrix of numbers; got shape {X.shape}, dtype {X.dtype}.")
    n, m = X.shape
    return Recording(X, table(None, n), table(None, m), f"{path.name}, {said}:")


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

                return sound_csr(load_npz(path)), "sparse"
            if len(arrays.files) == 1:
                return arrays[arrays.files[0]], "no names"
            held = ", ".join(arrays.files) or "nothing"
    except (
        ValueError,
        EOFError,
        KeyError,
        AttributeError,
        TypeError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib_error,
    ) as error:
        raise DataError(f"{path.name} is not an archive of NumPy arrays: {error}.") from error
    raise DataError(f"Expected one array in {path.name}, or a file of scipy.sparse.save_npz; it holds {held}.")
