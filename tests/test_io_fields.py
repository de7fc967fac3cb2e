"""Recordings of the fields: EEG and MEG, fMRI, pose. Values against the format's own library, and damaged files."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesnmf as bn
from bayesnmf import DataError, io

mne = pytest.importorskip("mne")
nibabel = pytest.importorskip("nibabel")
pytest.importorskip("nilearn")

POSE = "EPM_15DeepCut_resnet50_epmMay17shuffle1_1030000.csv"
LINKS = ("eeglab_data.set", "eeglab_data.fdt", "bold.nii.gz", "mask.nii.gz", "attributes_literal.txt", POSE)
RATE = 100.0
NAMES = ["Pz", "Cz", "Oz"]
QUICK = bn.MAP(starts=1, max_steps=3, tol=0.0)


@pytest.fixture(scope="module")
def upstream() -> Path:
    folder = Path(os.environ.get("BAYESNMF_DATA", ""))
    if not all((folder / name).exists() for name in LINKS):
        pytest.skip("BAYESNMF_DATA names no folder with the upstream files")
    return folder


@pytest.fixture
def signal() -> np.ndarray:
    """Volts of three channels for ten seconds, whole microvolts."""
    return np.random.default_rng(0).integers(-80, 80, (3, 1000)) * 1e-6


@pytest.fixture
def raw(signal: np.ndarray) -> Any:
    raw = mne.io.RawArray(signal, mne.create_info(NAMES, RATE, "eeg"), verbose=False)
    places = dict(zip(NAMES, np.arange(1.0, 10).reshape(3, 3) / 100, strict=True))
    raw.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
    return raw.set_annotations(mne.Annotations([2.5, 4.0, 6.0, 9.8], 0, ["tone", "key", "tone", "tone"]))


def multitaper(x: np.ndarray, rate: float) -> np.ndarray:
    """Thomson's estimate by hand, one-sided, per Hz, without frequency 0: tapers weighted by their concentration."""
    from scipy.signal.windows import dpss

    tapers, ratios = dpss(x.shape[-1], 2, 3, sym=False, return_ratios=True)
    spectra = np.abs(np.fft.rfft(tapers * (x - x.mean(axis=-1, keepdims=True))[..., None, :])) ** 2
    power = 2 * np.einsum("...tf,t->...f", spectra, ratios) / ratios.sum() / rate
    power[..., -1] /= 2
    return power[..., 1:]


# EEG and MEG


def test_power_is_thomsons_in_microvolts(raw: Any, signal: np.ndarray) -> None:
    recording = io.from_mne(raw, frequencies=(1, 50))
    expected = multitaper(1e6 * signal.reshape(3, 10, 100).transpose(1, 0, 2), RATE)
    np.testing.assert_allclose(recording.X, expected.reshape(10, 150), rtol=1e-6)
    np.testing.assert_allclose(recording.samples["onset"], np.arange(10.0))
    assert list(recording.features.index[:2]) == [("Pz", 1.0), ("Pz", 2.0)]
    assert "µV²/Hz" in str(recording)


def test_sensors_keep_their_places(raw: Any) -> None:
    features = io.from_mne(raw, frequencies=(5, 7)).features
    for i, name in enumerate(NAMES):
        expected = [np.arange(1.0, 10).reshape(3, 3)[i] / 100] * 3
        np.testing.assert_allclose(features.loc[name, ["x", "y", "z"]], expected)


def test_rows_around_events(raw: Any, signal: np.ndarray) -> None:
    recording = io.from_mne(raw, events="tone", tmin=-1, tmax=1, window=0.5, frequencies=(2, 50))
    assert recording.samples.index.names == ["epoch", "time"]
    assert list(recording.samples.index.get_level_values("time")[:4]) == [-0.75, -0.25, 0.25, 0.75]
    assert list(recording.samples["onset"].unique()) == [2.5, 6.0]  # the third runs beyond the end
    assert set(recording.samples["event"]) == {"tone"}
    expected = multitaper(1e6 * signal[:, 650:700], RATE)
    np.testing.assert_allclose(recording.X[7], expected.ravel(), rtol=1e-6)
    assert "1 epochs left out" in str(recording)
    both = io.from_mne(raw, events=["tone", "key"])
    assert list(both.samples["event"]) == ["tone", "key", "tone"]
    assert both.samples.index.names == ["epoch"]


