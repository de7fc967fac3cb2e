"""A probability of each number of components, by draws in which components come and go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._errors import EngineError, Finding, ModelError
from .._fit import fit_table
from .._input import Table
from ..engines import Gibbs
from ..priors import Inclusion
from ..result import Fit
from ..sampled import Sampled
from ._work import Done, Recipe, Work, fit_of

ENGINE = Gibbs(chains=4, warmup=50, draws=150)
"""After each of its sweeps a component may come or go, which takes many sweeps more."""

SAID = ("chains_disagree", "few_effective_draws")
"""What the sampler's fit may say that the reader of a probability must know."""


def included(
    table: Table, best: Fit, recipe: Recipe, top: int, inclusion: Inclusion, work: Work
) -> tuple[dict[int, float] | None, list[Finding]]:
    """Return P(k | X) for k from 0 to `top`, from chains that begin round the best fit; and findings."""
    model = replace(recipe.model, rank=top, shrinkage=replace(inclusion, threshold=-np.inf))

    def draw(_: str) -> Done:
        fit = fit_table(table, model, ENGINE, recipe.seed, (best.W, best.H))
        assert isinstance(fit.posterior, Sampled)
        number = fit.posterior.others["components"].astype(int)
        return Done(fit, np.bincount(number.ravel(), minlength=top + 1) / number.size)

    try:
        done = work.run("inclusion", draw, ["draws"])["draws"]
    except (EngineError, ModelError) as error:  # not for this noise or these weights: the selection is kept
        return None, [Finding("no_probability", str(error))]
    return dict(enumerate(done.values.tolist())), [found for found in fit_of(done).warnings if found.name in SAID]
