"""The recordings: what comes out, that it is what is upstream, and what happens without it."""

import ast
import os
import sys
from collections.abc import Callable
from pathlib import Path

import make_demo_arrays
import numpy as np
import pytest

from bayesnmf import datasets
from bayesnmf.datasets import _registry
from bayesnmf.datasets._dataset import packaged

PACKAGE = Path(datasets.__file__).parent


@pytest.fixture
def upstream() -> Path:
    folder = Path(os.environ.get("BAYESNMF_DATA", ""))
    if not all((folder / name).exists() for name in _registry.UPSTREAM):
        pytest.skip("BAYESNMF_DATA names no folder with the upstream files")
    return folder


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


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="ca1, songbird, breast"):
        datasets.load("mouse")


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
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            else:
                continue
            roots = {module.split(".")[0] for module in modules}
            assert roots <= {"numpy", "bayesnmf"} | sys.stdlib_module_names, path.name