def test_epochs_keep_their_events_and_times(raw: Any, signal: np.ndarray) -> None:
    events, codes = mne.events_from_annotations(raw, verbose=False)
    epochs = mne.Epochs(raw, events, codes, -0.5, 2.0, baseline=None, verbose=False)
    recording = io.from_mne(epochs, events="key", tmin=0, tmax=2, frequencies=(1, 50))
    assert recording.X.shape == (2, 150)
    np.testing.assert_allclose(recording.X[1], multitaper(1e6 * signal[:, 500:600], RATE).ravel(), rtol=1e-6)
    assert list(recording.samples["event"]) == ["key", "key"]
    assert len(epochs.events) == 4
    assert epochs.times[0] == -0.5


@pytest.mark.filterwarnings("ignore:The measurement information indicates:RuntimeWarning")
@pytest.mark.parametrize("change", [{}, {"decim": 2}, {"resample": 50.0}])
def test_onsets_of_epochs_are_on_the_clock_of_the_recording(raw: Any, change: dict[str, Any]) -> None:
    events, codes = mne.events_from_annotations(raw, verbose=False)
    cut = {"baseline": None, "preload": True, "verbose": False, "decim": change.get("decim", 1)}
    epochs = mne.Epochs(raw, events, codes, -0.5, 0.49, **cut)
    if "resample" in change:
        epochs.resample(change["resample"], verbose=False)
    found = io.from_mne(epochs, frequencies=(5, 10)).samples["onset"].unique()
    np.testing.assert_allclose(found, epochs.events[:, 0] / RATE)


def test_a_fit_comes_back_as_component_channel_frequency(raw: Any) -> None:
    recording = io.from_mne(raw, events="tone", tmin=-1, tmax=1, frequencies=(5, 20))
    fit = bn.fit(recording, rank=2, likelihood=bn.GammaNoise(), engine=QUICK)
    H = recording.fold(fit)["H"]
    assert dict(H.sizes) == {"component": 2, "channel": 3, "frequency": 16}
    assert list(H["channel"].to_numpy()) == NAMES
    np.testing.assert_array_equal(H, fit.H.reshape(2, 3, 16))
    assert recording.fold(fit)["W"].dims == ("epoch", "time", "component")
    assert fit.features is not None
    assert fit.features[0] == "Pz 5"


def test_flat_and_missing_windows_are_missing(raw: Any) -> None:
    raw._data[1, 200:300] = 3e-6
    raw._data[2, 550] = np.nan
    recording = io.from_mne(raw)
    missing = np.argwhere(np.isnan(recording.X.reshape(10, 3, -1)).all(axis=2))
    assert missing.tolist() == [[2, 1], [5, 2]]
    assert np.isnan(recording.X).sum() == 2 * 40
    assert "2 of 30 windows" in str(recording)


def test_what_mne_calls_bad_is_left_out(raw: Any) -> None:
    raw.info["bads"] = ["Cz"]
    raw.annotations.append(3.2, 0.5, "BAD_blink")
    recording = io.from_mne(raw)
    assert list(recording.features.index.unique("channel")) == ["Pz", "Oz"]
    np.testing.assert_allclose(recording.samples["onset"], [0, 1, 2, 4, 5, 6, 7, 8, 9])
    part = io.from_mne(raw, tmin=4, tmax=6)
    np.testing.assert_allclose(part.samples["onset"], [4, 5])
    np.testing.assert_allclose(part.X, recording.X[3:5])


def test_onsets_are_from_the_start_of_what_was_given(raw: Any) -> None:
    late = raw.crop(2.0)
    assert late.first_samp == 200
    np.testing.assert_allclose(io.from_mne(late, events="tone").samples["onset"], [0.5, 4.0])
    np.testing.assert_allclose(io.from_mne(late, tmin=1).samples["onset"], np.arange(1.0, 8))


