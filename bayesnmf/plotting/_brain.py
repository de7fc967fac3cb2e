"""Components of fMRI: slices of their maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..io._nifti import to_nifti
from ..io._recording import need
from ..result import Fit
from ..summaries import intervals
from ._draw import COLOURS, Components, chosen, new_panels, say_empty

if TYPE_CHECKING:
    from ..io import Recording

FINER = 8
"""Times a voxel is divided, that outlines run along its edges."""


def brain(
    fit: Fit, recording: Recording, components: Components = None, axes: Sequence[Axes] | None = None
) -> np.ndarray:
    """Draw the map of each component in the axial slice that holds most of it.

    Colour is the share of the component in each voxel. Outlined voxels surely hold more than an even share: the lower
    end of the 90% interval is above 1 / voxels. Right is right. For whole brains, other
    cuts and a background: ``nilearn.plotting`` takes what `bayesnmf.io.to_nifti` returns.

    Parameters
    ----------
    fit : Fit
        To the recording; without intervals there are no outlines.
    recording : Recording
        As of `bayesnmf.io.read_nifti`.
    components : int or sequence of int, optional
        Rows of H, counted from 0; all when left out.
    axes : sequence of Axes, optional
        One for each component; a new figure of up to 7 inches when left out.

    Returns
    -------
    array of Axes of shape (components,)

    Raises
    ------
    DataError
        Where the recording is not one of `read_nifti`, or has other voxels than the fit.
    ImportError
        Where nilearn, with nibabel, is not installed.

    Examples
    --------
    >>> import nibabel, numpy as np, bayesnmf as bn
    >>> values = np.random.default_rng(0).gamma(2.0, size=(5, 4, 1, 30))
    >>> recording = bn.io.read_nifti(nibabel.Nifti1Image(values, np.diag([3, 3, 3, 1])))
    >>> fit = bn.fit(recording, rank=2, likelihood=bn.Gaussian(), engine=bn.MAP(starts=1))
    >>> bn.plotting.brain(fit, recording)[0].get_title()
    'component 0, z = 0 mm'
    """
    nibabel = need("nibabel", "fmri")
    ks, m = chosen(fit, components), fit.H.shape[1]
    ends = intervals(fit, "H")
    sure = np.zeros(fit.H.shape) if ends is None else np.asarray(ends[0] > 1 / m, float)
    stack = to_nifti(np.concatenate([fit.H[ks], sure[ks], np.ones((1, m))]), recording)
    image = nibabel.as_closest_canonical(stack)
    maps, outlines, inside = np.split(image.get_fdata(), [len(ks), 2 * len(ks)], axis=-1)
    inside = inside[..., 0] > 0
    sides = [np.flatnonzero(inside.any(axis))[[0, -1]] for axis in ((1, 2), (0, 2))]
    edges = [image.affine[axis, axis] * (side + [-0.5, 0.5]) + image.affine[axis, 3] for axis, side in enumerate(sides)]
    width, height = (edge[1] - edge[0] for edge in edges)
    panels = new_panels(axes, max(len(ks), 1), 3, 0.7 + 2.2 * height / width)
    if not ks:
        return np.array([say_empty(panels[0])])
    wide, deep = (slice(low, high + 1) for low, high in sides)
    for panel, (ax, k) in enumerate(zip(panels, ks, strict=True)):
        cut = int(maps[..., panel].sum((0, 1)).argmax())
        seen, outline = (values[wide, deep, cut].T for values in (inside, outlines[..., panel]))
        shown = np.where(seen, maps[wide, deep, cut, panel].T, np.nan)
        extent = (*edges[0], *edges[1])
        drawn = ax.imshow(shown, origin="lower", extent=extent, cmap=COLOURS, vmin=0, interpolation="nearest")
        if outline.any():
            fine = np.kron(np.pad(outline, 1), np.ones((FINER, FINER)))
            dx, dy = width / outline.shape[1], height / outline.shape[0]
            wider = (extent[0] - dx, extent[1] + dx, extent[2] - dy, extent[3] + dy)
            ax.contour(fine, [0.5], origin="lower", extent=wider, colors="white", linewidths=0.6)
        bar = ax.figure.colorbar(drawn, ax=ax, location="bottom", shrink=0.7, aspect=30, pad=0.02)
        bar.ax.tick_params(labelsize="x-small")
        bar.locator = MaxNLocator(3)
        z = image.affine[2] @ [*(side.mean() for side in sides), cut, 1]
        ax.set_title(f"component {k}, z = {z:.3g} mm", fontsize="small")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        for side, x in (("L", 0.02), ("R", 0.98)):
            ax.text(x, 0.02, side, transform=ax.transAxes, ha="center", fontsize="small")
    return panels
