"""A posterior by draws, and what it says of W, H and their product."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ._errors import EngineError
from ._input import Table
from .engines._families import Conditional, Gammas
from .engines._truncated import TruncatedNormals
from .engines._variational import Beliefs
from .likelihoods import Likelihood
from .posterior import Method, Name, Posterior

BLOCK = 2**22
"""Entries of W H that are computed at a time."""

ENTRIES = 50
"""Entries of W H whose convergence is looked at."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """Draws from the posterior, aligned to one fit, and the data it was fitted to.

    Attributes
    ----------
    W, H : arrays of shape (chains, draws, n, k), (chains, draws, k, m)
        Draws, rows of H summing to 1; as they are where the mean is not W H.
    others : dict
        Draws of what else was sampled, (chains, draws, ...): ``log_joint``, noise, parameters of the priors; ``scale``
        (chains, draws, k), the sums of rows of H before they were scaled to 1.
    prior_W, prior_H : Conditional
        The priors at the means of their parameters, for rows of H that sum to 1.
    likelihood : Likelihood
        With the mean of its learned noise.
    learned : tuple of str
        Which parameters of the priors were learned.
    known : int
        How many rows of H are known.
    table : Table
        The data.
    power : int
        Power of w in the priors.
    program : callable or None
        The user's program that was fitted, in the place of priors and a likelihood.
    product : bool
        Whether its mean is W H.
    dims : dict
        Names of the dimensions of a draw of what else was sampled, where they are known.
    """

    W: np.ndarray
    H: np.ndarray
    others: dict[str, np.ndarray]
    prior_W: Conditional | None
    prior_H: Conditional | None
    likelihood: Likelihood | None
    learned: tuple[str, ...]
    known: int
    table: Table
    power: int = 1
    program: Callable[..., Any] | None = None
    product: bool = True
    dims: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Lay draws out alike, so that what is saved and loaded gives the same digits."""
        for name in ("W", "H"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name)))

    @property
    def has_response(self) -> bool:
        """False: nothing is linearised here."""
        return False

    @property
    def rank(self) -> int:
        """Number of components."""
        return self.H.shape[2]

    @property
    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean of W and of H."""
        return self.W.mean((0, 1)), self.H.mean((0, 1))

    @property
    def beliefs(self) -> Beliefs:
        """Independent factors with the means and variances of the draws: what a projection starts from."""
        if self.likelihood is None or self.prior_W is None or self.prior_H is None:
            raise EngineError(
                "A fit of a program of your own has no projection: new samples need its priors and its noise. Fit the "
                "program to old and new samples together."
            )
        factors: list[Any] = []
        for a in (self.W, self.H):
            mean = np.maximum(a.mean((0, 1)), 1e-12 * a.mean())  # known entries can be 0
            variance = np.maximum(a.var((0, 1)), 1e-12 * mean**2)
            if self.likelihood.background == "quadratic":
                factors.append(TruncatedNormals.of_moments(mean, variance, self.power))
            else:
                factors.append(Gammas(mean**2 / variance, mean / variance))
        nothing = Gammas(np.ones(self.rank), np.ones(self.rank))
        return Beliefs(factors[0], factors[1], self.prior_W, self.prior_H, nothing, self.likelihood)

    def projected(self, W: Any, table: Table) -> Posterior:
        """Return the posterior of new samples, with all else as it was fitted."""
        q_W, q_H, prior_W, prior_H, _, likelihood = self.beliefs
        fitted = Posterior(
            q_W, q_H, prior_W, prior_H, None, likelihood, (), self.known, self.table, linear=False,
        )  # fmt: skip
        return fitted.projected(W, table)

    @cached_property
    def convergence(self) -> dict[str, tuple[float, float, float]]:
        """R-hat, bulk and tail effective sample size, of what label switching cannot spoil.

        Of the log joint, of the masses sorted in each draw, of `ENTRIES` entries of W H spread over X, and of how many
        components there are, where they come and go: the worst of each.
        """
        n, m = self.W.shape[2], self.H.shape[3]
        random = np.random.default_rng(0)
        i, j = random.integers(n, size=ENTRIES), random.integers(m, size=ENTRIES)
        quantities = {
            "log joint": self.others["log_joint"][..., None],
            "masses": np.sort(self.W.sum(2), 2),
            "entries": np.einsum("cdek,cdke->cde", self.W[:, :, i], self.H[..., j]),
        }
        number = self.others.get("components")
        if number is not None and np.ptp(number):
            quantities["components"] = number[..., None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # chains that did not move have no variance
            return {name: _convergence(values) for name, values in quantities.items()}

    def interval(self, name: Name, prob: float, method: Method | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the equal-tailed interval of the draws."""
        if method not in (None, "draws"):
            raise EngineError(f"Intervals of this fit are those of its draws: leave out method={method!r}.")
        levels = [(1 - prob) / 2, (1 + prob) / 2]
        if name != "mean":
            low, high = np.quantile(self._pooled[name], levels, axis=0)
            return low, high
        W, H = self._pooled["W"], self._pooled["H"]
        ends = np.empty((2, W.shape[1], H.shape[2]))
        rows = max(1, BLOCK // (len(W) * H.shape[2]))
        for start in range(0, W.shape[1], rows):
            part = slice(start, start + rows)
            ends[:, part] = np.quantile(W[:, part] @ H, levels, axis=0)
        return ends[0], ends[1]

    def variance(self, name: Name) -> np.ndarray:
        """Return the variance of the draws of anything but "mean"."""
        return self._pooled[name].var(0)

    def draws(self, size: int, seed: int) -> dict[str, np.ndarray]:
        """Return some draws of W (size, n, k) and H (size, k, m), at random; each at most once where they suffice."""
        chosen = self.chosen(size, seed)
        return {"W": self._pooled["W"][chosen], "H": self._pooled["H"][chosen]}

    def draws_of_H(self, size: int, seed: int | list[int]) -> np.ndarray:
        """Return the H of `draws`."""
        return self._pooled["H"][self.chosen(size, seed)]

    def chosen(self, size: int, seed: int | list[int]) -> np.ndarray:
        """Return which of the draws, chains put together, `draws` takes."""
        count = len(self._pooled["W"])
        return np.random.default_rng(seed).choice(count, size, replace=size > count)

    @cached_property
    def _pooled(self) -> dict[str, np.ndarray]:
        W, H = (a.reshape(-1, *a.shape[2:]) for a in (self.W, self.H))
        mass = W.sum(1)
        total = np.maximum(mass.sum(1, keepdims=True), np.finfo(float).tiny)  # 0 where none of those kept is there
        return {"W": W, "H": H, "mass": mass, "share": mass / total}


def _convergence(values: np.ndarray) -> tuple[float, float, float]:
    """Return the greatest R-hat and the least bulk and tail effective sizes of values (chains, draws, ...)."""
    from arviz_stats.base import array_stats

    chains, draws = values.shape[:2]
    if draws < 4:
        return (np.nan,) * 3
    axes = {"chain_axis": 0, "draw_axis": 1}
    rhat = array_stats.rhat(values, **axes) if chains > 1 else np.nan
    bulk = array_stats.ess(values, **axes, method="bulk")
    tail = array_stats.ess(values, **axes, method="tail", prob=0.9)
    return float(np.max(rhat)), float(np.min(bulk)), float(np.min(tail))
