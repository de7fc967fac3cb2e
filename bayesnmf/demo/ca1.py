"""Spikes of CA1 neurons on a linear track: whether their ensembles have places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .._fit import fit as fit_matrix
from .._places import Places, find_places, place_curve, spatial_information
from ..likelihoods import Poisson
from ..model import Model
from ..plotting import COLOURS
from ..priors import ARD
from ..report import markdown_table
from ..result import Fit
from ._story import Stage, Story

RUNNING = 20.0
"""Pixels per second from which the animal counts as running; most bins are far above or far below."""

PLACE_WIDTH = 25.0
"""Width of a position bin in pixels: 18 along the track."""

LEAST_SHIFT = 80
"""Bins of 250 ms in the 20 seconds that a shift is at least."""

DRAWS = 100
"""Draws of the posterior that spatial information is computed from."""

OTHER_STARTS = 3
"""Single starts in which places are looked for again."""


def tell(stage: Stage) -> Story:
    """Find the rank by shrinkage, fit the posterior from there, and compare activities with position."""
    recording, console = stage.recording, stage.console
    X = pd.DataFrame(recording.X, columns=list(recording.feature_names))
    with console.status(f"Finding the rank by shrinkage, {stage.mode.starts} starts"):
        mode = fit_matrix(X, Model(25, Poisson(), shrinkage=ARD()), engine=stage.mode)
    with console.status("From the mode to a posterior, and how its parts move together"):
        fit = fit_matrix(X, rank=mode.rank, likelihood=Poisson(), engine=stage.posterior, init=mode)
    lead = [
        "Samples are bins of 250 ms, features are units, entries are spike counts. The fit sees counts only, never "
        "where the animal is.",
        f"The rank is that of the posterior mode under shrinkage: {mode.agreement}. What follows is the posterior "
        f"with {fit.rank} components, begun at that mode: its intervals are about this one optimum.",
    ]
    with console.status("Comparing activities with position"):
        picture, found, cautions = _places(fit, mode, stage)
    return Story(fit, picture, "Ensembles of CA1 neurons, and whether they have places", lead, found, cautions)


def _places(fit: Fit, mode: Fit, stage: Stage) -> tuple[Figure, list[str], list[str]]:
    """Return the figure, what was found and what not to conclude about ensembles and places."""
    recording = stage.recording
    running = recording.coords["speed_px_per_s"] > RUNNING
    place = (recording.coords["position_px"][running] // PLACE_WIDTH).astype(int)
    bins = int(place.max()) + 1

    def places(activity: np.ndarray) -> Places:
        return find_places(activity[running], place, bins, LEAST_SHIFT)

    own, units = places(fit.W), places(recording.X)
    single = replace(stage.mode, starts=1)
    others = [fit_matrix(recording.X, mode.model, engine=single, seed=seed) for seed in range(1, OTHER_STARTS + 1)]
    low, high = _bits_interval(fit, running, place, bins)
    counts = ", ".join(f"{places(other.W).found.sum()} of {other.rank}" for other in others)
    effective = np.exp(-(fit.H * np.log(np.where(fit.H > 0, fit.H, 1))).sum(1))
    rows = [
        [str(k), f"{bits:.2f}", f"{a:.2f} to {b:.2f}", f"{null:.2f}", f"{share:.3f}", "yes" if is_place else "no"]
        + [f"{count:.1f}"]
        for k, (bits, a, b, null, share, is_place, count) in enumerate(
            zip(own.bits, low, high, own.null, own.share, own.found, effective, strict=True)
        )
    ]
    head = ["component", "bits", "bits in 90% of draws", "bits by chance", "share of shifts that reach it", "place"]
    head += ["effective units"]
    found = [
        f"**Do ensembles have places?** {own.found.sum()} of {fit.rank} components have more spatial information than "
        f"chance (at 5% over all components, Bonferroni). In {OTHER_STARTS} other single starts it is {counts}. "
        f"Of the {len(units.bits)} units alone it is {units.found.sum()}. How much differs: {own.bits.min():.2f} to "
        f"{own.bits.max():.2f} bits.",
        f"Chance is every circular shift of position of at least 20 s within the {running.sum():,} bins in which the "
        f"animal runs (above {RUNNING:g} px/s; {running.sum() / 4:.0f} s). Spatial information is in bits per unit of "
        f"activity, over {bins} position bins of {PLACE_WIDTH:g} px, occupancy divided out. Effective units is the "
        "exponential of the entropy of a row of H: near 1, the component is one unit and no ensemble.",
        f"The range of the bits is that of 90% of {DRAWS} draws of the posterior: how much the activities could differ "
        "given these counts, at this optimum. Noise in an activity looks like information, so draws have more of it.",
        markdown_table(head, rows),
    ]
    cautions = [
        "That an ensemble is more than its units. Where its units have places, their sum has one.",
        "That place alone drives them. The animal slows at the ends of the track, so speed goes with position, and "
        "both directions are pooled. A few hundredths of a bit are enough to be above chance here.",
        "How strong places are. Spatial information grows with sparseness, and one animal was recorded once.",
    ]
    return _place_figure(fit, mode, own), found, cautions


def _bits_interval(fit: Fit, running: np.ndarray, place: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of 90% of the spatial information in draws of the activities, (rank,) each."""
    W = fit.draws(DRAWS, seed=0)["W"][:, running]
    occupancy = np.bincount(place, minlength=bins)
    bits = [spatial_information(place_curve(drawn, place, bins), occupancy) for drawn in W]
    low, high = np.quantile(bits, [0.05, 0.95], axis=0)
    return low, high


def _place_figure(fit: Fit, mode: Fit, places: Places) -> Figure:
    picture = Figure(figsize=(10, 9), layout="constrained")
    axes = picture.subplot_mosaic([["H", "H"], ["places", "agreement"], ["places", "relevance"]], width_ratios=[3, 2])
    fit.plot.components(axes["H"]).set(title="Which units make each ensemble", xlabel="unit")
    _place_map(axes["places"], places)
    mode.plot.agreement(axes["agreement"])
    mode.plot.relevance(axes["relevance"])
    return picture


def _place_map(ax: Axes, places: Places) -> None:
    curve = places.curve / np.nanmax(places.curve, axis=0)
    bins, rank = curve.shape
    image = ax.imshow(
        curve.T, aspect="auto", cmap=COLOURS, vmin=0, vmax=1, extent=(0, bins * PLACE_WIDTH, rank - 0.5, -0.5)
    )
    ax.figure.colorbar(image, ax=ax, label="mean activity / its largest", location="bottom")
    labels = [
        f"{k}: {b:.2f}{' *' if star else ''}" for k, (b, star) in enumerate(zip(places.bits, places.found, strict=True))
    ]
    ax.set_yticks(range(rank), labels)
    ax.set(
        xlabel="position along the track (px)",
        ylabel="component: spatial information in bits (*: more than chance)",
        title="Activity by position while running\n(position was not given to the fit)",
    )
