"""Which noise: by entries that were left out, with more components than there can be."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from .._fit import fit_table
from .._input import Table
from .._random import Seed, generator, key_of
from .._resolve import resolve
from ..engines import CAVI, MAP
from ..engines._prepare import dense_rows
from ..likelihoods import CompoundPoisson, GammaNoise, Gaussian, Likelihood, NegativeBinomial, Poisson
from ..model import Model
from ..priors import ARD, Compressive
from ..result import Fit
from ._held_out import log_density, standard_error
from ._selection import Noise
from ._structure import parted, some_rows
from ._work import Done, Work, fit_of, is_large, loose

LEFT_OUT = 0.1
"""Share of the entries that noise is judged by."""

SURE, LEAST_GAIN = 2.0, 1.0
"""Standard errors, and nats, by which a more general noise must gain."""

LEAST_ADDED = 0.01
"""Share of variance that a more general noise must add: without it, it predicts better by another optimum alone."""

ENDS = 0.05
"""Share of samples, or groups, at either end whose gain is drawn in to that of the next."""

LOWEST = -1e30
"""Log density that stands for none at all, so that differences are numbers."""

BLUR = 0.05
"""Share of independent rows and columns in what is predicted."""

MOST_ENTRIES = 2**23
"""Entries that noise is judged on; of larger X some samples."""


def candidates(table: Table) -> dict[str, Likelihood]:
    """Return the likelihoods that data of this kind may have, the plainest first."""
    found: list[Likelihood]
    if table.least < 0:
        found = [Gaussian()]
    elif table.is_counts:
        found = [Poisson(), NegativeBinomial()]
    elif table.least == 0:  # an exact zero is an event, which the others do not have
        found = [CompoundPoisson()]
    else:
        found = [CompoundPoisson(), GammaNoise(), Gaussian()]
    return {type(noise).__name__: noise for noise in found}


def choose_noise(table: Table, model: Model, engine: MAP, seed: Seed, work: Work) -> tuple[Noise, dict[str, Fit]]:
    """Return which noise was chosen and how, and the modes under shrinkage with each."""
    likelihood = model.likelihood
    given = candidates(table) if likelihood is None else {type(likelihood).__name__: likelihood}
    learned, left = (table, None) if len(given) == 1 else _split(table, generator(seed, 3))
    if left is None or is_large(table):  # where to look is known sooner than which noise it is
        engine = loose(engine)

    def shrunk(name: str) -> Done:
        own = Model(model.rank, given[name], shrinkage=ARD(), known=model.known)
        fit = fit_table(learned, own, engine, seed)
        return Done(fit, np.zeros(0) if left is None else log_density(fit.model.parts[0], _blurred(fit), left))

    found = work.run("noise under shrinkage", shrunk, given)
    chosen, modes = next(iter(given)), {name: fit_of(done) for name, done in found.items()}
    if len(given) == 1:
        return Noise(chosen), modes
    values = {name: done.values for name, done in found.items()}
    if chosen == "Poisson":
        other = "NegativeBinomial"
        gain, error = _gain(values[other], values[chosen])
        if gain > max(SURE * error, LEAST_GAIN) and _adds(modes[other]) > LEAST_ADDED:
            chosen, other = other, chosen
    else:
        chosen, other = sorted(values, key=lambda name: -values[name].sum())[:2]
    return Noise(chosen, other, *_gain(values[chosen], values[other])), modes


def compressed(table: Table, model: Model, engine: CAVI, seed: Seed, work: Work) -> int | None:
    """Return how many components `Compressive` keeps of the model's rank, None where it is not for the likelihood."""
    likelihood = model.likelihood
    assert likelihood is not None
    if likelihood.support != "counts":
        return None
    own = Model(model.rank, likelihood, shrinkage=Compressive(), known=model.known)
    own = resolve(own, table, engine)
    assert own.shrinkage is not None
    threshold = own.shrinkage.threshold

    def shrunk(_: str) -> Done:
        found = loose(engine).run(own, table, key_of(seed))
        kept = found.relevance[found.best][own.known_rows :] > threshold
        return Done(None, np.array([own.known_rows + kept.sum()]))

    return int(work.run("compressive shrinkage", shrunk, ["mean"])["mean"].values[0])


def instead(noise: Noise, fit: Fit) -> Likelihood | None:
    """Return the noise that must be looked at too, where the fit rejects the plainer one that was chosen."""
    rejected = any(finding.name == "noise_rejected" for finding in fit.warnings)
    return NegativeBinomial() if rejected and (noise.chosen, noise.against) == ("Poisson", "NegativeBinomial") else None


def _adds(fit: Fit) -> float:
    """Return the share of the variance that is beyond a Poisson's, where the fit expects most events."""
    most = fit.mean.max()
    return float(fit.model.parts[0].variance_at(jnp.asarray(most))) / most - 1


def _gain(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return by how much one is above the other, and the standard error, with samples at the ends drawn in.

    The winsorized sum and its error (Yuen 1974): a sample that only one of them cannot explain must not decide alone,
    nor hide with its spread what all others say.
    """
    gain = np.maximum(one, LOWEST) - np.maximum(other, LOWEST)
    drawn_in = np.clip(gain, *np.quantile(gain, [ENDS, 1 - ENDS]))
    return float(drawn_in.sum()), standard_error(drawn_in) / (1 - 2 * ENDS)


def _blurred(fit: Fit) -> np.ndarray:
    """Return W H with a little of what rows and columns make by themselves: a mode has zeros where X need not."""
    W, H = fit.W, fit.H
    alone = np.outer(W @ H.sum(1), W.sum(0) @ H)
    return (1 - BLUR) * fit.mean + BLUR * alone / max(alone.sum(), 1e-300) * fit.mean.sum()


def _split(table: Table, rng: np.random.Generator) -> tuple[Table, Table]:
    """Return the table, dense, without some entries; and with these alone."""
    n, m = table.shape
    if n * m > MOST_ENTRIES:
        rows = np.sort(rng.choice(n, min(max(MOST_ENTRIES // m, 2), n), replace=False))
        table = some_rows(table, rows)
    left = rng.random(table.shape) < LEFT_OUT
    missing = dense_rows(table, slice(None)).weight == 0
    for axis in (0, 1):  # no sample and no feature is left out whole
        whole = (left | missing).all(axis)
        left &= ~np.expand_dims(whole, axis)
    return parted(table, ~left)
