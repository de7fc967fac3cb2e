"""A posterior by coordinate ascent, and what it says of W, H and their product."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import jax
import numpy as np

from ._errors import EngineError
from ._input import Table
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
MOST_COORDINATES = 8000
"""Coordinates of H, 2 k m, beyond which they are too."""


class Estimate(NamedTuple):
    """Mean and variance of a quantity."""

    mean: np.ndarray
    variance: np.ndarray

    def interval(self, prob: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the equal-tailed interval of the Gamma with this mean and variance."""
        from scipy.special import gammaincinv

        spread = np.where(self.variance > 0, self.variance, np.inf)
        shape = np.where(self.mean > 0, self.mean**2 / spread, 1)
        scale = np.where(self.mean > 0, spread / np.where(self.mean > 0, self.mean, 1), 0)
        known = self.variance <= 0
        ends = [np.where(known, self.mean, gammaincinv(shape, q) * scale) for q in ((1 - prob) / 2, (1 + prob) / 2)]
        return ends[0], ends[1]


@dataclass(frozen=True)
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

    def __post_init__(self) -> None:
        """Lay all arrays out alike, so that what is saved and loaded gives the same digits."""
        for name in ("W", "H", "prior_W", "prior_H", "rate"):
            value = jax.tree.map(lambda a: np.array(a, order="C"), getattr(self, name))
            object.__setattr__(self, name, value)

    @property
    def beliefs(self) -> Beliefs:
        """All that is believed, as the engine has it."""
        rate = Gammas(np.ones(1), np.ones(1)) if self.rate is None else self.rate
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
        n, k = self.W.mean.shape
        return n * 2 * k * (2.0 * self.H.mean.size) ** 2

    @property
    def has_response(self) -> bool:
        """Whether there is a linear response, and it is affordable."""
        small = self.work <= MOST_WORK and 2 * self.H.mean.size <= MOST_COORDINATES
        known = self.fitted is None or self.fitted.has_response
        return self.linear and small and known and not isinstance(self.H, Dirichlets)

    @cached_property
    def moved(self) -> tuple[Moved, Moved]:
        """W and H as they may move."""
        if isinstance(self.H, Dirichlets):
            raise EngineError("Linear response does not know Dirichlet rows yet: use method='mean_field'.")
        of = Moved.of_truncated if isinstance(self.H, TruncatedNormals) else Moved.of_gamma
        W, H = (of(*(np.asarray(a, float) for a in jax.tree.leaves(q))) for q in (self.W, self.H))
        return W, H.known(np.arange(len(H.mean)) < self.known, H.mean)

    @cached_property
    def response(self) -> Response:
        """How W and H move together."""
        if self.fitted is not None:
            return self.fitted.response
        try:
            return Response.at(*self.moved, self.hyper, self.likelihood, self.rows)
        except np.linalg.LinAlgError:
            raise EngineError(
                "Linear response needs a posterior at its optimum, and this one is not: the fit stopped before, or "
                "shrinkage dropped components that still held a part of X. Go on from here with init=fit, "
                "rank=fit.rank and more max_steps, or use method='mean_field', which is too narrow."
            ) from None

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
            of_shape, of_rate = f"shape_{side}" in self.learned, f"rate_{side}" in self.learned
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
                gradients["H"].append(shared)
            blocks.append(np.eye(k))
        p = sum(map(len, blocks))
        W, H = (np.array(gradients[side]).reshape(p, 2, k).swapaxes(0, 1) for side in ("W", "H"))
        return Hyper(W, H, block_diag(*blocks) if blocks else np.zeros((0, 0)))

    def rows(self, part: slice) -> Rows:
        """Return some samples, dense."""
        return Rows(*map(np.ascontiguousarray, dense_rows(self.table, part)))

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
        return self._of_mean if name == "mean" else self._of_factors[name]

    def draws(self, size: int, seed: int) -> dict[str, np.ndarray]:
        """Return draws of W (size, n, k) and H (size, k, m), rows of H summing to 1.

        They have the response's covariance, or are of the mean field where there is none.
        """
        random = np.random.default_rng(seed)
        if not self.has_response:
            drawn = self._mean_field_draw("H", random, size)
            return {"W": self._mean_field_draw("W", random, size) * drawn.sum(2)[:, None], "H": _unit(drawn)}
        response, (W, H) = self.response, self.moved
        k, scale = len(H.mean), H.mean.sum(1)
        z, drawn_H, of_scale = self._draw_H(random, size)
        spread = self._of_factors["W"].variance
        drawn_W = np.empty((size, *W.mean.shape))
        for part, own, t in response.rows(W, self.rows):
            root = np.linalg.cholesky(own + 1e-12 * np.eye(k) * np.einsum("rkk->r", own)[:, None, None])
            noise = np.einsum("rkl,srl->srk", root, random.standard_normal((size, *own.shape[:2])))
            moved = scale * (noise - np.einsum("rkz,zs->srk", t, z)) + W.mean[part] * of_scale[:, None]
            drawn_W[:, part] = _quantile(W.mean[part] * scale, moved, spread[part])
        return {"W": drawn_W, "H": drawn_H}

    def draws_of_H(self, size: int, seed: int | list[int]) -> np.ndarray:
        """Return the H of `draws`, without the work that W takes."""
        random = np.random.default_rng(seed)
        return self._draw_H(random, size)[1] if self.has_response else _unit(self._mean_field_draw("H", random, size))

    def _draw_H(self, random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return draws in the coordinates of the response (coordinates, size), of H (size, k, m), and of row sums.

        H has unit row sums from the start: what moves from W to H and leaves W H as it is is known by the priors alone,
        too badly for straight lines.
        """
        from scipy.linalg import solve_triangular

        response, (_, H) = self.response, self.moved
        z = solve_triangular(response.lower, random.standard_normal((response.size, size)), lower=True, trans="T")
        moved = z[: H.mean.size].T.reshape(size, *H.mean.shape) * H.ee
        of_scale, unit = moved.sum(2), self._of_factors["H"]
        moved = (moved - unit.mean * of_scale[:, :, None]) / H.mean.sum(1)[:, None]
        return z, _unit(_quantile(unit.mean, moved, unit.variance)), of_scale

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
    def _of_factors(self) -> dict[str, Estimate]:
        response, (W, H) = self.response, self.moved
        k, m = H.mean.shape
        size = H.mean.sum(1)
        unit = H.mean / size[:, None]
        # rows of H scaled to sum to 1: d(h / S) = dh / S - (h / S) dS / S
        each = _each(k, m)
        scaled = (each - unit[:, :, None, None] * each.sum(1)[:, None]) / size[:, None, None, None]
        sums = response.solve(response.gradient(each.sum(1)))
        variance_W, total, moved = np.zeros(W.mean.shape), np.zeros((k, k)), np.zeros((response.size, k))
        for part, own, t in response.rows(W, self.rows):
            joint = W.mean[part] * sums[:, None] - size * response.solve(t)
            variance_W[part] = size**2 * np.einsum("rkk->rk", own) + (joint**2).sum(0)
            total += own.sum(0)
            moved += joint.sum(1)
        mass = W.mean.sum(0) * size
        covariance = np.outer(size, size) * total + moved.T @ moved
        share = mass / mass.sum()
        by_share = (np.eye(k) - share[:, None]) / mass.sum()
        return {
            "W": Estimate(W.mean * size, variance_W),
            "H": Estimate(unit, (response.solve(response.gradient(scaled)) ** 2).sum(0)),
            "mass": Estimate(mass, np.diag(covariance)),
            "share": Estimate(share, np.einsum("kl,lp,kp->k", by_share, covariance, by_share)),
        }

    @cached_property
    def _of_mean(self) -> Estimate:
        response, (W, H) = self.response, self.moved
        of_H = response.solve(response.gradient(_each(*H.mean.shape)))
        variance = np.zeros((len(W.mean), H.mean.shape[1]))
        for part, own, t in response.rows(W, self.rows):
            joint = np.einsum("rk,zkj->zrj", W.mean[part], of_H, optimize=True)
            joint -= np.einsum("zrk,kj->zrj", response.solve(t), H.mean, optimize=True)
            variance[part] = np.einsum("kj,rkl,lj->rj", H.mean, own, H.mean, optimize=True) + (joint**2).sum(0)
        return Estimate(W.mean @ H.mean, variance)

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


def _each(k: int, m: int) -> np.ndarray:
    """Return the gradient of each entry of H, (k, m, k, m)."""
    return np.eye(k * m).reshape(k, m, k, m)


def _unit(H: np.ndarray) -> np.ndarray:
    return H / np.maximum(H.sum(2, keepdims=True), np.finfo(float).tiny)


def _quantile(mean: np.ndarray, deviation: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return Gamma variables with this mean and variance at the ranks of normal deviations."""
    from scipy.special import gammaincinv, ndtr

    known = variance <= 0
    spread = np.where(known, 1, variance)
    shape = np.where(known, 1, mean**2 / spread)
    rank = np.clip(ndtr(deviation / np.sqrt(spread)), 1e-12, 1 - 1e-12)
    return np.where(known, mean, gammaincinv(shape, rank) * spread / np.where(known, 1, mean))
