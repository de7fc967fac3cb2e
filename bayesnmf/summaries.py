"""What a fit says in words and in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .result import Fit

if TYPE_CHECKING:
    import pandas as pd


def feature_names(fit: Fit) -> tuple[str, ...]:
    """Return the names of the features, or "feature 0", "feature 1", ... where X had none."""
    return fit.features or tuple(f"feature {j}" for j in range(fit.H.shape[1]))


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
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
    >>> print(repr(fit).splitlines()[0])
    Fit of 20 samples x 10 features: 2 components, Poisson, MAP
    """
    n, m = fit.W.shape[0], fit.H.shape[1]
    likelihood, engine = type(fit.model.likelihood).__name__, type(fit.engine).__name__
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
    if fit.negative is not None:
        lines.append(f'  negative   entries below 0: "{fit.negative}"')
    lines.append(
        f"  course     {fit.status} after {fit.steps} steps; objective {fit.objective:.6g}, residual {fit.residual:.2g}"
    )
    lines.append(f"  starts     {fit.agreement}")
    lines.append("  intervals  none: a MAP fit is one point and has no error bars")
    lines += [f"  warning    {finding}" for finding in fit.warnings]
    return "\n".join(lines)


def summary(fit: Fit, top: int = 5) -> pd.DataFrame:
    """Return a table with a row for each component. `Fit.summary` is the public door.

    Not for certainty: a MAP fit has no intervals. `recurrence` says which components other random starts find too.

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
        X), ``share`` (of the mass of W H), ``relevance`` (ARD's, else the share), ``recurrence`` (share of the starts
        that have a match of cosine 0.9 or more; missing for a single start), ``top_features`` (name and share of the
        component, the largest first; below 0.1% left out).

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
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
    return pd.DataFrame(
        {
            "mass": fit.mass,
            "share": fit.share,
            "relevance": fit.relevance[: fit.rank],
            "recurrence": np.full(fit.rank, np.nan) if alone else fit.agreement.recurrence,
            "top_features": pd.Series(text, dtype=object),
        },
        index=pd.RangeIndex(fit.rank, name="component"),
    )
