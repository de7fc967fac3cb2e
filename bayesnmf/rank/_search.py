"""Which ranks are looked at, and what the rank above leads to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..align import match_rows
from ..result import Fit
from ._work import Done, fit_of

PATIENCE = 3
"""How many ranks beyond the best one are looked at on either side."""

CHAINS = 10
"""How often ranks that could be the best are fitted again from other random starts."""

MIXED, IDLE = 4, 3
"""Fits from mixtures of what the chains found, at a time; and how many times in a row none is better before it ends."""

LEAD = 3.0
"""Nats by which a rank must be better than all smaller ones: 20 to 1, strong evidence (Kass and Raftery 1995)."""

Found = dict[int, Done]


def least_near_best(scores: dict[int, float]) -> int:
    """Return the least rank that is behind the best score by no more than `LEAD`."""
    enough = max(scores.values()) - LEAD
    return min(k for k in scores if scores[k] >= enough)


def look_around(
    run: Callable[[list[int]], Found],
    best_of: Callable[[Found], int],
    ranks: list[int] | None,
    start: int,
    least: int,
    top: int,
    improve: Callable[[Found], None] = lambda found: None,
) -> tuple[Found, int]:
    """Run ranks round the start, until `PATIENCE` of them on both sides of the best are not better; return the best.

    Where ranks are given, run these alone. `improve` may put better fits in the place of those that were found.
    """
    found: Found = {}

    def near(k: int) -> list[int]:
        return list(range(max(least, k - PATIENCE), min(top, k + PATIENCE) + 1))

    best = max(start, least)
    new = near(best) if ranks is None else ranks
    while new:
        found |= run(new)
        improve(found)
        best = best_of(found)
        new = [] if ranks is not None else [k for k in near(best) if k not in found]
    return found, best


class Descent:
    """From the greatest rank down, lets each fit begin again at the one above without one of its components.

    Random starts of sparse parts of large counts end hundreds of nats apart, and a component too many is a way round
    what holds them there. `step` returns a fit for a rank, that above and what is there; without a fit where it found
    nothing better. `tried` is what it was given, so that nothing is done twice.
    """

    def __init__(self, step: Callable[[str, int, Fit, Done], Done]):
        self.step = step
        self.tried: dict[int, list[Fit]] = {}

    def __call__(self, found: Found) -> None:
        """Put better fits in the place of those that were found."""
        for k in sorted(found, reverse=True):
            tried = self.tried.setdefault(k, [])
            if k + 1 not in found or any(fit_of(found[k + 1]) is fit for fit in tried):
                continue
            tried.append(fit_of(found[k + 1]))
            done = self.step(f"{k}-{len(tried)}", k, tried[-1], found[k])
            if done.fit is not None:
                found[k] = done


class Chains:
    """Fits ranks that could still be the best again, by chains: random starts one rank above, and down from there.

    Where starts end further apart than a rank is behind the best, which of the two leads is chance. `step` is given a
    rank, what is there, and the chains' fits of the rank above where there are any; it returns those of this rank, and
    what is to take the place of what is there.
    """

    def __init__(
        self,
        step: Callable[[int, Done, list[Done] | None], tuple[list[Done], Done]],
        open_of: Callable[[Found], set[int]],
    ):
        self.step, self.open_of = step, open_of
        self.fits: dict[int, list[Done]] = {}

    def __call__(self, found: Found) -> bool:
        """Put better fits in the place of those that were found, and return whether there was anything to do."""
        ranks = self.open_of(found) - self.fits.keys()
        above = {k + 1 for k in ranks} & found.keys() - self.fits.keys()
        for k in sorted(ranks | above, reverse=True):
            self.fits[k], found[k] = self.step(k, found[k], self.fits.get(k + 1))
        return bool(ranks)


def without_one(fit: Fit, starts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return starts for one component fewer, W (starts, n, k - 1) and H: each without one of the smallest."""
    smallest = np.arange(fit.rank - 1, fit.model.known_rows - 1, -1)  # components that are not known come by mass
    dropped = np.resize(smallest, starts)  # as many as random starts, which then share what is compiled
    return np.stack([np.delete(fit.W, j, 1) for j in dropped]), np.stack([np.delete(fit.H, j, 0) for j in dropped])


def mixed(fits: list[Fit], starts: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return starts, W (starts, n, k) and H: each has some components of one of the fits, and all others of another.

    Components are matched first, so that nothing is there twice. What two fits found in different places may be in one
    of these (uniform crossover: Syswerda 1989, Proc. 3rd Int. Conf. Genetic Algorithms, 2).
    """
    known = fits[0].model.known_rows
    factors = []
    for _ in range(starts):
        one, other = (fits[i] for i in random.choice(len(fits), 2, replace=False))
        match = match_rows(one.H[known:], other.H[known:])
        taken = random.permutation(len(match.own))[: random.integers(1, len(match.own))]
        own, others = known + match.own[taken], known + match.other[taken]
        W, H = one.W.copy(), one.H.copy()
        W[:, own], H[own] = other.W[:, others], other.H[others]
        factors.append((W, H))
    Ws, Hs = zip(*factors, strict=True)
    return np.stack(Ws), np.stack(Hs)
