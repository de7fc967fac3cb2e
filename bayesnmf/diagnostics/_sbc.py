"""Simulation-based calibration: the truth is anywhere among the draws with the same probability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from .._errors import EngineError
from .._fit import fit
from ..engines import NUTS, SVI, Gibbs
from ..model import Model
from ._simulate import Simulation

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Calibration:
    """Ranks of the truth among `size` draws, by quantity, (sets,) each."""

    ranks: dict[str, np.ndarray]
    size: int

    def summary(self, bins: int = 10) -> pd.DataFrame:
        """Return by quantity: chi-squared and its probability under uniform ranks, mean rank (1/2), its z-score."""
        import pandas as pd
        from scipy import stats

        rows, bins = {}, min(bins, self.size + 1)
        for name, ranks in self.ranks.items():
            edges = np.linspace(-0.5, self.size + 0.5, bins + 1)
            counts = np.histogram(ranks, edges)[0]
            expected = np.diff(np.ceil(edges)) / (self.size + 1) * len(ranks)  # bins hold unlike numbers of ranks
            chi2 = float(np.sum((counts - expected) ** 2 / expected))
            mean = ranks.mean() / self.size
            error = np.sqrt((self.size + 2) / self.size / 12 / len(ranks))
            rows[name] = {
                "chi2": chi2, "probability": stats.chi2.sf(chi2, bins - 1), "mean": mean, "z": (mean - 0.5) / error
            }  # fmt: skip
        return pd.DataFrame(rows).T


def sbc(
    model: Model | Callable[..., Any], shape: tuple[int, int], *, rank: int | None = None, engine: Any = None,
    sets: int = 100, size: int = 19, seed: int = 0, **data: Any,
) -> Calibration:  # fmt: skip
    """Simulate data from the model, fit them, and rank the truth among draws (Talts et al. 2018).

    Where the sampler and the model agree ranks are uniform, in every quantity. That holds on average over sets, and
    says nothing of a fit at hand. For a model of your own: before believing its intervals.

    Parameters
    ----------
    model : Model or callable
        Means of priors and noise given, so that there is a truth to simulate; or a program.
    shape : (n, m)
        Of the data.
    rank : int, optional
        For a program.
    engine : Gibbs, NUTS or SVI, optional
        What is judged. Left out: `NUTS` of two chains.
    sets : int
        Data sets. Some tens find gross faults; a study takes hundreds.
    size : int
        Draws that the truth is ranked among, evenly spaced, so that they are nearly independent.
    seed : int
        Same seed, same ranks.
    **data
        ``observed``, ``weights``, ``size_factors``, ``opportunities``, ``groups``, as in `bayesnmf.fit`.

    Returns
    -------
    Calibration
        Ranks by quantity: sums of W and of H, greatest mass, two entries of W H, the log-likelihood.

    Raises
    ------
    ModelError
        For a model that cannot be simulated from.

    Examples
    --------
    >>> import bayesnmf as bn
    >>> model = bn.Model(1, bn.Poisson(), W=bn.Gamma(2.0, mean=2.0), H=bn.Gamma(2.0, mean=1.0))
    >>> engine = bn.Gibbs(chains=1, warmup=50, draws=50, starts=1)
    >>> sorted(bn.diagnostics.sbc(model, (6, 4), engine=engine, sets=3).ranks)[:2]
    ['W H, first entry', 'W H, last entry']
    """
    engine = NUTS(chains=2, warmup=200, draws=200, starts=1) if engine is None else engine
    if not isinstance(engine, (NUTS, SVI, Gibbs)):
        raise EngineError(f"Expected an engine that draws, such as bn.Gibbs() or bn.NUTS(); got {engine!r}.")
    simulation = Simulation.of(model, shape, rank, data)
    ranks: dict[str, list[int]] = {}
    for index in range(sets):
        key = jax.random.fold_in(jax.random.key(seed), index)
        X, truth = simulation.draw(key)
        found = fit(X, model, rank=rank, engine=engine, seed=key, **data)
        posterior: Any = found.posterior
        scale = posterior.others.get("scale", np.ones(posterior.W.shape[:2] + posterior.W.shape[3:]))
        pooled = [
            a.reshape(-1, *a.shape[2:]) for a in (posterior.W / scale[:, :, None], posterior.H * scale[..., None])
        ]
        chosen = np.linspace(0, len(pooled[0]) - 1, size).astype(int)
        drawn = [simulation.quantities(X, pooled[0][s], pooled[1][s]) for s in chosen]
        for name, value in simulation.quantities(X, truth["W"], truth["H"]).items():
            ranks.setdefault(name, []).append(sum(own[name] < value for own in drawn))
    return Calibration({name: np.array(values) for name, values in ranks.items()}, size)
