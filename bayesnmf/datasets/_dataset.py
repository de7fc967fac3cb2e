"""What a recording is, once loaded."""

from dataclasses import dataclass, field
from importlib.resources import files

import numpy as np


@dataclass(frozen=True, eq=False)
class Dataset:
    """A recording as a non-negative matrix, with what is needed to read and cite it.

    Attributes
    ----------
    name : str
        The name that `load` takes.
    X : numpy.ndarray
        Samples x features, shape (n, m).
    feature_names : tuple of str
        One name per column, length m.
    coords : dict of str to numpy.ndarray
        One value per row, each of length n. A name ends in its unit, as in ``time_s``.
    description : str
        What was recorded, in which units, and what was done to it.
    likelihood : str
        The likelihood that suits what X is: the name of a class in `bayesnmf`.
    licence : str
        The terms of the upstream files.
    citation : str
        Whom to cite, and where the files come from.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> recording = datasets.load("songbird")
    >>> recording.X.shape, len(recording.feature_names), recording.coords["time_s"].shape
    ((666, 75), 75, (666,))
    """

    name: str
    X: np.ndarray = field(repr=False)
    feature_names: tuple[str, ...] = field(repr=False)
    coords: dict[str, np.ndarray] = field(repr=False)
    description: str
    likelihood: str
    licence: str
    citation: str


def packaged(filename: str) -> dict[str, np.ndarray]:
    """Read the arrays of a file in the package's data folder.

    Parameters
    ----------
    filename : str
        A file name in ``bayesnmf/datasets/data``.

    Returns
    -------
    dict of str to numpy.ndarray
        The arrays by name.

    Examples
    --------
    >>> from bayesnmf.datasets._dataset import packaged
    >>> sorted(packaged("songbird.npz"))
    ['shape', 'step', 'value']
    """
    source = files("bayesnmf.datasets") / "data" / filename
    with source.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return dict(arrays)
