"""AnnData: single cells from .h5ad, and what was found in them back into an AnnData."""

from __future__ import annotations

import warnings
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import DataError
from .._input import sound_csr
from ._recording import Recording, malformed, need

if TYPE_CHECKING:
    import pandas as pd

    from ..result import Fit

LOOKED = 2**20
"""Entries of a matrix that are looked at to say whether it seems to hold counts."""

KEY = "bayesnmf"


def read_h5ad(path: str | PathLike[str], *, layer: str | None = None) -> Recording:
    """Read cells x genes from an .h5ad file: one matrix and its two tables, and nothing else of the file.

    Not needed for an AnnData in memory: ``bn.fit(adata, layer="counts")`` takes it as it is. Nor for some of the cells
    of a file larger than memory: ``bn.fit(anndata.read_h5ad(path, backed="r")[cells])`` reads those rows of X alone.

    Parameters
    ----------
    path : str or path
        The file.
    layer : str, optional
        The layer that holds the counts, or "raw" for the matrix and the genes of ``adata.raw``. Left out: X.

    Returns
    -------
    Recording
        X is sparse where the file is. ``samples`` and ``features`` are the tables obs and var. It says which other
        matrices there are, and where X is not counts, which of them seem to be (their first million entries are looked
        at).

    Raises
    ------
    DataError
        For a file that is damaged or no AnnData, and for a layer that it does not have.
    FileNotFoundError
        Where there is no such file.
    ImportError
        Where anndata is not installed.

    References
    ----------
    Virshup et al. (2024), anndata: Access and store annotated data matrices. J. Open Source Softw. 9(101), 4371.

    Examples
    --------
    >>> import pathlib, tempfile, anndata, numpy as np, bayesnmf as bn
    >>> counts = np.random.default_rng(0).poisson(3.0, (20, 5))
    >>> adata = anndata.AnnData(np.log1p(counts), layers={"counts": counts})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "cells.h5ad")
    ...     adata.write_h5ad(path)
    ...     print(bn.io.read_h5ad(path, layer="counts"))
    cells.h5ad, counts, beside it X: 20 samples x 5 features, counts
    """
    import h5py

    anndata = need("anndata", "cells")
    path = Path(path)
    with malformed(path, "an AnnData file"), warnings.catch_warnings(), h5py.File(path) as file:
        # of files of its first versions anndata says that they are old, and reads them
        warnings.simplefilter("ignore", anndata.OldFormatWarning)
        warnings.filterwarnings("ignore", "Moving element from", FutureWarning)
        if not {"obs", "var"} <= set(file):
            raise DataError(f"Expected obs and var in {path.name}; it holds {', '.join(file) or 'nothing'}.")
        held = _matrices(file)
        key = "X" if layer is None else layer
        if key not in held:
            raise DataError(f"Expected layer to be one of {', '.join(held)} in {path.name}; got {layer!r}.")
        obs, var = _tables(file, anndata, raw=held[key].name.startswith("/raw"))
        X = anndata.io.read_elem(held[key])
        others = [name for name in held if name != key]
        beside = f", beside it {', '.join(others)}" if others else ""
        X = X if isinstance(X, np.ndarray) else sound_csr(X)
        found = Recording(X, obs, var, f"{path.name}, {key}{beside}:")
        if layer is not None or found.is_counts:
            return found
        counts = [f'layer="{name}"' for name in others if _seems_counts(held[name])]
    hint = f" X is not counts; what seems to be: {', '.join(counts)}." if counts else ""
    return replace(found, said=found.said + hint)


def _matrices(file: Any) -> dict[str, Any]:
    """Return X, raw and the layers by name, as they are in the file, unread. Old files have the raw matrix at raw.X."""
    places = {"X": "X", "raw": "raw/X" if "raw/X" in file else "raw.X"}
    held = {name: file[place] for name, place in places.items() if place in file}
    return held | dict(file.get("layers", {}))


