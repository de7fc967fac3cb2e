"""Mutations of breast cancers: signatures, and how sure they are where counts vary more than Poisson."""

from __future__ import annotations

import pandas as pd

from .._fit import fit as fit_matrix
from ..likelihoods import Likelihood, NegativeBinomial, Poisson
from ..model import Model
from ..priors import ARD
from ..report import figure
from ..result import Fit
from ._story import Stage, Story


def tell(stage: Stage) -> Story:
    """Let shrinkage find the signatures under both noise models, and tell of the one that counts tell apart."""
    recording = stage.recording
    X = pd.DataFrame(recording.X, recording.coords["sample"], list(recording.feature_names))

    def found_under(likelihood: Likelihood) -> Fit:
        with stage.console.status(f"Finding signatures by shrinkage, {type(likelihood).__name__} noise"):
            return fit_matrix(X, Model(25, likelihood, shrinkage=ARD()), engine=stage.posterior)

    fit, plain = found_under(NegativeBinomial()), found_under(Poisson())
    gain = fit.elbo - plain.elbo
    small = int((fit.share < 0.01).sum())
    found = [
        f"**How many signatures?** Shrinkage keeps {fit.rank} under NegativeBinomial noise, and {plain.rank} under "
        f"Poisson. The learned dispersion is {float(fit.noise['dispersion']):.3f}, and the lower bound of the log "
        f"evidence is {abs(gain):.0f} {'higher' if gain > 0 else 'lower'} with it than without.",
        f"Starts under NegativeBinomial noise: {fit.agreement}.",
    ]
    cautions = [
        f"That every component is a process in many tumours: {small} of {fit.rank} hold less than 1% of all mutations.",
        "That these are the signatures of a catalogue. Match their rows with one by "
        "`bayesnmf.align.match_rows`, and read the cosine.",
    ]
    lead = ["Samples are tumours, features are the 96 contexts of substitutions, entries are counts of mutations."]
    return Story(fit, figure(fit), "Mutational signatures of breast cancers", lead, found, cautions)
