"""Arrays with named dimensions: unfolded to samples x features, and folded back by `Recording.fold`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import DataError
from ._recording import Recording

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def unfold(array: xr.DataArray, features: str | Sequence[str]) -> Recording:
    """Unfold an array with named dimensions to a matrix: `features` become its columns, all the others its rows.

    Trial x time x neuron with ``features="neuron"`` has a row for each time of each trial: components are groups of
    neurons. With ``features=("time", "neuron")`` it has a row for each trial: components are courses in time. This is
    not a tensor factorization, which ties components in each dimension by itself.

    Parameters
    ----------
    array : xarray.DataArray
        Of two dimensions or more.
    features : str or sequence of str
        Dimensions that become columns, the last changing fastest.

    Returns
    -------
    Recording
        Coordinates along one unfolded dimension are columns of ``samples`` and ``features``; `Recording.fold` brings
        W and H of a fit back to the dimensions.

    Raises
    ------
    DataError
        For names that are no dimensions of the array, where none is left on one side, or for names along one that are
        not unique.

    Examples
    --------
    >>> import numpy as np, xarray as xr, bayesnmf as bn
    >>> channels = ["C3", "Cz", "C4"]
    >>> power = xr.DataArray(np.ones((5, 3, 2)), {"channel": channels}, ("epoch", "channel", "band"))
    >>> recording = bn.io.unfold(power, features=("channel", "band"))
    >>> recording.X.shape, list(recording.features.index[:2])
    ((5, 6), [('C3', 0), ('C3', 1)])
    """
    columns = [features] if isinstance(features, str) else list(features)
    dims = [str(dim) for dim in array.dims]
    rows = [dim for dim in dims if dim not in columns]
    if not set(columns) <= set(dims) or not columns or not rows:
        raise DataError(
            f"Expected features to name some, not all, of the dimensions {tuple(dims)}; got {tuple(columns)}."
        )
    turned = array.transpose(*rows, *columns)
    samples, variables = _table(array, rows), _table(array, columns)
    said = f"{' x '.join(dims)} ({' x '.join(str(array.sizes[d]) for d in dims)}), unfolded: rows are "
    said += f"{' x '.join(rows)}, columns {' x '.join(columns)}."
    return Recording(turned.to_numpy().reshape(len(samples), len(variables)), samples, variables, said)


def _table(array: xr.DataArray, dims: list[str]) -> pd.DataFrame:
    """Return a table with an index of these dimensions, and their further coordinates as columns."""
    import pandas as pd

    values = [array.indexes[dim] if dim in array.indexes else pd.RangeIndex(array.sizes[dim]) for dim in dims]
    for dim, names in zip(dims, values, strict=True):
        if not names.is_unique:
            raise DataError(
                f"Expected names along {dim!r} that are unique; got {names[names.duplicated()][0]!r} twice."
            )
    # in the order of the array: from_product sorts the names, and the codes then count in another order
    places = np.indices([len(names) for names in values]).reshape(len(dims), -1)
    index = pd.MultiIndex(values, list(places), names=dims) if len(dims) > 1 else values[0].rename(dims[0])
    columns: dict[str, Any] = {}
    for name, coord in array.coords.items():
        if coord.ndim == 1 and coord.dims[0] in dims and name not in dims:
            columns[str(name)] = coord.to_numpy()[places[dims.index(str(coord.dims[0]))]]
    return pd.DataFrame(columns, index=index)
