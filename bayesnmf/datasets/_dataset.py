"""What a recording is, once loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from textwrap import fill

import numpy as np


@dataclass(frozen=True, eq=False)
class Truth:
    """What simulated data were made from. `bayesnmf.match` says which component of a fit is which of these.

    Attributes
    ----------
    W : numpy.ndarray of shape (n, k)
        Activities, in the unit of X.
    H : numpy.ndarray of shape (k, m)
        Components, each summing to 1, in order of mass as in a fit.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> truth = datasets.simulate(60, 20, 3).truth
    >>> truth.W.shape, truth.H.sum(1).round(6).tolist()
    ((60, 3), [1.0, 1.0, 1.0])
    """

    W: np.ndarray
    H: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A recording as a matrix, with what is needed to read and cite it. Print it: that is its card.

    Attributes
    ----------
    name : str
        The name that `load` takes.
    X : numpy.ndarray of shape (n, m)
        Samples x features; NaN where an entry is missing. Negative only where `likelihood` is Gaussian.
    feature_names : tuple of str
        One name per column, length m.
    coords : dict of str to numpy.ndarray
        One value per row, each of length n. The name of a quantity ends in its unit, as in ``time_s``.
    description : str
        What was recorded, in which units, and what was done to it.
    known : str
        What is known of the answer, and what is not.
    likelihood : str
        The likelihood that suits what X is: the name of a class in `bayesnmf`.
    licence : str
        The terms of the upstream files.
    citation : str
        Whom to cite, and where the files come from.
    feature_coords : dict of str to numpy.ndarray
        One value per column, each of length m: channel and frequency, or the place of a voxel. Often empty.
    truth : Truth or None
        What X was made from, where it was simulated.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> recording = datasets.load("songbird")
    >>> recording.X.shape, len(recording.feature_names), recording.coords["time_s"].shape
    ((666, 75), 75, (666,))
    """

    name: str
    X: np.ndarray
    feature_names: tuple[str, ...]
    coords: dict[str, np.ndarray]
    description: str
    known: str
    likelihood: str
    licence: str
    citation: str
    feature_coords: dict[str, np.ndarray] = field(default_factory=dict)
    truth: Truth | None = None

    def __str__(self) -> str:
        n, m = self.X.shape
        lines = {
            "what": self.description, "known": self.known, "likelihood": self.likelihood,
            "by row": ", ".join(self.coords), "by column": ", ".join(self.feature_coords),
            "licence": self.licence, "cite": self.citation,
        }  # fmt: skip
        card = [
            fill(text, 100, initial_indent=f"  {key:11} ", subsequent_indent=" " * 14)
            for key, text in lines.items()
            if text
        ]
        return "\n".join([f"{self.name}: {n} samples x {m} features", *card])

    __repr__ = __str__


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
