"""fMRI in NIfTI: volumes x voxels, and components back to images."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import DataError
from ._recording import Recording, malformed, need, table

if TYPE_CHECKING:
    from ..result import Fit


def read_nifti(image: Any, mask: Any = None) -> Recording:
    """Read a series of volumes from a 4-D NIfTI image: rows are volumes, columns are voxels.

    Values are those of the file. In raw BOLD each voxel has its own static level, far greater than what changes, and
    NMF of it finds the anatomy: take the level away first (the example takes each voxel's least value), and fit with
    ``likelihood=bn.Gaussian()``, for scanner units are no counts even where they are whole numbers. Drifts, motion and
    smoothing are the work of ``nilearn.image.clean_img``, whose image is taken here as well as a path.

    Parameters
    ----------
    image : str, path or nibabel image
        Of four dimensions, the last one time.
    mask : str, path or nibabel image, optional
        Of 0 and one other value, on the same grid. When left out, the voxels whose value changes.

    Returns
    -------
    Recording
        `features` has the voxel indices i, j, k and their centres x, y, z in mm, in the order of
        ``nilearn.masking.apply_mask``; its `attrs` keep shape and affine of the grid for `to_nifti`.

    Raises
    ------
    DataError
        For a file that is malformed or truncated or not 4-D, or a mask of another grid.
    FileNotFoundError
        Where there is no such file.
    ImportError
        Where nilearn, with nibabel, is not installed.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import nibabel, numpy as np, bayesnmf as bn
    >>> values = np.random.default_rng(0).normal(1000, 10, (4, 3, 2, 30)).astype("float32")
    >>> recording = bn.io.read_nifti(nibabel.Nifti1Image(values, np.diag([3, 3, 3, 1])))
    >>> recording.X.shape, recording.features.columns.tolist()
    ((30, 24), ['i', 'j', 'k', 'x', 'y', 'z'])
    >>> above = replace(recording, X=recording.X - recording.X.min(axis=0))
    >>> fit = bn.fit(above, rank=2, likelihood=bn.Gaussian(), engine=bn.MAP())
    >>> bn.io.to_nifti(fit, above).shape
    (4, 3, 2, 2)
    """
    name, values, affine = _opened(image, "a NIfTI image")
    if values.ndim != 4:
        raise DataError(f"Expected {name} to have 4 dimensions, the last one time; got shape {values.shape}.")
    if mask is None:
        inside, where = ((values != values[..., :1]) & ~np.isnan(values)).any(axis=-1), "that change"
    else:
        inside, where = _mask(mask, values.shape[:3], affine), "of the mask"
    if not inside.any():
        raise DataError(f"Expected voxels {where} in {name}; there are none.")
    # whole numbers as floats: a difference of unsigned ones would go round
    X = values[inside].T.astype(np.result_type(values.dtype, np.float32))
    voxels = np.argwhere(inside)
    places = voxels @ affine[:3, :3].T + affine[:3, 3]
    columns = dict(zip("ijkxyz", [*voxels.T, *places.T], strict=True))
    features = table([f"{i},{j},{k}" for i, j, k in voxels], len(voxels), "voxel", **columns)
    features.attrs.update(shape=inside.shape, affine=tuple(map(tuple, affine.tolist())))
    said = f"{name}, {len(voxels)} voxels {where} of {inside.size}, raw values: take each voxel's static level away."
    holes = int(np.isnan(X).any(axis=0).sum())
    if holes:
        said += f" {holes} voxels hold NaN: missing."
    return Recording(X, table(None, len(X), "volume"), features, said)


def to_nifti(values: Fit | np.ndarray, recording: Recording) -> Any:
    """Return the components of a fit as a 4-D image with a volume for each, for nilearn to plot and nibabel to save.

    Parameters
    ----------
    values : Fit or array of shape (k, m)
        A fit, whose H is taken; or any numbers for components and voxels, an end of ``fit.interval("H")`` say.
    recording : Recording
        From `read_nifti`, or one with some of its voxels.

    Returns
    -------
    nibabel.Nifti1Image
        On the grid of what was read. Voxels that are not in the recording are 0.

    Raises
    ------
    DataError
        Where the number of voxels differs, or the recording is not one of `read_nifti`.
    ImportError
        Where nilearn, with nibabel, is not installed.

    Examples
    --------
    >>> import nibabel, numpy as np, bayesnmf as bn
    >>> values = np.random.default_rng(0).gamma(1.0, size=(4, 3, 2, 30))
    >>> recording = bn.io.read_nifti(nibabel.Nifti1Image(values, np.eye(4)))
    >>> image = bn.io.to_nifti(recording.X, recording)
    >>> bool((image.get_fdata() == values).all())
    True
    """
    nibabel = need("nibabel", "fmri")
    H = np.asarray(getattr(values, "H", values))
    grid, voxels = recording.features.attrs, recording.features
    if not {"shape", "affine"} <= set(grid) or not {"i", "j", "k"} <= set(voxels):
        raise DataError("Expected a recording of bayesnmf.io.read_nifti, whose features have the voxels i, j, k.")
    if H.ndim != 2 or H.shape[1] != len(voxels):
        raise DataError(f"Expected values for components and {len(voxels)} voxels; got shape {H.shape}.")
    volumes = np.zeros((*grid["shape"], len(H)), H.dtype if H.dtype.kind == "f" else np.float32)
    volumes[voxels["i"], voxels["j"], voxels["k"]] = H.T
    image = nibabel.Nifti1Image(volumes, np.array(grid["affine"]))
    image.header.set_xyzt_units("mm")
    return image


def _opened(image: Any, what: str) -> tuple[str, np.ndarray, np.ndarray]:
    """Return (name, values, affine) of a file or an image in memory."""
    nibabel = need("nibabel", "fmri")
    if not isinstance(image, str | PathLike):
        if not hasattr(image, "dataobj"):
            raise DataError(f"Expected a path or a nibabel image; got {type(image).__name__}.")
        return "Image", np.asanyarray(image.dataobj), image.affine
    path = Path(image)
    with malformed(path, what):
        found = nibabel.load(path)
        return path.name, np.asanyarray(found.dataobj), found.affine


def _mask(mask: Any, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    name, values, own = _opened(mask, "a NIfTI mask")
    if values.shape != shape or not np.allclose(own, affine):
        raise DataError(
            f"Expected mask {name} on the grid of the image, {shape}; got {values.shape}"
            f"{'' if values.shape != shape else ' with another affine'}. nilearn.image.resample_to_img brings it there."
        )
    if len(np.unique(values)) > 2 or 0 not in values:
        raise DataError(f"Expected mask {name} to hold 0 and one other value; got {len(np.unique(values))} values.")
    return values != 0
