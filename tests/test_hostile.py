"""Hostile input at the door: the right answer, or an error of ours that says what to do. Nothing between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import planted

import bayesnmf as bn

ENGINE = bn.MAP(starts=2, max_steps=200)
N, M = 24, 15
X = planted(N, M)
HOLE = np.zeros((N, M), bool)
HOLE[::5, ::4] = True
HOLED = np.where(HOLE, np.nan, X)


def fit(data: Any, **options: Any) -> bn.Fit:
    """Fit with the small engine: Poisson, rank 3, unless the case says otherwise."""
    model = options.pop("model", None)
    if model is None:
        options = {"rank": 3, **options}
    return bn.fit(data, model, **{"engine": ENGINE, **options})


def put(base: np.ndarray, where: Any, value: Any) -> np.ndarray:
    """Return a copy with some entries replaced."""
    changed = base.copy()
    changed[where] = value
    return changed


def assert_sound(found: bn.Fit) -> None:
    """No NaN, nothing negative, and rows of H that sum to 1."""
    assert np.isfinite(found.W).all()
    assert np.isfinite(found.H).all()
    assert found.W.min(initial=0) >= 0
    assert found.H.min(initial=0) >= 0
    np.testing.assert_allclose(found.H[found.mass > 0].sum(1), 1, rtol=1e-5)
    assert np.isfinite(found.objective)


@pytest.fixture(scope="module")
def plain() -> bn.Fit:
    """Return the fit of the plain float64 array."""
    return fit(X)


@pytest.fixture(scope="module")
def holed() -> bn.Fit:
    """Return the fit with some entries missing."""
    return fit(HOLED)


def sliced() -> np.ndarray:
    wide = np.full((2 * N, 3 * M), np.nan)
    wide[::2, ::3] = X
    return wide[::2, ::3]


def read_only() -> np.ndarray:
    frozen = X.copy()
    frozen.setflags(write=False)
    return frozen


def duplicates() -> sp.coo_array:
    """Return X with each non-zero in two halves."""
    coo = sp.coo_array(X)
    place = tuple(np.concatenate([c, c]) for c in coo.coords)
    return sp.coo_array((np.concatenate([coo.data / 2] * 2), place), shape=X.shape)


def stored_zeros() -> sp.csr_array:
    full = sp.csr_array(np.ones_like(X))
    full.data = X.ravel().copy()
    return full


class Awkward:
    """Something that only knows how to become an array."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return X.astype(dtype) if dtype else X.copy()


