"""Shapes of priors that are learned, by the evidence instead of by its bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from ._errors import EngineError
from ._types import Side
from .align import match_rows
from .posterior import LITTLE_WORK, Posterior
from .priors import SHAPES
from .result import NEAR, Fit

TRIALS = 10
"""Pairs of shapes that are tried by the search."""

FIRST = 0.5, 4.0
"""Range that the search begins within, or where the bound has them: the better of the two."""

STEP = 0.4
"""How far apart the first ones are, in logarithms."""

UNDEFINED = 100.0
"""Nats by which a trial without evidence counts as worse than the worst that has one."""


def by_evidence(found: Fit, at: Callable[[dict[Side, float], bool], Fit]) -> Fit:
    """Return the fit at the shapes of greatest evidence, of those that are learned; `at` fits with given ones.

    Coordinate ascent takes W and H for independent, which costs the less the fewer components share an entry. So its
    bound prefers small shapes: where the truth is 1, it is highest at .2 at times, and small entries are pulled to
    zero, with narrow intervals. The evidence has what the bound lacks. It is asked of these components alone: shapes
    that lead to others do not count. The fit stays as it is where a response is too much work, and where no other
    shapes have one.
    """
    posterior = found.posterior
    assert isinstance(posterior, Posterior)
    if not posterior.has_response or posterior.work > LITTLE_WORK:
        return found
    from scipy.optimize import minimize

    sides: list[Side] = [side for side in ("W", "H") if f"shape_{side}" in posterior.learned]
    full = posterior.events >= 1
    evidence: dict[tuple[float, ...], float] = {}

    def fitted(logs: tuple[float, ...], trial: bool) -> Fit:
        fit = at(dict(zip(sides, np.exp(logs).tolist(), strict=True)), trial)
        return replace(fit, posterior=replace(fit.posterior, weighed=tuple(sides)))  # type: ignore[type-var]

    @cache
    def loss(logs: tuple[float, ...]) -> float:
        try:
            fit = fitted(logs, True)
            if np.isfinite(fit.evidence) and match_rows(found.H[full], fit.H).cosine.min(initial=1) >= NEAR:
                evidence[logs] = fit.evidence
                return -fit.evidence
        except EngineError:
            pass
        return UNDEFINED - min(evidence.values(), default=found.elbo)

    bound = {"W": float(posterior.prior_W.shape), "H": float(posterior.prior_H.shape)}
    learned = np.log([bound[side] for side in sides])
    first = min(tuple(learned), tuple(np.clip(learned, *np.log(FIRST))), key=loss)
    options = {"initial_tr_radius": STEP, "final_tr_radius": STEP / 8, "maxfev": TRIALS}
    bounds = [np.log(SHAPES)] * len(first)
    minimize(lambda logs: loss(tuple(logs)), first, method="COBYQA", bounds=bounds, options=options)
    if not set(evidence) - {tuple(learned)}:
        return found
    return fitted(max(evidence, key=lambda logs: evidence[logs]), False)
