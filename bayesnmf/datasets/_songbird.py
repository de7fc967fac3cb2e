"""Calcium imaging of a singing bird."""

from __future__ import annotations

import numpy as np

from ._dataset import Dataset, packaged

FRAMES_PER_SECOND = 30


def songbird() -> Dataset:
    """Load the activity of 75 neurons in the songbird's HVC during song.

    Calcium imaging, deconvolved upstream. The values are intensities in arbitrary units, not
    counts: 93% are exactly zero. The file has neurons as rows and double precision; here frames
    are rows and values are rounded to single precision. The song's spectrogram is left out.

    Returns
    -------
    Dataset
        X has shape (666, 75), float32. ``coords["time_s"]`` is each frame's time in seconds
        from the first, at the file's 30 frames per second.

    References
    ----------
    Mackevicius, E. L., Bahle, A. H. et al. (2019). Unsupervised discovery of temporal sequences in
    high-dimensional datasets, with applications to neuroscience. eLife 8:e38471.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> recording = datasets.load("songbird")
    >>> round(float((recording.X == 0).mean()), 2)
    0.93
    """
    arrays = packaged("songbird.npz")
    neurons, frames = arrays["shape"]
    flat = np.zeros(neurons * frames, dtype=np.float32)
    flat[np.cumsum(arrays["step"], dtype=np.int64)] = arrays["value"]
    return Dataset(
        name="songbird",
        X=flat.reshape(neurons, frames).T.copy(),
        feature_names=tuple(f"neuron{i:02d}" for i in range(1, neurons + 1)),
        coords={"time_s": np.arange(frames) / FRAMES_PER_SECOND},
        description=(
            "Calcium imaging of 75 neurons in the HVC of a singing bird, 666 frames at 30 Hz, "
            "deconvolved: intensities in arbitrary units, 93% zeros."
        ),
        known=(
            "Neurons fire one after the other, in sequences that come again (Mackevicius et al. 2019). A part in a "
            "matrix of frames is what fires at the same time, a piece of such a sequence. How many there are is not "
            "known."
        ),
        likelihood="CompoundPoisson",
        licence="MIT (repository FeeLab/seqNMF)",
        citation=(
            "Mackevicius, E. L., Bahle, A. H. et al. (2019). Unsupervised discovery of temporal "
            "sequences in high-dimensional datasets, with applications to neuroscience. "
            "eLife 8:e38471. File: FeeLab/seqNMF."
        ),
    )
