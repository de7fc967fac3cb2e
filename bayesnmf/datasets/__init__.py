"""Recordings to try the library on.

Two come with the package. The others are fetched once, from an address pinned by commit and
SHA-256, into the user's cache folder, or into the folder named by ``BAYESNMF_DATA``.
"""

from collections.abc import Callable

from bayesnmf.datasets._breast import breast
from bayesnmf.datasets._ca1 import ca1
from bayesnmf.datasets._dataset import Dataset
from bayesnmf.datasets._registry import DatasetError
from bayesnmf.datasets._songbird import songbird

__all__ = ["Dataset", "DatasetError", "load", "names"]

_LOADERS: dict[str, Callable[[], Dataset]] = {"ca1": ca1, "songbird": songbird, "breast": breast}


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
    ('ca1', 'songbird', 'breast')
    """
    return tuple(_LOADERS)


def load(name: str) -> Dataset:
    """Load one recording.

    ``ca1`` and ``songbird`` come with the package. ``breast`` is fetched once and kept.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    Dataset
        The matrix, samples x features, with its coordinates, units, licence and citation.

    Raises
    ------
    ValueError
        If no recording has this name.
    DatasetError
        If a file is neither in the cache folder nor can be fetched, or is not the expected one.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> recording = datasets.load("ca1")
    >>> recording.X.shape
    (7876, 31)
    """
    if name not in _LOADERS:
        raise ValueError(f"no recording is called {name!r}; expected one of {', '.join(names())}")
    return _LOADERS[name]()
