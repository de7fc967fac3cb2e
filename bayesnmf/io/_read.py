"""One door for every format: what a file is, by its name and first lines."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from .._errors import DataError
from ._numpy import read_numpy
from ._recording import Recording
from ._text import read_text

READERS: dict[str, Callable[..., Recording]] = {
    ".csv": read_text,
    ".tsv": read_text,
    ".npy": read_numpy,
    ".npz": read_numpy,
}
"""By the end of the file's name, the longest first."""


def read(path: str | PathLike[str], *, transpose: bool = False, **options: Any) -> Recording:
    """Read a file of any format that the library knows. Print what it returns: it says what was guessed.

    The format is told by the end of the name, for text by the first lines too. The readers by themselves,
    `bayesnmf.io.read_nwb` and the others, say what their options are and guess less.

    Parameters
    ----------
    path : str or path
        The file, or the folder of a 10x matrix.
    transpose : bool
        The file is features x samples, where its format does not say.
    **options
        Of the format's own reader.

    Returns
    -------
    Recording

    Raises
    ------
    DataError
        For a format that is not known, and for a file that is malformed or truncated.
    FileNotFoundError
        Where there is no such file.
    ImportError
        Where the format needs a library that is not installed; the message has the command that installs it.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, bayesnmf as bn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "counts.npy")
    ...     np.save(path, np.arange(6).reshape(3, 2))
    ...     print(bn.io.read(path, transpose=True))
    counts.npy, no names: Turned. 2 samples x 3 features, counts
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    recording = _reader(path)(path, **options)
    return recording.T if transpose else recording


def _reader(path: Path) -> Callable[..., Recording]:
    name = path.name.lower()
    for end in sorted(READERS, key=len, reverse=True):
        if name.endswith(end):
            return READERS[end]
    raise DataError(f"Expected a file ending in {', '.join(READERS)}; got {path.name!r}.")
