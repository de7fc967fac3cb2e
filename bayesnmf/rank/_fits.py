"""Fits by rank, what each says of its number of components, and the search for the best."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lgamma
from typing import Any

import jax
import numpy as np

from .._errors import EngineError
from .._fit import beside
from .._input import Table
from .._random import generator, key_of
from ..engines import CAVI
from ..posterior import Posterior
from ..result import Fit
from ._search import (
    CHAINS,
    IDLE,
    MIXED,
    PATIENCE,
    Chains,
    Descent,
    Found,
    least_near_best,
    look_around,
    mixed,
    without_one,
)
from ._stability import bic, cophenetic, reconstruction_error, silhouette
from ._work import Done, Init, Recipe, Work, copies, fit_of

MOST_RESPONSE = 1e12
"""Operations of a linear response up to which the evidence decides; where a rank needs more the ELBO does, for all."""

EMPTY = 1.0
"""Events that a component beside others must hold; with fewer it is its prior, and none."""

MOST_CORRECTION = 1.2
"""Nats for each entry of W and H by which evidence may exceed the ELBO: beyond, the expansion about q does not hold."""

WORTH = 1.0
"""Nats by which a fit from the rank above, or from other random starts, must be better to take a fit's place."""

OF_FIT = ("evidence", "elbo", "error", "bic")
OF_STARTS = ("starts", "cophenetic", "silhouette", "spread")
COLUMNS = OF_FIT + OF_STARTS
"""What a fit with some number of components says, and how its random starts agree."""


@dataclass(frozen=True)
class Fits:
    """Fits of one recipe to a table."""

    table: Table
    recipe: Recipe
    work: Work

    @property
    def noise(self) -> str:
        """Name of the likelihood."""
        return type(self.recipe.model.likelihood).__name__

    def at(self, ranks: list[int]) -> Found:
        """Return the fits from random starts, with their lines of the table."""
        return self.work.by_rank(f"ranks, {self.noise}", self._begin, ranks, self.recipe.pad)

    def search(self, ranks: list[int] | None, start: int, top: int) -> tuple[Found, int]:
        """Return the fits round the best rank, and that rank."""
        least = max(self.recipe.model.known_rows, 1)
        descend, again = Descent(self._lower), Chains(self._again, _could_be_best)

        def improve(found: Found) -> None:
            descend(found)
            while not self.recipe.is_rough and again(found):
                descend(found)

        return look_around(self.at, best_rank, ranks, start, least, top, improve)

    def _begin(self, k: int) -> Done:
        fit, result = self.recipe.fit(self.table, k)
        agree = (
            np.min(fit.agreement.recurrence), cophenetic(result.W, result.H), silhouette(result.H, result.best),
            np.ptp(result.info.objective),
        )  # fmt: skip
        return Done(fit, np.r_[self._says(fit), agree])

    def _fit(self, k: int, init: Init, **options: Any) -> Done:
        fit, _ = self.recipe.fit(self.table, k, init, **options)
        return Done(fit, self._says(fit))

    def _says(self, fit: Fit) -> np.ndarray:
        evidence = elbo = np.nan
        if isinstance(self.recipe.engine, CAVI):
            elbo, evidence = fit.elbo + lgamma(fit.rank - fit.model.known_rows + 1), _evidence(fit)
        return np.array([evidence, elbo, reconstruction_error(fit, self.table), bic(fit, self.table)])

    def _again(self, k: int, own: Done, above: list[Done] | None) -> tuple[list[Done], Done]:
        """Return rough fits, from random starts or from those above; and what they lead to, if it is better."""
        names = {f"{k}-{chain}": chain for chain in range(CHAINS)}
        rough = replace(self, recipe=self.recipe.rough)

        def fit(name: str) -> Done:
            chain = names[name]
            init = None if above is None else without_one(fit_of(above[chain]), self.recipe.engine.starts)
            key = jax.random.fold_in(key_of(self.recipe.seed), chain)
            return replace(rough, recipe=replace(rough.recipe, seed=key))._fit(k, init, least_events=EMPTY)

        def to_the_end(_: int) -> Done:
            done = self._fit(k, copies(fit_of(best), self.recipe.engine.starts))
            return done._replace(fit=beside(fit_of(done), [fit_of(chain) for chain in chains]))

        chains = list(self.work.run(f"other starts, {self.noise}", fit, names).values())
        best = rough._mixed(k, chains)
        if _instead(own, best) is not None:
            own = _instead(own, self.work.run(f"the best of them, {self.noise}", to_the_end, [k])[k]) or own
        return chains, own

    def _mixed(self, k: int, fits: list[Done]) -> Done:
        """Return the best of the fits and of what mixtures lead to, until `IDLE` times these have nothing better."""
        fits = sorted(fits, key=_score_of, reverse=True)
        candidates = sum(np.isfinite(_score_of(done)) for done in fits)
        if k <= self.recipe.model.known_rows + 1 or candidates < 2:
            return fits[0]
        generation = idle = 0
        while idle < IDLE:
            parents = [fit_of(done) for done in fits if np.isfinite(_score_of(done))]
            both = sorted(fits + self._children(k, generation, parents), key=_score_of, reverse=True)[: len(fits)]
            idle = 0 if _instead(fits[0], both[0]) else idle + 1
            fits, generation = both, generation + 1
        return fits[0]

    def _children(self, k: int, generation: int, parents: list[Fit]) -> list[Done]:
        """Return what mixtures of the fits lead to."""
        names = {f"{k}-{generation}-{child}": child for child in range(MIXED)}

        def fit(name: str) -> Done:
            random = generator(self.recipe.seed, 5, k, generation, names[name])
            return self._fit(k, mixed(parents, self.recipe.engine.starts, random), least_events=EMPTY)

        return list(self.work.run(f"mixed starts, {self.noise}", fit, names).values())

    def _lower(self, name: str, k: int, above: Fit, own: Done) -> Done:
        """Return what the fit above leads to without one of its components; no fit where that is not better."""

        def fit(_: str) -> Done:
            new = self._fit(k, without_one(above, self.recipe.engine.starts))
            return _instead(own, new) or Done(None, own.values)

        return self.work.run(f"one component fewer, {self.noise}", fit, [name])[name]