def test_magnetometers_in_femtotesla_and_head_coordinates(signal: np.ndarray) -> None:
    info = mne.create_info(["MEG1", "MEG2", "EEG1"], RATE, ["mag", "grad", "eeg"])
    with info._unlock():
        info["dev_head_t"] = mne.transforms.Transform("meg", "head", mne.transforms.translation(0, 0, 0.04))
    info["chs"][0]["loc"][:3] = 0.01, 0.02, 0.03
    for channel in info["chs"][:2]:
        channel["coord_frame"] = 1
    raw = mne.io.RawArray(signal * 1e-6, info, verbose=False)
    recording = io.from_mne(raw, picks="mag", frequencies=(1, 50))
    np.testing.assert_allclose(recording.features[["x", "y", "z"]], [[0.01, 0.02, 0.07]] * 50)
    np.testing.assert_allclose(recording.X[0], multitaper(1e9 * signal[0, :100], RATE), rtol=1e-6)
    assert "fT²/Hz" in str(recording)
    grad = io.from_mne(raw, picks="grad", frequencies=(1, 50))
    assert grad.features[["x", "y", "z"]].isna().all(axis=None)
    np.testing.assert_allclose(grad.X[0], multitaper(1e7 * signal[1, :100], RATE), rtol=1e-6)
    assert "fT/cm" in str(grad)
    with pytest.raises(DataError, match="one unit.*grad, mag"):
        io.from_mne(raw, picks=["MEG1", "MEG2"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"events": "flash"}, "annotations key, tone; got"),
        ({"events": []}, "annotations key, tone; got"),
        ({"picks": "mag"}, "a kind of eeg"),
        ({"picks": ["Fz"]}, "a kind of eeg"),
        ({"window": 11}, "at least one window of 11 s in 10 s"),
        ({"window": 0}, r"two samples, 0.02 s; got 0 s"),
        ({"tmin": -1}, "at least one window"),
        ({"tmin": 9.5}, "at least one window"),
        ({"events": "tone", "tmin": 0, "tmax": 0.5}, "at least one window"),
        ({"events": "tone", "tmin": 20}, "No epoch is left"),
        ({"events": "tone", "tmin": 1, "tmax": 0.5}, "tmax beyond tmin"),
        ({"frequencies": (60, 70)}, "within 0 and 50 Hz"),
        ({"frequencies": (20, 10)}, "within 0 and 50 Hz"),
        ({"frequencies": (10.2, 10.7)}, "a multiple of 1 Hz"),
    ],
)
def test_choices_that_do_not_fit(raw: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        io.from_mne(raw, **options)


def test_not_a_recording_and_unknown_events_of_epochs(raw: Any) -> None:
    with pytest.raises(DataError, match=r"mne.io.Raw or mne.Epochs; got Info"):
        io.from_mne(raw.info)
    epochs = mne.make_fixed_length_epochs(raw, 1.0, preload=True, verbose=False)
    with pytest.raises(DataError, match=r"events among 1; got \['tone'\]"):
        io.from_mne(epochs, events="tone")


def write_raw_fif(path: Path, raw: Any) -> Path:
    raw.save(path / "x_raw.fif", verbose=False)
    return path / "x_raw.fif"


def write_epochs_fif(path: Path, raw: Any) -> Path:
    mne.make_fixed_length_epochs(raw, 1.0, preload=True, verbose=False).save(path / "x-epo.fif", verbose=False)
    return path / "x-epo.fif"


def write_edf(path: Path, raw: Any, name: str = "x.edf") -> Path:
    """Records of one second, as the standard of 1992 says, or in BioSemi's 24 bits; one unit is a microvolt."""
    top = 32767 if name == "x.edf" else 8388607
    version, kind = ("0       ", "") if name == "x.edf" else ("\xffBIOSEMI", "24BIT")
    fields = [("", 80), ("uV", 8), (-top - 1, 8), (top, 8), (-top - 1, 8), (top, 8), ("", 80), (100, 8), ("", 32)]
    head = f"{version}{'X':<80}{'X':<80}01.01.0101.01.01{256 * 4:<8}{kind:<44}{10:<8}{1:<8}{3:<4}"
    head += "".join(f"{channel:<16}" for channel in NAMES)
    head += "".join(f"{value:<{width}}" * 3 for value, width in fields)
    values = np.round(raw.get_data() * 1e6).astype("<i4").reshape(3, 10, 100).transpose(1, 0, 2)
    stored = np.frombuffer(values.tobytes(), np.uint8).reshape(-1, 4)[:, : 2 if name == "x.edf" else 3]
    (path / name).write_bytes(head.encode("latin-1") + stored.tobytes())
    return path / name


def write_bdf(path: Path, raw: Any) -> Path:
    return write_edf(path, raw, "x.bdf")


def write_brainvision(path: Path, raw: Any) -> Path:
    channels = "".join(f"Ch{i}={name},,1,µV\n" for i, name in enumerate(NAMES, 1))
    (path / "x.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nCodepage=UTF-8\nDataFile=x.eeg\n"
        "MarkerFile=x.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\nNumberOfChannels=3\nSamplingInterval=10000\n"
        f"[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\n{channels}",
        encoding="utf-8",
    )
    (path / "x.vmrk").write_text("Brain Vision Data Exchange Marker File, Version 1.0\n[Marker Infos]\n")
    (path / "x.eeg").write_bytes((raw.get_data().T * 1e6).astype("<f4").tobytes())
    return path / "x.vhdr"


def write_epochs_set(path: Path, raw: Any) -> Path:
    from scipy.io import savemat

    values = (raw.get_data() * 1e6).reshape(3, 10, 100).transpose(0, 2, 1).astype(np.float32)
    struct = {
        "nbchan": 3.0, "pnts": 100.0, "trials": 10.0, "srate": RATE, "xmin": 0.0, "xmax": 0.99, "data": values,
        "chanlocs": np.array([(name,) for name in NAMES], [("labels", object)]),
        "event": np.array([(100.0 * i + 1, "go") for i in range(10)], [("latency", object), ("type", object)]),
        "epoch": np.array([("go",)] * 10, [("eventtype", object)]),
    }  # fmt: skip
    savemat(path / "x.set", {"EEG": struct}, appendmat=False)
    return path / "x.set"


WRITERS: list[Callable[[Path, Any], Path]] = [
    write_raw_fif, write_epochs_fif, write_edf, write_bdf, write_brainvision, write_epochs_set,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
def test_files_of_every_format(write: Callable[[Path, Any], Path], raw: Any, tmp_path: Path) -> None:
    recording, expected = io.read(write(tmp_path, raw)), io.from_mne(raw)
    np.testing.assert_allclose(recording.X, expected.X, rtol=1e-4)
    assert list(recording.features.index) == list(expected.features.index)


@pytest.mark.parametrize("write", [write_raw_fif, write_epochs_fif, write_edf, write_bdf, write_epochs_set])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.98])
def test_truncated_files(write: Callable[[Path, Any], Path], share: float, raw: Any, tmp_path: Path) -> None:
    path = write(tmp_path, raw)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=rf"{path.name} is not a whole EEG or MEG recording"):
        io.read(path)


