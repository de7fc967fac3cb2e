"""The result of a fit."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from math import lgamma
from os import PathLike
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ._errors import DataError, EngineError, Finding, check_count
from ._types import MatrixLike
from .align import Match, by_name, match_rows
from .model import Model
from .priors import Inclusion

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from .plotting import FitPlots
    from .posterior import Method, Name, Posterior
    from .rank import RankSelection
    from .sampled import Sampled

NEAR = 0.9
"""Cosine from which two components count as the same."""


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class Projection:
    """Activities of new samples: `W` (n, k), any findings, and the posterior where the engine has one."""

    W: np.ndarray
    warnings: tuple[Finding, ...] = ()
    posterior: Posterior | None = None

    def interval(self, prob: float = 0.9, *, method: Method | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper ends for W, (n, k) each, as `Fit.interval` does."""
        return _interval(self.posterior, "W", prob, method)

    def draws(self, size: int = 500, *, seed: int = 0) -> dict[str, np.ndarray]:
        """Return draws of W (size, n, k) and H (size, k, m), as `Fit.draws` does."""
        return _draws(self.posterior, size, seed)


NO_INTERVAL = (
    "A MAP fit is one point, so it has no interval and no draws. Fit with a posterior engine: engine=bn.CAVI()."
)


def _versions() -> dict[str, str]:
    from . import __version__

    return {
        "bayesnmf": __version__, "jax": jax.__version__, "numpy": np.__version__, "python": platform.python_version()
    }  # fmt: skip


