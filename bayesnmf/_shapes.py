"""Shapes of priors that are learned, by the evidence instead of by its bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ._errors import EngineError
from ._types import Side
from .posterior import LITTLE_WORK, Posterior
from .priors import SHAPES
from .result import Fit

TRIALS = 10
"""Pairs of shapes that are tried."""

FIRST = 0.5, 4.0
"""Range of the first of them: what the bound says, within these."""

STEP = 0.4
"""How far apart the first ones are, in logarithms."""

UNDEFINED = 100.0
"""Nats by which a trial without evidence counts as worse than the worst that has one."""


def by_evidence(found: Fit, at: Callable[[dict[Side, float], bool], Fit]) -> Fit:
    """Return the fit at the shapes of greatest evidence, of those that are learned; `at` fits with given ones.

    Coordinate ascent takes W and H for independent, which costs the less the fewer components share an entry. So its
    bound prefers small shapes: where the truth is 1, it is highest at .2 at times, and small entries are pulled to
    zero, with narrow intervals. The evidence has what the bound lacks. The fit stays as it is where a response is too
    much work or not defined.
    """
    posterior = found.posterior
    assert isinstance(posterior, Posterior)
    if not posterior.has_response or posterior.work > LITTLE_WORK:
        return found
    from scipy.optimize import minimize

    sides: list[Side] = [side for side in ("W", "H") if f"shape_{side}" in posterior.learned]
    tried: list[tuple[float, dict[Side, float]]] = []

    def fitted(shapes: dict[Side, float], trial: bool) -> Fit:
        fit = at(shapes, trial)
        return replace(fit, posterior=replace(fit.posterior, weighed=tuple(sides)))  # type: ignore[type-var]

    def loss(logs: np.ndarray) -> float:
        shapes = {side: float(shape) for side, shape in zip(sides, np.exp(logs), strict=True)}
        try:
            tried.append((fitted(shapes, True).evidence, shapes))
            return -tried[-1][0]
        except EngineError:
            return UNDEFINED - min((value for value, _ in tried), default=0.0)

    learned = {"W": float(posterior.prior_W.shape), "H": float(posterior.prior_H.shape)}
    first = [np.log(np.clip(learned[side], *FIRST)) for side in sides]
    options = {"initial_tr_radius": STEP, "final_tr_radius": STEP / 8, "maxfev": TRIALS}
    minimize(loss, first, method="COBYQA", bounds=[np.log(SHAPES)] * len(first), options=options)
    return fitted(max(tried, key=lambda trial: trial[0])[1], False) if tried else found