@pytest.mark.parametrize("name", ["x.set", "x_raw.fif", "x-epo.fif", "x.edf", "x.bdf", "x.vhdr"])
def test_files_that_are_something_else(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"time,Cz\n" + bytes(range(256)) * 20)
    with pytest.raises(DataError, match=rf"{name} is not a whole EEG or MEG recording"):
        io.read(tmp_path / name)


def test_eeglab_sample(upstream: Path) -> None:
    path = upstream / "eeglab_data.set"
    recording = io.read(path, events=["square", "rt"], tmin=-1, tmax=2, frequencies=(1, 64))
    raw = mne.io.read_raw_eeglab(path, preload=True, verbose=False)
    events = raw.annotations.to_data_frame(time_format=None)
    assert recording.features.index.unique("channel").tolist() == [c for c in raw.ch_names if "EOG" not in c]
    assert "EOG1, EOG2 by name not EEG" in str(recording)
    samples = recording.samples.reset_index()
    assert set(samples["event"]) == {"square", "rt"}
    assert sorted(samples["time"].unique()) == [-0.5, 0.5, 1.5]
    row = 3 * 50 + 2
    assert np.isclose(events["onset"], samples["onset"][row], atol=1 / 128).any()
    first = round((samples["onset"][row] + 1) * 128)
    picked = 1e6 * raw.get_data([c for c in raw.ch_names if "EOG" not in c])[:, first : first + 128]
    np.testing.assert_allclose(recording.X[row], multitaper(picked, 128.0).ravel(), rtol=1e-6)
    places = recording.features.groupby(level="channel", sort=False)[["x", "y", "z"]].first()
    for channel in raw.info["chs"]:
        if "EOG" not in channel["ch_name"]:
            np.testing.assert_allclose(places.loc[channel["ch_name"]], channel["loc"][:3])


