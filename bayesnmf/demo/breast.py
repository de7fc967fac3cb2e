"""Mutations of breast cancers: signatures, and how sure they are where counts vary more than Poisson."""

from __future__ import annotations

import pandas as pd

from .._fit import fit as fit_matrix
from ..likelihoods import NegativeBinomial, Poisson
from ..report import figure
from ._story import Stage, Story


def tell(stage: Stage) -> Story:
    """Find the rank by shrinkage under both noise models, and go on to a posterior under the one that fits."""
    recording = stage.recording
    X = pd.DataFrame(recording.X, recording.coords["sample"], list(recording.feature_names))
    modes, noises = {}, (Poisson(), NegativeBinomial())
    for likelihood in noises:
        name = type(likelihood).__name__
        with stage.console.status(f"Finding the rank by shrinkage, {name} noise"):
            modes[name] = fit_matrix(X, rank="auto", likelihood=likelihood, engine=stage.mode)
    mode = modes["NegativeBinomial"]
    with stage.console.status("From the mode to a posterior"):
        fit, plain = (
            fit_matrix(X, rank=mode.rank, likelihood=likelihood, engine=stage.posterior, init=mode)
            for likelihood in noises[::-1]
        )
    gain = fit.elbo - plain.elbo
    found = [
        f"**How many signatures?** Shrinkage keeps {mode.rank} under NegativeBinomial noise, and "
        f"{modes['Poisson'].rank} under Poisson. The learned dispersion is {float(fit.noise['dispersion']):.3f}, "
        f"and at {fit.rank} components the lower bound of the log evidence is {abs(gain):.0f} "
        f"{'higher' if gain > 0 else 'lower'} with it than without.",
        f"Starts: {mode.agreement}.",
    ]
    cautions = [
        "That these are the signatures of a catalogue. Match them with `bayesnmf.match` against one, and read the "
        "cosine.",
        "That the rank is certain: it is that of the posterior mode, and intervals are about this one optimum.",
    ]
    lead = ["Samples are tumours, features are the 96 contexts of substitutions, entries are counts of mutations."]
    return Story(fit, figure(fit), "Mutational signatures of breast cancers", lead, found, cautions)