SAME: dict[str, Callable[[], Any]] = {
    "fortran-order": lambda: np.asfortranarray(X),
    "strided-slice": sliced,
    "reversed-view": lambda: X[::-1].copy()[::-1],
    "read-only": read_only,
    "big-endian": lambda: X.astype(">f8"),
    "big-endian-int": lambda: X.astype(">i4"),
    "float32": lambda: X.astype(np.float32),
    "float16": lambda: X.astype(np.float16),
    "longdouble": lambda: X.astype(np.longdouble),
    "uint8": lambda: X.astype(np.uint8),
    "int64": lambda: X.astype(np.int64),
    "objects-that-are-numbers": lambda: X.astype(object),
    "list-of-lists": lambda: X.tolist(),
    "tuple-of-arrays": lambda: tuple(X),
    "np-matrix": lambda: np.asmatrix(X),
    "array-protocol": Awkward,
    "jax": lambda: jnp.asarray(X),
    "jax-int": lambda: jnp.asarray(X.astype(np.int32)),
    "masked-nowhere": lambda: np.ma.MaskedArray(X, mask=False),
    "pandas": lambda: pd.DataFrame(X),
    "pandas-mixed": lambda: pd.DataFrame(X).astype({0: int, 1: "float32", 2: "Int64"}),
    "pandas-sparse": lambda: pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(X)),
    "pandas-arrow-free-ints": lambda: pd.DataFrame(X).astype("Int64"),
}
SAME_SPARSE: dict[str, Callable[[], Any]] = {
    "csr-array": lambda: sp.csr_array(X),
    "csr-matrix": lambda: sp.csr_matrix(X),
    "csc": lambda: sp.csc_array(X),
    "coo": lambda: sp.coo_matrix(X),
    "lil": lambda: sp.lil_array(X),
    "dok": lambda: sp.dok_array(X),
    "bsr": lambda: sp.bsr_array(X),
    "dia": lambda: sp.dia_array(X),
    "coo-duplicates": duplicates,
    "csr-explicit-zeros": stored_zeros,
    "csr-int": lambda: sp.csr_array(X.astype(np.int64)),
    "csr-uint8": lambda: sp.csr_array(X.astype(np.uint8)),
    "csr-float32": lambda: sp.csr_array(X.astype(np.float32)),
    "csr-unsorted": lambda: unsorted(),
}
SAME_HOLED: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "nan": lambda: (HOLED, {}),
    "none-among-objects": lambda: (np.where(HOLE, None, X.astype(object)), {}),
    "masked": lambda: (np.ma.MaskedArray(put(X, HOLE, 1e9), HOLE), {}),
    "masked-inf": lambda: (np.ma.MaskedArray(put(X, HOLE, np.inf), HOLE), {}),
    "masked-half-and-nan": lambda: (np.ma.MaskedArray(HOLED, HOLE & (np.arange(M) > 5)), {}),
    "pandas-nan": lambda: (pd.DataFrame(HOLED), {}),
    "pandas-int-na": lambda: (pd.DataFrame(HOLED).astype("Int64"), {}),
    "observed": lambda: (X, {"observed": ~HOLE}),
    "observed-as-numbers": lambda: (X, {"observed": 1 - HOLE}),
    "observed-hides-nan": lambda: (HOLED, {"observed": np.ones((N, M), bool)}),
    "weights": lambda: (X, {"weights": 1.0 - HOLE}),
}


def unsorted() -> sp.csr_array:
    csr = sp.csr_array(X)
    indices, data = csr.indices.copy(), csr.data.copy()
    for a, b in zip(csr.indptr[:-1], csr.indptr[1:], strict=True):
        indices[a:b], data[a:b] = csr.indices[a:b][::-1], csr.data[a:b][::-1]
    return sp.csr_array((data, indices, csr.indptr), shape=X.shape)


def copy_of(data: Any) -> Any:
    return data.copy() if hasattr(data, "copy") else data


def assert_unchanged(before: Any, after: Any) -> None:
    if hasattr(after, "tocsr"):
        assert (before.toarray() == after.toarray()).all()
        assert before.nnz == after.nnz
    else:
        a, b = (
            np.ma.getdata(v) if isinstance(v, np.ma.MaskedArray) else np.asarray(v, object) for v in (before, after)
        )
        known = ~pd.isna(a)
        np.testing.assert_array_equal(known, ~pd.isna(b))
        np.testing.assert_array_equal(a[known], b[known])


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("name", SAME)
def test_the_holder_changes_nothing(name: str, plain: bn.Fit) -> None:
    data = SAME[name]()
    before = copy_of(data)
    found = fit(data)
    np.testing.assert_array_equal(found.W, plain.W)
    np.testing.assert_array_equal(found.H, plain.H)
    assert_unchanged(before, data)


@pytest.mark.parametrize("name", SAME_SPARSE)
def test_the_sparse_holder_changes_nothing(name: str, plain: bn.Fit) -> None:
    data = SAME_SPARSE[name]()
    before = data.copy()
    found = fit(data)
    first = fit(sp.csr_array(X))
    np.testing.assert_array_equal(found.W, first.W)
    np.testing.assert_array_equal(found.H, first.H)
    np.testing.assert_allclose(found.H, plain.H, atol=1e-4)
    assert_unchanged(before, data)


@pytest.mark.parametrize("name", SAME_HOLED)
def test_all_ways_to_say_missing_are_one(name: str, holed: bn.Fit, plain: bn.Fit) -> None:
    data, options = SAME_HOLED[name]()
    before = copy_of(data)
    found = fit(data, **options)
    np.testing.assert_array_equal(found.W, holed.W)
    np.testing.assert_array_equal(found.H, holed.H)
    assert not np.allclose(found.H, plain.H, atol=1e-3)
    assert_unchanged(before, data)