def test_scalp_map_from_the_columns(upstream: Path) -> None:
    import matplotlib.pyplot as plt

    recording = io.read_eeg(upstream / "eeglab_data.set")
    places = recording.features.groupby(level="channel", sort=False)[["x", "y", "z"]].first()
    info = mne.create_info(list(places.index), 1.0, "eeg")
    positions = dict(zip(places.index, places.to_numpy(), strict=True))
    info.set_montage(mne.channels.make_dig_montage(positions, coord_frame="head"))
    alpha = pd.Series(recording.X.mean(axis=0), recording.features.index).xs(10.0, level="frequency")
    assert places.loc[alpha.idxmax(), "y"] < 0  # the rhythm of the back of the head
    figure, axes = plt.subplots()
    mne.viz.plot_topomap(alpha.to_numpy(), info, axes=axes, show=False)
    assert len(axes.images) == 1
    plt.close(figure)


def test_damaged_eeglab_files(upstream: Path, tmp_path: Path) -> None:
    whole, signal = ((upstream / f"eeglab_data.{end}").read_bytes() for end in ("set", "fdt"))
    path = tmp_path / "eeglab_data.set"
    path.write_bytes(whole)
    with pytest.raises(FileNotFoundError, match=r"eeglab_data.fdt"):
        io.read(path)
    (tmp_path / "eeglab_data.fdt").write_bytes(signal[:-4000])
    with pytest.raises(DataError, match=r"eeglab_data.set is not a whole EEG or MEG recording.*Incorrect number"):
        io.read(path)
    (tmp_path / "eeglab_data.fdt").write_bytes(signal)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"eeglab_data.set is not a whole EEG or MEG recording"):
        io.read(path)


# fMRI


@pytest.fixture
def series() -> Any:
    """Twelve volumes on an oblique grid, stored as whole numbers with slope and intercept; two voxels stand still."""
    affine = np.array([[-2.5, 0.3, 0, 40], [0.2, 3, 0.5, -60], [0, -0.4, 4, 10], [0, 0, 0, 1.0]])
    values = np.random.default_rng(1).integers(-30000, 30000, (5, 4, 3, 12)).astype(np.int16)
    values[0, 0, 0], values[4, 3, 2] = 0, 77
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_slope_inter(0.5, 20000)
    return image


def masked(series: Any) -> Any:
    inside = np.zeros(series.shape[:3], np.uint8)
    inside[1:4, 1:, 1] = 1
    return nibabel.Nifti1Image(inside, series.affine)


@pytest.mark.parametrize("end", ["nii", "nii.gz"])
def test_volumes_are_rows_in_the_order_of_nilearn(series: Any, tmp_path: Path, end: str) -> None:
    from nilearn.masking import apply_mask

    path, mask = tmp_path / f"x.{end}", masked(series)
    nibabel.save(series, path)
    nibabel.save(mask, tmp_path / f"mask.{end}")
    recording = io.read(path, mask=tmp_path / f"mask.{end}")
    np.testing.assert_allclose(recording.X, apply_mask(path, mask), rtol=1e-6)
    voxels = recording.features[["i", "j", "k"]].to_numpy()
    np.testing.assert_allclose(
        recording.features[["x", "y", "z"]], nibabel.affines.apply_affine(series.affine, voxels), atol=1e-4
    )
    stored = nibabel.load(path).get_fdata()
    np.testing.assert_allclose(recording.X, stored[tuple(voxels.T)].T)
    assert recording.features.index[0] == "1,1,1"


