"""What a fit says in words and in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._errors import EngineError, check_count
from ._programs import name_of
from .posterior import Name
from .priors import Prior, Scaling
from .result import NO_INTERVAL, Fit
from .sampled import Sampled

if TYPE_CHECKING:
    import pandas as pd


PROB = 0.9
"""Probability inside the intervals of tables, pictures and pages."""


HELD = 2**25
"""Numbers drawn at a time."""


def feature_names(fit: Fit) -> tuple[str, ...]:
    """Return the names of the features, or "feature 0", "feature 1", ... where X had none."""
    return fit.features or tuple(f"feature {j}" for j in range(fit.H.shape[1]))


def intervals(fit: Fit, name: Name, prob: float = PROB) -> tuple[np.ndarray, np.ndarray] | None:
    """Return intervals as `Fit.interval` does, or None where the fit has none.

    >>> import numpy as np, bayesnmf as bn
    >>> from bayesnmf.summaries import intervals
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2, engine=bn.MAP())
    >>> intervals(fit, "share") is None
    True
    """
    try:
        return fit.interval(name, prob)
    except EngineError:
        return None


SPARSE = 0.5
"""Shape of a Gamma prior below which the posterior of a small entry is far from any simple marginal."""


def kind_of_intervals(fit: Fit) -> str:
    """Return in a few words how the intervals of a fit are made.

    >>> import numpy as np, bayesnmf as bn
    >>> from bayesnmf.summaries import kind_of_intervals
    >>> kind_of_intervals(bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2, engine=bn.MAP()))
    'none: a MAP fit is one point and has no error bars'
    """
    if fit.posterior is None:
        return "none: a MAP fit is one point and has no error bars"
    if isinstance(fit.posterior, Sampled):
        exact = "draws from the posterior, given the rank and the likelihood"
        return exact if fit.status == "sampled" else "draws from the guide: too narrow in what it takes for independent"
    if fit.posterior.has_response:
        shape = min(float(prior.shape) for prior in (fit.posterior.prior_W, fit.posterior.prior_H))
        known = "linear response about this optimum, given the rank and the likelihood"
        if fit.model.parts[0].background == "quadratic":
            known += "; a little too narrow for masses under Gaussian noise"
        return known + ("; too narrow for single entries near zero, where priors are sparse" * (shape < SPARSE))
    return "mean field: too narrow, since it ignores how W and H move together"


def describe(fit: Fit) -> str:
    """Return the few lines that a reader of a fit needs first. `repr` of a fit.

    Parameters
    ----------
    fit : Fit
        Any fit.

    Returns
    -------
    str
        What was fitted, shares by component (counted from 0, as in ``fit.H``), how the best start ended, how the
        starts agree, and every named finding.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2, engine=bn.MAP())
    >>> print(repr(fit).splitlines()[0])
    Fit of 20 samples x 10 features: 2 components, Poisson, MAP
    """
    n, m = fit.W.shape[0], fit.H.shape[1]
    likelihood, engine = noise_name(fit), type(fit.engine).__name__
    plural = "" if fit.rank == 1 else "s"
    lines = [f"Fit of {n} samples x {m} features: {fit.rank} component{plural}, {likelihood}, {engine}"]
    if fit.model.shrinkage is not None:
        lines[0] += f" (kept of {fit.model.rank} by {type(fit.model.shrinkage).__name__})"
    if fit.rank:
        shown = ", ".join(f"{k}: {100 * share:.3g}%" for k, share in enumerate(fit.share[:12]))
        lines.append(f"  shares     {shown}{', ...' if fit.rank > 12 else ''}")
    for name, value in fit.noise.items():
        low, high = np.min(value), np.max(value)
        lines.append(f"  noise      {name} {low:.4g}" + ("" if np.ndim(value) == 0 else f" to {high:.4g}"))
    if fit.selection is not None:
        lines.append(f"  rank       {fit.selection.reason}")
    if fit.likelihood_chosen:
        lines.append(f"  likelihood {likelihood} was chosen, since X {_reason(fit)}; likelihood= takes another")
    if fit.posterior is not None and fit.model.likelihood is not None:
        lines.append(f"  priors     {_priors(fit)}")
    if fit.negative is not None:
        lines.append(f'  negative   entries below 0: "{fit.negative}"')
    lines.append(f"  course     {fit.status} after {fit.steps} steps; {_reached(fit)}")
    lines.append(f"  {'chains' if fit.status == 'sampled' else 'starts'}     {fit.agreement}")
    lines.append(f"  intervals  {kind_of_intervals(fit)}")
    lines += [f"  warning    {finding}" for finding in fit.warnings]
    return "\n".join(lines)


def noise_name(fit: Fit) -> str:
    """Return the name of the likelihood, or of the program of the user's."""
    if fit.model.likelihood is not None or not isinstance(fit.posterior, Sampled):
        return type(fit.model.likelihood).__name__
    return f"program {'not given' if fit.posterior.program is None else name_of(fit.posterior.program)}"


def _reached(fit: Fit) -> str:
    if isinstance(fit.posterior, Sampled) and fit.status == "sampled":
        worst = np.array(list(fit.posterior.convergence.values()))
        apart = f"R-hat {worst[:, 0].max():.3f} at most, " if len(fit.posterior.W) > 1 else ""
        return f"{apart}effective draws {worst[:, 1:].min():.0f} at least"
    reached = f"objective {fit.objective:.6g}" if fit.posterior is None else f"ELBO {fit.elbo:.6g}"
    return f"{reached}, residual {fit.residual:.2g}"


def _reason(fit: Fit) -> str:
    support = fit.model.parts[0].support
    if support == "real":
        return "has negative entries"
    if support == "counts" and fit.posterior is not None:
        return "holds whole numbers"
    return "has no negative entry" if fit.posterior is None else "is no counts, and has no negative entry"