def test_nan_stored_in_csr_is_missing(holed: bn.Fit) -> None:
    found = fit(sp.csr_array(HOLED))
    np.testing.assert_allclose(found.H, holed.H, atol=1e-4)


# What must come out, checked by value


@pytest.mark.parametrize(
    ("likelihood", "precision", "unit"),
    [
        (bn.Poisson(), "float32", 1e29),
        (bn.Poisson(), "float32", 1e-25),
        (bn.Poisson(), "float32", 3e-7),
        (bn.Poisson(), "float64", 1e30),
        (bn.Poisson(), "float64", 1e-30),
        (bn.Gaussian(), "float32", 1e30),
        (bn.Gaussian(), "float32", 1e-30),
        (bn.Gaussian(), "float32", 3e-7),
    ],
)
def test_the_unit_of_x_changes_nothing_else(likelihood: bn.likelihoods.Likelihood, precision: Any, unit: float) -> None:
    engine = bn.MAP(starts=2, residual_tol=1e-4, precision=precision)
    found, plain = (fit(data, likelihood=likelihood, engine=engine) for data in (X * unit, X))
    assert_sound(found)
    np.testing.assert_allclose(found.H, plain.H, atol=1e-3)
    np.testing.assert_allclose(found.W / unit, plain.W, atol=1e-3 * plain.W.max())


def test_counts_too_small_for_float32_are_said() -> None:
    with pytest.raises(bn.DataError, match="beyond what float32 can compute with.*float64"):
        fit(X * 1e-30)