def test_without_a_mask_voxels_that_change(series: Any) -> None:
    recording = io.read_nifti(series)
    assert recording.X.shape == (12, 58)
    assert not {"0,0,0", "4,3,2"} & set(recording.features.index)
    values = np.asarray(series.dataobj, dtype=float)
    values[2, 2, 2] = np.nan
    values[3, 3, 1, 5] = np.nan
    holes = io.read_nifti(nibabel.Nifti1Image(values, series.affine))
    assert holes.X.shape == (12, 57)
    assert np.isnan(holes.X).sum() == 1
    assert "1 voxels hold NaN: missing" in str(holes)


def test_unsigned_values_do_not_go_round() -> None:
    values = np.array([5, 3, 9], np.uint16).reshape(1, 1, 1, 3)
    recording = io.read_nifti(nibabel.Nifti1Image(values, np.eye(4)))
    np.testing.assert_array_equal(recording.X - recording.X[0], [[0], [-2], [4]])


def test_components_come_back_as_images(series: Any, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt
    from nilearn.image import index_img
    from nilearn.masking import unmask
    from nilearn.plotting import plot_stat_map

    recording = io.read_nifti(series, masked(series))
    above = replace(recording, X=recording.X - recording.X.min(axis=0))
    fit = bn.fit(above, rank=2, likelihood=bn.Gaussian(), engine=QUICK)
    image = io.to_nifti(fit, above)
    image.to_filename(tmp_path / "components.nii.gz")
    image = nibabel.load(tmp_path / "components.nii.gz")
    inside = masked(series).get_fdata() > 0
    for k in range(2):
        np.testing.assert_array_equal(index_img(image, k).get_fdata()[inside], fit.H[k])
        assert not index_img(image, k).get_fdata()[~inside].any()
    np.testing.assert_array_equal(image.get_fdata(), unmask(fit.H, masked(series)).get_fdata())
    np.testing.assert_allclose(image.affine, series.affine, rtol=1e-6)
    display = plot_stat_map(index_img(image, 1), bg_img=None)
    assert len(display.axes) == 3
    plt.close("all")
    back = io.read_nifti(image, masked(series))
    np.testing.assert_array_equal(back.X, fit.H)
    assert list(back.features.index) == list(above.features.index)


def test_components_of_some_voxels_and_what_cannot_be_an_image(series: Any) -> None:
    recording = io.read_nifti(series)
    kept = replace(recording, X=recording.X[:, ::3], features=recording.features.iloc[::3])
    image = io.to_nifti(kept.X, kept)
    np.testing.assert_array_equal(image.get_fdata()[tuple(kept.features[["i", "j", "k"]].to_numpy().T)], kept.X.T)
    for kind in (bool, np.int64):
        found = io.to_nifti((kept.X > np.median(kept.X)).astype(kind), kept).get_fdata()
        assert found.sum() == (kept.X > np.median(kept.X)).sum()
    with pytest.raises(DataError, match="58 voxels; got shape"):
        io.to_nifti(kept.X, recording)
    with pytest.raises(DataError, match="read_nifti"):
        io.to_nifti(kept.X, replace(kept, features=pd.DataFrame(index=kept.features.index)))


def test_haxby(upstream: Path) -> None:
    from nilearn.masking import apply_mask

    recording = io.read(upstream / "bold.nii.gz", mask=upstream / "mask.nii.gz")
    np.testing.assert_array_equal(recording.X, apply_mask(upstream / "bold.nii.gz", upstream / "mask.nii.gz"))
    assert recording.X.shape == (1452, 530)
    assert list(io.read_nifti(upstream / "bold.nii.gz").features.index) == list(recording.features.index)
    labels = pd.read_csv(upstream / "attributes_literal.txt", sep=" ", names=["label", "run"])
    assert len(labels) == len(recording.samples)
    first = recording.features.iloc[0]
    np.testing.assert_allclose(first["x"], 60.45 - 3.1 * first["i"], atol=1e-4)


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("end", ["nii", "nii.gz"])
def test_truncated_images(series: Any, tmp_path: Path, end: str, share: float) -> None:
    path = tmp_path / f"x.{end}"
    nibabel.save(series, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"x\.nii(\.gz)? is not a NIfTI image that can be read"):
        io.read(path)


def test_images_that_do_not_fit(series: Any, tmp_path: Path) -> None:
    (tmp_path / "x.nii").write_bytes(b"volume,voxel\n" * 100)
    with pytest.raises(DataError, match=r"x.nii is not a NIfTI image"):
        io.read(tmp_path / "x.nii")
    nibabel.save(masked(series), tmp_path / "one.nii")
    with pytest.raises(DataError, match=r"one.nii to have 4 dimensions"):
        io.read(tmp_path / "one.nii")
    with pytest.raises(DataError, match="nibabel image; got ndarray"):
        io.read_nifti(np.ones((2, 2, 2, 2)))
    other = nibabel.Nifti1Image(masked(series).get_fdata(), np.eye(4))
    with pytest.raises(DataError, match="another affine"):
        io.read_nifti(series, other)
    with pytest.raises(DataError, match="on the grid"):
        io.read_nifti(series, series)
    for values, said in ((0.0, "voxels of the mask"), (1.0, "got 1 values"), (np.arange(60.0), "got 60 values")):
        wrong = nibabel.Nifti1Image(np.broadcast_to(np.resize(values, (5, 4, 3)), (5, 4, 3)), series.affine)
        with pytest.raises(DataError, match=said):
            io.read_nifti(series, wrong)
    still = nibabel.Nifti1Image(np.ones((2, 2, 2, 3)), np.eye(4))
    with pytest.raises(DataError, match="voxels that change"):
        io.read_nifti(still)


# pose


def pose_frame(individuals: list[str] | None = None, frames: int = 6) -> pd.DataFrame:
    """A table as DeepLabCut makes it."""
    levels = {"scorer": ["DLC"]} | ({"individuals": individuals} if individuals else {})
    levels |= {"bodyparts": ["nose", "tail"], "coords": ["x", "y", "likelihood"]}
    columns = pd.MultiIndex.from_product(list(levels.values()), names=list(levels))
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.uniform(0, 100, (frames, len(columns))), columns=columns)
    frame.loc[:, frame.columns.get_level_values("coords") == "likelihood"] = 0.99
    return frame


