"""Deconvolved calcium in a singing bird: how many ensembles, whatever the unit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .._fit import fit as fit_matrix
from ..likelihoods import CompoundPoisson, Poisson
from ..model import Model
from ..priors import ARD, Gamma
from ..report import markdown_table
from ..result import Fit
from ._story import Stage, Story

RANKS = range(1, 9)
"""Numbers of components that are compared."""

SPARSE = Gamma(0.3)
"""Prior of W and H: most neurons are silent in most ensembles, and most ensembles most of the time."""

UNITS = (1.0, 10.0, 100.0, 1000.0)
"""What X is multiplied by, to see who notices."""


def tell(stage: Stage) -> Story:
    """Compare ranks by the ELBO under compound Poisson noise, and see what a change of unit does."""
    recording = stage.recording
    X = pd.DataFrame(recording.X, columns=list(recording.feature_names))
    fits = {}
    for rank in RANKS:
        with stage.console.status(f"Fitting {rank} of {RANKS[-1]} components"):
            fits[rank] = _fit(X, rank, stage)
    elbo = np.array([fit.elbo for fit in fits.values()])
    best = RANKS[int(elbo.argmax())]
    fit = fits[best]
    with stage.console.status("The same in other units"):
        again = _fit(UNITS[-1] * X, best, stage).elbo + np.log(UNITS[-1]) * np.count_nonzero(recording.X)
        kept = [_kept_by_poisson(unit * X, stage) for unit in UNITS]
    return Story(
        fit, _figure(fit, elbo, kept, stage), "Ensembles of HVC neurons in a singing bird", _lead(fit),
        _found(fit, elbo, again, kept), _cautions(),
    )  # fmt: skip


def _fit(X: pd.DataFrame, rank: int, stage: Stage) -> Fit:
    return fit_matrix(X, Model(rank, CompoundPoisson(), W=SPARSE, H=SPARSE), engine=stage.posterior)


def _kept_by_poisson(X: pd.DataFrame, stage: Stage) -> int:
    return fit_matrix(X, Model(25, Poisson(), shrinkage=ARD()), engine=stage.mode).rank


def _lead(fit: Fit) -> list[str]:
    shape, jump = (float(fit.noise[name]) for name in ("shape", "jump"))
    return [
        "Samples are frames, features are neurons, entries are deconvolved intensities in arbitrary units: zeros and "
        "positive values, no counts. The noise is compound Poisson: a Poisson number of gamma jumps. Their size is "
        f"learned ({jump:.3g} in the unit of X, shape {shape:.2f}), and takes the place of one count.",
    ]


def _found(fit: Fit, elbo: np.ndarray, again: float, kept: list[int]) -> list[str]:
    return [
        f"**How many ensembles?** {fit.rank}, the greatest lower bound of the log evidence (ELBO) among "
        f"{RANKS[0]} to {RANKS[-1]} components.",
        markdown_table(
            ["components", "ELBO", "below the greatest"],
            [[str(rank), f"{value:.0f}", f"{elbo.max() - value:.0f}"] for rank, value in zip(RANKS, elbo, strict=True)],
        ),
        f"**Does the unit matter?** Not here: with X times {UNITS[-1]:g} the ELBO at {fit.rank} is {again:.2f} when "
        f"it is counted per unit of X, beside {elbo.max():.2f}. Plain Poisson takes one unit of X for one event. "
        "Shrinkage under it keeps what the unit makes it keep:",
        markdown_table(
            ["X times", "components kept of 25, plain Poisson (mode)"],
            [[f"{unit:g}", str(count)] for unit, count in zip(UNITS, kept, strict=True)],
        ),
    ]


def _cautions() -> list[str]:
    return [
        "That an ensemble fires all at once. The bird's neurons fire in sequences; parts without time can only cut a "
        "sequence into pieces.",
        "That the number is certain. The ELBO is a bound, and differences of a few units between ranks are within "
        "what starts and priors change.",
    ]


def _figure(fit: Fit, elbo: np.ndarray, kept: list[int], stage: Stage) -> Figure:
    picture = Figure(figsize=(10, 9), layout="constrained")
    axes = picture.subplot_mosaic([["H", "H"], ["W", "W"], ["elbo", "units"]])
    fit.plot.components(axes["H"]).set(title="Which neurons make each ensemble", xlabel="neuron")
    time = stage.recording.coords["time_s"]
    top = fit.W.max()
    for k, activity in enumerate(fit.W.T):
        axes["W"].fill_between(time, k, k + 0.9 * activity / top, lw=0, color="C0")
    axes["W"].set_yticks(np.arange(fit.rank), [str(k) for k in range(fit.rank)])
    axes["W"].set(title="When", xlabel="time (s)", ylabel="component")
    axes["elbo"].plot(RANKS, elbo - elbo.max(), "o-", color="C0")
    axes["elbo"].set(title="Lower bound of the log evidence", xlabel="components", ylabel="below the greatest")
    axes["units"].semilogx(UNITS, kept, "s--", color="C1", label="plain Poisson, shrinkage")
    axes["units"].axhline(fit.rank, color="C0", label="compound Poisson, ELBO")
    axes["units"].set(title="Components in other units", xlabel="X times", ylabel="components", ylim=(0, 34))
    axes["units"].legend(loc="upper left")
    return picture
