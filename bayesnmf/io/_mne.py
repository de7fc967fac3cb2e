"""EEG and MEG by MNE-Python: power of epochs in channels and frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import DataError
from ._recording import Recording, malformed, need
from ._tensor import unfold

if TYPE_CHECKING:
    import xarray as xr

UNITS = {107: (1e6, "µV"), 112: (1e15, "fT"), 201: (1e13, "fT/cm")}
"""By the unit of a channel in MNE (volt, tesla, tesla per metre): its multiple for people, and the name of that."""
KINDS = {"EOG": "eog", "EYE": "eog", "ECG": "ecg", "EKG": "ecg", "EMG": "emg"}
"""What a channel measures, by words in its name."""


def from_mne(
    instance: Any,
    *,
    events: str | Sequence[str] | None = None,
    tmin: float | None = None,
    tmax: float | None = None,
    window: float = 1.0,
    frequencies: tuple[float, float] = (1.0, 40.0),
    picks: str | Sequence[str] = "eeg",
) -> Recording:
    """Return the power of each window of an MNE recording, in channels and frequencies, for NMF.

    Rows are windows in time; columns are channel x frequency, so that a component is a rhythm with its scalp map.
    Power is positive, and its noise in proportion to it: fit it with ``likelihood=bn.GammaNoise()``, by `bayesnmf.MAP`,
    `bayesnmf.SVI` or `bayesnmf.NUTS`. Not for signals in time, which have both signs; nor does it filter or reject: do
    that in MNE before. Channels that MNE lists as bad and times that it annotates as bad are left out.

    Without `events` a Raw is cut into windows from end to end: rows are epochs, of one window each. With them, epochs
    around each event are cut into windows: rows are epoch x time, time being the middle of a window in seconds from the
    event; or epochs alone where each holds one window.

    Power is the spectral density by multitapers (Thomson 1982, Proceedings of the IEEE 70, 1055), by
    ``mne.time_frequency.psd_array_multitaper`` with a half-bandwidth of 2 / `window`: frequencies nearer than that are
    not told apart. It is in µV²/Hz, for MEG in fT²/Hz and (fT/cm)²/Hz.

    Parameters
    ----------
    instance : mne.io.Raw or mne.Epochs
        The recording.
    events : str or sequence of str, optional
        Names of annotations of a Raw to cut epochs around, or of events of Epochs to keep. For events of a stimulus
        channel make Epochs.
    tmin, tmax : float, optional
        Seconds from each event, the window after it when left out. Without events, what part of a Raw to take. Of
        Epochs, which come with their own, what part to keep.
    window : float
        Length in seconds, and 1 / distance of frequencies in Hz. What is left at the end is left out.
    frequencies : (float, float)
        Lowest and highest, in Hz.
    picks : str or sequence of str
        Kind of channels, or their names; of one unit.

    Returns
    -------
    Recording
        `features` has columns x, y, z: places of the sensors in MNE's head coordinates, in metres, NaN where unknown.
        `samples` has onset: seconds from the start of the recording to the event or the window (of epochs: on the clock
        of what they were cut from); and event, its name.
        Windows in which a channel is flat or holds NaN are missing (NaN) for it. `Recording.fold` gives H of a fit as
        component x channel x frequency.

    Raises
    ------
    DataError
        Where nothing is left of the recording, or the choice of events, channels or frequencies does not fit it.
    ImportError
        Where MNE is not installed.

    Examples
    --------
    >>> import mne, numpy as np, bayesnmf as bn
    >>> info = mne.create_info(["Cz", "Pz", "Oz"], sfreq=100.0, ch_types="eeg")
    >>> signal = 1e-5 * np.random.default_rng(0).normal(size=(3, 3000))
    >>> recording = bn.io.from_mne(mne.io.RawArray(signal, info, verbose=False), frequencies=(2, 20))
    >>> recording.X.shape
    (30, 57)
    >>> fit = bn.fit(recording, rank=2, likelihood=bn.GammaNoise(), engine=bn.MAP())
    >>> dict(recording.fold(fit)["H"].sizes)
    {'component': 2, 'channel': 3, 'frequency': 19}
    """
    mne = need("mne", "eeg")
    if not isinstance(instance, mne.io.BaseRaw | mne.BaseEpochs):
        raise DataError(f"Expected an mne.io.Raw or mne.Epochs; got {type(instance).__name__}.")
    rate = instance.info["sfreq"]
    if not window * rate >= 2:
        raise DataError(f"Expected a window of at least two samples, {2 / rate:g} s; got {window} s.")
    names = [events] if isinstance(events, str) else events
    continuous = isinstance(instance, mne.io.BaseRaw)
    with mne.use_log_level("error"):
        epochs = _cut(mne, instance, names, tmin, tmax, window) if continuous else _kept(instance, names, tmin, tmax)
        scale, unit = _picked(epochs, picks)
        array = _power(mne, epochs, window, frequencies) * scale**2
    # events of epochs are in samples of the recording that they were cut from, before any decimation
    start, clock = (instance.first_samp, rate) if continuous else (0, getattr(instance, "_raw_sfreq", None) or rate)
    array = array.assign_coords(onset=("epoch", (epochs.events[:, 0] - start) / clock))
    if events is not None or not continuous:
        called = {code: name for name, code in epochs.event_id.items()}
        array = array.assign_coords(event=("epoch", [called[code] for code in epochs.events[:, 2]]))
    if array.sizes["time"] == 1:
        array = array.isel(time=0, drop=True)
    recording = unfold(array, ("channel", "frequency"))
    said = f"Multitaper power in {unit}²/Hz, windows of {window:g} s, half-bandwidth {2 / window:g} Hz."
    missing = np.isnan(array.isel(frequency=0).to_numpy())
    if missing.any():
        said += f" {int(missing.sum())} of {missing.size} windows are flat or NaN in a channel: missing."
    dropped = sum(log not in ((), ("IGNORED",)) for log in epochs.drop_log)
    if dropped:
        said += f" {dropped} epochs left out, marked as bad or beyond the ends."
    return replace(recording, said=f"{said} {recording.said[0].upper()}{recording.said[1:]}")


def read_eeg(path: str | PathLike[str], **options: Any) -> Recording:
    """Read an EEG or MEG recording, continuous or in epochs, as power of windows in channels and frequencies.

    Whatever `mne.io.read_raw` knows: EEGLAB .set (with its .fdt), .fif, .edf, .bdf, BrainVision .vhdr and others; and
    epochs in .set, and in .fif whose name ends in epo.fif. Channels with EOG, EYE, ECG, EKG or EMG in their names count
    as such, not as EEG, whatever the file says.

    Parameters
    ----------
    path : str or path
        The file.
    **options
        Of `from_mne`: events, tmin, tmax, window, frequencies, picks.

    Returns
    -------
    Recording
        As of `from_mne`.

    Raises
    ------
    DataError
        For a file that is malformed or truncated, and as `from_mne`. An .edf that is shorter than its header says is
        refused: ``from_mne(mne.io.read_raw(path))`` takes what there is. A truncated BrainVision recording is read as
        far as it goes: its header does not say how long it is.
    FileNotFoundError
        Where the file, or the one beside it that holds the signal, is not there.
    ImportError
        Where MNE is not installed.

    Examples
    --------
    >>> import bayesnmf as bn
    >>> recording = bn.io.read_eeg("eeglab_data.set", events="square", tmin=-1, tmax=2)  # doctest: +SKIP
    >>> list(recording.samples.index.names), list(recording.features.index.names)  # doctest: +SKIP
    (['epoch', 'time'], ['channel', 'frequency'])
    """
    path = Path(path)
    instance = _opened(need("mne", "eeg"), path)
    kinds = dict(zip(instance.ch_names, instance.get_channel_types(), strict=True))
    guessed = {
        name: kind for name in kinds for word, kind in KINDS.items() if kinds[name] == "eeg" and word in name.upper()
    }
    instance.set_channel_types(guessed)
    recording = from_mne(instance, **options)
    guess = f", {', '.join(guessed)} by name not EEG" if guessed else ""
    return replace(recording, said=f"{path.name}{guess}: {recording.said}")


def _opened(mne: Any, path: Path) -> Any:
    """Return the recording, its signal in memory."""
    import warnings

    with malformed(path, "a whole EEG or MEG recording"), warnings.catch_warnings(), mne.use_log_level("warning"):
        warnings.filterwarnings("error", "Number of records from the header does not match", RuntimeWarning)
        if path.name.lower().removesuffix(".gz").endswith("epo.fif"):
            return mne.read_epochs(path)
        try:
            return mne.io.read_raw(path).load_data()
        except TypeError:  # says MNE of a .set with epochs
            if path.suffix.lower() != ".set":
                raise
            return mne.read_epochs_eeglab(path)


def _cut(
    mne: Any, raw: Any, events: Sequence[str] | None, tmin: float | None, tmax: float | None, window: float
) -> Any:
    """Return epochs of a Raw: around events, or end to end."""
    step = 1 / raw.info["sfreq"]
    first = 0.0 if tmin is None else tmin
    if events is None:
        last = raw.times[-1] if tmax is None else min(tmax - step, raw.times[-1])
        if first < 0 or last - first + step < window:
            raise DataError(f"Expected at least one window of {window:g} s in {raw.times[-1] + step:g} s of recording.")
        return mne.make_fixed_length_epochs(raw.copy().crop(first, last), window, preload=True)
    known = sorted({str(name) for name in raw.annotations.description})
    if not events or not set(events) <= set(known):
        raise DataError(f"Expected events among the annotations {', '.join(known) or '(none)'}; got {list(events)}.")
    found, codes = mne.events_from_annotations(raw, {name: i for i, name in enumerate(events, 1)})
    last = (first + window if tmax is None else tmax) - step
    if last <= first:
        raise DataError(f"Expected tmax beyond tmin; got {tmin} and {tmax}.")
    return mne.Epochs(raw, found, codes, first, last, baseline=None, preload=True, event_repeated="merge")


def _kept(epochs: Any, events: Sequence[str] | None, tmin: float | None, tmax: float | None) -> Any:
    """Return a copy of the epochs of these events and times."""
    if events is not None and (not events or not set(events) <= set(epochs.event_id)):
        raise DataError(f"Expected events among {', '.join(epochs.event_id)}; got {list(events)}.")
    kept = epochs.copy() if events is None else epochs[list(events)]
    return kept.load_data().crop(tmin, tmax, include_tmax=tmax is None)


def _picked(epochs: Any, picks: str | Sequence[str]) -> tuple[float, str]:
    """Keep these channels; return the multiple of their unit for people, and its name."""
    if len(epochs) == 0:
        raise DataError("No epoch is left: all are marked as bad or run beyond the ends of the recording.")
    kinds = sorted(set(epochs.get_channel_types()))
    try:
        epochs.pick(picks, exclude="bads")
    except ValueError as error:
        raise DataError(f"Expected picks to name channels, or a kind of {', '.join(kinds)}; got {picks!r}.") from error
    units = {int(channel["unit"]) for channel in epochs.info["chs"]}
    if len(units) > 1 or not units <= set(UNITS):
        picked = ", ".join(sorted(set(epochs.get_channel_types())))
        raise DataError(f"Expected channels of one unit: volt, tesla or tesla per metre; picks holds {picked}.")
    return UNITS[units.pop()]


def _power(mne: Any, epochs: Any, window: float, frequencies: tuple[float, float]) -> xr.DataArray:
    """Return power as epoch x time x channel x frequency, in the square of MNE's units."""
    import xarray as xr

    signal, rate = epochs.get_data(copy=False), epochs.info["sfreq"]
    width = round(window * rate)
    windows = signal.shape[-1] // width
    if windows == 0:
        raise DataError(f"Expected epochs of at least one window of {window:g} s; got {signal.shape[-1] / rate:g} s.")
    cut = signal[..., : windows * width].reshape(*signal.shape[:2], windows, width)
    low, high = frequencies
    steps = np.fft.rfftfreq(width, 1 / rate)
    if not ((steps >= low) & (steps <= high)).any():
        raise DataError(
            f"Expected frequencies from lowest to highest, within 0 and {rate / 2:g} Hz and with a multiple of "
            f"{rate / width:g} Hz between; got {frequencies}."
        )
    power, hertz = mne.time_frequency.psd_array_multitaper(
        cut, rate, low, high, bandwidth=4 * rate / width, normalization="full"
    )  # fmt: skip
    power[np.ptp(cut, axis=-1) == 0] = np.nan
    places = dict(zip("xyz", _places(mne, epochs.info).T, strict=True))
    return xr.DataArray(
        power,
        {
            "channel": epochs.ch_names,
            "time": epochs.times[0] + (np.arange(windows) + 0.5) * width / rate,
            "frequency": hertz,
            **{axis: ("channel", values) for axis, values in places.items()},
        },
        ("epoch", "channel", "time", "frequency"),
    ).transpose("epoch", "time", "channel", "frequency")


def _places(mne: Any, info: Any) -> np.ndarray:
    """Return where the sensors are, (channels, 3), in head coordinates and metres."""
    places = np.array([channel["loc"][:3] for channel in info["chs"]], dtype=float)
    device = [channel["coord_frame"] == 1 for channel in info["chs"]]
    if any(device):
        known = info["dev_head_t"] is not None
        places[device] = mne.transforms.apply_trans(info["dev_head_t"], places[device]) if known else np.nan
    places[~places.any(axis=1)] = np.nan
    return places
