"""Recordings to try the library on, and data whose parts are known.

Two recordings come with the package. The others are fetched once, from an address pinned by commit and SHA-256, into
the user's cache folder, or into the folder named by ``BAYESNMF_DATA``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ._breast import breast
from ._ca1 import ca1
from ._dataset import Dataset, Truth
from ._eeg import eeg
from ._haxby import haxby
from ._mouse import mouse
from ._pbmc import pbmc
from ._registry import UPSTREAM, DatasetError, fetch
from ._simulate import simulate
from ._songbird import songbird

__all__ = ["Dataset", "DatasetError", "Truth", "files", "load", "names", "simulate"]

_LOADERS: dict[str, Callable[[], Dataset]] = {
    "ca1": ca1, "songbird": songbird, "breast": breast, "eeg": eeg, "haxby": haxby, "mouse": mouse, "pbmc": pbmc,
}  # fmt: skip


def names() -> tuple[str, ...]:
    """Name the recordings that `load` knows.

    Returns
    -------
    tuple of str
        The names, those that come with the package first.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> datasets.names()
    ('ca1', 'songbird', 'breast', 'eeg', 'haxby', 'mouse', 'pbmc')
    """
    return tuple(_LOADERS)


def load(name: str) -> Dataset:
    """Load one recording as the matrix that NMF takes. Print it to see its card.

    ``ca1`` and ``songbird`` come with the package. The others are fetched once and kept.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    Dataset
        The matrix, samples x features, with its coordinates, units, licence, citation, and what is known of the answer.

    Raises
    ------
    ValueError
        If no recording has this name.
    DatasetError
        If a file is neither in the cache folder nor can be fetched, or is not the expected one.
    ImportError
        For ``haxby``, if nilearn is not installed; the message has the command that installs it.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> recording = datasets.load("ca1")
    >>> recording.X.shape
    (7876, 31)
    """
    return _LOADERS[_known(name)]()


def files(name: str) -> dict[str, Path]:
    """Give the upstream files of one recording, fetched and checked: to read them with `bayesnmf.io`, say.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    dict of str to pathlib.Path
        Where each file is, by its name.

    Raises
    ------
    ValueError
        If no recording has this name.
    DatasetError
        If a file is neither in the cache folder nor can be fetched, or is not the expected one.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> list(datasets.files("eeg"))  # doctest: +SKIP
    ['eeglab_data.set', 'eeglab_data.fdt']
    """
    return {filename: fetch(filename) for filename in UPSTREAM[_known(name)].sha256}


def _known(name: str) -> str:
    if name not in _LOADERS:
        raise ValueError(f"no recording is called {name!r}; expected one of {', '.join(names())}")
    return name
