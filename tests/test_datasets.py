"""The recordings: what comes out, that it is what is upstream, and what happens without it. Data that are drawn."""

import ast
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import make_demo_arrays
import numpy as np
import pytest

import bayesnmf as bn
from bayesnmf import datasets
from bayesnmf._input import read, refuse_unobserved
from bayesnmf.datasets import _registry
from bayesnmf.datasets._dataset import packaged
from bayesnmf.datasets._mouse import BODY
from bayesnmf.datasets._simulate import PERSISTENCE

PACKAGE = Path(datasets.__file__).parent
SIZES = {
    "ca1": (7876, 31), "songbird": (666, 75), "breast": (192, 96), "eeg": (237, 870), "haxby": (1452, 530),
    "mouse": (371, 13), "pbmc": (700, 765),
}  # fmt: skip
FILES = [(name, file) for name, source in _registry.UPSTREAM.items() for file in source.sha256]

load = cache(datasets.load)


@pytest.fixture
def upstream() -> Path:
    folder = Path(os.environ.get("BAYESNMF_DATA", ""))
    if not all((folder / file).exists() for _, file in FILES):
        pytest.skip("BAYESNMF_DATA names no folder with the upstream files")
    return folder


def assert_mean(values: np.ndarray, expected: float) -> None:
    """Assert that independent values have this mean, within 4.5 of its standard errors."""
    values = np.ravel(np.asarray(values, float))
    assert abs(values.mean() - expected) <= 4.5 * values.std() / np.sqrt(values.size)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [("ca1", (7876, 31), np.int64), ("songbird", (666, 75), np.float32)],
)
def test_packaged_recordings(name: str, shape: tuple[int, int], dtype: type) -> None:
    recording = datasets.load(name)
    assert recording.name == name
    assert recording.X.shape == shape
    assert recording.X.dtype == dtype
    assert recording.X.min() == 0
    assert 0.925 < np.mean(recording.X == 0) < 0.935
    assert len(set(recording.feature_names)) == shape[1]
    assert all(values.shape == (shape[0],) for values in recording.coords.values())
    assert "MIT" in recording.licence


def test_ca1_position_covers_the_run_and_not_the_rest() -> None:
    coords = datasets.load("ca1").coords
    tracked = np.flatnonzero(np.isfinite(coords["position_px"]))
    assert 3800 < tracked.size < 3850
    assert coords["time_s"][tracked[0]] > 25
    assert coords["time_s"][tracked[-1]] < 985
    np.testing.assert_array_equal(np.diff(tracked), 1)
    assert np.nanmin(coords["position_px"]) >= 0
    assert np.nanmin(coords["speed_px_per_s"]) >= 0
    np.testing.assert_allclose(np.diff(coords["time_s"]), 0.25)
    position, row = coords["position_px"], tracked[10:-10]
    expected = np.abs(position[row + 1] - position[row - 1]) / 0.5
    np.testing.assert_allclose(coords["speed_px_per_s"][row], expected, atol=1e-9)


