"""Places: planted ones are found, absent ones are not; and small runs of the demonstrations."""

import os
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import bayesnmf as bn
from bayesnmf import datasets
from bayesnmf._places import find_places, place_curve, spatial_information
from bayesnmf.demo import DEMOS, run_demo, songbird

BINS = 10


def laps(n: int, period: float, jitter: float = 0.0, seed: int = 0) -> np.ndarray:
    """Position bins of runs up and down a track, of uneven length where `jitter` is above 0."""
    pace = 1 + jitter * np.random.default_rng(seed).standard_normal(n)
    phase = np.cumsum(pace) / period % 1
    return np.minimum(np.abs(2 * phase - 1) * BINS, BINS - 1).astype(int)


def test_curve_divides_occupancy_out() -> None:
    place = np.array([0, 0, 0, 1, 3])
    activity = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 3.0], [5.0, 1.0], [0.0, 7.0]])
    expected = [[2, 1], [5, 1], [np.nan, np.nan], [0, 7]]
    np.testing.assert_allclose(place_curve(activity, place, 4), expected)


def test_information_against_plain_loops() -> None:
    rng = np.random.default_rng(0)
    curve, occupancy = rng.gamma(1.0, 2.0, (6, 3)), rng.integers(1, 9, 6)
    curve[2, 1] = 0.0
    for k, bits in enumerate(spatial_information(curve, occupancy)):
        mean = sum(occupancy[p] * curve[p, k] for p in range(6)) / occupancy.sum()
        terms = [
            occupancy[p] / occupancy.sum() * curve[p, k] / mean * np.log2(curve[p, k] / mean)
            for p in range(6)
            if curve[p, k] > 0
        ]
        assert bits == pytest.approx(sum(terms))


def test_information_has_its_known_values() -> None:
    occupancy = np.full(8, 5)
    one_place = np.eye(8)[:, :1]
    flat, silent = np.ones((8, 1)), np.zeros((8, 1))
    np.testing.assert_allclose(spatial_information(one_place, occupancy), 3)
    assert spatial_information(flat, occupancy) == pytest.approx(0)
    assert spatial_information(silent, occupancy) == 0
    unvisited = np.vstack([one_place, [[np.nan]]])
    np.testing.assert_allclose(spatial_information(unvisited, np.append(occupancy, 0)), 3)


def test_information_does_not_depend_on_the_unit_of_activity() -> None:
    curve, occupancy = np.random.default_rng(1).gamma(1.0, 1.0, (5, 2)), np.arange(1, 6)
    np.testing.assert_allclose(spatial_information(1000 * curve, occupancy), spatial_information(curve, occupancy))


def test_planted_places_are_found_and_others_are_not() -> None:
    rng = np.random.default_rng(2)
    place = laps(1200, 47.3, jitter=0.5)
    rate = np.column_stack([0.1 + 2.0 * (place == 4), 0.1 + 1.0 * np.exp(-((place - 8) ** 2) / 4)])
    places = find_places(np.hstack([rng.poisson(rate), rng.poisson(0.5, (1200, 4))]), place, BINS, 80)
    assert places.found.tolist() == [True, True, False, False, False, False]
    assert places.curve[:, 0].argmax() == 4
    assert np.all(places.bits[:2] > 4 * places.null[:2])


def test_slow_activity_without_place_is_rarely_called_a_place() -> None:
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(100 + seed)
        slow = np.exp(np.convolve(rng.standard_normal(800 + 59), np.ones(60) / 8, "valid"))
        found += int(find_places(slow[:, None], laps(800, 47.3, 0.5, seed), BINS, 80).found.sum())
    # 5% of 40 is 2; more than 7 has a probability below 0.01 even at 8%
    assert found <= 7


def test_found_counts_all_components_together() -> None:
    place = laps(600, 41.0, jitter=0.5)
    weak = np.random.default_rng(3).poisson(0.5 + 0.25 * (place == 2))[:, None]
    alone = find_places(weak, place, BINS, 80)
    among = find_places(np.hstack([weak, np.ones((600, 60))]), place, BINS, 80)
    assert among.share[0] == alone.share[0]
    assert alone.found[0]
    assert not among.found[0]


@pytest.mark.parametrize("name", DEMOS)
def test_every_demo_has_a_recording(name: str) -> None:
    assert name in datasets.names()


CUT = {"ca1": (1500, 31), "songbird": (200, 25), "breast": (60, 96)}
"""Samples and features of a recording that are enough to run its demonstration."""

SAYS = {"ca1": "Do ensembles have places?", "songbird": "Does the unit matter?", "breast": "How many signatures?"}


@pytest.mark.pages
@pytest.mark.parametrize("name", DEMOS)
def test_small_run_writes_all_it_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "breast" and "BAYESNMF_DATA" not in os.environ:
        pytest.skip("set BAYESNMF_DATA to the folder of upstream files")
    whole, said, (n, m) = datasets.load(name), StringIO(), CUT[name]
    few = replace(
        whole, X=whole.X[:n, :m], feature_names=whole.feature_names[:m],
        coords={key: value[:n] for key, value in whole.coords.items()},
    )  # fmt: skip
    monkeypatch.setattr(datasets, "load", lambda _: few)
    monkeypatch.setattr(songbird, "RANKS", range(1, 4))
    fit = run_demo(name, tmp_path, Console(file=said, width=200), bn.MAP(starts=2, max_steps=200), bn.CAVI(starts=1))
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    tables = {"summary.csv", "components.csv", "activities.csv", "components_interval.csv", "activities_interval.csv"}
    files = {file.name for file in tmp_path.iterdir()}
    assert files == {"report.md", "fit.png", "fit.nc"} | tables
    assert all(f"`{file}`" in page for file in files)
    np.testing.assert_array_equal(bn.load(tmp_path / "fit.nc").H, fit.H)
    assert fit.features == few.feature_names
    assert fit.posterior is not None
    assert "What not to conclude" in page
    assert few.citation in page
    assert fit.features[fit.H[0].argmax()] in said.getvalue()
    assert SAYS[name] in page
    assert SAYS[name] in said.getvalue()
