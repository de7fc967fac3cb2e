"""The table that every engine starts from: dense and sparse say the same, by value, whatever comes beside X."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import observations, planted

import bayesnmf as bn
from bayesnmf._input import Table, read, refuse_unobserved, split_negative

N, M = 24, 15
BESIDE = ("nan", "observed", "weights", "size_factors", "opportunities")
COMBINATIONS = [dict(zip(BESIDE, chosen, strict=True)) for chosen in product((False, True), repeat=len(BESIDE))]


def case(chosen: dict[str, bool], seed: int = 0) -> tuple[np.ndarray, dict[str, Any]]:
    """Return X, with NaN or not, and what comes beside it."""
    X = planted(N, M, seed=seed)
    rng = np.random.default_rng(seed + 1)
    if chosen["nan"]:
        X[rng.random((N, M)) < 0.1] = np.nan
    beside = observations(seed)
    beside["weights"] = beside["weights"] * rng.choice([0.0, 0.5, 1.0], (N, M), p=[0.1, 0.3, 0.6])
    return X, {name: value for name, value in beside.items() if chosen[name]}


def weight_of(table: Table) -> np.ndarray:
    """Return the weights by entry of a table, (n, m)."""
    if table.weight is None:
        return np.ones(table.shape)
    return 1 - table.weight.toarray() if table.is_sparse else table.weight


def full(table: Table) -> np.ndarray:
    return table.X.toarray() if table.is_sparse else table.X


def name_of(chosen: dict[str, bool]) -> str:
    return "-".join(name for name, yes in chosen.items() if yes) or "plain"


@pytest.mark.parametrize("holder", [np.asarray, sp.csr_array, sp.coo_matrix, sp.csc_array])
@pytest.mark.parametrize("chosen", COMBINATIONS, ids=name_of)
def test_level_spread_and_weights_by_value(chosen: dict[str, bool], holder: Any) -> None:
    X, beside = case(chosen)
    table = read(holder(X), **beside)

    # written out
    weight = np.asarray(beside.get("weights", np.ones((N, M))), float) * beside.get("observed", True) * ~np.isnan(X)
    x = np.where(weight > 0, X, 0)
    s, o = beside.get("size_factors", np.ones(N)), beside.get("opportunities", np.ones(M))

    np.testing.assert_allclose(weight_of(table), weight, atol=1e-15)
    np.testing.assert_array_equal(full(table), x)
    assert table.level == pytest.approx((weight * x).sum() / (weight * np.outer(s, o)).sum(), rel=1e-12)
    np.testing.assert_allclose(table.spread, (weight * x**2).sum(0) / weight.sum(0), rtol=1e-12)
    assert table.least == x.min()
    assert table.is_counts
    assert (table.weight is None) == (not any(chosen[name] for name in ("nan", "observed", "weights")))


@pytest.mark.parametrize("holder", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("side", ["row", "column"])
@pytest.mark.parametrize("masked", [False, True])
def test_separable_weights_by_value(holder: Any, side: str, masked: bool) -> None:
    X, _ = case({**COMBINATIONS[0], "nan": masked})
    by_side = np.random.default_rng(0).integers(1, 4, N if side == "row" else M).astype(float)
    table = read(holder(X), weights=by_side)
    weight = np.broadcast_to(by_side[:, None] if side == "row" else by_side, (N, M)) * ~np.isnan(X)
    x = np.nan_to_num(X)
    assert (table.row_weight is None) == (side == "column")
    assert (table.col_weight is None) == (side == "row")
    assert table.level == pytest.approx((weight * x).sum() / weight.sum(), rel=1e-12)
    np.testing.assert_allclose(table.spread, (weight * x**2).sum(0) / weight.sum(0), rtol=1e-12)


@pytest.mark.parametrize("hold", [np.asarray, sp.csr_array, sp.coo_array])
def test_observed_and_weights_may_be_sparse(hold: Any) -> None:
    X, beside = case({**COMBINATIONS[-1], "size_factors": False, "opportunities": False})
    plain = read(X, **beside)
    for holder in (np.asarray, sp.csr_array):
        table = read(holder(X), observed=hold(beside["observed"]), weights=hold(beside["weights"]))
        np.testing.assert_allclose(weight_of(table), weight_of(plain), atol=1e-15)
        np.testing.assert_array_equal(full(table), full(plain))


def test_whole_weights_of_sparse_data_are_floats() -> None:
    """A file of the fit has floats, and is refused otherwise."""
    whole = np.random.default_rng(0).integers(0, 3, (N, M))
    assert read(sp.csr_array(planted(N, M)), weights=sp.csr_array(whole)).weight.dtype == float


def test_names_of_times_keep_their_digits() -> None:
    times = [1234.561, 1234.562, 12345.67, 0.1 + 0.2]
    frame = pd.DataFrame(planted(4, 3) + 1.0, index=times)
    assert read(frame).samples == ("1234.561", "1234.562", "12345.67", "0.3")


def test_a_zero_held_out_of_sparse_data_is_held_out() -> None:
    X = planted(N, M)
    hidden = X == 0
    hidden[:, 1:] = False
    assert hidden.any()
    table = read(sp.csr_array(X), observed=~hidden)
    np.testing.assert_array_equal(weight_of(table) == 0, hidden)
    assert table.level == pytest.approx(X[~hidden].mean())


@pytest.mark.parametrize("holder", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("how", ["clip", "split"])
def test_negative_entries_by_value(holder: Any, how: Any) -> None:
    X = planted(N, M) - 1
    X[2, 3] = np.nan
    table = split_negative(read(holder(X), opportunities=np.arange(1, M + 1)), how, "Poisson")
    x = np.nan_to_num(X)
    positive, negative = np.maximum(x, 0), np.maximum(-x, 0)
    if how == "clip":
        np.testing.assert_array_equal(full(table), positive)
        assert table.features is None
    else:
        np.testing.assert_array_equal(full(table), np.hstack([positive, negative]))
        np.testing.assert_array_equal(table.col_factor, np.tile(np.arange(1, M + 1), 2))
        assert table.features == tuple(f"{j}+" for j in range(M)) + tuple(f"{j}-" for j in range(M))
    np.testing.assert_array_equal(np.argwhere(weight_of(table) == 0)[:, 1] % M, [3] * (1 if how == "clip" else 2))
    assert table.negative == how


@pytest.mark.parametrize("holder", [np.asarray, sp.csr_array])
def test_unobserved_rows_and_columns_are_found_through_any_weights(holder: Any) -> None:
    X = planted(N, M)
    col = np.ones(M)
    col[1:] = 0
    hidden = np.zeros((N, M), bool)
    hidden[4, 0] = True
    # the only feature with a weight is hidden in sample 4
    with pytest.raises(bn.DataError, match="Row 4 of X has no observed entry.*so have 0 other"):
        read(holder(X), weights=col, observed=~hidden)
    table = read(holder(X), weights=col)
    with pytest.raises(bn.DataError, match="Column 1 of X has no observed entry.*so have 13 other"):
        refuse_unobserved(table, "column")
    refuse_unobserved(read(holder(X)), "column")


def test_float32_stays_and_everything_else_is_float64() -> None:
    X = planted(N, M)
    for dtype in (np.float16, np.float64, np.int8, np.uint64, bool, np.longdouble):
        assert read(X.astype(dtype)).X.dtype == np.float64
    assert read(X.astype(np.float32)).X.dtype == np.float32
    assert read(sp.csr_array(X.astype(np.float32))).X.dtype == np.float32
    assert not np.shares_memory(read(X).X, X)
