"""One door for every format: what a file is, by its name and first lines."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import Any

from .._errors import DataError
from ._anndata import read_h5ad
from ._deeplabcut import read_deeplabcut
from ._matlab import read_mat
from ._mne import from_mne, read_eeg
from ._mutations import is_catalogue, read_mutations
from ._netcdf import read_netcdf
from ._nifti import read_nifti
from ._numpy import read_numpy
from ._nwb import read_nwb
from ._parquet import read_parquet
from ._pynapple import is_pynapple, read_pynapple
from ._recording import Recording
from ._spikes import is_spikes, read_spikes
from ._tenx import read_10x
from ._text import read_text

READERS: dict[str, Callable[..., Recording]] = {
    ".csv": read_text,
    ".tsv": read_text,
    ".npy": read_numpy,
    ".npz": read_numpy,
    ".h5ad": read_h5ad,
    ".mat": read_mat,
    ".nwb": read_nwb,
    ".mtx": read_10x,
    ".mtx.gz": read_10x,
    ".h5": read_10x,
    ".parquet": read_parquet,
    ".nc": read_netcdf,
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
    ".set": read_eeg,
    ".fif": read_eeg,
    ".fif.gz": read_eeg,
    ".edf": read_eeg,
    ".bdf": read_eeg,
    ".vhdr": read_eeg,
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
        For a format that is not known, for an option that its reader does not have, and for a file that is malformed
        or truncated.
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
    for name in options:
        kind_of_option(path, name)
    recording = _reader(path)(path, **options)
    return recording.T if transpose else recording


def kind_of_option(path: Path, name: str) -> str:
    """Return the annotation of an option that the reader of a file has."""
    reader = _reader(path)
    _, *options = signature(from_mne if reader is read_eeg else reader).parameters.values()
    kinds = {option.name: str(option.annotation) for option in options}
    if name not in kinds:
        has = f"it has {', '.join(kinds)}" if kinds else "it has none"
        raise DataError(f"{path.name} is read by {reader.__name__}, which has no option {name!r}; {has}.")
    return kinds[name]


def _reader(path: Path) -> Callable[..., Recording]:
    if any((path / name).exists() for name in ("matrix.mtx", "matrix.mtx.gz")):
        return read_10x
    name = path.name.lower()
    if name.endswith(".csv"):
        with path.open("rb") as stream:
            if stream.read(7) == b"scorer,":
                return read_deeplabcut
    if name.endswith((".csv", ".tsv")):
        if is_catalogue(path):
            return read_mutations
        if is_spikes(path):
            return read_spikes
    if name.endswith(".npz") and is_pynapple(path):
        return read_pynapple
    for end in sorted(READERS, key=len, reverse=True):
        if name.endswith(end):
            return READERS[end]
    raise DataError(f"Expected a file ending in {', '.join(READERS)}; got {path.name!r}.")
