"""A posterior by coordinate ascent, and what it says of W, H and their product."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import jax
import numpy as np

from ._errors import EngineError
from ._input import Table
from ._linear import Estimate, Linear, LinearOfColumns, unit_sums
from ._types import Side
from .align import unit_rows
from .engines._curvature import Moved
from .engines._families import Conditional, Dirichlets, Gammas
from .engines._prepare import Rows, dense_rows
from .engines._response import Hyper, Response
from .engines._truncated import TruncatedNormals
from .engines._variational import Beliefs, Family
from .likelihoods import Likelihood

Method = Literal["linear_response", "mean_field", "draws"]
Name = Literal["W", "H", "mean", "mass", "share"]

MOST_WORK = 2e13
"""Operations of a linear response beyond which intervals are those of the mean field: some minutes on two cores."""
LITTLE_WORK = 5e10
"""Operations up to which responses are taken while a fit is made, a dozen of them: about a second each."""
MOST_COORDINATES = 8000
"""Coordinates of the smaller side, 2 k min(n, m), beyond which they are too."""

SOFT = 0.002
"""By which share couplings are smaller where a divergence is taken, and where the response is not defined without."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """q(W) q(H) at its optimum, in the units of X, and the data it was fitted to.

    Attributes
    ----------
    W, H : Gammas, Dirichlets or TruncatedNormals
        Parameters of the factors of the components kept, before rows of H are scaled to sum to 1.
    prior_W, prior_H : Conditional
        Their priors as believed.
    rate : Gammas or None
        What is believed of the rates that shrinkage owns.
    likelihood : Likelihood
        With its learned noise.
    learned : tuple of str
        Which parameters of the priors were learned.
    known : int
        How many rows of H are known.
    table : Table
        The data.
    fitted : Posterior or None
        For new samples the posterior of the fit: how H moves is learned there.
    linear : bool
        Whether it is an optimum, about which a linear response can be taken.
    weighed : tuple of {"W", "H"}
        Factors whose prior has the shape of greatest evidence, not of greatest ELBO: the response is that given it.
    """

    W: Family
    H: Family
    prior_W: Conditional
    prior_H: Conditional
    rate: Gammas | None
    likelihood: Likelihood
    learned: tuple[str, ...]
    known: int
    table: Table
    fitted: Posterior | None = None
    linear: bool = True
    weighed: tuple[Side, ...] = ()

    def __post_init__(self) -> None:
        """Lay all arrays out alike, so that what is saved and loaded gives the same digits."""
        for name in ("W", "H", "prior_W", "prior_H", "rate"):
            value = jax.tree.map(lambda a: np.array(a, order="C"), getattr(self, name))
            object.__setattr__(self, name, value)

    @property
    def beliefs(self) -> Beliefs:
        """All that is believed, as the engine has it."""
        nothing = np.ones(len(self.H.mean))
        rate = Gammas(nothing, nothing) if self.rate is None else self.rate
        return Beliefs(self.W, self.H, self.prior_W, self.prior_H, rate, self.likelihood)

    @property
    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """W and H, with rows of H that sum to 1."""
        (W, _), (H, _) = self._moments
        return unit_rows(W, H)

    def projected(self, W: Gammas, table: Table) -> Posterior:
        """Return the posterior of new samples, with all else as it was fitted."""
        return replace(self, W=W, table=table, fitted=self)

    @property
    def work(self) -> float:
        """Operations that a linear response takes, about."""
        return self._work(self._of_columns)[0]

    @property
    def has_response(self) -> bool:
        """Whether there is a linear response, and it is affordable."""
        known = self.fitted is None or (self.fitted.linear and self.fitted._affords(of_columns=False))
        return self.linear and known and self._affords(self._of_columns)

    @property
    def _of_columns(self) -> bool:
        """Whether columns of H are eliminated: they are more than the rows of W, and nothing joins them."""
        by_feature = any(np.ndim(leaf) for leaf in jax.tree.leaves(self.likelihood)) or isinstance(self.H, Dirichlets)
        return self.fitted is None and not by_feature and self.W.mean.shape[0] < self.H.mean.shape[1]

    def _work(self, of_columns: bool) -> tuple[float, int]:
        """Return operations, about, and coordinates of the side that is left."""
        (n, k), m = self.W.mean.shape, self.H.mean.shape[1]
        many, few = (m, n) if of_columns else (n, m)
        return many * 2.0 * k * (2.0 * k * few) ** 2, 2 * k * few

    def _affords(self, of_columns: bool) -> bool:
        work, coordinates = self._work(of_columns)
        return work <= MOST_WORK and coordinates <= MOST_COORDINATES

    @property
    def moved(self) -> tuple[Moved, Moved]:
        """W and H as they may move."""
        of: dict[Any, Any] = {
            Gammas: Moved.of_gamma,
            Dirichlets: Moved.of_dirichlet,
            TruncatedNormals: Moved.of_truncated,
        }
        W, H = (of[type(q)](*(np.asarray(a, float) for a in jax.tree.leaves(q))) for q in (self.W, self.H))
        return W, H.known(np.arange(len(H.mean)) < self.known, H.mean)

    @cached_property
    def linear_response(self) -> Linear:
        """How W and H move together."""
        if self.fitted is not None:
            return Linear(self.fitted.response_of_H, *self.moved, self.rows)
        W, H = self._softly_moved
        if not self._of_columns:
            return Linear(self.response_of_H, W, H, self.rows)
        return LinearOfColumns(self._response[1], W, H, self.columns)

    @cached_property
    def response_of_H(self) -> Response:
        """How H moves, with the rows of W eliminated."""
        return self._response_of(*self._softly_moved, of_columns=False) if self._of_columns else self._response[1]

    @property
    def is_softened(self) -> bool:
        """Whether the response is defined only where couplings are a little smaller, and is taken there."""
        return self.work <= LITTLE_WORK and self._response[0]

    @cached_property
    def _response(self) -> tuple[bool, Response]:
        try:
            return False, self._response_of(*self.moved, self._of_columns)
        except EngineError:
            if self.work > LITTLE_WORK:  # nobody would have been told
                raise
            return True, self._response_of(*self._soft, self._of_columns)

    @property
    def _soft(self) -> tuple[Moved, Moved]:
        W, H = self.moved
        return W.less_coupled(SOFT), H.less_coupled(SOFT)

    @property
    def _softly_moved(self) -> tuple[Moved, Moved]:
        return self._soft if self.is_softened else self.moved

    @cached_property
    def _corrections(self) -> tuple[float, float]:
        """Return `distance` and `occam`: numbers alone, for a search keeps many fits and a response is large."""
        response = self._response_of(*self._soft, self._of_columns)
        ranges = self.likelihood.noise_ranges.values() if self.likelihood.learned else ()
        sizes = np.repeat([np.log(np.log(high / low)) for low, high in ranges], response.noise_sizes)
        share = np.minimum(np.log(2 * np.pi / response.noise) / 2 - sizes, 0)
        return response.log_det / -2, float(share.sum())

    @property
    def distance(self) -> float:
        """Kullback-Leibler divergence of q from the posterior, to second order: ``-log det(I - V D'') / 2``.

        Exact where the posterior is Gaussian. D'' is taken a little smaller: along a direction in which the optimum
        is nearly a saddle, all would hang on the last digits.
        """
        return self._corrections[0]

    @property
    def occam(self) -> float:
        """What noise that was learned costs: log of the share that it has of what it could be.

        ``log sqrt(2 pi / c) - log(log(high / low))`` for each parameter, whose logarithm has a precision of c and is
        uniform within `Likelihood.noise_ranges` before; no more than 0, for a dispersion that vanishes has none.
        """
        return self._corrections[1]

    @property
    def events(self) -> np.ndarray:
        """Events of X that each component is thought to have made; its square over variances for Gaussian noise."""
        return self.beliefs.events

    def _response_of(self, W: Moved, H: Moved, of_columns: bool) -> Response:
        """Return how one side moves, with the rows of W or the columns of H eliminated."""
        if not of_columns:
            return _response(W, H, self.hyper, self.likelihood, self.rows, isinstance(self.H, Dirichlets))
        turned = (Moved(*(a.T for a in side)) for side in (H, W))
        hyper = self.hyper._replace(W=self.hyper.H, H=self.hyper.W)
        return _response(*turned, hyper, self.likelihood, self.columns, False)

    @property
    def hyper(self) -> Hyper:
        """Learned parameters of the priors as coordinates of the response: logarithms, and whitened shared rates."""
        from scipy.linalg import block_diag
        from scipy.special import polygamma

        k = self.W.mean.shape[1]
        gradients: dict[str, list[np.ndarray]] = {"W": [], "H": []}
        blocks = []
        for side, other, q, prior in (("W", "H", self.W, self.prior_W), ("H", "W", self.H, self.prior_H)):
            # the rate of a component that shrinkage or knowledge owns is not among them
            shape, rate, count = float(prior.shape), float(np.ravel(prior.rate)[-1]), q.mean.size
            count -= self.known * q.mean.shape[1] if side == "H" else 0
            of_shape = f"shape_{side}" in self.learned and side not in self.weighed
            of_rate = f"rate_{side}" in self.learned
            curve = count * shape**2 * polygamma(1, shape)
            if of_shape and of_rate:
                new, own = (
                    [(0.0, shape), (-rate, 0.0)],
                    np.array([[curve, -count * shape], [-count * shape, count * shape]]),
                )
            elif of_shape:
                new, own = [(-rate, shape)], np.array([[curve - count * shape]])
            elif of_rate:
                new = [(-rate, 0.0) if q.power == 1 else (0.0, -rate / 2)]
                own = np.array([[count * shape / q.power]])
            else:
                continue
            gradients[side] += [np.outer(g, np.ones(k)) for g in new]
            gradients[other] += [np.zeros((2, k))] * len(new)
            blocks.append(own)
        if self.rate is not None:
            free = np.arange(k) >= self.known
            for j, root in enumerate(np.sqrt(self.rate.shape) / self.rate.rate * free):
                shared = np.zeros((2, k))
                shared[self.W.power - 1, j] = -root / self.W.power
                gradients["W"].append(shared)
                gradients["H"].append(np.zeros((2, k)) if isinstance(self.H, Dirichlets) else shared)
            blocks.append(np.eye(k))
        p = sum(map(len, blocks))
        W, H = (np.array(gradients[side]).reshape(p, 2, k).swapaxes(0, 1) for side in ("W", "H"))
        return Hyper(W, H, block_diag(*blocks) if blocks else np.zeros((0, 0)))

    def rows(self, part: slice) -> Rows:
        """Return some samples, dense."""
        return Rows(*map(np.ascontiguousarray, dense_rows(self.table, part)))

    def columns(self, part: slice) -> Rows:
        """Return some features as rows, dense."""
        return Rows(*(np.ascontiguousarray(a.T) for a in dense_rows(self.table, slice(0, len(self.W.mean)), part)))

    def interval(self, name: Name, prob: float, method: Method | None) -> tuple[np.ndarray, np.ndarray]:
        """Return equal-tailed intervals: of linear response where there is one, unless `method` says otherwise."""
        return self.estimate(name, method or self._method).interval(prob)

    def variance(self, name: Name) -> np.ndarray:
        """Return the variance behind `interval`."""
        return self.estimate(name, self._method).variance

    @property
    def rank(self) -> int:
        """Number of components."""
        return self.W.mean.shape[1]

    @property
    def _method(self) -> Method:
        return "linear_response" if self.has_response else "mean_field"

    def estimate(self, name: Name, method: Method) -> Estimate:
        """Return mean and variance of W, H (rows of H summing to 1), "mean" (W H), "mass" or "share"."""
        if name not in ("W", "H", "mean", "mass", "share"):
            raise EngineError(f'Expected name to be "W", "H", "mean", "mass" or "share"; got {name!r}.')
        if method == "mean_field":
            return self._mean_field[name]
        if method != "linear_response":
            raise EngineError(f'Expected method to be "linear_response" or "mean_field"; got {method!r}.')
        return self.linear_response.mean if name == "mean" else self.linear_response.factors[name]

    def draws(self, size: int, seed: int) -> dict[str, np.ndarray]:
        """Return draws of W (size, n, k) and H (size, k, m), rows of H summing to 1.

        They have the response's covariance, or are of the mean field where there is none.
        """
        random = np.random.default_rng(seed)
        if self.has_response:
            W, H = self.linear_response.draws(random, size)
            return {"W": W, "H": H}
        drawn = self._mean_field_draw("H", random, size)
        return {"W": self._mean_field_draw("W", random, size) * drawn.sum(2)[:, None], "H": unit_sums(drawn)}

    def draws_of_H(self, size: int, seed: int | list[int]) -> np.ndarray:
        """Return the H of `draws`, without the work that W takes where that can be."""
        random = np.random.default_rng(seed)
        if self.has_response:
            return self.linear_response.draws_of_H(random, size)
        return unit_sums(self._mean_field_draw("H", random, size))

    def _mean_field_draw(self, side: Literal["W", "H"], random: np.random.Generator, size: int) -> np.ndarray:
        q = self.W if side == "W" else self.H
        if isinstance(q, TruncatedNormals):
            uniform = 1 - random.random((size, *q.linear.shape))
            with jax.enable_x64(True):
                drawn = np.array(jax.tree.map(lambda a: np.asarray(a)[None], q).draw(uniform))
        else:
            drawn = random.gamma(q.shape, size=(size, *q.shape.shape)) / getattr(q, "rate", 1.0)
        if isinstance(q, Dirichlets):
            drawn /= np.maximum(drawn.sum(2, keepdims=True), np.finfo(float).tiny)
        if side == "H":
            drawn[:, : self.known] = self._moments[1][0][: self.known]
        return drawn

    @cached_property
    def _moments(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Mean and variance of W, and of H, under q."""
        with jax.enable_x64(True):
            return [(np.asarray(q.mean, float), np.asarray(q.variance, float)) for q in (self.W, self.H)]

    @cached_property
    def _mean_field(self) -> dict[Name, Estimate]:
        W, H = (Estimate(*moments) for moments in self._moments)
        known = (np.arange(len(H.mean)) < self.known)[:, None]
        var_W, var_H = W.variance, np.where(known, 0, H.variance)
        size, of_size = H.mean.sum(1), var_H.sum(1)
        unit = H.mean / size[:, None]
        var_unit = (var_H * (1 - 2 * unit) + unit**2 * of_size[:, None]) / size[:, None] ** 2
        if isinstance(self.H, Dirichlets):  # its rows sum to 1 as they are
            of_size, var_unit = np.zeros(len(size)), var_H
        mass = W.mean.sum(0) * size
        of_mass = var_W.sum(0) * size**2 + W.mean.sum(0) ** 2 * of_size
        share = mass / mass.sum()
        return {
            "W": Estimate(W.mean * size, var_W * size**2 + W.mean**2 * of_size),
            "H": Estimate(unit, var_unit),
            "mean": Estimate(W.mean @ H.mean, var_W @ (var_H + H.mean**2) + W.mean**2 @ var_H),
            "mass": Estimate(mass, of_mass),
            "share": Estimate(share, ((1 - 2 * share) * of_mass + share**2 * of_mass.sum()) / mass.sum() ** 2),
        }


def _response(*given: Any) -> Response:
    try:
        return Response.at(*given)
    except np.linalg.LinAlgError:
        raise EngineError(
            "Linear response needs a posterior at its optimum, and this one is not: the fit stopped before, or "
            "shrinkage dropped components that still held a part of X, or single precision could not get closer. Go on "
            "from here with init=fit, rank=fit.rank and more max_steps, or engine=bn.CAVI(precision='float64'). Where "
            "the learned shape of H is near zero, H=bn.Exponential() in the model helps. method='mean_field' is there, "
            "and too narrow."
        ) from None