def test_ca1_units_fire_in_places_and_with_no_delay() -> None:
    recording = datasets.load("ca1")
    position = recording.coords["position_px"]
    running = np.flatnonzero(recording.coords["speed_px_per_s"] > 20)

    def variance_explained(delay: int) -> np.ndarray:
        """Share of each unit's variance, while running, that lies between places."""
        place = np.minimum(position[running] // 25, 16).astype(int)
        counts = recording.X[running + delay]
        size = np.bincount(place, minlength=17)
        mean = np.stack([np.bincount(place, c, 17) for c in counts.T]) / np.maximum(size, 1)
        between = (mean - counts.mean(axis=0)[:, None]) ** 2 @ size
        return between / np.maximum(((counts - counts.mean(axis=0)) ** 2).sum(axis=0), 1e-12)

    delays = np.arange(-40, 41)
    explained = np.stack([variance_explained(d) for d in delays]).mean(axis=1)
    assert abs(delays[explained.argmax()]) <= 2
    assert (variance_explained(0) > 0.1).sum() >= 5


@pytest.mark.parametrize(
    ("filename", "build", "limit"),
    [
        ("ca1.npz", make_demo_arrays.ca1_arrays, 60_000),
        ("songbird.npz", make_demo_arrays.songbird_arrays, 16_000),
    ],
)
def test_packaged_arrays_are_those_made_from_upstream(
    upstream: Path, filename: str, build: Callable[[], dict[str, np.ndarray]], limit: int
) -> None:
    stored, rebuilt = packaged(filename), build()
    assert stored.keys() == rebuilt.keys()
    for key, value in rebuilt.items():
        assert stored[key].dtype == value.dtype
        np.testing.assert_array_equal(stored[key], value)
    assert (PACKAGE / "data" / filename).stat().st_size < limit


def test_songbird_equals_upstream_in_single_precision(upstream: Path) -> None:
    from scipy.io import loadmat

    neural = loadmat(upstream / "MackeviciusData.mat")["NEURAL"]
    np.testing.assert_array_equal(datasets.load("songbird").X, neural.T.astype(np.float32))
    np.testing.assert_allclose(np.diff(datasets.load("songbird").coords["time_s"]), 1 / 30)


def test_ca1_counts_every_spike(upstream: Path) -> None:
    _, times = make_demo_arrays.read_spikes()
    np.testing.assert_array_equal(datasets.load("ca1").X.sum(axis=0), [t.size for t in times])


def test_breast_equals_upstream(upstream: Path) -> None:
    recording = datasets.load("breast")
    text = (upstream / "pcawg_breast_sbs.csv").read_text().splitlines()
    rows = [line.split(",") for line in text]
    assert recording.X.shape == (192, 96)
    assert recording.feature_names[0] == "A[C>A]A"
    np.testing.assert_array_equal(recording.X, np.array([r[1:] for r in rows[1:]], int).T)
    np.testing.assert_array_equal(recording.coords["sample"], rows[0][1:])


@pytest.mark.parametrize("name", datasets.names())
def test_every_recording_has_a_complete_card(upstream: Path, name: str) -> None:
    recording = load(name)
    assert recording.name == name
    assert recording.X.shape == SIZES[name]
    n, m = recording.X.shape
    assert len(set(recording.feature_names)) == m
    assert all(type(feature) is str for feature in recording.feature_names)
    assert all(values.shape == (n,) for values in recording.coords.values())
    assert all(values.shape == (m,) for values in recording.feature_coords.values())
    assert recording.truth is None
    said = " ".join(str(recording).split())
    for text in (recording.description, recording.known, recording.likelihood, recording.licence, recording.citation):
        assert len(text) > 5
        assert text in said
    assert all(name in said for name in (*recording.coords, *recording.feature_coords))
    assert f"{name}: {n} samples x {m} features" in said
    lines = str(recording).splitlines()
    assert len(lines) <= 18
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", datasets.names())
def test_likelihood_of_the_card_takes_the_matrix(upstream: Path, name: str) -> None:
    recording = load(name)
    X = recording.X[np.isfinite(recording.X)]
    likelihood = getattr(bn, recording.likelihood)
    fits = {
        "counts": np.all((X >= 0) & (X == np.round(X))),
        "non-negative": np.all(X >= 0) and not np.all(X == np.round(X)),
        "positive": np.all(X > 0),
        "real": np.any(X < 0),
    }
    assert fits[likelihood.support]
    refuse_unobserved(read(recording.X), "column")


def test_recordings_are_pinned() -> None:
    assert set(_registry.UPSTREAM) == set(datasets.names())
    assert len({file for _, file in FILES}) == len(FILES)
    for source in _registry.UPSTREAM.values():
        assert len(source.commit) == 40
        assert set(source.commit) <= set("0123456789abcdef")
        assert source.repository.split("/")[0] != ""
        assert source.folder == "" or source.folder.endswith("/")
    url = _registry.UPSTREAM["ca1"].url("spikes.mat")
    assert url.endswith("nelpy/example-data/099548c0608ffaa92933c66346c0d96f05a18622/linear-track/spikes.mat")


@pytest.mark.parametrize("name", datasets.names())
def test_files_are_the_upstream_ones(upstream: Path, name: str) -> None:
    from hashlib import sha256

    found = datasets.files(name)
    assert {file: sha256(path.read_bytes()).hexdigest() for file, path in found.items()} == dict(
        _registry.UPSTREAM[name].sha256
    )


@pytest.mark.parametrize(("name", "damaged"), FILES, ids=[file for _, file in FILES])
def test_truncated_file_is_refused_before_it_is_read(
    upstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damaged: str
) -> None:
    for file in _registry.UPSTREAM[name].sha256:
        shutil.copy(upstream / file, tmp_path / file)
    whole = (upstream / damaged).read_bytes()
    (tmp_path / damaged).chmod(0o644)
    (tmp_path / damaged).write_bytes(whole[: len(whole) // 2])
    monkeypatch.setenv("BAYESNMF_DATA", str(tmp_path))
    with pytest.raises(datasets.DatasetError, match=f"{damaged} is not the expected file"):
        datasets.files(name)
    if name not in ("ca1", "songbird"):
        with pytest.raises(datasets.DatasetError, match=f"{damaged} is not the expected file"):
            datasets.load(name)


def marks(upstream: Path) -> Any:
    """Return the events of the EEG as they are in its file."""
    from scipy.io import loadmat

    return loadmat(upstream / "eeglab_data.set", squeeze_me=True, struct_as_record=False)["EEG"].event


def test_eeg_signal_is_what_mne_reads(upstream: Path) -> None:
    mne = pytest.importorskip("mne")
    recording, raw = load("eeg"), mne.io.read_raw_eeglab(upstream / "eeglab_data.set", verbose="error")
    X = recording.X.reshape(79, 3, 30, 29)
    assert list(recording.feature_coords["channel"][::29]) == [c for c in raw.ch_names if not c.startswith("EOG")]
    squares = [round(128 * note["onset"]) for note in raw.annotations if note["description"] == "square"][1:]
    ramp, taper = np.vander(np.arange(128), 2).astype(float), np.sin(np.pi * np.arange(128) / 128) ** 2
    for epoch, window, channel in ((0, 0, "FPz"), (40, 1, "Oz"), (78, 2, "Cz")):
        first = squares[epoch] + 128 * (window - 1)
        signal = raw.get_data([channel], first, first + 128)[0] * 1e6
        flat = signal - ramp @ np.linalg.lstsq(ramp, signal, rcond=None)[0]
        power = 2 * np.abs(np.fft.rfft(taper * flat)) ** 2 / (128 * (taper**2).sum())
        place = [c for c in raw.ch_names if not c.startswith("EOG")].index(channel)
        np.testing.assert_allclose(X[epoch, window, place], power[2:31], rtol=1e-4)
    np.testing.assert_array_equal(recording.coords["epoch"], np.arange(237) // 3)
    presses = np.array([128 * note["onset"] for note in raw.annotations if note["description"] == "rt"])
    for epoch, response in enumerate(recording.coords["response_s"].reshape(79, 3)):
        after = (presses - squares[epoch]) / 128
        later = after[(after > 0) & (after <= 2)]
        np.testing.assert_allclose(response, later.min() if len(later) else np.nan, atol=1 / 128)
    positions = [int(event.position) for event in marks(upstream) if event.type == "square"][1:]
    np.testing.assert_array_equal(recording.coords["position"], np.repeat(positions, 3))
    assert len(set(positions)) > 1


def test_eeg_has_alpha_at_the_back_and_74_responses(upstream: Path) -> None:
    recording = load("eeg")
    channel, frequency = recording.feature_coords["channel"], recording.feature_coords["frequency_hz"]
    mean = recording.X.mean(0)
    near = (frequency >= 6) & (frequency <= 14)
    for name in np.unique(channel):
        own = near & (channel == name)
        assert frequency[own][mean[own].argmax()] in (9, 10)
    alpha = {name: mean[near & (channel == name)].sum() for name in np.unique(channel)}
    assert sorted(alpha, key=lambda name: -alpha[name])[:2] == ["Pz", "POz"]
    response = recording.coords["response_s"][::3]
    assert np.isfinite(response).sum() == 74
    assert 0.33 < np.nanmin(response) < np.nanmax(response) < 0.74
    np.testing.assert_array_equal(recording.coords["time_s"], np.tile([-0.5, 0.5, 1.5], 79))


def test_no_eeg_window_reaches_over_a_seam(upstream: Path) -> None:
    signal = np.fromfile(upstream / "eeglab_data.fdt", "<f4").reshape(30504, 32)
    jump = np.abs(np.diff(signal, axis=0)).sum(1)
    rank = jump.argsort().argsort() / len(jump)
    seams = 89 + 385 * np.arange(1, 79) - 1
    assert rank[seams].mean() > 0.95  # steps into the first sample of an epoch, 128 before a square
    inside = (217 - 1 + 385 * np.arange(79)[:, None] + np.arange(-127, 256)).ravel()
    assert not set(seams) & set(inside)


def test_haxby_is_in_deviations_from_rest(upstream: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    recording = load("haxby")
    category, run = recording.coords["category"], recording.coords["run"]
    assert len(np.unique(category)) == 9
    assert (category == "rest").sum() == 588
    np.testing.assert_array_equal(np.bincount(run), np.full(12, 121))
    np.testing.assert_allclose(recording.coords["time_s"][119:122], [297.5, 300.0, 0.0])
    for number in range(12):
        rest = recording.X[(run == number) & (category == "rest")]
        np.testing.assert_allclose(rest.mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(rest.std(0), 1)
    i, j = recording.feature_coords["i"][100], recording.feature_coords["j"][100]
    raw = np.asarray(nibabel.load(upstream / "bold.nii.gz").dataobj)[i, j, 0, :121].astype(float)
    line = np.polynomial.Polynomial.fit(np.arange(121), raw, 1)
    flat = raw - line(np.arange(121))
    rest = flat[category[:121] == "rest"]
    np.testing.assert_allclose(recording.X[:121, 100], (flat - rest.mean()) / rest.std())


def test_haxby_patterns_tell_the_category(upstream: Path) -> None:
    recording = load("haxby")
    category, run = recording.coords["category"], recording.coords["run"]
    shown = [name for name in np.unique(category) if name != "rest"]
    mean = np.array([[recording.X[(run == r) & (category == c)].mean(0) for c in shown] for r in range(12)])
    hits = 0
    for r in range(12):
        others = mean[np.arange(12) != r].mean(0)
        hits += int((np.corrcoef(mean[r], others)[:8, 8:].argmax(1) == np.arange(8)).sum())
    assert hits == 58


@pytest.mark.filterwarnings("ignore:Moving element from:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*was written with")  # an old version, no metadata
def test_pbmc_counts_give_back_the_logarithms_of_the_file(upstream: Path) -> None:
    anndata = pytest.importorskip("anndata")
    recording, file = load("pbmc"), anndata.read_h5ad(upstream / "10x_pbmc68k_reduced.h5ad")
    assert 0.67 < np.mean(recording.X == 0) < 0.68
    logged, total = file.raw.X.toarray().astype(float), recording.coords["total_counts"]
    back = np.log1p(recording.X / total[:, None] * 1e4)
    assert np.abs(back - logged).max() < 6e-4  # three decimals
    exact = total[:, None] / 1e4 * np.expm1(logged)
    off = np.sort(np.abs(exact - recording.X).ravel())
    assert off[-1] < 0.09
    assert off[-2] < 0.05
    assert recording.feature_names == tuple(file.raw.var_names)
    np.testing.assert_array_equal(recording.coords["cell"], file.obs_names)
    np.testing.assert_array_equal(recording.coords["cell_type"], file.obs["bulk_labels"])
    np.testing.assert_array_equal(recording.coords["cluster"], file.obs["louvain"])
    assert np.all(recording.X.sum(1) <= total)


def test_pbmc_types_have_their_genes(upstream: Path) -> None:
    recording = load("pbmc")
    kind, share = recording.coords["cell_type"], recording.X / recording.coords["total_counts"][:, None]

    def first(gene: str, number: int) -> set[str]:
        level = {k: share[kind == k, recording.feature_names.index(gene)].mean() for k in np.unique(kind)}
        return set(sorted(level, key=lambda k: -level[k])[:number])

    assert len(np.unique(kind)) == 10
    assert first("CD79A", 1) == {"CD19+ B"}
    assert first("GNLY", 2) == {"CD56+ NK", "CD8+ Cytotoxic T"}
    assert first("LYZ", 2) == {"CD14+ Monocyte", "Dendritic"}


def test_mouse_steps_are_distances_between_pictures(upstream: Path) -> None:
    import pandas as pd

    recording = load("mouse")
    pose = pd.read_csv(next(iter(datasets.files("mouse").values())), header=[1, 2], index_col=0)
    assert recording.feature_names == BODY
    np.testing.assert_allclose(recording.coords["time_s"], recording.coords["frame"] / 25)

    def place(frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of the points in a frame, whether each is believed, and their median."""
        points = np.array([pose.loc[frame, part] for part in BODY])
        sure = points[:, 2] >= 0.9
        middle = np.median(points[sure, :2], axis=0)
        return points[:, :2], sure & (np.linalg.norm(points[:, :2] - middle, axis=1) <= 200), middle

    for row in range(0, 371, 14):
        frame = recording.coords["frame"][row]
        (before, was, _), (now, sure, middle) = place(frame - 1), place(frame)
        step = np.linalg.norm(now - before, axis=1)
        np.testing.assert_allclose(recording.X[row], np.where(was & sure & (step <= 40), step, np.nan))
        np.testing.assert_allclose([recording.coords["x_px"][row], recording.coords["y_px"][row]], middle)
    assert not {404, 405, 416, 417, 418} & set(recording.coords["frame"])
    assert 0.155 < np.isnan(recording.X).mean() < 0.165
    assert np.nanmax(recording.X) < 36  # nothing is near the 40 that are cut off
    assert np.isfinite(recording.X).sum(1).min() == 6


def test_mouse_frames_that_repeat_a_picture_are_left_out(upstream: Path) -> None:
    import pandas as pd

    recording = load("mouse")
    pose = pd.read_csv(next(iter(datasets.files("mouse").values())), header=[1, 2], index_col=0)
    body = pose.loc[369:, list(BODY)].to_numpy().reshape(-1, 13, 3)
    step, sure = np.linalg.norm(np.diff(body[..., :2], axis=0), axis=2), body[..., 2]
    step[(sure[1:] < 0.9) | (sure[:-1] < 0.9)] = np.nan
    median = dict(zip(range(370, 962), np.nanmedian(step, axis=1), strict=True))
    kept = set(recording.coords["frame"])
    left_out = set(median) - kept - {404, 405, 416, 417, 418}
    assert 0.36 < len(left_out) / len(median) < 0.37
    assert max(median[frame] for frame in left_out) < 0.5
    assert min(median[frame] for frame in kept) > 0.4
    # two sorts of frames, and next to none between them
    middling = [frame for frame, size in median.items() if 0.25 < size < 0.6]
    assert len(middling) < 0.025 * len(median)


def test_mouse_is_on_the_open_arms_and_its_ends_move_apart(upstream: Path) -> None:
    import pandas as pd

    recording = load("mouse")
    pose = pd.read_csv(next(iter(datasets.files("mouse").values())), header=[1, 2], index_col=0)
    corner = pose.loc[369:].median()
    x, y = recording.coords["x_px"], recording.coords["y_px"]
    assert corner["lt", "x"] < x.min() < x.max() < corner["rt", "x"]
    assert corner["ctl", "y"] - 10 < y.min() < y.max() < corner["cbl", "y"] + 40  # a closed arm is 300 long
    early = pose.loc[:348].xs("y", axis=1, level=1)[list(BODY)].median(axis=1)
    assert early.between(400, 540).mean() < 0.1

    def together(a: str, b: str) -> float:
        pair = recording.X[:, [BODY.index(a), BODY.index(b)]]
        return np.corrcoef(pair[np.isfinite(pair).all(1)].T)[0, 1]

    assert round(together("nose", "headcentre"), 2) == 0.88
    assert round(together("nose", "tailbase"), 2) == 0.44
    assert abs(together("nose", "tailtip")) < 0.1


def test_unknown_name_lists_the_known_ones() -> None:
    for door in (datasets.load, datasets.files):
        with pytest.raises(ValueError, match="'rat'; expected one of ca1, songbird, breast"):
            door("rat")


def test_neither_network_nor_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    def refuse(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setenv("BAYESNMF_DATA", str(tmp_path))
    monkeypatch.setattr(pooch, "retrieve", refuse)
    with pytest.raises(datasets.DatasetError, match=r"no network.*BAYESNMF_DATA"):
        datasets.load("breast")


def test_file_with_another_hash_is_refused_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pcawg_breast_sbs.csv"
    file.write_text("SBS,one\nA[C>A]A,1\n")
    monkeypatch.setenv("BAYESNMF_DATA", str(tmp_path))
    with pytest.raises(datasets.DatasetError, match="not the expected file"):
        datasets.load("breast")
    assert file.exists()


def test_download_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    def download(url: str, output_file: str, *args: object) -> None:
        Path(output_file).write_text("something else")

    monkeypatch.setenv("BAYESNMF_DATA", str(tmp_path))
    monkeypatch.setattr(pooch.core, "choose_downloader", lambda *args, **kwargs: download)
    with pytest.raises(datasets.DatasetError, match="hash"):
        datasets.load("breast")
    assert not (tmp_path / "pcawg_breast_sbs.csv").exists()


@pytest.mark.smoke
def test_module_level_imports_are_light() -> None:
    for path in PACKAGE.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            else:
                continue
            roots = {module.split(".")[0] for module in modules}
            assert roots <= {"numpy", "jax"} | sys.stdlib_module_names, path.name


NOISES: dict[str, tuple[Any, float]] = {
    "poisson": (bn.Poisson(), 10.0),
    "negative-binomial": (bn.NegativeBinomial(dispersion=0.15), 10.0),
    "compound-poisson": (bn.CompoundPoisson(shape=1.5, jump=0.3), 1.0),
    "gaussian": (bn.Gaussian(variance=4.0), 10.0),
    "gamma": (bn.GammaNoise(shape=4.0), 10.0),
}
"""Noise, and the mean of X."""


def test_simulated_activities_and_components_have_their_moments() -> None:
    data = datasets.simulate(4000, 20, 4, mean=3.0)
    assert data.truth is not None
    unit = 3.0 * 20 / 4
    assert_mean(data.truth.W, unit)
    assert_mean((data.truth.W - unit) ** 2, 2 * unit**2)
    wide = datasets.simulate(2, 30, 2000, profile_shape=0.5).truth
    assert wide is not None
    np.testing.assert_allclose(wide.H.sum(1), 1)
    assert_mean((wide.H**2).sum(1), (0.5 + 1) / (30 * 0.5 + 1))
    mass = wide.W.sum(0)
    np.testing.assert_array_equal(mass, np.sort(mass)[::-1])


@pytest.mark.parametrize("name", NOISES)
def test_simulated_noise_has_its_moments(name: str) -> None:
    likelihood, mean = NOISES[name]
    data = datasets.simulate(500, 60, 4, likelihood=likelihood, mean=mean, seed=1)
    assert data.truth is not None
    v = jnp.asarray(data.truth.W @ data.truth.H, jnp.float32)
    variance = np.asarray(likelihood.variance_at(v))
    usual = np.asarray(v) > 0.5
    z = (data.X - np.asarray(v))[usual] / np.sqrt(variance[usual])
    assert_mean(z, 0)
    assert_mean(z**2, 1)
    zeros = np.asarray(likelihood.zeros(v))
    assert_mean((data.X == 0) - zeros, 0)
    assert data.likelihood == type(likelihood).__name__
    assert (data.X.dtype == np.int64) == (name in ("poisson", "negative-binomial"))
    assert (data.X < 0).any() == (name == "gaussian")


def test_simulated_gains_drift_within_trials() -> None:
    data = datasets.simulate(1000, 40, 3, likelihood=bn.GammaNoise(shape=1e7), trials=40, drift=0.4)
    assert data.truth is not None
    gain = (data.X / (data.truth.W @ data.truth.H)).reshape(40, 25, 40)
    np.testing.assert_array_equal(data.coords["trial"], np.repeat(np.arange(40), 25))
    assert_mean(gain.mean(1), 1)
    assert_mean(((gain - 1) ** 2).mean(1), 0.4**2)
    spread = np.log(1 + 0.4**2)
    z = (np.log(gain) + spread / 2) / np.sqrt(spread)
    assert_mean((z[:, 1:] * z[:, :-1]).mean(1), PERSISTENCE)
    assert_mean((z[:, 3:] * z[:, :-3]).mean(1), PERSISTENCE**3)
    assert_mean(z[1:, 0] * z[:-1, -1], 0)
    still = datasets.simulate(50, 10, 2, likelihood=bn.GammaNoise(shape=1e7), trials=5).truth
    same = datasets.simulate(50, 10, 2, likelihood=bn.GammaNoise(shape=1e7), trials=5)
    assert still is not None
    np.testing.assert_allclose(same.X, still.W @ still.H, rtol=0.01)


@pytest.mark.parametrize("name", NOISES)
def test_fits_recover_what_was_simulated(name: str) -> None:
    likelihood, mean = NOISES[name]
    data = datasets.simulate(100, 24, 3, likelihood=likelihood, mean=mean)
    fit = bn.fit(data.X, rank=3, likelihood=type(likelihood)(), engine=bn.MAP(starts=1, max_steps=200))
    truth = data.truth
    assert truth is not None
    match = bn.match(fit, truth)  # type: ignore[arg-type]
    assert match.cosine.min() > 0.95
    for own, other in zip(match.own, match.other, strict=True):
        assert np.corrcoef(fit.W[:, own], truth.W[:, other])[0, 1] > 0.95
    for key, value in likelihood.noise().items():
        assert 0.5 < fit.noise[key] / value < 2


def test_simulation_depends_on_the_seed_alone(x64: Iterator[None]) -> None:
    again = datasets.simulate(40, 10, 2, seed=3)
    np.testing.assert_array_equal(again.X, datasets.simulate(40, 10, 2, seed=3).X)
    assert (again.X != datasets.simulate(40, 10, 2, seed=4).X).any()


def test_simulation_is_the_same_in_both_precisions() -> None:
    import jax

    for likelihood, mean in NOISES.values():
        single = datasets.simulate(40, 10, 2, likelihood=likelihood, mean=mean)
        with jax.enable_x64(True):
            np.testing.assert_array_equal(datasets.simulate(40, 10, 2, likelihood=likelihood, mean=mean).X, single.X)


def test_card_of_simulated_data() -> None:
    said = " ".join(str(datasets.simulate(20, 8, 2, likelihood=NOISES["gamma"][0], trials=2, drift=0.4)).split())
    assert "simulated: 20 samples x 8 features" in said
    assert "GammaNoise noise, shape 4.0, gains that drift by 0.4 in 2 trials." in said
    assert "2 components; W and H are in `truth`" in said


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"likelihood": bn.NegativeBinomial()}, "give the noise of NegativeBinomial"),
        ({"likelihood": bn.CompoundPoisson(shape=1.0)}, "give the noise of CompoundPoisson"),
        ({"likelihood": bn.BetaDivergence(2.0)}, "BetaDivergence is not a distribution"),
        ({"likelihood": bn.Gaussian(variance=-1.0)}, "positive number"),
        ({"trials": 3}, "trials that divide n.*trials=3"),
        ({"rank": 0}, "rank=0"),
        ({"mean": float("nan")}, "mean=nan"),
        ({"profile_shape": 0.0}, "profile_shape=0.0"),
        ({"drift": -0.1}, "drift=-0.1"),
    ],
)
def test_simulation_says_what_is_wrong(given: dict[str, Any], says: str) -> None:
    with pytest.raises(bn.ModelError, match=says):
        datasets.simulate(**given)
