"""Whether a fast posterior is as wide as the exact one, and in the same place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._errors import EngineError
from .._fit import refit
from ..engines import Gibbs
from ..result import NO_INTERVAL, Fit, match
from ..sampled import Sampled

if TYPE_CHECKING:
    import pandas as pd


def referee(fit: Fit, sweeps: int = 200, *, chains: int = 4, seed: int = 0) -> pd.DataFrame:
    """Compare a fit with short exact chains (`Gibbs`) that begin about it.

    Where `moved` is far above 0 the fit is not where the posterior is; where `width` is far from 1 its intervals are
    too narrow (below) or too wide. The chains are short: they see what is near. Where `rhat` is above 1.05 they have
    not seen that either, and both columns are rough; raise `sweeps`, or fit by `Gibbs` or `NUTS`.

    Parameters
    ----------
    fit : Fit
        By `CAVI` or `SVI`, for counts, events or Gaussian noise.
    sweeps : int
        Draws of each chain; half as many before are not kept.
    chains, seed : int
        Of the exact chains.

    Returns
    -------
    pandas.DataFrame
        For W, H, "mean" (W H) and "mass": ``moved`` (median distance of the means, in exact standard deviations),
        ``moved_most`` (a tenth of entries is further), ``width`` (median ratio of 90% intervals, fit over exact),
        ``rhat`` (of masses, or of entries of W H, at most).

    Raises
    ------
    EngineError
        For a MAP fit, or one by draws, and what `Gibbs` does not take.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=1)
    >>> list(bn.diagnostics.referee(fit, sweeps=100).columns)
    ['moved', 'moved_most', 'width', 'rhat']
    """
    import pandas as pd

    if fit.posterior is None:
        raise EngineError(NO_INTERVAL)
    if fit.status == "sampled" or fit.posterior.likelihood is None:
        raise EngineError("The referee is for fits of a bn.Model by CAVI or SVI; compare chains by their R-hat.")
    engine = Gibbs(chains=chains, warmup=max(sweeps // 2, 50), draws=sweeps, starts=1)
    exact = refit(fit, engine, seed)
    posterior = exact.posterior
    assert isinstance(posterior, Sampled)
    found = match(fit, exact)
    rows = {}
    for name in ("W", "H", "mean", "mass"):
        (low, high), (own_low, own_high) = fit.interval(name), exact.interval(name)
        centre, own = getattr(fit, name), getattr(exact, name)
        if name != "mean":
            low, high, centre = (_some(a, name, found.own) for a in (low, high, centre))
            own_low, own_high, own = (_some(a, name, found.other) for a in (own_low, own_high, own))
        sd = np.maximum(own_high - own_low, 1e-30) / 3.29
        moved = np.abs(centre - own) / sd
        rows[name] = {
            "moved": np.median(moved), "moved_most": np.quantile(moved, 0.9),
            "width": np.median((high - low) / (3.29 * sd)),
            "rhat": posterior.convergence["entries" if name == "mean" else "masses"][0],
        }  # fmt: skip
    return pd.DataFrame(rows).T


def _some(a: np.ndarray, name: str, components: np.ndarray) -> np.ndarray:
    return a[:, components] if name == "W" else a[components]