def _score_of(done: Done) -> float:
    """Return the evidence; the ELBO where X is too large for it."""
    return float(done.values[int(np.isnan(done.values[0]))])


def _instead(own: Done, new: Done) -> Done | None:
    """Return a new fit where it is better than the own one, which goes on to say how random starts agree."""
    if not _score_of(new) > _score_of(own) + WORTH:
        return None
    return Done(new.fit, np.r_[new.values[: len(OF_FIT)], own.values[len(OF_FIT) :]])


def _could_be_best(found: Found) -> set[int]:
    """Return the rank of the best score and those behind it by less than starts lie apart there, or at that one.

    None where it is alone. Five starts of one rank may agree by chance. Of a rank without a candidate nothing is known:
    those below the best could be it, and where any could, those up to `PATIENCE` above it.
    """
    scores = score(found)[1]
    first = max(scores, key=lambda k: scores[k])
    spread = {k: max(done.values[-1], found[first].values[-1]) for k, done in found.items()}
    unknown = {k for k in found if scores[k] == -np.inf and k <= first + PATIENCE}
    near = {k for k in found if scores[first] - scores[k] <= spread[k] or (k in unknown and k < first)}
    return near | unknown if len(near) > 1 else set()


def best_rank(found: Found) -> int:
    """Return the answer: the least rank near the best score."""
    return least_near_best(score(found)[1])


def score(found: Found) -> tuple[str, dict[int, float]]:
    """Return what decides, and by how much: the evidence; the ELBO where X is too large, or no fit is a candidate."""
    evidence = np.array([done.values[0] for done in found.values()])
    column = int(np.isnan(evidence).any() or not np.isfinite(evidence).any())
    return COLUMNS[column], {k: float(done.values[column]) for k, done in found.items()}


def better_by(new: Found, best: int, old: Found, its_best: int) -> float:
    """Return by how much the best of new fits is better than that of old ones, by what decides in both."""
    column = max(COLUMNS.index(score(found)[0]) for found in (new, old))
    return float(new[best].values[column] - old[its_best].values[column])


def _evidence(fit: Fit) -> float:
    """Return the evidence, NaN where it is too much work; -inf for empty components, no optimum, or nearly a saddle."""
    assert isinstance(fit.posterior, Posterior)
    if fit.posterior.work > MOST_RESPONSE or not fit.posterior.has_response:
        return np.nan
    known = fit.posterior.known
    if fit.rank > max(known, 1) and np.any(fit.posterior.events[known:] < EMPTY):
        return -np.inf
    try:
        soft = fit.posterior.distance > MOST_CORRECTION * (fit.W.size + fit.H[known:].size)
        return -np.inf if soft else fit.evidence
    except EngineError:
        return -np.inf