@dataclass(frozen=True, repr=False, eq=False)
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
        How strongly each of the model's components is needed, those kept first: `ARD`'s relevance, the probability of
        `Inclusion`, else the share of mass.
    model : Model
        The model that was used, with nothing left out; of a program of your own its rank alone.
    engine : MAP, CAVI, Gibbs, NUTS or SVI
        The engine that was used.
    noise : dict
        Noise parameters by name, in the unit of X.
    objective, residual : float
        Minus the log posterior up to terms of X alone, minus the ELBO, or minus the mean log joint of draws; largest
        violation of the optimality conditions, or largest move of a mean in a sweep.
    status, steps : str, int
        Why the best start stopped ("converged", "max_steps", "nonfinite", "sampled"), and after how many steps.
    trace : array
        Objective at the start and at each check, in the engine's units; of draws, that of each in the best chain.
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
    posterior : Posterior, Sampled or None
        q(W) q(H), or draws, of a posterior engine.
    likelihood_chosen : bool
        Whether the likelihood was left out, and chosen by what X is.
    selection : RankSelection or None
        What `rank="auto"` found, as `bayesnmf.select_rank` returns it. Not written by `save`.
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
    posterior: Posterior | Sampled | None = None
    likelihood_chosen: bool = False
    selection: RankSelection | None = None
    versions: dict[str, str] = field(default_factory=_versions)

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
    def inclusion(self) -> np.ndarray:
        """P(component is there | X), (rank,), of a fit whose model has `Inclusion`.

        >>> import numpy as np, bayesnmf as bn
        >>> X = np.random.default_rng(0).poisson(np.kron(np.eye(2), np.full((4, 3), 9.0)))
        >>> model = bn.Model(2, shrinkage=bn.Inclusion(steps=20))
        >>> bn.fit(X, model, engine=bn.Gibbs(chains=2, warmup=50, draws=50)).inclusion.tolist()
        [1.0, 1.0]
        """
        if not isinstance(self.model.shrinkage, Inclusion):
            raise EngineError(
                "Only a model with indicators says whether a component is there: shrinkage=bn.Inclusion(), "
                "engine=bn.Gibbs()."
            )
        return self.relevance[: self.rank]

    @property
    def plot(self) -> FitPlots:
        """Pictures: ``fit.plot.components()``, ``.activities()``, ``.shares()``; see `FitPlots`."""
        from .plotting import FitPlots

        return FitPlots(self)

    def summary(self, top: int = 5) -> pd.DataFrame:
        """Return a table with a row for each component: mass, share, relevance, recurrence, top features.

        With a posterior it has the ends of a 90% interval of the share too.
        """
        from .summaries import summary

        return summary(self, top)

    def markers(self, component: int, prob: float = 0.9, *, size: int = 1000, seed: int = 0) -> pd.DataFrame:
        """Return the features of a component, those first that are surely larger in it than in every other one.

        Parameters
        ----------
        component : int
            Row of H.
        prob : float
            Probability inside the intervals of the shares.
        size, seed : int
            Draws from which the probabilities are counted: with 1000 their Monte Carlo error is below 0.016.

        Returns
        -------
        pandas.DataFrame
            A row for each feature, indexed by its column in H. Columns: ``feature``, ``share`` (of the component),
            ``low`` and ``high`` (ends of its interval), ``probability`` (that the share is larger here than in every
            other component; missing where there is no other). Sorted by probability, then by share.

        Raises
        ------
        EngineError
            For a MAP fit, which is one point, and for a component that there is not.
        """
        from .summaries import markers

        return markers(self, component, prob, size, seed)

    def interval(
        self, name: Name = "H", prob: float = 0.9, *, method: Method | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper ends of equal-tailed intervals.

        Parameters
        ----------
        name : {"W", "H", "mean", "mass", "share"}
            What of: activities (n, rank), components (rank, m), W H (n, m), total of each component (rank,), its share
            (rank,). W and H refer to rows of H that sum to 1.
        prob : float
            Probability inside.
        method : {"linear_response", "mean_field", "draws"}, optional
            Of a fit by `Gibbs`, `NUTS` or `SVI` the quantiles of its draws. Of one by `CAVI` linear response where it
            is affordable: how W and H move together about the fit, as a Gamma with that variance. The mean field
            ignores that, and is too narrow. ``print(fit)`` says which one is the default.

        Raises
        ------
        EngineError
            For a MAP fit, which is one point, and where a fit stopped so early that linear response is not defined.
        """
        return _interval(self.posterior, name, prob, method)

    def draws(self, size: int = 500, *, seed: int = 0) -> dict[str, np.ndarray]:
        """Return draws of W (size, n, rank) and H (size, rank, m), each H with unit row sums.

        They have the covariance and the marginals of linear response, or are of the mean field where `interval` is.
        Same seed, same draws.

        Raises
        ------
        EngineError
            For a MAP fit, which is one point, and where a fit stopped so early that linear response is not defined.
        """
        return _draws(self.posterior, size, seed)

    def to_datatree(self, size: int = 500, *, seed: int = 0) -> xr.DataTree:
        """Return the posterior in ArviZ's layout: its summaries, LOO and pictures run on it.

        Groups ``posterior`` (W, H, mass, noise and parameters of priors that were sampled), ``posterior_predictive``
        and ``log_likelihood`` (by entry of X, times its weight; where some are missing in one dimension, entry),
        ``sample_stats``, ``observed_data``, ``constant_data``. Dimensions are chain, draw, row, feature, component
        (ArviZ calls a draw a sample). Sites of a program of your own that have the shape (rank,) follow their
        components; others come as they were drawn.

        Parameters
        ----------
        size : int
            Draws that are made of a fit by `CAVI`, one chain. Of a fit by draws all are taken, every so many where
            predictions would take more than a GiB.
        seed : int
            Of these draws, and of the predictions.

        Raises
        ------
        EngineError
            For a MAP fit, which is one point.

        Examples
        --------
        >>> import numpy as np, bayesnmf as bn
        >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
        >>> dict(fit.to_datatree(100).posterior.sizes)
        {'chain': 1, 'draw': 100, 'row': 20, 'component': 2, 'feature': 10}
        """
        from .datatree import to_datatree

        return to_datatree(self, size, seed)

    @property
    def elbo(self) -> float:
        """Lower bound of log p(X), with all constants, so that ranks and likelihoods can be compared on the same X.

        Compare fits whose shapes were learned alike: ``print(fit)`` says "(by the evidence)" in all of them or in none.
        `bayesnmf.select_rank` sees to that.
        """
        if self.status == "sampled" or self.posterior is None:
            raise EngineError("This fit has no evidence bound. Fit with engine=bn.CAVI() or bn.SVI().")
        return -self.objective

    @property
    def evidence(self) -> float:
        """Estimate of log p(X), all constants included: what `bayesnmf.select_rank` compares numbers of components by.

        ``ELBO + log k! - log det(I - V D'') / 2`` and, where noise was learned, ``log sqrt(2 pi / c) - log(log(high /
        low))`` for each of its parameters: every order of the components is an equal mode, and the factors of q move
        together, which the ELBO charges for; the more, the more components share entries and the fewer events they
        hold. V and D'' are those of linear response (`interval`), with the learned parameters of the priors; c is the
        precision of the logarithm of the noise, uniform in its range before. Exact where the posterior is Gaussian. A
        bound no longer. Compare fits of which all or none have shapes "(by the evidence)" in ``print(fit)``;
        `select_rank` sees to that. A component without events costs next to nothing: look at `fit.mass` before a
        greater rank is believed. Raises EngineError for fits without one, not at an optimum, or too large.

        >>> import numpy as np, bayesnmf as bn
        >>> X = np.random.default_rng(0).poisson(np.kron(np.eye(2), np.full((10, 5), 20.0)))
        >>> bn.fit(X, rank=2).evidence > bn.fit(X, rank=1).evidence
        True
        """
        posterior: Any = self.posterior
        if not getattr(posterior, "has_response", False):
            raise EngineError(
                "This fit has no linear response, or a too large one: compare elbo + log k! instead, of fits with "
                "engine=bn.CAVI()."
            )
        return self.elbo + lgamma(self.rank - self.model.known_rows + 1) + posterior.distance + posterior.occam

    def project(self, X: MatrixLike, **data: Any) -> Projection:
        """Return the activities of new samples with H, noise and priors as they were fitted.

        Parameters
        ----------
        X : matrix of shape (n_new, m)
            New samples with the same features; where X and the fit have names of these, in the same order.
        **data
            `observed`, `weights`, `size_factors`, `opportunities`, as in `bayesnmf.fit`. None are taken from the fit.

        Raises
        ------
        DataError
            For other features, and for entries that the likelihood cannot make.
        """
        from ._fit import project

        return project(self, X, **data)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fit as netCDF (HDF5). `bayesnmf.load` reads it back; nothing in the file can run code.

        A fit with a posterior is saved with its X, weights and offsets, for intervals are computed from them: do not
        pass the file on where X must stay.
        """
        from ._storage import save

        save(self, path)

    def __repr__(self) -> str:
        from .summaries import describe

        return describe(self)


def _interval(
    posterior: Posterior | Sampled | None, name: Name, prob: float, method: Method | None
) -> tuple[np.ndarray, np.ndarray]:
    if posterior is None:
        raise EngineError(NO_INTERVAL)
    if not isinstance(prob, (int, float, np.number)) or not 0 < prob < 1:
        raise EngineError(f"Expected prob between 0 and 1, such as 0.9; got {prob!r}.")
    if name not in ("W", "H", "mean", "mass", "share"):
        raise EngineError(f'Expected name to be "W", "H", "mean", "mass" or "share"; got {name!r}.')
    if posterior.rank == 0:
        nothing = _none(posterior)[name]
        return nothing, nothing.copy()
    return posterior.interval(name, prob, method)


def _draws(posterior: Posterior | Sampled | None, size: int, seed: int) -> dict[str, np.ndarray]:
    if posterior is None:
        raise EngineError(NO_INTERVAL)
    check_count("size", size, 1)
    if posterior.rank == 0:
        return {name: np.zeros((size, *_none(posterior)[name].shape)) for name in ("W", "H")}
    return posterior.draws(size, seed)


def _none(posterior: Posterior | Sampled) -> dict[str, np.ndarray]:
    """Return what there is where no component was kept."""
    n, m = posterior.table.shape
    return {
        "W": np.zeros((n, 0)), "H": np.zeros((0, m)), "mean": np.zeros((n, m)), "mass": np.zeros(0),
        "share": np.zeros(0),
    }  # fmt: skip


def match(fit_a: Fit, fit_b: Fit) -> Match:
    """Return which component of one fit is which of another, by the cosine of their rows of H.

    Features go by their names where both have some, in whatever order. Raises DataError for other features. Either may
    be the ``truth`` of data that `bayesnmf.datasets.simulate` made.

    >>> import numpy as np, bayesnmf as bn
    >>> X = np.random.default_rng(0).poisson(np.outer(np.arange(20), np.ones(10)))
    >>> fit = bn.fit(X, rank=2)
    >>> bn.match(fit, fit).own.tolist()
    [0, 1]
    """
    names, others = (getattr(fit, "features", None) for fit in (fit_a, fit_b))
    H = fit_b.H
    if fit_a.H.shape[1] != H.shape[1]:
        raise DataError(f"Expected two fits with the same features; got {fit_a.H.shape[1]} and {H.shape[1]}.")
    if names is not None and others is not None and names != others:
        order = by_name(names, others)
        if order is None:
            differing = sorted(set(names) ^ set(others)) or "names more than once"
            raise DataError(f"Expected two fits with the same features, each once; one of them has {differing[:3]}.")
        H = H[:, order]
    return match_rows(fit_a.H, H)
