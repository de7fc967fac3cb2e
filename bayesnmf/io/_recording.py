"""What every reader returns: a matrix, samples x features, and what is known of its rows and columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import DataError, EngineError, ModelError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ..result import Fit


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """A matrix of samples x features with what is known of its rows and columns. `bayesnmf.fit` takes it as X.

    Every reader of `bayesnmf.io` returns one. Print it: it says what was read, what was guessed, and whether the
    entries are counts.

    Attributes
    ----------
    X : numpy.ndarray or scipy.sparse.csr_array of shape (n, m)
        Samples are rows, whatever the orientation of the file.
    samples, features : pandas.DataFrame of n and of m rows
        The index holds the names; where a dimension was unfolded from several (epoch x time, channel x frequency) it is
        a MultiIndex with a level for each. Columns hold what else is known: conditions, groups, times, positions.
    said : str
        What was read and what was guessed, in words.

    Examples
    --------
    >>> import numpy as np, pandas as pd, bayesnmf as bn
    >>> X = np.random.default_rng(0).poisson(3.0, (20, 4))
    >>> cells = pd.DataFrame({"depth_um": [10, 20, 30, 40]}, index=["a", "b", "c", "d"])
    >>> recording = bn.io.Recording(X, pd.DataFrame(index=range(20)), cells)
    >>> print(recording)
    20 samples x 4 features, counts
    >>> bn.fit(recording, rank=2).features
    ('a', 'b', 'c', 'd')
    """

    X: Any
    samples: pd.DataFrame
    features: pd.DataFrame
    said: str = ""

    def __post_init__(self) -> None:
        if not hasattr(self.X, "tocsr"):
            object.__setattr__(self, "X", np.asarray(self.X))
        if self.X.shape != (len(self.samples), len(self.features)):
            raise DataError(
                f"Expected X of shape ({len(self.samples)}, {len(self.features)}), a row for each of the samples and a "
                f"column for each of the features; got {self.X.shape}. Is it transposed?"
            )

    @property
    def T(self) -> Recording:
        """The other orientation."""
        X = self.X.T if isinstance(self.X, np.ndarray) else self.X.T.tocsr()
        return replace(self, X=X, samples=self.features, features=self.samples, said=f"{self.said} Turned.".strip())

    @property
    def is_counts(self) -> bool:
        """Whether every entry is a whole number of at least 0; missing ones (NaN) aside."""
        values = self._values
        return bool(np.all(values >= 0) and np.all(values == np.floor(values)))

    @property
    def _values(self) -> np.ndarray:
        """The stored entries of X that are not missing, flat."""
        values = self.X.ravel() if isinstance(self.X, np.ndarray) else self.X.data
        return values[~np.isnan(values)] if values.dtype.kind == "f" else values

    def fold(self, fit: Fit, prob: float = 0.9) -> xr.Dataset:
        """Return W and H of a fit to this recording in the recording's own dimensions, with their names.

        Parameters
        ----------
        fit : Fit
            A fit to this recording's X, or to one with the same samples and features.
        prob : float
            Probability inside the intervals.

        Returns
        -------
        xarray.Dataset
            ``W`` (sample, component) and ``H`` (component, feature), with sample and feature replaced by the dimensions
            that they were unfolded from; ``W_low``, ``W_high``, ``H_low``, ``H_high`` where the fit has intervals. A
            combination that the recording does not have is NaN.

        Raises
        ------
        DataError
            Where the fit is of another size.

        Examples
        --------
        >>> import numpy as np, xarray as xr, bayesnmf as bn
        >>> X = np.random.default_rng(0).poisson(3.0, (10, 4, 3))
        >>> array = xr.DataArray(X, dims=("epoch", "channel", "band"))
        >>> recording = bn.io.unfold(array, features=("channel", "band"))
        >>> dict(recording.fold(bn.fit(recording, rank=2))["H"].sizes)
        {'component': 2, 'channel': 4, 'band': 3}
        """
        import xarray as xr

        from ..summaries import intervals

        refuse_other_size(fit, self)
        arrays: dict[str, tuple[Any, pd.DataFrame, str]] = {
            "W": (fit.W.T, self.samples, "sample"), "H": (fit.H, self.features, "feature")
        }  # fmt: skip
        found: dict[str, xr.DataArray] = {}
        for name, (values, table, dim) in arrays.items():
            ends = intervals(fit, "W" if name == "W" else "H", prob)
            named = {name: values}
            if ends is not None:
                named |= {f"{name}_low": ends[0].T if name == "W" else ends[0]}
                named |= {f"{name}_high": ends[1].T if name == "W" else ends[1]}
            for key, array in named.items():
                folded = _folded(array, table, dim)
                found[key] = folded.transpose(..., "component") if name == "W" else folded
        return xr.Dataset(found)

    def __str__(self) -> str:
        n, m = self.X.shape
        kind = (
            "counts"
            if self.is_counts
            else "real values, some negative"
            if self._values.min(initial=0) < 0
            else "intensities"
        )
        if not isinstance(self.X, np.ndarray):
            kind += f", sparse ({100 * self.X.nnz / (n * m):.2g}% stored)"
        return f"{self.said} {n} samples x {m} features, {kind}".strip()

    __repr__ = __str__


def refuse_other_size(fit: Fit, recording: Recording) -> None:
    """Raise `DataError` where a fit has another number of samples or features than the recording."""
    size = len(fit.W), fit.H.shape[1]
    if size != recording.X.shape:
        raise DataError(f"Expected a fit of shape {recording.X.shape}; got one of {size}.")


def _folded(values: np.ndarray, table: pd.DataFrame, dim: str) -> xr.DataArray:
    """Return values (component, length) as an array with the dimensions of a table's index."""
    import pandas as pd
    import xarray as xr

    index = table.index
    several = isinstance(index, pd.MultiIndex)
    dim = dim if several else str(index.name or dim)
    array = xr.DataArray(values, dims=("component", dim))
    if several:
        return array.assign_coords(xr.Coordinates.from_pandas_multiindex(index, dim)).unstack(dim)
    return array.assign_coords({dim: index.to_numpy()})


def table(names: Sequence[Any] | None, length: int, dim: str | None = None, **columns: Any) -> pd.DataFrame:
    """Return what is known of rows or columns: `names` as the index (counted where None), called `dim`, and columns."""
    import pandas as pd

    index = pd.RangeIndex(length) if names is None else pd.Index(list(names))
    return pd.DataFrame(columns, index=index.rename(dim))


def need(module: str, extra: str) -> Any:
    """Return an optional library, or raise ImportError naming the extra that brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f'This needs {module.split(".")[0]}: pip install "bayesnmf[{extra}]" ({error}).') from error


@contextmanager
def malformed(path: Path | str, what: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into one `DataError` that says which file and what was expected.

    Missing files, missing libraries and errors of our own pass.
    """
    try:
        yield
    except (DataError, ModelError, EngineError, ImportError, FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # what a parser raises on damaged bytes is not documented, and differs by version
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"{Path(path).name} is not {what} that can be read: {said}") from error
