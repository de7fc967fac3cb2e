"""What every reader returns, arrays with named dimensions, and the door that takes them."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesnmf as bn
from bayesnmf.io import Recording, unfold

MODE = bn.MAP(starts=1, max_steps=50)
CHANNELS, BANDS = ["Oz", "C3", "Fz", "C4"], [20.0, 5.0, 10.0]


def power() -> xr.DataArray:
    """Epochs x channels x bands, in an order that is not the alphabet's, with places of the channels."""
    values = np.random.default_rng(0).gamma(2.0, 1.0, (7, 4, 3))
    coords = {"channel": CHANNELS, "band": BANDS, "depth": ("channel", [4.0, 3.0, 2.0, 1.0])}
    return xr.DataArray(values, coords, ("epoch", "channel", "band"))


@pytest.mark.parametrize("features", ["band", "channel", ("channel", "band"), ("band", "channel"), ("epoch", "band")])
def test_unfolding_keeps_every_entry_with_its_names(features: str | tuple[str, ...]) -> None:
    array, recording = power(), unfold(power(), features)
    for i, row in enumerate(recording.samples.index):
        for j, column in enumerate(recording.features.index):
            names = {
                **dict(zip(recording.samples.index.names, np.atleast_1d(np.array(row, object)), strict=True)),
                **dict(zip(recording.features.index.names, np.atleast_1d(np.array(column, object)), strict=True)),
            }
            assert recording.X[i, j] == array.sel({d: v for d, v in names.items() if d != "epoch"})[names["epoch"]]
    for table in (recording.samples, recording.features):
        if "depth" in table:
            assert table["depth"].tolist() == [4.0 - CHANNELS.index(c) for c in table.index.get_level_values("channel")]


def test_a_fit_is_folded_back_to_the_dimensions_in_their_order() -> None:
    recording = unfold(power(), ("channel", "band"))
    fit = bn.fit(recording, rank=2, likelihood=bn.Gaussian(), engine=bn.CAVI(starts=1))
    assert fit.features is not None
    assert fit.features[:4] == ("Oz 20", "Oz 5", "Oz 10", "C3 20")
    folded = recording.fold(fit, 0.5)
    assert folded["H"].dims == ("component", "channel", "band")
    assert folded["W"].dims == ("epoch", "component")
    assert folded["channel"].values.tolist() == CHANNELS
    np.testing.assert_array_equal(folded["H"].values.reshape(2, 12), fit.H)
    np.testing.assert_array_equal(folded["W"].values, fit.W)
    low, high = fit.interval("H", 0.5)
    np.testing.assert_array_equal(folded["H_low"].values.reshape(2, 12), low)
    np.testing.assert_array_equal(folded["H_high"].values.reshape(2, 12), high)
    np.testing.assert_array_equal(folded["W_low"].values, fit.interval("W", 0.5)[0])


def test_trials_of_unequal_length_come_back_with_gaps() -> None:
    index = pd.MultiIndex.from_tuples([("a", 0), ("a", 1), ("b", 0)], names=["trial", "time"])
    recording = Recording(np.ones((3, 2)), pd.DataFrame(index=index), pd.DataFrame(index=["u", "v"]))
    fit = bn.fit(recording, rank=1, engine=MODE)
    assert "W_low" not in recording.fold(fit)
    W = recording.fold(fit)["W"]
    assert np.isnan(W.sel(trial="b", time=1)).all()
    assert W.sel(trial="a", time=1).item() == fit.W[1, 0]


@pytest.mark.parametrize("features", [(), ("epoch", "channel", "band"), "time"])
def test_dimensions_that_are_not_there_are_named(features: str | tuple[str, ...]) -> None:
    with pytest.raises(bn.DataError, match="some, not all, of the dimensions"):
        unfold(power(), features)


def test_names_that_are_not_unique_are_refused() -> None:
    with pytest.raises(bn.DataError, match="'C3' twice"):
        unfold(power().assign_coords(channel=["C3", "Oz", "C3", "Cz"]), "band")


def test_sizes_that_do_not_agree_are_refused() -> None:
    recording = unfold(power(), "band")
    with pytest.raises(bn.DataError, match="transposed"):
        Recording(recording.X.T, recording.samples, recording.features)
    with pytest.raises(bn.DataError, match=r"\(28, 3\); got one of \(28, 4\)"):
        recording.fold(bn.fit(np.ones((28, 4)), rank=1, engine=MODE))


def test_the_door_takes_what_has_names() -> None:
    X = np.random.default_rng(0).poisson(3.0, (6, 4))
    rows, columns = list("abcdef"), list("wxyz")
    recording = Recording(X, pd.DataFrame(index=rows), pd.DataFrame(index=columns))
    frame = pd.DataFrame(X, rows, columns)
    array = xr.DataArray(X, {"cell": rows, "gene": columns}, ("cell", "gene"))
    expected = bn.fit(X, rank=2, engine=MODE)
    for named in (recording, recording.T.T, frame, array):
        fit = bn.fit(named, rank=2, engine=MODE)
        assert (fit.samples, fit.features) == (tuple(rows), tuple(columns))
        np.testing.assert_array_equal(fit.W, expected.W)
    data = bn.datasets.load("songbird")
    assert bn.fit(data, rank=1, engine=MODE).features == data.feature_names
    with pytest.raises(bn.DataError, match="Only AnnData has layers"):
        bn.fit(frame, rank=1, layer="counts")


def test_a_recording_says_what_its_entries_are() -> None:
    tables = pd.DataFrame(index=range(2)), pd.DataFrame(index=range(2))
    for values, word in (
        ([[0, 1], [2, 3]], "counts"),
        ([[0.5, 1], [2, 3]], "intensities"),
        ([[-1, 1], [np.nan, 3]], "neg"),
    ):
        assert word in str(Recording(np.array(values), *tables))
    assert Recording(np.array([[np.nan, 1.0], [2, 3]]), *tables).is_counts
    for X in ([[1, 2], [3, 4]], pd.DataFrame([[1, 2], [3, 4]])):
        assert str(Recording(X, *tables)) == str(Recording(np.array([[1, 2], [3, 4]]), *tables))
