"""Demonstrations on recordings: a fit, its tables, one figure and a page that says what was found and what was not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from . import datasets
from ._fit import fit as fit_matrix
from ._places import Places, find_places, place_curve, spatial_information
from .engines import CAVI, MAP
from .likelihoods import Gaussian, Likelihood, Poisson
from .plotting import COLOURS
from .report import figure, page, write_tables
from .result import Fit

COLLAPSED = {"collapsed_to_zero", "collapsed_to_one"}

RUNNING = 20.0
"""Pixels per second from which the animal counts as running; most bins are far above or far below."""

PLACE_WIDTH = 25.0
"""Width of a position bin in pixels: 18 along the track."""

LEAST_SHIFT = 80
"""Bins of 250 ms in the 20 seconds that a shift is at least."""


DRAWS = 100
"""Draws of the posterior that spatial information is computed from."""

OTHER_STARTS = 5
"""Single starts in which places are looked for again."""


@dataclass(frozen=True)
class Demo:
    """How a recording is fitted: its likelihood, the rank to state where shrinkage finds none, and what to say."""

    title: str
    likelihood: Likelihood
    stated_rank: int
    lead: str


DEMOS = {
    "ca1": Demo(
        "Ensembles of CA1 neurons, and whether they have places",
        Poisson(),
        8,
        "Samples are bins of 250 ms, features are units, entries are spike counts. The fit sees counts only, never "
        "where the animal is.",
    ),
    "songbird": Demo(
        "Ensembles of HVC neurons in a singing bird",
        Gaussian(),
        3,
        "Samples are frames, features are neurons, entries are deconvolved intensities in arbitrary units: no counts, "
        "so Poisson would take its noise scale from the unit. Gaussian noise learns its scale, but 93% of the entries "
        "are exact zeros, which no Gaussian makes: it gives noise of one size everywhere, takes the large values for "
        "signal, and keeps too many components.",
    ),
    "breast": Demo(
        "Mutational signatures of breast cancers",
        Poisson(),
        8,
        "Samples are tumours, features are the 96 contexts of substitutions, entries are counts of mutations.",
    ),
}


def run_demo(name: str, out: str | PathLike[str], console: Console, engine: MAP | None = None) -> Fit:
    """Fit a recording and write its files, figure and page into a folder.

    Parameters
    ----------
    name : {"ca1", "songbird", "breast"}
        The recording. The first two come with the package; "breast" is fetched once.
    out : str or path
        Folder for ``report.md``, ``fit.png``, the tables and ``fit.nc``. Made where it does not exist.
    console : rich.console.Console
        Where progress and the table are printed.
    engine : MAP, optional
        Left out: ``MAP()``, ten random starts.

    Returns
    -------
    Fit
        The fit that was written.

    Examples
    --------
    >>> from rich.console import Console
    >>> from bayesnmf.demo import run_demo
    >>> run_demo("ca1", "bayesnmf-demo", Console())  # doctest: +SKIP
    """
    import pandas as pd

    demo, recording, out = DEMOS[name], datasets.load(name), Path(out)
    engine = MAP() if engine is None else engine
    console.print(recording.description)
    X = pd.DataFrame(recording.X, recording.coords.get("sample"), list(recording.feature_names))
    with console.status(f"Finding the rank by shrinkage, {engine.starts} starts"):
        fit = fit_matrix(X, rank="auto", likelihood=demo.likelihood, engine=engine)
    source = f"Data: {recording.citation} Licence: {recording.licence}."
    lead = [recording.description, demo.lead, source]
    collapsed = COLLAPSED & {finding.name for finding in fit.warnings}
    if collapsed:
        rank = demo.stated_rank
        lead.append(
            f"**The number of components was not found.** Shrinkage (ARD) kept {fit.rank} of {fit.model.rank} "
            f"(finding `{collapsed.pop()}`): at a posterior mode a component pays for its activity in each of the "
            f"{len(X):,} samples, and no further one was worth that. What follows has {rank} components because we "
            "said so, not because the data do."
        )
        console.print(f"Shrinkage kept {fit.rank} of {fit.model.rank} components. Going on with a stated rank: {rank}.")
        with console.status(f"Fitting {rank} components, {engine.starts} starts"):
            fit = fit_matrix(X, rank=rank, likelihood=demo.likelihood, engine=engine)
    found: list[str] = []
    cautions: list[str] = []
    mode = fit
    if name == "ca1" and fit.rank:
        with console.status("From the mode to a posterior, and how its parts move together"):
            fit = fit_matrix(X, rank=mode.rank, likelihood=demo.likelihood, engine=CAVI(), init=mode)
        lead.append(
            f"The rank is that of the posterior mode under shrinkage: {mode.agreement}. What follows is the posterior "
            f"with {fit.rank} components, begun at that mode: its intervals are about this one optimum."
        )
    write_tables(fit, out)
    if name == "ca1":
        with console.status("Comparing activities with position"):
            picture, found, cautions = _places(fit, mode, recording, engine)
    else:
        picture = figure(fit)
    picture.savefig(out / "fit.png", dpi=200)
    (out / "report.md").write_text(page(fit, demo.title, lead, found, cautions), encoding="utf-8")
    console.print(component_table(fit))
    for text in found:
        console.print(Markdown(text))
    console.print(f"Wrote {out / 'report.md'}, the figure fit.png, the tables and fit.nc.")
    return fit


def component_table(fit: Fit) -> Table:
    """Return the table of components for a console."""
    table = Table("component", "share", "found by starts", "largest features")
    for k, row in fit.summary(top=4).iterrows():
        recurrence = "-" if np.isnan(row["recurrence"]) else f"{row['recurrence']:.0%}"
        table.add_row(str(k), f"{row['share']:.1%}", recurrence, escape(row["top_features"]))
    return table


def _places(fit: Fit, mode: Fit, recording: datasets.Dataset, engine: MAP) -> tuple[Figure, list[str], list[str]]:
    """Return the figure, what was found and what not to conclude about ensembles and places."""
    running = recording.coords["speed_px_per_s"] > RUNNING
    place = (recording.coords["position_px"][running] // PLACE_WIDTH).astype(int)
    bins = int(place.max()) + 1

    def places(activity: np.ndarray) -> Places:
        return find_places(activity[running], place, bins, LEAST_SHIFT)

    own, units = places(fit.W), places(recording.X)
    single = replace(engine, starts=1)
    others = [fit_matrix(recording.X, mode.model, engine=single, seed=seed) for seed in range(1, OTHER_STARTS + 1)]
    low, high = _bits_interval(fit, running, place, bins)
    counts = ", ".join(f"{places(other.W).found.sum()} of {other.rank}" for other in others)
    effective = np.exp(-(fit.H * np.log(np.where(fit.H > 0, fit.H, 1))).sum(1))
    rows = "\n".join(
        f"| {k} | {bits:.2f} | {a:.2f} to {b:.2f} | {null:.2f} | {share:.3f} | {'yes' if place_found else 'no'} | "
        f"{count:.1f} |"
        for k, (bits, a, b, null, share, place_found, count) in enumerate(
            zip(own.bits, low, high, own.null, own.share, own.found, effective, strict=True)
        )
    )
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
        "| component | bits | bits in 90% of draws | bits by chance | share of shifts that reach it | place | "
        "effective units |\n| --- | --- | --- | --- | --- | --- | --- |\n" + rows,
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