@pytest.mark.parametrize("holder", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("likelihood", [bn.Poisson(), bn.Gaussian()], ids=["poisson", "gaussian"])
def test_rows_and_columns_of_zeros_come_out_as_zeros(
    holder: Callable[..., Any], likelihood: bn.likelihoods.Likelihood
) -> None:
    found = fit(holder(put(put(X, 4, 0), (slice(None), 7), 0)), likelihood=likelihood)
    assert_sound(found)
    np.testing.assert_array_equal(found.W[4], 0)
    np.testing.assert_array_equal(found.H[:, 7], 0)


def test_negative_data_are_gaussian_by_default() -> None:
    found = fit(put(X, (3, 2), -1.0))
    assert isinstance(found.model.likelihood, bn.Gaussian)
    assert found.negative is None
    assert_sound(found)


def test_negative_clipped_are_zeros() -> None:
    found = fit(put(X, (3, 2), -5.0), likelihood=bn.Poisson(), negative="clip")
    twin = fit(put(X, (3, 2), 0.0))
    np.testing.assert_array_equal(found.H, twin.H)
    assert found.negative == "clip"


def test_negative_split_are_features_of_their_own() -> None:
    data = put(X, (slice(None), 2), -X[:, 2])
    found = fit(pd.DataFrame(data, columns=[f"g{j}" for j in range(M)]), likelihood=bn.Poisson(), negative="split")
    assert found.H.shape == (3, 2 * M)
    assert found.features is not None
    assert found.features[2] == "g2+"
    assert found.features[M + 2] == "g2-"
    np.testing.assert_array_equal(found.H[:, 2], 0)
    assert found.H[:, M + 2].max() > 0


def test_one_row_one_column_one_entry() -> None:
    for data in (X[:1] + 1, X[:, :1] + 1, np.array([[3.0]])):
        found = fit(data, rank=1)
        assert_sound(found)
        # a rank of one reproduces the totals exactly
        np.testing.assert_allclose(found.mean, data, rtol=1e-4)


def test_bool_is_zeros_and_ones() -> None:
    np.testing.assert_array_equal(fit(X > 1).H, fit((X > 1).astype(float)).H)


def test_integers_beyond_32_bits() -> None:
    big = X.astype(np.int64) * 2**33
    np.testing.assert_allclose(fit(big).W / 2.0**33, fit(X).W, atol=1e-3 * fit(X).W.max())


@pytest.mark.parametrize("likelihood", [bn.Poisson(), bn.Gaussian()], ids=["poisson", "gaussian"])
def test_one_huge_entry_gets_a_component(likelihood: bn.likelihoods.Likelihood) -> None:
    found = fit(put(np.ones((N, M)), (3, 2), 1e12), likelihood=likelihood)
    assert_sound(found)
    assert found.mean[3, 2] == pytest.approx(1e12, rel=1e-3)
    assert found.H[0, 2] > 0.99


def test_a_rank_above_the_shape_is_said() -> None:
    found = fit(X, rank=M + 2)
    assert_sound(found)
    assert "rank_above_shape" in [w.name for w in found.warnings]


def test_names_are_kept() -> None:
    frame = pd.DataFrame(X, index=pd.date_range("2020", periods=N), columns=pd.RangeIndex(M))
    found = fit(frame)
    assert found.features == tuple(map(str, range(M)))
    assert found.samples is not None
    assert found.samples[0].startswith("2020-01-01")
    assert fit(pd.DataFrame(X)).samples is None


def test_a_key_is_its_seed(plain: bn.Fit) -> None:
    assert plain.seed == 0
    found = fit(X, seed=jax.random.key(0))
    np.testing.assert_array_equal(found.H, plain.H)
    np.testing.assert_array_equal(fit(X, seed=np.int64(0)).H, plain.H)
    assert found.seed is None
    assert not np.array_equal(fit(X, seed=1).H, plain.H)


def test_columns_of_weights_in_any_shape() -> None:
    of_row, of_col = np.arange(1, N + 1), np.arange(1, M + 1)
    full = np.ones((N, M))
    for weights, twin in ((of_row, full * of_row[:, None]), (of_col[None], full * of_col)):
        np.testing.assert_allclose(fit(X, weights=weights).H, fit(X, weights=twin).H, atol=1e-3)
    square = planted(M, M)
    np.testing.assert_array_equal(fit(square, weights=of_col[:, None]).W.shape, (M, 3))


def test_opportunities_are_divided_out() -> None:
    o = np.linspace(0.5, 2, M)
    found = fit(X * o, likelihood=bn.Gaussian(), opportunities=o, weights=1 / o**2)
    np.testing.assert_allclose(found.H, fit(X, likelihood=bn.Gaussian()).H, atol=1e-3)


@pytest.mark.parametrize(("negative", "seen"), [("clip", "clip"), ("split", "split")])
def test_negative_options_do_nothing_to_non_negative_data(negative: Any, seen: str, plain: bn.Fit) -> None:
    found = fit(X, negative=negative)
    np.testing.assert_array_equal(found.H, plain.H)
    assert found.negative is None


# What must be refused, and what the refusal must say


@dataclass(frozen=True)
class Refused:
    """One input, the error that it must give, and what the text must say."""

    error: type[ValueError]
    match: str
    data: Any = field(default_factory=lambda: X)
    options: dict[str, Any] = field(default_factory=dict)


def model(**options: Any) -> dict[str, Any]:
    return {"model": bn.Model(**{"rank": 3, **options})}


SQUARE = planted(M, M)
REFUSED: dict[str, Refused] = {
    "row-of-nan": Refused(bn.DataError, "Row 2 of X has no observed entry.*Drop", put(X, 2, np.nan)),
    "column-of-nan": Refused(bn.DataError, "Column 2 of X has no observed entry", put(X, (slice(None), 2), np.nan)),
    "column-of-nan-named": Refused(
        bn.DataError, r"Column 1 \('b'\)", pd.DataFrame({"a": [1.0, 2], "b": [np.nan, np.nan]})
    ),
    "row-of-nan-sparse": Refused(bn.DataError, "Row 2 of X has no", sp.csr_array(put(X, 2, np.nan))),
    "all-nan": Refused(bn.DataError, "Row 0 of X has no observed entry", np.full((N, M), np.nan)),
    "all-masked": Refused(bn.DataError, "Row 0 of X has no observed entry", np.ma.MaskedArray(X, mask=True)),
    "inf": Refused(bn.DataError, r"1 infinity value.*\[3, 2\].*Replace", put(X, (3, 2), np.inf)),
    "minus-inf": Refused(bn.DataError, "1 infinity value", put(X, (3, 2), -np.inf)),
    "inf-sparse": Refused(bn.DataError, "1 infinity value", sp.csr_array(put(X, (3, 2), np.inf))),
    "float16-overflow": Refused(bn.DataError, "infinity", np.full((N, M), np.inf, np.float16)),
    "int-beyond-float": Refused(bn.DataError, "numbers in X", np.array([[10**400, 1], [1, 1]], object)),
    "zeros": Refused(bn.DataError, "X has no entry above 0", np.zeros((N, M))),
    "zeros-sparse": Refused(bn.DataError, "X has no entry above 0", sp.csr_array((N, M))),
    "zeros-gaussian": Refused(bn.DataError, "no entry above 0", np.zeros((N, M)), {"likelihood": bn.Gaussian()}),
    "zeros-auto": Refused(bn.DataError, "no entry above 0", np.zeros((N, M)), {"rank": "auto"}),
    "zeros-where-observed": Refused(bn.DataError, "no entry above 0", np.eye(4), {"observed": np.eye(4) == 0}),
    "all-negative": Refused(bn.DataError, "no entry above 0", -X - 1),
    "negative-poisson": Refused(
        bn.DataError,
        r"Poisson needs entries of at least 0; the least is -2.*Gaussian\(\).*clip",
        put(X, (3, 2), -2.0),
        {"likelihood": bn.Poisson()},
    ),
    "negative-word": Refused(
        bn.DataError, '"error", "clip" or "split"; got \'drop\'', -X, {"likelihood": bn.Poisson(), "negative": "drop"}
    ),
    "zeros-where-positive": Refused(bn.DataError, "needs entries above 0", X, {"likelihood": bn.BetaDivergence(0.0)}),
    "beyond-float32": Refused(bn.DataError, "beyond what float32 can compute with.*float64", X * 1e34),
    "strings": Refused(bn.DataError, "numbers in X; got dtype <U", X.astype(str)),
    "objects": Refused(bn.DataError, "numbers in X; got objects", np.where(HOLE, {}, X.astype(object))),
    "text-of-numbers": Refused(
        bn.DataError, "numbers in X; got text, such as '7'", pd.DataFrame(X).assign(cell=["7"] * N)
    ),
    "bytes": Refused(bn.DataError, "numbers in X; got dtype", X.astype("S3")),
    "complex": Refused(bn.DataError, "Complex data not supported", X + 0j),
    "complex-sparse": Refused(bn.DataError, "Complex data not supported", sp.csr_array(X + 0j)),
    "datetime": Refused(bn.DataError, "numbers in X; got dtype datetime64", X.astype("datetime64[s]")),
    "structured": Refused(bn.DataError, "numbers in X; got dtype", np.zeros((3, 2), [("a", "f8")])),
    "pandas-strings": Refused(bn.DataError, "numbers in X", pd.DataFrame(X).assign(name="cell")),
    "pandas-series": Refused(bn.DataError, "1 dimension", pd.Series(X[0])),
    "no-axis": Refused(bn.DataError, r"matrix of shape \(n samples, m features\); got 0 dimension", 3.0),
    "none": Refused(bn.DataError, "0 dimension", None),
    "path": Refused(bn.DataError, r"bn.fit\(bn.io.read\('counts.csv'\)\)", "counts.csv"),
    "dict": Refused(bn.DataError, "0 dimension", {"X": X}),
    "one-axis": Refused(bn.DataError, "1 dimension.*reshape", X[0]),
    "three-axes": Refused(bn.DataError, "3 dimension", X[None]),
    "no-rows": Refused(bn.DataError, r"0 sample\(s\)", X[:0]),
    "no-columns": Refused(bn.DataError, r"0 feature\(s\)", X[:, :0]),
    "no-rows-sparse": Refused(bn.DataError, "at least 1", sp.csr_array((0, M))),
    "empty-list": Refused(bn.DataError, "1 dimension", []),
    "ragged": Refused(bn.DataError, "rows of one length", [[1.0, 2.0], [3.0]]),
    "rank-0": Refused(bn.ModelError, "rank to be a whole number of at least 1; got 0", X, {"rank": 0}),
    "rank-minus-1": Refused(bn.ModelError, "got -1", X, {"rank": -1}),
    "rank-2.5": Refused(bn.ModelError, "got 2.5", X, {"rank": 2.5}),
    "rank-word": Refused(bn.ModelError, "\"auto\"; got 'three'", X, {"rank": "three"}),
    "rank-true": Refused(bn.ModelError, "got True", X, {"rank": True}),
    "rank-nan": Refused(bn.ModelError, "got nan", X, {"rank": np.nan}),
    "rank-none": Refused(bn.ModelError, "Say how many components", X, {"rank": None}),
    "rank-list": Refused(bn.ModelError, r"got \[2, 3\]", X, {"rank": [2, 3]}),
    "rank-array": Refused(bn.ModelError, "whole number", X, {"rank": np.array([2, 3])}),
    "weights-shape": Refused(bn.DataError, r"weights of shape.*got \(4,\)", X, {"weights": np.ones(4)}),
    "weights-3d": Refused(bn.DataError, "weights of shape", X, {"weights": np.ones((1, N, M))}),
    "weights-negative": Refused(bn.DataError, "weights to be finite and at least 0", X, {"weights": -np.ones(N)}),
    "weights-nan": Refused(bn.DataError, "weights to be finite", X, {"weights": np.full((N, M), np.nan)}),
    "weights-words": Refused(bn.DataError, "weights.*numbers", X, {"weights": ["a"] * N}),
    "weights-row-of-0": Refused(bn.DataError, "Row 2 .*no observed", X, {"weights": put(np.ones((N, M)), 2, 0)}),
    "weights-row-of-0-separable": Refused(bn.DataError, "Row 2 .*no", X, {"weights": put(np.ones(N), 2, 0)}),
    "weights-ambiguous": Refused(bn.DataError, "ambiguous.*(n, 1)", SQUARE, {"weights": np.ones(M)}),
    "observed-shape": Refused(bn.DataError, r"observed of shape \(n, m\)", X, {"observed": HOLE.T}),
    "observed-halves": Refused(bn.DataError, "True and False", X, {"observed": np.full((N, M), 0.5)}),
    "observed-words": Refused(bn.DataError, "True and False", X, {"observed": np.full((N, M), "yes")}),
    "observed-nan": Refused(bn.DataError, "True and False", X, {"observed": np.full((N, M), np.nan)}),
    "observed-nothing": Refused(bn.DataError, "no observed entry", X, {"observed": np.zeros((N, M), bool)}),
    "size-factors-0": Refused(bn.DataError, "size_factors to be finite and above 0", X, {"size_factors": np.arange(N)}),
    "size-factors-length": Refused(bn.DataError, r"size_factors of shape \(24,\)", X, {"size_factors": np.ones(M)}),
    "size-factors-nan": Refused(bn.DataError, "size_factors to be finite", X, {"size_factors": np.full(N, np.nan)}),
    "size-factors-words": Refused(bn.DataError, "size_factors.*numbers", X, {"size_factors": ["a"] * N}),
    "opportunities-length": Refused(bn.DataError, r"opportunities of shape \(15,\)", X, {"opportunities": np.ones(N)}),
    "opportunities-negative": Refused(bn.DataError, "opportunities to be", X, {"opportunities": -np.ones(M)}),
    "groups-length": Refused(bn.DataError, r"groups of shape \(24,\)", X, {"groups": np.zeros(3)}),
    "groups-none": Refused(
        bn.DataError, "sample 2 has none, nor have 1 other", X, {"groups": ["a", "b", None, "a", None, *"b" * (N - 5)]}
    ),
    "groups-nan": Refused(bn.DataError, "sample 0 has none", X, {"groups": np.full(N, np.nan)}),
    "groups-no-date": Refused(
        bn.DataError, "sample 23 has none", X, {"groups": pd.to_datetime(["2024-01-01"] * (N - 1) + [None])}
    ),
    "seed-none": Refused(bn.DataError, "seed to be a whole number.*got None", X, {"seed": None}),
    "seed-real": Refused(bn.DataError, "seed to be a whole number.*got 1.5", X, {"seed": 1.5}),
    "seed-huge": Refused(bn.DataError, "seed to be a whole number of 64 bits", X, {"seed": 2**63}),
    "seed-generator": Refused(bn.DataError, "JAX key", X, {"seed": np.random.default_rng(0)}),
    "init-word": Refused(bn.DataError, r"pair of arrays \(W0, H0\), or a fit; got str", X, {"init": "nndsvd"}),
    "init-W": Refused(bn.DataError, r"pair of arrays \(W0, H0\), or a fit; got ndarray", X, {"init": np.ones((N, 3))}),
    "known-shape": Refused(bn.ModelError, r"known to have shape \(r, m\)", X, model(known=np.ones((2, 4)))),
    "known-too-many": Refused(bn.ModelError, "r <= rank = 3", X, model(known=np.ones((4, M)))),
    "known-negative": Refused(bn.ModelError, "non-negative numbers", X, model(known=-np.ones((1, M)))),
    "known-nan": Refused(bn.ModelError, "finite", X, model(known=np.full((1, M), np.nan))),
    "known-row-of-0": Refused(
        bn.ModelError, "Row 1 of known is zero", X, model(known=np.stack([np.ones(M), np.zeros(M)]))
    ),
    "known-words": Refused(bn.ModelError, "numbers", X, model(known=np.full((1, M), "a"))),
    "init-shape": Refused(
        bn.DataError, r"init=\(W0, H0\) of shapes \(24, 3\)", X, {"init": (np.ones((N, 2)), np.ones((3, M)))}
    ),
    "init-nan": Refused(
        bn.DataError, "finite numbers of at least 0", X, {"init": (np.full((N, 3), np.nan), np.ones((3, M)))}
    ),
    "init-negative": Refused(bn.DataError, "at least 0", X, {"init": (-np.ones((N, 3)), np.ones((3, M)))}),
    "likelihood-class": Refused(bn.ModelError, r"such as bn.Poisson\(\)", X, {"likelihood": bn.Poisson}),
    "likelihood-word": Refused(bn.ModelError, r"such as bn.Poisson\(\); got 'poisson'", X, {"likelihood": "poisson"}),
    "likelihood-class-in-model": Refused(bn.ModelError, "likelihood", X, model(likelihood=bn.Gaussian)),
    "prior-class": Refused(bn.ModelError, "W to be a Prior object", X, model(W=bn.Exponential)),
    "model-is-a-number": Refused(bn.ModelError, "bn.Model; got 3.*rank=3", X, {"model": 3}),
    "engine-word": Refused(bn.EngineError, r"such as bn.MAP\(\); got 'map'", X, {"engine": "map"}),
    "engine-class": Refused(bn.EngineError, r"such as bn.MAP\(\)", X, {"engine": bn.MAP}),
    "starts-0": Refused(bn.EngineError, "starts .*at least 1; got 0", X, {"engine": bn.MAP(starts=0)}),
    "tol-nan": Refused(bn.EngineError, "tol to be at least 0; got nan", X, {"engine": bn.MAP(tol=np.nan)}),
    "variance-length": Refused(
        bn.ModelError, "one variance for each of the 15", X, {"likelihood": bn.Gaussian(variance=np.ones(3))}
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_reason(name: str) -> None:
    case = REFUSED[name]
    with pytest.raises(case.error, match=case.match):
        fit(case.data, **case.options)


def test_projection_refuses_what_a_fit_refuses(plain: bn.Fit) -> None:
    with pytest.raises(bn.DataError, match="14 features, but this fit is expecting 15 features"):
        plain.project(X[:, 1:])
    with pytest.raises(bn.DataError, match="Row 0 of X has no observed"):
        plain.project(put(X, 0, np.nan))
    with pytest.raises(bn.DataError, match="infinity"):
        plain.project(put(X, (0, 0), np.inf))
    # a feature that no new sample has is no obstacle
    assert np.isfinite(plain.project(put(X, (slice(None), 2), np.nan)).W).all()
    np.testing.assert_array_equal(plain.project(np.zeros((2, M))).W, np.zeros((2, 3)))


@pytest.mark.parametrize("engine", [ENGINE, bn.CAVI(starts=1)])
@pytest.mark.parametrize(
    ("likelihood", "change", "match"),
    [
        (bn.Poisson(), -1.0, "Poisson needs entries of at least 0; the least is -1"),
        (bn.GammaNoise(), 0.0, "GammaNoise with these parameters needs entries above 0"),
    ],
)
def test_projection_refuses_what_the_noise_cannot_make(engine: Any, likelihood: Any, change: float, match: str) -> None:
    if isinstance(likelihood, bn.GammaNoise) and isinstance(engine, bn.CAVI):
        pytest.skip("CAVI is not for GammaNoise")
    found = fit(X + 1.0, likelihood=likelihood, engine=engine)
    with pytest.raises(bn.DataError, match=match):
        found.project(put(X + 1.0, (1, 2), change))


def test_projection_takes_features_by_their_names() -> None:
    frame = pd.DataFrame(X, columns=[f"g{j}" for j in range(M)])
    found = fit(frame)
    np.testing.assert_array_equal(found.project(X).W, found.project(frame).W)
    with pytest.raises(bn.DataError, match="features of this fit in another order"):
        found.project(frame.iloc[:, ::-1])
    with pytest.raises(bn.DataError, match="feature 2 is 'other', and 'g2' there"):
        found.project(frame.rename(columns={"g2": "other"}))
    np.testing.assert_array_equal(fit(X).project(frame).W, fit(X).project(X).W)  # a fit without names takes any


@pytest.mark.parametrize("likelihood", [bn.Poisson(), bn.CompoundPoisson(), bn.Gaussian()])
def test_a_sample_of_zeros_has_the_posterior_that_it_has_beside_others(likelihood: Any) -> None:
    """Alone there is no level of X to start from."""
    unit = 1.0 if isinstance(likelihood, bn.Poisson) else 1e-12
    found = fit(X * unit, model=bn.Model(3, likelihood, H=bn.Exponential()), engine=bn.CAVI())
    beside = found.project(np.vstack([np.zeros(M), X[:2] * unit]))
    alone = found.project(np.zeros((1, M)))
    assert not alone.warnings
    np.testing.assert_allclose(alone.W[0], beside.W[0], rtol=1e-3)
    ends = (found.interval(method="mean_field") for found in (alone, beside))
    for one, other in zip(*ends, strict=True):
        assert one.shape == (1, 3)
        np.testing.assert_allclose(one[0], other[0], rtol=0.02)


def test_dates_are_groups_by_their_text(tmp_path: Any) -> None:
    found = fit(X, groups=pd.date_range("2024-01-01", periods=N))
    found.save(tmp_path / "fit.nc")
    assert bn.load(tmp_path / "fit.nc").groups.tolist() == found.groups.tolist()
    assert found.groups[1] == "2024-01-02 00:00:00"


def test_few_observed_entries_of_very_many_are_observed() -> None:
    """Two of 300 000, in a sparse matrix; a third of zero weight is not."""
    m = 300_000
    columns = np.arange(2, m)
    missing = sp.csr_array((np.full(m - 2, np.nan), (np.zeros(m - 2, int), columns)), shape=(2, m))
    data = sp.csr_array(np.ones((2, m)) * [[0], [1]]) + missing
    assert bn._input.read(data).shape == (2, m)
    with pytest.raises(bn.DataError, match="Row 0 of X has no observed"):
        bn._input.read(data, weights=np.r_[0.0, 0.0, np.ones(m - 2)])


def test_fits_are_compared_as_objects(plain: bn.Fit) -> None:
    import copy

    other = copy.copy(plain)
    assert plain == plain
    assert plain != other
    assert len({plain, other}) == 2


def test_new_samples_without_negative_entries_are_projected_on_a_split_fit() -> None:
    signed = X - 1.0
    found = fit(signed, likelihood=bn.Poisson(), negative="split")
    assert found.H.shape[1] == 2 * X.shape[1]
    assert found.project(abs(signed[:3])).W.shape == (3, found.rank)
