"""Spikes: bins against NumPy and pynapple, NWB and pynapple there and back, damaged files, missing libraries."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import make_demo_arrays
import numpy as np
import pandas as pd
import pytest

import bayesnmf as bn
from bayesnmf import DataError, datasets, io
from bayesnmf.io import _recording
from bayesnmf.io._spikes import counted

pynwb = pytest.importorskip("pynwb")
nap = pytest.importorskip("pynapple")
pytest.importorskip("pyarrow")

MAP = bn.MAP(starts=1, max_steps=20, tol=0.0)
IDS = [10, 12, 17, 3]
TRIALS = [(2.0, 2.5), (1.0, 2.0), (6.0, 8.0)]


@pytest.fixture(scope="module")
def times() -> list[np.ndarray]:
    """Spike times of four units in ten seconds; the last is silent for the first five."""
    rng = np.random.default_rng(0)
    spread = [(0.0, 10.0)] * 3 + [(5.0, 10.0)]
    return [np.sort(rng.uniform(*ends, size)) for ends, size in zip(spread, (300, 80, 150, 60), strict=True)]


@pytest.fixture(scope="module")
def spike_table(times: list[np.ndarray]) -> pd.DataFrame:
    parts = [pd.DataFrame({"unit_id": name, "spike_time": t}) for name, t in zip(IDS, times, strict=True)]
    return pd.concat(parts).sample(frac=1, random_state=0)


def histograms(times: list[np.ndarray], edges: np.ndarray) -> np.ndarray:
    """Return counts by NumPy, whose last bin is closed: one more is asked for, and left out."""
    edges = np.append(edges, np.inf)
    return np.column_stack([np.histogram(t, edges)[0] for t in times])[:-1]


@pytest.mark.smoke
@pytest.mark.parametrize("bin_s", [0.1, 0.25, 1 / 30, 0.007, 3.0])
@pytest.mark.parametrize("start", [0.0, -0.35, 2.123])
def test_counts_are_those_of_numpy(times: list[np.ndarray], bin_s: float, start: float) -> None:
    X, bins, said = counted(times, bin_s, start, 9.9)
    n = int(np.floor((9.9 - start) / bin_s + 1e-9))
    edges = np.round(start + bin_s * np.arange(n + 1), 9)
    np.testing.assert_array_equal(X, histograms(times, edges))
    np.testing.assert_array_equal(bins["time_s"], edges[:-1])
    left = sum(map(len, times)) - X.sum()
    assert left == sum(np.sum((t < start) | (t >= edges[-1])) for t in times)
    assert f"{left} spike" in said


@pytest.mark.smoke
def test_a_spike_at_an_edge_begins_its_bin() -> None:
    edges = [0.0, 0.1, 0.2, 0.3, 0.6, 0.7, 1.1]  # 3 x 0.1 and 7 x 0.1 are not 0.3 and 0.7
    X, bins, _ = counted([np.array(edges)], 0.1)
    assert np.flatnonzero(X[:, 0]).tolist() == [0, 1, 2, 3, 6, 7, 11]
    assert bins["time_s"].iloc[3] == 0.3
    X, _, said = counted([np.array([0.0, 0.5, 1.0])], 0.5, 0.0, 1.0)
    assert X[:, 0].tolist() == [1, 1]
    assert "1 spike outside" in said


def test_bins_left_out_are_around_all_spikes_and_at_multiples_of_their_width() -> None:
    rng = np.random.default_rng(1)
    for bin_s in (0.1, 1 / 3, 0.02):
        for _ in range(50):
            t = np.round(rng.uniform(-5, 5, 7), rng.integers(1, 12))
            X, bins, said = counted([t, np.zeros(0)], bin_s)
            assert X.sum(axis=0).tolist() == [7, 0]
            assert "outside" not in said
            assert X[0, 0] > 0
            assert X[-1, 0] > 0
            np.testing.assert_allclose(bins["time_s"] / bin_s, np.round(bins["time_s"] / bin_s), atol=1e-6)
    X, bins, _ = counted([np.array([0.6666666668, 1.0])], 1 / 3)  # before 2/3 to the nanosecond, .666666667
    assert X.sum() == 2
    assert bins["time_s"].iloc[0] == 0.333333333


def test_bins_begin_anew_in_each_interval_as_in_pynapple(times: list[np.ndarray]) -> None:
    epochs = nap.IntervalSet([0.03, 2.0, 6.5], [1.55, 2.4, 9.71])
    group = nap.TsGroup({name: nap.Ts(t) for name, t in zip(IDS, times, strict=True)}, time_support=epochs)
    recording = io.from_pynapple(group, bin_s=0.2)
    theirs = group.count(0.2)
    middles = recording.samples["time_s"] + 0.1
    whole = [t + 0.1 <= epochs.end[np.searchsorted(epochs.start, t) - 1] + 1e-9 for t in theirs.t]
    assert sum(whole) == len(theirs) - 1  # pynapple counts more than half a bin
    np.testing.assert_allclose(middles, theirs.t[whole], atol=1e-9)
    order = [list(theirs.columns).index(name) for name in recording.features.index]
    np.testing.assert_array_equal(recording.X, theirs.values[whole][:, order])
    assert recording.samples["epoch"].value_counts(sort=False).tolist() == [7, 2, 16]


def test_what_cannot_be_binned() -> None:
    one = [np.array([0.2, 1.0])]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"bin_s": 0.0}, "bin_s to be seconds"), ({"bin_s": np.nan}, "bin_s to be seconds"),
        ({"bin_s": 1.0, "starts": 0, "stops": 0.9}, "no whole bin of 1 s from 0 to 0.9"),
        ({"bin_s": 1.0, "starts": 3, "stops": 1}, "no whole bin"), ({"bin_s": 1.0, "starts": np.nan}, "finite start"),
    ]  # fmt: skip
    for options, match in cases:
        with pytest.raises(DataError, match=match):
            counted(one, **options)
    with pytest.raises(DataError, match="too many. Are the times in seconds"):
        counted([np.array([0.0, 1.7e18])], None)
    with pytest.raises(DataError, match="not finite"):
        counted([np.array([0.0, np.nan])], None)
    with pytest.raises(DataError, match="got none. Give start and stop"):
        counted([np.zeros(0)], None)
    assert counted([np.zeros(0)], None, 0.0, 1.0)[0].tolist() == [[0]] * 10


@pytest.mark.smoke
@pytest.mark.parametrize("end", ["csv", "tsv", "parquet"])
def test_spike_tables(end: str, times: list[np.ndarray], spike_table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / f"spikes.{end}"
    if end == "parquet":
        spike_table.to_parquet(path)
        recording = io.read_spikes(path, bin_s=0.25, start=0.0, stop=10.0)
    else:
        spike_table.to_csv(path, index=False, sep="," if end == "csv" else "\t")
        recording = io.read(path, bin_s=0.25, start=0.0, stop=10.0)
    order = np.argsort(IDS)
    np.testing.assert_array_equal(recording.X, histograms([times[j] for j in order], np.arange(41) / 4))
    assert recording.features.index.tolist() == sorted(IDS)
    assert list(recording.samples) == ["time_s", "bin_s"]
    assert "from columns unit_id and spike_time (s), counted in bins of 0.25 s from 0 to 10 s" in str(recording)
    in_memory = io.read_spikes(spike_table, bin_s=0.25, start=0.0, stop=10.0)
    np.testing.assert_array_equal(in_memory.X, recording.X)


def test_spike_times_of_a_recording_are_its_packaged_counts(tmp_path: Path) -> None:
    if not (Path(os.environ.get("BAYESNMF_DATA", "")) / "spikes.mat").exists():
        pytest.skip("BAYESNMF_DATA names no folder with the upstream files")
    units, times = make_demo_arrays.read_spikes()
    names = [f"tetrode{t:02d}_unit{u:02d}" for t, u in units]
    path, ca1 = tmp_path / "ca1.csv", datasets.load("ca1")
    pd.concat([pd.DataFrame({"unit": n, "time_s": t}) for n, t in zip(names, times, strict=True)]).to_csv(path)
    recording = io.read(path, bin_s=0.25, start=4397.0, stop=6366.0)
    np.testing.assert_array_equal(recording.X, ca1.X)
    assert tuple(recording.features.index) == tuple(ca1.feature_names)
    np.testing.assert_array_equal(recording.samples["time_s"] - 4397, ca1.coords["time_s"])


def test_spike_tables_by_other_names_and_with_names_of_text(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text('"who";"when"\nb;0.1\na;0.35\nb;0.36\n')
    recording = io.read_spikes(path, unit="who", time="when")
    assert recording.features.index.tolist() == ["a", "b"]
    assert recording.X.tolist() == [[0, 1], [0, 0], [1, 1]]
    assert "0.1 s (the default)" in recording.said
    mixed = io.read_spikes(pd.DataFrame({"unit": [2, "x", 10, 2], "time": [0.0, 0.0, 0.1, 0.1]}))
    assert mixed.features.index.tolist() == [2, 10, "x"]
    assert mixed.X.tolist() == [[1, 0, 1], [1, 1, 0]]


def test_wrong_spike_tables(tmp_path: Path) -> None:
    path = tmp_path / "spikes.csv"
    cases = {
        "unit,time\n1,0.5\n2,\n": "1 have not, first row 2",
        "unit,time\n1,0.5\n2,half\n": "'half'",
        "unit,time\n1,0.5\n2,inf\n": "1 have not",
        "unit,when\n1,0.5\n": "Expected a column one of spike_time_s, .*, or time=; got unit, when",
        "unit,time\n1,0.5\n2,0.3,4\n": "spikes.csv is not a text table of spikes",
        "": "spikes.csv is not a text table of spikes",
    }
    for text, match in cases.items():
        path.write_text(text)
        with pytest.raises(DataError, match=match):
            io.read_spikes(path)
    with pytest.raises(DataError, match="Expected a column 'who'; got unit, time"):
        io.read_spikes(pd.DataFrame({"unit": [1], "time": [0.1]}), unit="who")
    with pytest.raises(FileNotFoundError):
        io.read_spikes(tmp_path / "no.csv")
    whole = tmp_path / "spikes.parquet"
    pd.DataFrame({"unit": [1, 2], "time": [0.1, 0.2]}).to_parquet(whole)
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(DataError, match="spikes.parquet is not a Parquet table"):
        io.read_spikes(whole)


def nwb_file(times: list[np.ndarray] | None = None, observed: dict[int, list[list[float]]] | None = None) -> Any:
    """Return a file in memory, with units where there are times."""
    began = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    file = pynwb.NWBFile(session_description="test", identifier="test", session_start_time=began)
    if times is None:
        return file
    shank = file.create_electrode_group(
        name="shank", description="a", location="CA1", device=file.create_device(name="probe")
    )
    file.add_unit_column(name="quality", description="by eye")
    file.add_unit_column(name="depth_um", description="from the surface")
    for j, (name, t) in enumerate(zip(IDS, times, strict=True)):
        more = {} if observed is None else {"obs_intervals": observed[j]}
        quality = "good" if j % 2 else "poor"
        file.add_unit(id=name, spike_times=t, quality=quality, depth_um=10.0 * j, electrode_group=shank, **more)
    for start, stop in TRIALS:
        file.add_trial(start_time=start, stop_time=stop)
    return file


def written(file: Any, path: Path) -> Path:
    with pynwb.NWBHDF5IO(path, "w") as stream:
        stream.write(file)
    return path


def with_cells(file: Any, data: np.ndarray, cells: list[int], **options: Any) -> Any:
    """Add an imaging plane with five cells, and the responses of some, in a Fluorescence of the module ophys."""
    device = file.create_device(name="scope")
    plane = file.create_imaging_plane(
        name="plane", description="a", device=device, excitation_lambda=600.0, indicator="GCaMP", location="V1",
        optical_channel=pynwb.ophys.OpticalChannel(name="green", description="a", emission_lambda=500.0),
    )  # fmt: skip
    segmented = pynwb.ophys.ImageSegmentation()
    table = segmented.create_plane_segmentation(name="cells", description="all", imaging_plane=plane)
    table.add_column(name="kind", description="by marker")
    for j in range(5):
        table.add_roi(image_mask=np.eye(6), id=100 + j, kind="PV" if j % 2 else "VIP")
    module = file.create_processing_module(name="ophys", description="a")
    module.add(segmented)
    fluorescence = pynwb.ophys.Fluorescence()
    module.add(fluorescence)
    region = table.create_roi_table_region(region=cells, description="some")
    fluorescence.create_roi_response_series(name="responses", data=data, rois=region, unit="n.a.", **options)
    return file


@pytest.mark.smoke
def test_units_of_nwb(times: list[np.ndarray], tmp_path: Path) -> None:
    path = written(nwb_file(times), tmp_path / "a.nwb")
    recording = io.read(path, bin_s=0.2, start=0.0, stop=10.0)
    np.testing.assert_array_equal(recording.X, histograms(times, np.round(0.2 * np.arange(51), 9)))
    assert recording.features.index.tolist() == IDS
    assert recording.features["quality"].tolist() == ["poor", "good"] * 2
    assert recording.features["depth_um"].tolist() == [0.0, 10.0, 20.0, 30.0]
    assert recording.features["electrode_group"].tolist() == ["shank"] * 4
    middle = recording.samples["time_s"] + 0.1
    expected = np.full(50, -1)
    for trial, (start, stop) in enumerate(TRIALS):
        expected[(middle >= start) & (middle < stop)] = trial
    np.testing.assert_array_equal(recording.samples["trial"], expected)
    assert "spikes of the units table, counted in bins of 0.2 s from 0 to 10 s" in str(recording)
    plain = io.read_nwb(path)
    assert "bins of 0.1 s (the default)" in plain.said
    assert plain.X.sum() == sum(map(len, times))
    bn.fit(recording, rank=2, engine=MAP)


def test_a_table_of_trials_without_trials(tmp_path: Path) -> None:
    file = nwb_file()
    file.add_unit(spike_times=[0.05, 0.15, 0.95])
    file.add_unit(spike_times=[0.55])
    file.trials = pynwb.epoch.TimeIntervals(name="trials", description="none")
    recording = io.read(written(file, tmp_path / "a.nwb"), bin_s=0.5, start=0.0, stop=1.0)
    np.testing.assert_array_equal(recording.X, [[2, 0], [1, 1]])
    assert set(recording.samples["trial"]) <= {-1}


def test_units_that_were_not_always_observed(times: list[np.ndarray], tmp_path: Path) -> None:
    observed = {0: [[0.0, 10.0]], 1: [[0.0, 3.05], [4.0, 8.0]], 2: [[0.0, 10.0]], 3: [[5.0, 10.0]]}
    path = written(nwb_file(times, observed), tmp_path / "a.nwb")
    recording = io.read_nwb(path, bin_s=0.1)
    X = histograms(times, np.round(0.1 * np.arange(101), 9)).astype(float)
    X[:50, 3] = X[30:40, 1] = X[80:, 1] = np.nan
    np.testing.assert_array_equal(recording.X, X)
    assert f"{np.isnan(X).sum()} entries missing" in recording.said
    observed[0] = observed[2] = observed[1]
    path = written(nwb_file(times, observed), tmp_path / "b.nwb")
    recording = io.read_nwb(path, bin_s=0.1, stop=8.0)
    kept = np.r_[0:30, 40:80]
    np.testing.assert_array_equal(recording.X[:, 1], X[kept, 1])
    np.testing.assert_allclose(recording.samples["time_s"], kept / 10, atol=1e-9)
    assert recording.samples["trial"].value_counts().to_dict() == {-1: 35, 0: 5, 1: 10, 2: 20}
    assert "bins in which no unit was observed left out" in recording.said


def test_responses_of_cells(tmp_path: Path) -> None:
    data = np.random.default_rng(0).gamma(1.0, size=(30, 3)).astype(np.float32)
    file = with_cells(nwb_file(), data, [4, 0, 1], rate=10.0, starting_time=0.5)
    path = written(file, tmp_path / "a.nwb")
    recording = io.read(path)
    np.testing.assert_array_equal(recording.X, data)
    assert recording.X.dtype == np.float32
    assert recording.features.index.tolist() == [104, 100, 101]
    assert recording.features.to_dict("list") == {"kind": ["VIP", "VIP", "PV"]}
    np.testing.assert_allclose(recording.samples["time_s"], 0.5 + np.arange(30) / 10)
    assert "ophys/Fluorescence/responses (RoiResponseSeries, unit n.a.)" in recording.said
    for name in ("Fluorescence", "responses", "ophys/Fluorescence"):
        part = io.read_nwb(path, series=name, start=1.0, stop=2.0)
        np.testing.assert_array_equal(part.X, data[5:15])
    with pytest.raises(DataError, match="Only spikes are counted in bins"):
        io.read_nwb(path, bin_s=0.1)
    with pytest.raises(DataError, match="has nothing from 50 to inf s; it is from 0.5 to 3.4"):
        io.read_nwb(path, start=50.0)


@pytest.mark.filterwarnings("ignore:.*transposed:UserWarning")
def test_responses_the_wrong_way_round_are_turned(tmp_path: Path) -> None:
    data = np.random.default_rng(0).gamma(1.0, size=(3, 30))
    path = written(with_cells(nwb_file(), data, [0, 1, 2], rate=10.0), tmp_path / "a.nwb")
    recording = io.read_nwb(path, stop=1.0)
    np.testing.assert_array_equal(recording.X, data.T[:10])
    assert "turned" in recording.said
    path = written(with_cells(nwb_file(), data.T, [0, 1], rate=10.0), tmp_path / "b.nwb")
    with pytest.raises(DataError, match="has 3 columns, and its table of rois is 2 long"):
        io.read_nwb(path)


def test_a_file_with_several_series_asks(times: list[np.ndarray], tmp_path: Path) -> None:
    data = np.random.default_rng(0).gamma(1.0, size=(30, 3))
    file = with_cells(nwb_file(times), data, [0, 1, 2], timestamps=np.sort(np.random.default_rng(1).uniform(0, 9, 30)))
    file.add_acquisition(pynwb.TimeSeries(name="power", data=data, unit="V2", rate=30.0, conversion=1e-3, offset=2.0))
    file.add_acquisition(pynwb.TimeSeries(name="speed", data=data[:, 0], unit="m/s", rate=30.0))
    path = written(file, tmp_path / "a.nwb")
    with pytest.raises(DataError, match="several fit. Choose by series=: it has units, ophys/Fluorescence/responses"):
        io.read_nwb(path)
    with pytest.raises(DataError, match="'speed' in a.nwb; there is none.*it has units, .*power"):
        io.read_nwb(path, series="speed")
    power = io.read_nwb(path, series="power")
    np.testing.assert_allclose(power.X, data * 1e-3 + 2)
    assert power.features.index.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(io.read_nwb(path, series="responses").X, data)
    assert io.read_nwb(path, series="units").X.sum() == sum(map(len, times))
    assert "power (TimeSeries" in power.said


def test_voltages_of_channels_with_a_gain_each(tmp_path: Path) -> None:
    file = nwb_file()
    group = file.create_electrode_group(name="g", description="a", location="b", device=file.create_device(name="d"))
    for _ in range(3):
        file.add_electrode(location="V1", group=group)
    data = np.arange(12, dtype=np.int16).reshape(6, 2)
    file.add_acquisition(
        pynwb.ecephys.ElectricalSeries(
            name="lfp", data=data, rate=10.0, conversion=0.5, channel_conversion=[1.0, 3.0],
            electrodes=file.create_electrode_table_region(region=[2, 0], description="a"),
        )
    )  # fmt: skip
    path = written(file, tmp_path / "a.nwb")
    recording = io.read_nwb(path)
    np.testing.assert_array_equal(recording.X, data * [0.5, 1.5])
    assert recording.features.index.tolist() == [2, 0]
    assert recording.features.index.name == "electrode"
    assert recording.features["location"].tolist() == ["V1", "V1"]
    io.write_nwb(bn.fit(recording, rank=1, engine=MAP), recording, path)
    np.testing.assert_array_equal(io.read_nwb(path).X, recording.X)  # not the results
    assert "unit" not in read_back(path)[1]


def read_back(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return what pynwb finds of a fit in a file: the series, and the columns of the table."""
    assert pynwb.validate(path=str(path)) == []
    with pynwb.NWBHDF5IO(path, "r") as stream:
        module = stream.read().processing["bayesnmf"]
        assert module.description.startswith("Fit of")
        held = dict(module.containers)
        table = held.pop("components")
        series = {name: (item.data[:], item.starting_time, item.rate) for name, item in held.items()}
        columns = {name: table[name].data[:] for name in table.colnames}
        linked = {name: table[name].table.id[:] for name in ("unit", "roi") if name in table.colnames}
    return series, columns | {f"ids of {name}": values for name, values in linked.items()}


