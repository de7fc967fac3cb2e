"""NetCDF: arrays with named dimensions and coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import DataError
from ._recording import Recording, malformed
from ._tensor import unfold

if TYPE_CHECKING:
    import xarray as xr


def read_netcdf(
    path: str | PathLike[str], *, variable: str | None = None, features: str | Sequence[str] | None = None
) -> Recording:
    """Read one variable of a netCDF file, as xarray writes it: of two dimensions, or unfolded from more.

    An xarray.DataArray in memory needs no reader: ``bn.fit(array, rank=...)``, `unfold`. A fit that was saved is read
    by `bayesnmf.load`.

    Parameters
    ----------
    path : str or path
        The file, netCDF 4 or 3.
    variable : str, optional
        Which variable; needed where several have two dimensions or more.
    features : str or sequence of str, optional
        Dimensions that become columns; needed for more than two. Left out, the second of two.

    Returns
    -------
    Recording
        Coordinates are its index and columns, and so are variables along one of its dimensions. Fill values are missing
        (NaN), packed values unpacked, dates decoded. `Recording.fold` brings W and H back to the dimensions.

    Raises
    ------
    DataError
        For a file that is damaged, for a variable that it does not have or that is no array of numbers, and where a
        choice is needed.
    FileNotFoundError
        Where there is no such file.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, xarray as xr, bayesnmf as bn
    >>> power = xr.DataArray(np.ones((5, 3, 2)), dims=("epoch", "channel", "band"), name="power")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "power.nc")
    ...     power.to_netcdf(path, engine="h5netcdf")
    ...     recording = bn.io.read_netcdf(path, features=("channel", "band"))
    >>> recording.X.shape
    (5, 6)
    """
    import xarray as xr

    path = Path(path)
    with malformed(path, "a netCDF file"), path.open("rb") as stream:
        # of netCDF 3 the stream, since by its path a damaged one stays open
        file: tuple[Any, str] = (stream, "scipy") if stream.read(3) == b"CDF" else (path, "h5netcdf")
        stream.seek(0)
        # durations stay numbers in the unit of the file
        with xr.open_dataset(file[0], engine=file[1], decode_timedelta=False) as dataset:
            array = _array(dataset, path, variable).load()
    if array.ndim < 2 or array.dtype.kind not in "buif":
        raise DataError(
            f"Expected {array.name} of {path.name} to hold numbers in two dimensions or more; got "
            f"{_form(array)}, dtype {array.dtype}."
        )
    if array.ndim > 2 and features is None:
        raise DataError(
            f"{array.name} of {path.name} has the dimensions {_form(array)}: say which become columns, as in "
            f'features="{array.dims[-1]}"; the others become rows.'
        )
    found = unfold(array, str(array.dims[1]) if features is None else features)
    return replace(found, said=f"{path.name}, {array.name}, {found.said}")


def _array(dataset: xr.Dataset, path: Path, variable: str | None) -> xr.DataArray:
    """Return the variable that is asked for, or the only one that may be meant; those of one dimension go with it."""
    of_two = [str(name) for name, values in dataset.data_vars.items() if values.ndim > 1]
    name = of_two[0] if variable is None and len(of_two) == 1 else variable
    if name is None or name not in dataset.data_vars:
        wanted = 'one variable of two dimensions or more, or variable="..."' if name is None else f"variable {name!r}"
        held = ", ".join(f"{name} ({_form(values)})" for name, values in dataset.data_vars.items())
        raise DataError(f"Expected {wanted} in {path.name}; it holds {held or 'nothing'}.")
    beside = [other for other, values in dataset.data_vars.items() if values.ndim == 1 and other != name]
    return dataset.set_coords(beside)[name]


def _form(array: xr.DataArray) -> str:
    return " x ".join(map(str, array.dims)) or "no dimension"
