"""Rhythms in the EEG of a person who watches for a square."""

from __future__ import annotations

import numpy as np

from ._dataset import Dataset
from ._registry import fetch

EYES = ("EOG1", "EOG2")
LEAST_HZ, MOST_HZ = 2, 30


def eeg() -> Dataset:
    """Load the power of EEG rhythms, 30 channels x 2 to 30 Hz, around 79 squares that a person waits for.

    The file strings epochs together, each from 1 s before a square to 2 s after it. Here each gives three windows of
    1 s, so that none reaches over a seam. X is the periodogram of a window (its straight line taken out, Hann taper) at
    each whole Hz. Left out are the two eye channels, and the first square, which the second follows after 0.7 s.

    Returns
    -------
    Dataset
        X has shape (237, 870), windows x (channel x frequency), in squared microvolts per Hz, all above 0.
        ``X.reshape(237, 30, 29)`` has channels and frequencies apart. ``coords``:

        - ``epoch``: from 0; its three windows are no independent samples.
        - ``time_s``: the window's middle, from the square: -0.5, 0.5 or 1.5.
        - ``position``: where the square was, 1 or 2, both left of the middle.
        - ``response_s``: when the button was pressed, from the square; NaN where it was not.

        ``feature_coords``: ``channel`` and ``frequency_hz``.

    Raises
    ------
    DatasetError
        If a file is neither in the cache folder nor can be fetched.

    References
    ----------
    Makeig, S. et al. (1999). Functionally independent components of the late positive event-related potential during
    visual spatial attention. Journal of Neuroscience 19, 2665-2680.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> datasets.load("eeg").X.shape  # doctest: +SKIP
    (237, 870)
    """
    from scipy.io import loadmat
    from scipy.signal import periodogram

    head = loadmat(fetch("eeglab_data.set"), squeeze_me=True, struct_as_record=False)["EEG"]
    signal = np.fromfile(fetch("eeglab_data.fdt"), dtype="<f4").reshape(head.pnts, head.nbchan)
    names = [place.labels for place in head.chanlocs]
    channels = [name for name in names if name not in EYES]
    signal = signal[:, [names.index(name) for name in channels]].astype(float)

    rate, latency = head.srate, np.array([event.latency for event in head.event])
    kind = np.array([event.type for event in head.event])
    squares, presses = np.flatnonzero(kind == "square")[1:], latency[kind == "rt"]
    # EEGLAB counts samples from 1
    start = np.rint(latency[squares]).astype(int) - 1
    windows = signal[start[:, None] + np.arange(-rate, 2 * rate)].reshape(3 * len(squares), rate, len(channels))
    frequency, power = periodogram(windows, fs=rate, window="hann", detrend="linear", axis=1)
    used = (frequency >= LEAST_HZ) & (frequency <= MOST_HZ)
    frequency, power = frequency[used], power[:, used].transpose(0, 2, 1)
    response = [min((t - at for t in presses if 0 < t - at <= 2 * rate), default=np.nan) for at in latency[squares]]
    return Dataset(
        name="eeg",
        X=power.reshape(len(power), -1),
        feature_names=tuple(f"{channel} {f:g} Hz" for channel in channels for f in frequency),
        coords={
            "epoch": np.repeat(np.arange(len(squares)), 3),
            "time_s": np.tile([-0.5, 0.5, 1.5], len(squares)),
            "position": np.repeat([head.event[index].position for index in squares], 3),
            "response_s": np.repeat(response, 3) / rate,
        },
        description=(
            "EEG of one person who presses a button when a square appears: power of 30 channels at 2 to 30 Hz in the "
            "second before each of 79 squares and the two after it, squared microvolts per Hz."
        ),
        known=(
            "A rhythm near 10 Hz (alpha): power between 6 and 14 Hz is greatest at 9 or 10 Hz in every channel, and it "
            "is strongest at the back of the head in the middle (Pz, POz). The button was pressed in 74 of the 79 "
            "epochs, 0.33 to 0.73 s after the square. How many rhythms there are is not known."
        ),
        likelihood="GammaNoise",
        licence="BSD-2-Clause (repository sccn/eeglab)",
        citation=(
            "Makeig, S. et al. (1999). Functionally independent components of the late positive event-related "
            "potential during visual spatial attention. Journal of Neuroscience 19, 2665-2680. Files: sccn/eeglab "
            "(Delorme, A. and Makeig, S. 2004, Journal of Neuroscience Methods 134, 9-21)."
        ),
        feature_coords={
            "channel": np.repeat(channels, len(frequency)),
            "frequency_hz": np.tile(frequency, len(channels)),
        },
    )