def test_speeds_of_one_animal(tmp_path: Path) -> None:
    frame = pose_frame()
    frame.iloc[2, 2] = 0.5
    frame.to_csv(tmp_path / "pose.csv")
    recording = io.read(tmp_path / "pose.csv", fps=25)
    nose, tail = frame["DLC", "nose"], frame["DLC", "tail"]
    expected = np.hypot(np.diff(nose["x"]), np.diff(nose["y"])) * 25
    expected[[1, 2]] = np.nan
    np.testing.assert_allclose(recording.X[:, 0], expected)
    np.testing.assert_allclose(recording.X[:, 1], np.hypot(np.diff(tail["x"]), np.diff(tail["y"])) * 25)
    assert list(recording.samples.index) == [1, 2, 3, 4, 5]
    assert list(recording.features.index) == ["nose", "tail"]
    np.testing.assert_allclose(recording.features["missing"], [0.4, 0])
    assert "pixels per second, 20% missing" in str(recording)
    believed = io.read_deeplabcut(tmp_path / "pose.csv", likelihood=0.5)
    np.testing.assert_allclose(believed.X[:, 0], np.hypot(np.diff(nose["x"]), np.diff(nose["y"])))


def test_speeds_of_several_animals(tmp_path: Path) -> None:
    frame = pose_frame(["m1", "m2"])
    frame.loc[3:, ("DLC", "m2")] = np.nan  # not in sight
    frame.to_csv(tmp_path / "pose.csv")
    recording = io.read(tmp_path / "pose.csv", bodyparts="tail")
    assert recording.features.index.names == ["individual", "bodypart"]
    assert list(recording.features.index) == [("m1", "tail"), ("m2", "tail")]
    tail = frame["DLC", "m2", "tail"]
    np.testing.assert_allclose(recording.X[:, 1], np.hypot(np.diff(tail["x"]), np.diff(tail["y"])))
    assert np.isnan(recording.X[2:, 1]).all()
    fit = bn.fit(recording, rank=1, likelihood=bn.Gaussian(), engine=QUICK)
    assert dict(recording.fold(fit)["H"].sizes) == {"component": 1, "individual": 2, "bodypart": 1}