def test_results_into_nwb_and_back(times: list[np.ndarray], tmp_path: Path) -> None:
    path = written(nwb_file(times), tmp_path / "a.nwb")
    recording = io.read_nwb(path, bin_s=0.5, start=0.0, stop=10.0)
    fit = bn.fit(recording, rank=2, engine=bn.CAVI(starts=1))
    io.write_nwb(fit, recording, path)
    series, columns = read_back(path)
    low, high = fit.interval("W", 0.9)
    for name, values in {"activities": fit.W, "activities_low": low, "activities_high": high}.items():
        np.testing.assert_array_equal(series[name][0], values)
        assert series[name][1] == 0
        assert series[name][2] == pytest.approx(2.0)
    low, high = fit.interval("H", 0.9)
    for name, values in {"weight": fit.H, "weight_low": low, "weight_high": high}.items():
        np.testing.assert_array_equal(columns[name], values.T)
    assert list(columns["feature"]) == [str(name) for name in IDS]
    assert columns["unit"].tolist() == [0, 1, 2, 3]
    assert columns["ids of unit"].tolist() == IDS
    again = io.read_nwb(path, bin_s=0.5, start=0.0, stop=10.0)  # the results are not taken for a recording
    np.testing.assert_array_equal(again.X, recording.X)
    np.testing.assert_array_equal(io.read_nwb(path, series="activities").X, fit.W)
    with pytest.raises(DataError, match="a.nwb has results of bayesnmf already"):
        io.write_nwb(fit, recording, path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.nwb"]


def test_results_of_cells_at_irregular_times(tmp_path: Path) -> None:
    t = np.sort(np.random.default_rng(1).uniform(0, 9, 30))
    data = np.random.default_rng(0).gamma(1.0, size=(30, 3))
    path = written(with_cells(nwb_file(), data, [4, 0, 1], timestamps=t), tmp_path / "a.nwb")
    recording = io.read_nwb(path)
    fit = bn.fit(recording, rank=2, engine=MAP)
    io.write_nwb(fit, recording, path)
    series, columns = read_back(path)
    assert list(series) == ["activities"]
    assert columns["roi"].tolist() == [4, 0, 1]
    assert set(columns) == {"feature", "roi", "weight", "ids of roi"}
    np.testing.assert_array_equal(columns["weight"], fit.H.T)
    np.testing.assert_array_equal(io.read_nwb(path, series="activities").samples["time_s"], t)


def test_a_write_that_fails_leaves_the_file_as_it_was(
    times: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(nwb_file(times), tmp_path / "a.nwb")
    before = path.read_bytes()
    recording = io.read_nwb(path, bin_s=0.5)
    fit = bn.fit(recording, rank=2, engine=MAP)
    with monkeypatch.context() as patch:
        write = pynwb.NWBHDF5IO.write

        def break_off(*what: Any) -> None:
            write(*what)
            raise OSError("the disk is full")

        patch.setattr(pynwb.NWBHDF5IO, "write", break_off)
        with pytest.raises(DataError, match="the disk is full"):
            io.write_nwb(fit, recording, path)
    with pytest.raises(DataError, match="Expected a fit of shape"):
        io.write_nwb(fit, recording.T, path)
    with pytest.raises(DataError, match='Expected a recording with "time_s"'):
        io.write_nwb(fit, io.Recording(recording.X, recording.samples[[]], recording.features), path)
    with pytest.raises(FileNotFoundError):
        io.write_nwb(fit, recording, tmp_path / "no.nwb")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.nwb"]


def test_damaged_nwb_files(times: list[np.ndarray], tmp_path: Path) -> None:
    path = written(nwb_file(times), tmp_path / "a.nwb")
    whole = path.read_bytes()
    for damaged in (b"", b"not HDF5", whole[:1000], whole[: len(whole) // 2], whole[:-100]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="a.nwb is not an NWB file that can be read"):
            io.read(path)
    with h5py.File(path, "w") as file:
        file["x"] = np.ones((3, 4))
    with pytest.raises(DataError, match="a.nwb is not an NWB file that can be read: .*version"):
        io.read(path)
    with pytest.raises(DataError, match="there is none.*neither units with spikes nor a series"):
        io.read(written(nwb_file(), tmp_path / "b.nwb"))
    with pytest.raises(FileNotFoundError):
        io.read_nwb(tmp_path / "no.nwb")


@pytest.fixture
def group(times: list[np.ndarray]) -> Any:
    return nap.TsGroup(
        {name: nap.Ts(t) for name, t in zip(IDS, times, strict=True)}, time_support=nap.IntervalSet([0, 6], [4.05, 9]),
        metadata={"area": ["CA1", "CA3", "CA1", "DG"]},
    )  # fmt: skip


@pytest.mark.smoke
def test_pynapple_groups_there_and_back(group: Any, tmp_path: Path) -> None:
    recording = io.from_pynapple(group, bin_s=0.25)
    theirs = group.count(0.25)
    assert recording.features.index.tolist() == list(theirs.columns)
    np.testing.assert_array_equal(recording.X, theirs.values)
    assert recording.features["area"].to_dict() == dict(zip(IDS, ["CA1", "CA3", "CA1", "DG"], strict=True))
    fit = bn.fit(recording, rank=2, engine=MAP)
    activities = io.to_pynapple(fit, recording)
    np.testing.assert_array_equal(activities.values, fit.W)
    np.testing.assert_array_equal(activities.t, theirs.t)
    np.testing.assert_array_equal(activities.time_support.values, group.time_support.values)
    group.save(str(tmp_path / "units.npz"))
    read = io.read(tmp_path / "units.npz", bin_s=0.25)
    np.testing.assert_array_equal(read.X, recording.X)
    pd.testing.assert_frame_equal(read.samples, recording.samples)
    assert read.features.index.tolist() == recording.features.index.tolist()
    assert "TsGroup of pynapple; what is pickled in it was left out (_metadata), counted" in read.said


def test_pynapple_frames_there_and_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    epochs = nap.IntervalSet([0, 5], [3, 10])
    frame = nap.TsdFrame(
        t=np.arange(40) / 4, d=rng.gamma(1.0, size=(40, 3)), columns=["x", "y", "z"], time_support=epochs,
        metadata={"kind": ["a", "b", "a"]},
    )  # fmt: skip
    recording = io.from_pynapple(frame)
    np.testing.assert_array_equal(recording.X, frame.values)
    np.testing.assert_array_equal(recording.samples["time_s"], frame.t)
    assert recording.features["kind"].to_dict() == {"x": "a", "y": "b", "z": "a"}
    assert recording.samples["epoch"].value_counts(sort=False).tolist() == [13, 20]
    fit = bn.fit(recording, rank=2, engine=MAP)
    activities = io.to_pynapple(fit, recording)
    np.testing.assert_array_equal(activities.t, frame.t)
    np.testing.assert_array_equal(activities.values, fit.W)
    np.testing.assert_array_equal(activities.time_support.values, epochs.values)
    numbered = nap.TsdFrame(t=frame.t, d=frame.values, columns=[4, 5, 6], time_support=epochs)
    for saved, names in ((frame, [0, 1, 2]), (numbered, [4, 5, 6])):
        saved.save(str(tmp_path / "frame.npz"))
        read = io.read(tmp_path / "frame.npz")
        np.testing.assert_array_equal(read.X, recording.X)
        assert read.features.index.tolist() == names
        pd.testing.assert_frame_equal(read.samples, recording.samples)


def test_activities_of_a_spike_table_as_a_frame(spike_table: pd.DataFrame) -> None:
    recording = io.read_spikes(spike_table, bin_s=0.5, start=0.0, stop=10.0)
    fit = bn.fit(recording, rank=2, engine=MAP)
    activities = io.to_pynapple(fit, recording)
    np.testing.assert_allclose(activities.t, 0.25 + 0.5 * np.arange(20))
    with pytest.raises(DataError, match="Expected a fit of shape"):
        io.to_pynapple(fit, recording.T)
    with pytest.raises(DataError, match='"time_s" in its samples'):
        io.to_pynapple(fit, io.Recording(recording.X, recording.samples[[]], recording.features))


class Bomb:
    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return Path.touch, (Path("bomb_went_off"),)


def test_nothing_pickled_by_pynapple_runs(group: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    group.save("units.npz")
    with np.load("units.npz", allow_pickle=False) as file:
        held = {name: file[name] for name in file.files if name != "_metadata"}
    np.savez("units.npz", **held, _metadata=np.array(Bomb(), dtype=object))
    assert io.read("units.npz", bin_s=1.0).X.shape == (7, 4)
    assert not Path("bomb_went_off").exists()
    np.load("units.npz", allow_pickle=True)["_metadata"]  # it would
    assert Path("bomb_went_off").exists()


def test_other_and_damaged_files_of_pynapple(group: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    nap.Tsd(t=np.arange(5.0), d=np.arange(5.0)).save(str(path))
    with pytest.raises(DataError, match="a.npz to hold a TsGroup or a TsdFrame; it holds a Tsd"):
        io.read(path)
    with pytest.raises(DataError, match="Expected a pynapple TsGroup or TsdFrame; got Ts"):
        io.from_pynapple(nap.Ts(np.arange(5.0)))
    frame = nap.TsdFrame(t=np.arange(5.0), d=np.ones((5, 2)))
    with pytest.raises(DataError, match="Only the spikes of a TsGroup are counted"):
        io.from_pynapple(frame, bin_s=0.1)
    group.save(str(path))
    whole = path.read_bytes()
    for damaged in (whole[:100], whole[: len(whole) // 2], b"", whole[:200] + b"\0" * 50 + whole[250:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="a.npz is not"):
            io.read(path)
        with pytest.raises(DataError, match="a.npz is not a file of pynapple"):
            io.read_pynapple(path)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("module", "extra", "call"),
    [
        ("pynwb", "spikes", lambda fit, recording, folder: io.read(folder / "a.nwb")),
        ("pynwb", "spikes", lambda fit, recording, folder: io.write_nwb(fit, recording, folder / "a.nwb")),
        ("pynapple", "spikes", lambda fit, recording, folder: io.to_pynapple(fit, recording)),
        ("pyarrow", "tables", lambda fit, recording, folder: io.read_spikes(folder / "a.parquet")),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    module: str, extra: str, call: Callable[..., Any], spike_table: pd.DataFrame, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    recording = io.read_spikes(spike_table, bin_s=1.0)
    fit = bn.fit(recording, rank=1, engine=MAP)
    for name in ("a.nwb", "a.parquet"):
        (tmp_path / name).write_bytes(b"never read")

    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(_recording, "import_module", missing)
    with pytest.raises(ImportError, match=rf'This needs {module}: pip install "bayesnmf\[{extra}\]"'):
        call(fit, recording, tmp_path)