def _priors(fit: Fit) -> str:
    """Return the priors of W and H with their numbers, and which of these were learned."""
    assert fit.posterior is not None
    _, W, H = fit.model.parts
    text = ", ".join(_prior(side, prior) for side, prior in (("W", W), ("H", H)))
    if isinstance(fit.model.shrinkage, Scaling):
        text += f", scaled by {type(fit.model.shrinkage).__name__}"
    learned = [name.replace("rate", "mean").replace("_", " of ") for name in fit.posterior.learned]
    for side in getattr(fit.posterior, "weighed", ()):
        learned[learned.index(f"shape of {side}")] += " (by the evidence)"
    return text + (f"; learned: {', '.join(learned)}" if learned else "")


def _prior(side: str, prior: Prior) -> str:
    numbers = {"shape": prior.shape, "mean": prior.mean}
    if type(prior).__name__ in ("Exponential", "HalfNormal"):
        del numbers["shape"]
    given = ", ".join(f"{name} {float(value):.3g}" for name, value in numbers.items() if value is not None)
    return f"{side} {type(prior).__name__}({given})"


def summary(fit: Fit, top: int = 5) -> pd.DataFrame:
    """Return a table with a row for each component. `Fit.summary` is the public door.

    The interval of a share is given the number of components, and about this optimum only; a MAP fit has none.
    `recurrence` says which components other random starts find too.

    Parameters
    ----------
    fit : Fit
        Any fit.
    top : int
        How many of the largest features of each component to name.

    Returns
    -------
    pandas.DataFrame
        Index ``component``, counted from 0 as in ``fit.H``. Columns: ``mass`` (total over all samples, in the unit of
        X), ``share`` (of the mass of W H), with a posterior ``share_low`` and ``share_high`` (ends of its 90% interval;
        missing where the fit stopped too early to have one), ``relevance`` (of shrinkage, else the share),
        ``recurrence`` (share of the starts that have a match of cosine 0.9 or more; missing for a single start),
        ``top_features`` (name and share of the component, the largest first; below 0.1% left out).

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2, engine=bn.MAP())
    >>> fit.summary(top=3).columns.tolist()
    ['mass', 'share', 'relevance', 'recurrence', 'top_features']
    """
    import pandas as pd

    names = feature_names(fit)
    largest = np.argsort(-fit.H, axis=1, kind="stable")[:, :top]
    text = [
        ", ".join(f"{names[j]} {100 * row[j]:.3g}%" for j in order if row[j] >= 0.001)
        for row, order in zip(fit.H, largest, strict=True)
    ]
    alone = len(fit.agreement.rank) == 1
    table = pd.DataFrame(
        {
            "mass": fit.mass,
            "share": fit.share,
            "relevance": fit.relevance[: fit.rank],
            "recurrence": np.full(fit.rank, np.nan) if alone else fit.agreement.recurrence,
            "top_features": pd.Series(text, dtype=object),
        },
        index=pd.RangeIndex(fit.rank, name="component"),
    )
    if fit.posterior is not None:
        low, high = intervals(fit, "share") or np.full((2, fit.rank), np.nan)
        table.insert(2, "share_low", low)
        table.insert(3, "share_high", high)
    return table


def markers(fit: Fit, component: int, prob: float = PROB, size: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return the features of a component by how surely they are its own. `Fit.markers` is the public door.

    A feature that is large in a component need not mark it: it may be as large in another. Where intervals are those
    of the mean field, so are the draws, and the probabilities are too sure.

    Parameters
    ----------
    fit : Fit
        A fit with a posterior.
    component : int
        Row of H.
    prob : float
        Probability inside the intervals of the shares.
    size, seed : int
        Draws from which probabilities are counted.

    Returns
    -------
    pandas.DataFrame
        See `Fit.markers`.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(rng.gamma(1.0, 50.0, (30, 2)) @ np.kron(np.eye(2), np.full((1, 5), 0.2)))
    >>> table = bn.fit(X, rank=2, engine=bn.CAVI(starts=1)).markers(component=0)
    >>> table.columns.tolist()
    ['feature', 'share', 'low', 'high', 'probability']
    >>> int((table["probability"] > 0.95).sum())
    5
    """
    import pandas as pd

    if fit.posterior is None:
        raise EngineError(NO_INTERVAL)
    whole = isinstance(component, (int, np.integer)) and not isinstance(component, bool)
    if not whole or not 0 <= component < fit.rank:
        there = f"a component from 0 to {fit.rank - 1}" if fit.rank else "a component, and the fit kept none"
        raise EngineError(f"Expected {there}; got {component!r}.")
    low, high = fit.interval("H", prob)
    table = pd.DataFrame(
        {
            "feature": pd.Series(feature_names(fit), dtype=object),
            "share": fit.H[component],
            "low": low[component],
            "high": high[component],
            "probability": _largest(fit, int(component), size, seed),
        },
        index=pd.RangeIndex(fit.H.shape[1], name="column"),
    )
    return table.sort_values(["probability", "share"], ascending=False, kind="stable")


def _largest(fit: Fit, component: int, size: int, seed: int) -> np.ndarray:
    """Return the probability that each share is larger in a component than in every other, (m,), from draws."""
    assert fit.posterior is not None
    k, m = fit.H.shape
    if k == 1:
        return np.full(m, np.nan)
    check_count("size", size, 1)
    times = np.zeros(m)
    most = max(1, HELD // (k * m))
    for block, start in enumerate(range(0, size, most)):
        drawn = fit.posterior.draws_of_H(min(most, size - start), seed if size <= most else [seed, block])
        times += (drawn[:, component] > np.delete(drawn, component, 1).max(1)).sum(0)
    return times / size