def test_what_is_never_seen_is_left_out(tmp_path: Path) -> None:
    frame = pose_frame(frames=8)
    frame.loc[:2, ("DLC", slice(None), "likelihood")] = 0.1
    frame.loc[:, ("DLC", "tail", "likelihood")] = 0.1
    frame.to_csv(tmp_path / "pose.csv")
    recording = io.read(tmp_path / "pose.csv")
    assert list(recording.samples.index) == [4, 5, 6, 7]
    assert list(recording.features.index) == ["nose"]
    assert "3 frames without any speed left out, 1 body parts without any speed left out" in str(recording)
    with pytest.raises(DataError, match="likelihood of 1"):
        io.read(tmp_path / "pose.csv", likelihood=1.0)


def test_frames_that_were_dropped_from_the_file(tmp_path: Path) -> None:
    frame = pose_frame()
    frame.iloc[[0, 3, 4]].to_csv(tmp_path / "pose.csv")
    nose = frame["DLC", "nose"].iloc[[0, 3]]
    expected = np.hypot(np.diff(nose["x"]), np.diff(nose["y"])) / 3
    np.testing.assert_allclose(io.read(tmp_path / "pose.csv").X[0, 0], expected[0])


def test_elevated_plus_maze(upstream: Path) -> None:
    whole = io.read(upstream / POSE)
    assert whole.X.shape == (961, 25)
    parts = list(whole.features.index[12:])
    recording = io.read(upstream / POSE, bodyparts=parts, fps=25)
    table = pd.read_csv(upstream / POSE, header=[0, 1, 2], index_col=0).droplevel(0, axis=1)
    for part in parts:
        sure = table[part, "likelihood"] >= 0.9
        moved = table[part][["x", "y"]].diff().pow(2).sum(axis=1, skipna=False).pow(0.5) * 25
        expected = moved.where(sure & sure.shift(fill_value=False))
        np.testing.assert_allclose(
            recording.X[:, recording.features.index.get_loc(part)], expected.loc[recording.samples.index]
        )
        assert recording.features.loc[part, "missing"] == pytest.approx(expected.iloc[1:].isna().mean())
        assert expected.drop(recording.samples.index).isna().all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], r"line \d+: expected 7 cells"),
        (lambda text: text[:20], "begin with lines scorer"),
        (lambda text: "\n".join(text.splitlines()[:3]), "two frames or more"),
        (lambda text: "\n".join(text.splitlines()[:4]), "two frames or more"),
        (lambda text: text.replace("likelihood", "z"), "Labels made by hand"),
        (lambda text: text.replace("\n3,", "\nimg3.png,"), "numbers of frames"),
        (lambda text: text.replace("\n3,", "\n1,"), "increasing"),
        (lambda text: text.replace("\n3,", "\n3,far"), "expected a number; got 'far"),
        (lambda text: text.replace("bodyparts,", "parts,"), "begin with lines scorer"),
        (lambda text: text.replace("nose", "no\0se").replace("tail", '"tail'), "begin with|not a CSV"),
    ],
)
def test_damaged_poses(tmp_path: Path, change: Callable[[str], str], said: str) -> None:
    text = pose_frame().to_csv()
    (tmp_path / "pose.csv").write_text(change(text), encoding="utf-8")
    with pytest.raises(DataError, match=said):
        io.read(tmp_path / "pose.csv")


def test_poses_that_do_not_fit(tmp_path: Path) -> None:
    pose_frame().to_csv(tmp_path / "pose.csv")
    with pytest.raises(DataError, match=r"bodyparts among nose, tail; got \['ear'\]"):
        io.read(tmp_path / "pose.csv", bodyparts=["ear"])
    with pytest.raises(DataError, match="fps"):
        io.read(tmp_path / "pose.csv", fps=0)
    (tmp_path / "pose.h5").write_bytes(b"\x89HDF\r\n\x1a\n\xff\xfe")
    with pytest.raises(DataError, match="not a CSV file of DeepLabCut"):
        io.read_deeplabcut(tmp_path / "pose.h5")


@pytest.mark.parametrize(("module", "extra", "name"), [("mne", "eeg", "x.set"), ("nibabel", "fmri", "x.nii.gz")])
def test_without_the_library(
    module: str, extra: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ImportError, match=rf'{module}: pip install "bayesnmf\[{extra}\]"'):
        io.read(tmp_path / name)