def _tables(file: Any, anndata: Any, raw: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return obs, and var or that of raw; without names of their indexes, which are often the same."""
    if hasattr(file["obs"], "keys"):
        places = "obs", "raw/var" if raw else "var"
        obs, var = (anndata.io.read_elem(file[place]) for place in places)
    else:  # before anndata 0.7 tables were arrays of records, with their categories elsewhere
        whole = anndata.read_h5ad(file.filename)
        obs, var = whole.obs, whole.raw.var if raw else whole.var
    return obs.rename_axis(None), var.rename_axis(None)


def _seems_counts(matrix: Any) -> bool:
    is_sparse = hasattr(matrix, "keys")
    values = matrix["data"][:LOOKED] if is_sparse else matrix[: LOOKED // matrix.shape[1] + 1]
    return bool(np.all(values >= 0) and np.all(values == np.floor(values)))


def to_anndata(fit: Fit, adata: Any, prob: float = 0.9) -> Any:
    """Put a fit into the AnnData that it is of, where scanpy finds it.

    ``sc.pl.embedding(adata, "bayesnmf")`` and ``sc.pp.neighbors(adata, use_rep="X_bayesnmf")`` then take activities. To
    keep the fit itself, with its posterior, use `Fit.save`: it does not come back from an AnnData.

    Parameters
    ----------
    fit : Fit
        A fit to this AnnData, to one of its layers, or to a matrix of the same cells and genes.
    adata : anndata.AnnData
        Of n cells and m genes. It is changed, and what an earlier fit left there is replaced.
    prob : float
        Probability inside the intervals.

    Returns
    -------
    anndata.AnnData
        The same, with ``obsm["X_bayesnmf"]`` (n, k), activities W in the unit of X; ``varm["bayesnmf"]`` (m, k),
        components, the columns each summing to 1; ends of their intervals in ``obsm["X_bayesnmf_low"]``,
        ``obsm["X_bayesnmf_high"]``, ``varm["bayesnmf_low"]`` and ``varm["bayesnmf_high"]`` where the fit has any; and
        ``uns["bayesnmf"]``: rank, likelihood, engine, shares, warnings, what the intervals are, versions, and the seed.

    Raises
    ------
    DataError
        Where sizes or names differ from those of the fit.

    Examples
    --------
    >>> import anndata, numpy as np, bayesnmf as bn
    >>> adata = anndata.AnnData(np.random.default_rng(0).poisson(3.0, (20, 10)))
    >>> adata = bn.io.to_anndata(bn.fit(adata, rank=2), adata)
    >>> adata.obsm["X_bayesnmf"].shape, adata.varm["bayesnmf_high"].shape
    ((20, 2), (10, 2))
    """
    from ..summaries import intervals, kind_of_intervals, noise_name

    size = len(fit.W), fit.H.shape[1]
    if size != adata.shape:
        twice = " (a feature for each sign)" if fit.negative == "split" else ""
        raise DataError(
            f"Expected an AnnData of the fit's {size[0]} cells x {size[1]} genes{twice}; got {adata.shape[0]} x "
            f"{adata.shape[1]}. Of part of an AnnData give that part: adata[:, genes].copy(), adata.raw.to_adata()."
        )
    _same_names("cell", fit.samples, adata.obs_names)
    _same_names("gene", fit.features, adata.var_names)
    of_W, of_H = intervals(fit, "W", prob), intervals(fit, "H", prob)
    arrays: dict[str, dict[str, np.ndarray | None]] = {"obsm": {f"X_{KEY}": fit.W}, "varm": {KEY: fit.H.T}}
    for i, end in enumerate(("low", "high")):
        arrays["obsm"][f"X_{KEY}_{end}"] = None if of_W is None else of_W[i]
        arrays["varm"][f"{KEY}_{end}"] = None if of_H is None else of_H[i].T
    for place, named in arrays.items():
        for key, values in named.items():
            if values is not None:
                getattr(adata, place)[key] = np.array(values)
            elif key in getattr(adata, place):
                del getattr(adata, place)[key]
    seed = {} if fit.seed is None else {"seed": fit.seed}
    adata.uns[KEY] = {
        "rank": fit.rank, "likelihood": noise_name(fit), "engine": type(fit.engine).__name__, "shares": fit.share,
        "warnings": np.array([str(finding) for finding in fit.warnings], dtype=str),
        "intervals": f"{100 * prob:g}%, {kind_of_intervals(fit)}", "versions": dict(fit.versions),
    } | seed  # fmt: skip
    return adata


def _same_names(what: str, expected: tuple[str, ...] | None, found: Any) -> None:
    for i, (a, b) in enumerate(zip(expected or (), map(str, found), strict=False)):
        if a != b:
            raise DataError(
                f"Expected the {what}s of the fit, in their order; {what} {i} is {b!r} in the AnnData and {a!r} in the "
                "fit. Take the AnnData that was fitted, or sort it as that was."
            )
