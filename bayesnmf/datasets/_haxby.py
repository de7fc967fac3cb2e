"""What a person looks at, seen in the blood flow of the brain."""

from __future__ import annotations

import numpy as np

from ..io import read_nifti
from ._dataset import Dataset
from ._registry import fetch

SECONDS_PER_VOLUME = 2.5


def haxby() -> Dataset:
    """Load an fMRI of a person who looks at pictures: 530 voxels in half a slice, 12 runs of 121 volumes.

    Subject 1 of the study. Pictures of one category are shown for about 9 volumes, then there is rest.

    The baseline of a voxel is not a part of what it does. Within each run a straight line is taken from each voxel,
    then its mean at rest, and it is divided by its standard deviation at rest. X is therefore in standard deviations,
    above and below rest, and its noise is much the same in all voxels.

    Returns
    -------
    Dataset
        X has shape (1452, 530), volumes x voxels. ``coords``: ``category`` (what is shown, or rest, as the file has
        it), ``run`` from 0, and ``time_s`` from the run's start. ``feature_coords``: ``i`` and ``j``, the voxel's place
        in the slice of 40 x 20. Voxels are in the order of `bayesnmf.io.read_nifti`, so that `bayesnmf.io.to_nifti`
        makes images of a fit's components.

    Raises
    ------
    DatasetError
        If a file is neither in the cache folder nor can be fetched.
    ImportError
        If nibabel is not installed; the message has the command that installs it.

    References
    ----------
    Haxby, J. V. et al. (2001). Distributed and overlapping representations of faces and objects in ventral temporal
    cortex. Science 293, 2425-2430.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> datasets.load("haxby").X.shape  # doctest: +SKIP
    (1452, 530)
    """
    from scipy.signal import detrend

    volumes = read_nifti(fetch("bold.nii.gz"), fetch("mask.nii.gz"))
    X = volumes.X.astype(float)
    category, run = np.loadtxt(fetch("attributes_literal.txt"), dtype=str, unpack=True)
    run = run.astype(int)
    for number in np.unique(run):
        here = run == number
        flat = detrend(X[here], axis=0)
        rest = flat[category[here] == "rest"]
        X[here] = (flat - rest.mean(0)) / rest.std(0)
    return Dataset(
        name="haxby",
        X=X,
        feature_names=tuple(volumes.features.index),
        coords={"category": category, "run": run, "time_s": SECONDS_PER_VOLUME * (np.arange(len(X)) % 121)},
        description=(
            "fMRI of one person who looks at pictures of eight categories, 12 runs of 121 volumes, one each 2.5 s; 530 "
            "voxels of half a slice. In standard deviations of each voxel at rest, drift within runs taken out."
        ),
        known=(
            "What was shown in each volume, which no fit sees. The mean pattern of a category in one run is nearest to "
            "that of the same category in the other runs in 58 of 96 cases, where chance has 12. How many parts there "
            "are is not known."
        ),
        likelihood="Gaussian",
        licence="CC BY-SA 3.0, as the data's page at PyMVPA says (the repository PyMVPA/PyMVPA itself is MIT)",
        citation=(
            "Haxby, J. V. et al. (2001). Distributed and overlapping representations of faces and objects in ventral "
            "temporal cortex. Science 293, 2425-2430. Files: PyMVPA/PyMVPA (Hanke, M. et al. 2009, Neuroinformatics 7, "
            "37-53)."
        ),
        feature_coords={axis: volumes.features[axis].to_numpy() for axis in "ij"},
    )
