"""From what users have to validated NumPy: X, its weights, offsets, groups and names."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

import numpy as np

from ._errors import DataError
from ._types import MatrixLike

Negative = Literal["error", "clip", "split"]


@dataclass(frozen=True)
class Table:
    """Validated data: what every engine starts from.

    Attributes
    ----------
    X : ndarray or scipy.sparse.csr_array
        Float64, or float32 where it came so; missing entries are 0 with weight 0.
    weight : ndarray or csr_array or None
        Weights by entry, 0 where missing. For sparse X it holds 1 - weight.
    row_weight, col_weight, row_factor, col_factor : ndarray or None
        Separable weights and offsets.
    groups : ndarray or None
        Label of the group of each sample.
    samples, features : tuple of str, or None
        Names, where X had them.
    negative : str or None
        What was done with negative entries.
    """

    X: Any
    weight: Any
    row_weight: np.ndarray | None
    col_weight: np.ndarray | None
    row_factor: np.ndarray | None
    col_factor: np.ndarray | None
    groups: np.ndarray | None
    samples: tuple[str, ...] | None
    features: tuple[str, ...] | None
    negative: Negative | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        return self.X.shape

    @property
    def is_sparse(self) -> bool:
        """Whether X is held sparse."""
        return not isinstance(self.X, np.ndarray)

    @property
    def values(self) -> np.ndarray:
        """The stored entries of X, flat."""
        return self.X.data if self.is_sparse else self.X.ravel()

    @property
    def is_counts(self) -> bool:
        """Whether every entry is a whole number."""
        return bool(np.all(self.values == np.floor(self.values)))

    @property
    def least(self) -> float:
        """The least entry."""
        least = float(self.values.min(initial=np.inf))
        if not self.is_sparse:
            return least if self.weight is None else float(self.X[self.weight > 0].min())
        missing = 0 if self.weight is None else int((self.weight.data == 1).sum())
        return min(least, 0.0) if self.X.nnz + missing < np.prod(self.shape) else least

    @property
    def level(self) -> float:
        """Mean of |X|, offsets divided out: the size of an entry of W H; 0 where nothing is observed."""
        n, m = self.shape
        s = np.ones(n) if self.row_factor is None else self.row_factor
        o = np.ones(m) if self.col_factor is None else self.col_factor
        a = np.ones(n) if self.row_weight is None else self.row_weight
        b = np.ones(m) if self.col_weight is None else self.col_weight
        total = a @ (self._weighted(abs(self.X)) @ b)
        exposure = (a * s).sum() * (b * o).sum()
        if self.weight is not None:
            partial = (a * s) @ (self.weight @ (b * o))
            exposure = exposure - partial if self.is_sparse else partial
        return float(total / exposure) if exposure > 0 else 0.0

    @property
    def spread(self) -> np.ndarray:
        """Mean square of X by feature, (m,)."""
        a = np.ones(self.shape[0]) if self.row_weight is None else self.row_weight
        square = self.X.multiply(self.X) if self.is_sparse else np.square(self.X)
        total = self._weighted(square).T @ a
        weight = np.full(self.shape[1], a.sum())
        if self.weight is not None:
            partial = self.weight.T @ a
            weight = weight - partial if self.is_sparse else partial
        return np.asarray(np.where(weight > 0, total, 0) / np.where(weight > 0, weight, 1))

    @property
    def total_weight(self) -> float:
        """Sum of the weights: the number of observations."""
        n, m = self.shape
        a = np.ones(n) if self.row_weight is None else self.row_weight
        b = np.ones(m) if self.col_weight is None else self.col_weight
        total = a.sum() * b.sum()
        if self.weight is not None:
            partial = a @ (self.weight @ b)
            total = total - partial if self.is_sparse else partial
        return float(total)

    def _weighted(self, X: Any) -> Any:
        if self.weight is None:
            return X
        return X - self.weight.multiply(X) if self.is_sparse else self.weight * X


def read(
    X: MatrixLike,
    *,
    observed: MatrixLike | None = None,
    weights: MatrixLike | None = None,
    size_factors: MatrixLike | None = None,
    opportunities: MatrixLike | None = None,
    groups: MatrixLike | None = None,
    layer: str | None = None,
) -> Table:
    """Return the data as a `Table`, or raise `DataError` saying what was wrong with them."""
    if isinstance(X, (str, PathLike)):
        raise DataError(f"Expected X to be a matrix; got {X!r}. A file is read first: bn.fit(bn.io.read({str(X)!r})).")
    X, samples, features = labelled(X, layer)
    X, missing = _matrix(X)
    n, m = X.shape
    row_factor = _vector(size_factors, n, "size_factors", "n samples")
    col_factor = _vector(opportunities, m, "opportunities", "m features")
    row_weight, col_weight, weight = _weights(weights, n, m)
    X, weight = _mask(X, missing, observed, weight)
    table = Table(X, weight, row_weight, col_weight, row_factor, col_factor, _groups(groups, n), samples, features)
    refuse_unobserved(table, "row")
    return table


def split_negative(table: Table, how: Negative, needs: str, again: bool = False) -> Table:
    """Return the table without negative entries, for a likelihood that cannot take them.

    `again` says that a fit was split: new samples get its features even where none of theirs is negative.
    """
    from dataclasses import replace

    if how not in ("error", "clip", "split"):
        raise DataError(f'Expected negative to be "error", "clip" or "split"; got {how!r}.')
    if table.least >= 0 and not (how == "split" and again):
        return table
    if how == "error":
        raise DataError(
            f"Negative values in data: {needs} needs entries of at least 0; the least is {table.least:.4g}. "
            'Use likelihood=Gaussian(), or set them to 0 (in bn.fit negative="clip"), or make positive and negative '
            'parts two features (negative="split").'
        )
    positive, negative = abs(table.X + abs(table.X)) / 2, abs(abs(table.X) - table.X) / 2
    if how == "clip":
        return replace(table, X=positive, negative=how)

    def twice(a: Any) -> Any:
        return None if a is None else _beside(a, a)

    features = table.features or tuple(str(j) for j in range(table.shape[1]))
    return replace(
        table, X=_beside(positive, negative), weight=twice(table.weight), col_weight=twice(table.col_weight),
        col_factor=twice(table.col_factor), negative=how,
        features=tuple(f"{f}+" for f in features) + tuple(f"{f}-" for f in features),
    )  # fmt: skip


def _beside(a: Any, b: Any) -> Any:
    if isinstance(a, np.ndarray):
        return np.concatenate([a, b], axis=-1)
    import scipy.sparse as sp

    return sp.csr_array(sp.hstack([a, b]))


def labelled(X: MatrixLike, layer: str | None = None) -> tuple[Any, tuple[str, ...] | None, tuple[str, ...] | None]:
    """Return (matrix, names of samples, names of features) of what has names with it; None where it has not.

    Data frames, `bayesnmf.io.Recording`, `bayesnmf.datasets.Dataset`, AnnData (X or one of its layers), xarray of two
    dimensions.
    """
    if hasattr(X, "obs_names") and hasattr(X, "var_names"):
        return _stored_whole(_layer(X, layer)), *(tuple(map(str, names)) for names in (X.obs_names, X.var_names))
    if layer is not None:
        raise DataError(f"Only AnnData has layers; got layer={layer!r} with X of type {type(X).__name__}.")
    if hasattr(X, "samples") and hasattr(X, "features") and hasattr(X, "X"):
        return X.X, _names(X.samples.index), _names(X.features.index)
    if hasattr(X, "feature_names") and hasattr(X, "X"):
        return X.X, None, tuple(X.feature_names)
    if hasattr(X, "columns") and hasattr(X, "index"):
        return X, _names(X.index), tuple(map(str, X.columns))
    if hasattr(X, "dims") and hasattr(X, "indexes") and len(X.dims) == 2:
        names = [_names(X.indexes[dim]) if dim in X.indexes else None for dim in X.dims]
        return X, names[0], names[1]
    return X, None, None


def _layer(adata: Any, layer: str | None) -> Any:
    """Return a matrix of an AnnData; what raw holds has other genes, and is asked for by itself."""
    X = adata.X if layer is None else None  # looked up once: a backed one is read from disk each time
    if X is not None:
        return X
    if layer not in adata.layers:
        held = ", ".join(map(repr, adata.layers)) or "(there are none)"
        raise DataError(
            f"Expected layer to be one of {held}; got {layer!r}"
            + ("" if layer else ", and the AnnData has no X")
            + (". What raw holds: bn.fit(adata.raw.to_adata())." if layer == "raw" else ".")
        )
    return adata.layers[layer]


def _stored_whole(X: Any) -> Any:
    """Return what a backed AnnData keeps on disk, read into memory."""
    if hasattr(X, "to_memory"):
        return X.to_memory()
    return X if hasattr(X, "tocsr") else np.asarray(X)


def _names(index: Any) -> tuple[str, ...] | None:
    """Return names as text, None where they only count; levels of a MultiIndex are joined by a space."""
    if type(index).__name__ == "RangeIndex":
        return None

    def word(value: Any) -> str:
        return f"{value:.12g}" if isinstance(value, float) else str(value)

    return tuple(" ".join(map(word, key)) if isinstance(key, tuple) else word(key) for key in index)


def _matrix(X: MatrixLike) -> tuple[Any, Any]:
    """Return (X, missing): a float array or csr, and which entries are NaN or masked (None for none)."""
    if hasattr(X, "tocsr"):
        return _sparse(X)
    mask = np.ma.getmaskarray(X) if isinstance(X, np.ma.MaskedArray) else None
    if hasattr(X, "columns") and hasattr(X, "to_numpy"):
        kinds = {np.dtype(t).kind if isinstance(t, np.dtype) else "?" for t in X.dtypes}
        X = X.to_numpy() if kinds <= set("buif") else X.to_numpy(dtype=object, na_value=np.nan)
    try:
        array = np.ma.getdata(X) if mask is not None else np.asarray(X)
    except ValueError as error:
        raise DataError(f"Expected X to be a matrix with rows of one length; got what is not one ({error}).") from None
    if array.ndim != 2:
        raise DataError(
            f"Expected X to be a matrix of shape (n samples, m features); got {array.ndim} dimension(s), "
            f"shape {array.shape}. Reshape your data: X.reshape(-1, 1) for one feature, X.reshape(1, -1) for one "
            "sample."
        )
    array = _floats(array)
    if 0 in array.shape:
        word = "feature" if array.shape[1] == 0 else "sample"
        raise DataError(
            f"Expected at least one sample and one feature; got 0 {word}(s) (shape={array.shape}) "
            "while a minimum of 1 is required."
        )
    missing = np.isnan(array)
    if mask is not None:
        missing |= mask
    _refuse_infinite(array, missing)
    if not missing.any():
        return array, None
    return np.where(missing, 0, array), missing


def sound_csr(X: Any) -> Any:
    """Return a sparse matrix by rows. Raises ValueError for indices beyond its ends: SciPy would follow them."""
    import scipy.sparse as sp

    if hasattr(X, "check_format"):
        X.check_format(full_check=True)
    return sp.csr_array(X)


def _sparse(X: Any) -> tuple[Any, Any]:
    import scipy.sparse as sp

    if X.ndim != 2 or 0 in X.shape:
        raise DataError(f"Expected X of shape (n samples, m features), both at least 1; got {X.shape}.")
    try:
        csr = sound_csr(X)
    except ValueError as error:
        raise DataError(f"Expected a sparse X whose indices are within {X.shape}; {error}.") from None
    # sorting and dropping zeros work in place, and these may be the caller's arrays
    csr = sp.csr_array((_floats(csr.data), csr.indices.copy(), csr.indptr.copy()), shape=csr.shape)
    csr.sum_duplicates()
    missing = np.isnan(csr.data)
    _refuse_infinite(csr.data, missing)
    if not missing.any():
        csr.eliminate_zeros()
        return csr, None
    where = sp.csr_array((missing.astype(float), csr.indices.copy(), csr.indptr.copy()), shape=csr.shape)
    where.eliminate_zeros()
    csr.data[missing] = 0
    csr.eliminate_zeros()
    return csr, where


def _floats(array: np.ndarray) -> np.ndarray:
    """Return a native float copy of numbers; refuse everything else."""
    if array.dtype.kind == "c":
        raise DataError("Complex data not supported: X must be real. Use its magnitude or power.")
    if array.dtype.kind == "O":
        text = next((value for value in array.flat if isinstance(value, (str, bytes))), None)
        if text is not None:
            raise DataError(
                f"Expected numbers in X; got text, such as {text!r}. Drop the columns that are names or identifiers, "
                "and turn text that is numbers into numbers."
            )
        try:
            return np.array(array, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"Expected numbers in X; got objects that are not ({error}). Drop or encode the columns that are not "
                "numbers."
            ) from None
    if array.dtype.kind not in "buif":
        raise DataError(f"Expected numbers in X; got dtype {array.dtype}. Drop or encode what is not a number.")
    return array.astype(np.float32 if array.dtype == np.float32 else np.float64)


def _refuse_infinite(values: np.ndarray, missing: np.ndarray) -> None:
    wrong = np.argwhere(~np.isfinite(values) & ~missing)
    if wrong.size:
        where = ", ".join(map(str, wrong[0]))
        raise DataError(
            f"X holds {len(wrong)} infinity value(s) (inf), the first at [{where}]. "
            "Replace them by NaN to leave them out, or by what they stand for."
        )


def _vector(a: MatrixLike | None, length: int, name: str, what: str) -> np.ndarray | None:
    if a is None:
        return None
    array = _numbers(a, name)
    if array.shape != (length,):
        raise DataError(f"Expected {name} of shape ({length},), one for each of the {what}; got {array.shape}.")
    if not np.all(np.isfinite(array)) or np.any(array <= 0):
        raise DataError(
            f"Expected {name} to be finite and above 0; leave a sample or feature out with observed or weights."
        )
    return array


def _numbers(a: MatrixLike, name: str) -> np.ndarray:
    try:
        return np.asarray(a, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"Expected {name} to be an array of numbers; got what is not one ({error}).") from None


def _groups(groups: MatrixLike | None, n: int) -> np.ndarray | None:
    if groups is None:
        return None
    import pandas as pd

    labels = np.asarray(groups, dtype=object)
    if labels.shape != (n,):
        raise DataError(f"Expected groups of shape ({n},), one label for each sample; got {labels.shape}.")
    missing = np.flatnonzero(pd.isna(labels))
    if missing.size:
        raise DataError(
            f"Expected groups to have a label for each sample; sample {missing[0]} has none, nor have "
            f"{missing.size - 1} other(s). Give them one, or leave these samples out of X."
        )
    array = np.asarray(groups)
    return array if array.dtype.kind in "biufSU" else labels.astype(str)  # what a file holds: dates are not


def _weights(weights: MatrixLike | None, n: int, m: int) -> tuple[np.ndarray | None, np.ndarray | None, Any]:
    """Return weights by row, by column and by entry, whichever was given."""
    if weights is None:
        return None, None, None
    array: Any = weights.tocsr() if hasattr(weights, "tocsr") else _numbers(weights, "weights")
    values = _stored(array)
    if not np.all(np.isfinite(values)) or np.any(values < 0):
        raise DataError("Expected weights to be finite and at least 0; 0 leaves an entry out.")
    if array.shape == (n, m):
        return None, None, array
    if array.shape == (n,) and n == m:
        raise DataError(f"With n = m = {n}, weights of shape ({n},) are ambiguous: give them as (n, 1) or (1, m).")
    if array.shape in ((n,), (n, 1)):
        return array.reshape(n), None, None
    if array.shape in ((m,), (1, m)):
        return None, array.reshape(m), None
    raise DataError(f"Expected weights of shape (n, m) = ({n}, {m}), ({n},) or ({m},); got {array.shape}.")


def _mask(X: Any, missing: Any, observed: MatrixLike | None, weight: Any) -> tuple[Any, Any]:
    """Return X with unobserved entries set to 0, and the weights by entry that say so."""
    if observed is not None:
        shape = observed.shape if hasattr(observed, "tocsr") else np.shape(observed)
        if shape != X.shape:
            raise DataError(f"Expected observed of shape (n, m) = {X.shape}; got {shape}.")
        if not np.isin(_stored(observed), (0, 1)).all():
            raise DataError("Expected observed to hold True and False; use weights for anything between.")
    if missing is None and observed is None and weight is None:
        return X, None
    if isinstance(X, np.ndarray):
        full = np.ones(X.shape) if weight is None else _dense(weight).astype(float)
        if observed is not None:
            full = full * _dense(observed).astype(bool)
        if missing is not None:
            full = full * ~missing
        return np.where(full > 0, X, 0).astype(X.dtype), full
    import scipy.sparse as sp

    # a stored zero of X is an entry like any other; what is stored is what each entry lacks to weight 1
    lack = sp.csr_array(X.shape) if weight is None else sp.csr_array(1.0 - _dense(weight))
    for out in (missing, None if observed is None else sp.csr_array(~_dense(observed).astype(bool))):
        if out is not None:
            out = sp.csr_array(out, dtype=float)
            lack = lack - lack.multiply(out) + out
    lack = sp.csr_array(lack)
    gone = sp.csr_array((np.asarray(lack.data == 1, float), lack.indices, lack.indptr), shape=lack.shape)
    X = sp.csr_array(X - X.multiply(gone))
    X.eliminate_zeros()
    lack.eliminate_zeros()
    return X, lack


def _stored(a: Any) -> np.ndarray:
    return a.tocsr().data if hasattr(a, "tocsr") else np.asarray(a)


def _dense(a: Any) -> np.ndarray:
    return a.toarray() if hasattr(a, "tocsr") else np.asarray(a)


def observed_at(table: Table, side: Literal["row", "column"]) -> np.ndarray:
    """Return which rows or columns have an observed entry."""
    n, m = table.shape
    row = np.ones(n) if table.row_weight is None else table.row_weight
    col = np.ones(m) if table.col_weight is None else table.col_weight
    weight = table.weight
    if side == "column":
        row, col, weight = col, row, None if weight is None else weight.T
    if weight is None:
        return row * col.sum() > 0
    if table.is_sparse:  # whole numbers, so that none is lost beside many
        missing = (weight == 1).astype(float) @ (col > 0)
        return (row > 0) & (missing < np.count_nonzero(col > 0))
    return row * (weight @ col) > 0


def refuse_unobserved(table: Table, side: Literal["row", "column"]) -> None:
    """Raise `DataError` for rows or columns without a single observed entry."""
    names = table.samples if side == "row" else table.features
    empty = np.flatnonzero(~observed_at(table, side))
    if empty.size:
        named = "" if names is None else f" ({names[empty[0]]!r})"
        raise DataError(
            f"{side.capitalize()} {empty[0]}{named} of X has no observed entry, only NaN (missing) or weight 0; "
            f"so have {empty.size - 1} other(s). Drop them: nothing can be learned there."
        )
