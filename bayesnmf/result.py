"""The result of a fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import EngineError, Finding
from ._types import MatrixLike
from .align import Match, match_rows
from .model import Model

if TYPE_CHECKING:
    import pandas as pd

    from .plotting import FitPlots

NEAR = 0.9
"""Cosine from which two components count as the same."""


@dataclass(frozen=True)
class Agreement:
    """How the random starts of a fit agree.

    Attributes
    ----------
    objective : array of shape (starts,)
        Where each start ended: minus the log posterior, up to terms of X alone. Lower is better.
    rank : array of shape (starts,)
        Components that each start kept.
    cosine : array of shape (starts, rank)
        Cosine of each component of the best start with its match in each start; 0 where it has none.
    status : tuple of str
        Why each start stopped.
    best : int
        The start that was returned.
    """

    objective: np.ndarray
    rank: np.ndarray
    cosine: np.ndarray
    status: tuple[str, ...]
    best: int

    @property
    def recurrence(self) -> np.ndarray:
        """Share of the other starts in which each component has a match with a cosine of at least 0.9, (rank,).

        NaN with a single start: there is nothing to compare.
        """
        others = np.delete(self.cosine, self.best, 0)
        return (others >= NEAR).mean(0) if len(others) else np.full(self.cosine.shape[1], np.nan)

    def __str__(self) -> str:
        starts = len(self.rank)
        if starts == 1:
            return "1 start: nothing to compare"
        ranks, counts = np.unique(self.rank, return_counts=True)
        kept = ", ".join(f"{r} in {c}" for r, c in zip(ranks, counts, strict=True))
        spread = self.objective[np.isfinite(self.objective)] - self.objective[self.best]
        text = f"{starts} starts: components kept {kept}; objective above the best by {np.median(spread):.3g} (median)"
        if self.cosine.size:
            others = np.delete(self.cosine, self.best, 0)
            text += f"; matched cosine {np.median(others):.3f} (median), {others.min():.3f} (least)"
        return text


@dataclass(frozen=True)
class Projection:
    """Activities of new samples: `W` (n, k), and any findings."""

    W: np.ndarray
    warnings: tuple[Finding, ...] = ()

    def interval(self, prob: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Raise: a mode has no interval."""
        raise EngineError(NO_INTERVAL)


NO_INTERVAL = (
    "A MAP fit is one point, so it has no interval. Intervals come with the posterior engines: CAVI, SVI, NUTS and "
    "Gibbs. "
    "Version 0.1 has MAP only; what it can say about certainty is how its random starts agree: fit.agreement."
)


@dataclass(frozen=True, repr=False)
class Fit:
    """Parts of X, how much of each, and how they were found. Made by `bayesnmf.fit`.

    Attributes
    ----------
    W : array of shape (n, rank)
        Activities, in the unit of X: H has unit row sums, so ``W[i, k]`` is what component k adds to the total of
        sample i.
    H : array of shape (rank, m)
        Components, each row summing to 1. Known rows come first, then the others by mass.
    relevance : array of shape (model.rank,)
        How strongly each of the model's components is needed, those kept first: `ARD`'s relevance, else the share of
        mass.
    model : Model
        The model that was used, with nothing left out.
    engine : MAP
        The engine that was used.
    noise : dict
        Noise parameters by name, in the unit of X.
    objective, residual : float
        Minus the log posterior up to terms of X alone; largest violation of the optimality conditions.
    status, steps : str, int
        Why the best start stopped ("converged", "max_steps", "nonfinite"), and after how many steps.
    trace : array
        Objective at the start and at each check, in the engine's units.
    agreement : Agreement
        How the random starts agree.
    warnings : tuple of Finding
        What the reader must know. Empty is good.
    seed : int or None
        The seed; None where a JAX key was given.
    samples, features : tuple of str or None
        Names that came with X.
    groups : array of shape (n,) or None
        Groups of samples, as given.
    negative : str or None
        What was done with negative entries.
    rate_W : array of shape (rank,)
        Rate of the prior of each column of W, as `project` uses it.
    versions : dict
        Versions of what it was made with.
    """

    W: np.ndarray
    H: np.ndarray
    relevance: np.ndarray
    model: Model
    engine: Any
    noise: dict[str, np.ndarray]
    objective: float
    residual: float
    status: str
    steps: int
    trace: np.ndarray
    agreement: Agreement
    warnings: tuple[Finding, ...]
    seed: int | None
    samples: tuple[str, ...] | None
    features: tuple[str, ...] | None
    groups: np.ndarray | None
    negative: str | None
    rate_W: np.ndarray
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """Number of components kept."""
        return self.H.shape[0]

    @property
    def mean(self) -> np.ndarray:
        """W H, (n, m), without size factors and opportunities."""
        return self.W @ self.H

    @property
    def mass(self) -> np.ndarray:
        """Total of each component over all samples, (rank,)."""
        return self.W.sum(0)

    @property
    def share(self) -> np.ndarray:
        """Share of the mass of W H that is each component's, (rank,)."""
        return self.mass / max(self.mass.sum(), np.finfo(float).tiny)

    @property
    def plot(self) -> FitPlots:
        """Pictures: ``fit.plot.components()``, ``.activities()``, ``.relevance()``, ``.agreement()``, ``.trace()``."""
        from .plotting import FitPlots

        return FitPlots(self)

    def summary(self, top: int = 5) -> pd.DataFrame:
        """Return a table with a row for each component: mass, share, relevance, recurrence, top features."""
        from .summaries import summary

        return summary(self, top)

    def interval(self, name: str = "H", prob: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Raise `EngineError`: a mode has no interval. The message names the engines that have."""
        raise EngineError(NO_INTERVAL)

    def project(self, X: MatrixLike, **data: Any) -> Projection:
        """Return the activities of new samples with H, noise and priors as they were fitted.

        Parameters
        ----------
        X : matrix of shape (n_new, m)
            New samples with the same features.
        **data
            `observed`, `weights`, `size_factors`, `opportunities`, as in `bayesnmf.fit`.
        """
        from ._fit import project

        return project(self, X, **data)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fit as netCDF (HDF5). `bayesnmf.load` reads it back; nothing in the file can run code."""
        from ._storage import save

        save(self, path)

    def __repr__(self) -> str:
        from .summaries import describe

        return describe(self)


def match(fit_a: Fit, fit_b: Fit) -> Match:
    """Return which component of one fit is which of another, by the cosine of their rows of H.

    >>> import numpy as np, bayesnmf as bn
    >>> X = np.random.default_rng(0).poisson(np.outer(np.arange(20), np.ones(10)))
    >>> fit = bn.fit(X, rank=2)
    >>> bn.match(fit, fit).own.tolist()
    [0, 1]
    """
    return match_rows(fit_a.H, fit_b.H)
