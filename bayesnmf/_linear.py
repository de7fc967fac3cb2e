"""What a linear response says of W, H and their product, with rows of H that sum to 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .engines._curvature import Moved
from .engines._prepare import Rows
from .engines._response import CHUNK, Response


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
class Linear:
    """A response with the rows of W eliminated, and how W and H may move.

    Attributes
    ----------
    response : Response
        Of the side that is left.
    W, H : Moved
        The factors, as they may move under q.
    rows : callable
        Some samples, dense.
    """

    response: Response
    W: Moved
    H: Moved
    rows: Callable[[slice], Rows]

    @cached_property
    def factors(self) -> dict[str, Estimate]:
        """Means and variances of "W", "H", "mass" and "share"."""
        response, W, H = self.response, self.W.mean, self.H.mean
        size = H.sum(1)
        unit = H / size[:, None]
        # rows of H scaled to sum to 1: d(h / S) = dh / S - (h / S) dS / S
        each = _each(*H.shape)
        scaled = (each - unit[:, :, None, None] * each.sum(1)[:, None]) / size[:, None, None, None]
        sums = response.solve(response.gradient(each.sum(1)))
        variance_W, total, moved = np.zeros(W.shape), np.zeros((len(H),) * 2), np.zeros((response.size, len(H)))
        for part, own, t in response.rows(self.W, self.rows):
            joint = W[part] * sums[:, None] - size * response.solve(t)
            variance_W[part] = size**2 * np.einsum("rkk->rk", own) + (joint**2).sum(0)
            total += own.sum(0)
            moved += joint.sum(1)
        return {
            "W": Estimate(W * size, variance_W),
            "H": Estimate(unit, (response.solve(response.gradient(scaled)) ** 2).sum(0)),
        } | _of_masses(W.sum(0) * size, np.outer(size, size) * total + moved.T @ moved)

    @cached_property
    def mean(self) -> Estimate:
        """Mean and variance of W H."""
        return _of_product(self.response, self.W, self.H, self.rows)

    def draws(self, random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return draws of W (size, n, k) and H (size, k, m), which have these variances."""
        W, H = self.W.mean, self.H.mean
        z, drawn_H, of_scale = self._draw_H(random, size)
        spread, scale = self.factors["W"].variance, H.sum(1)
        drawn_W = np.empty((size, *W.shape))
        for part, moved in _draw_rows(self.response, self.W, self.rows, z, random):
            drawn_W[:, part] = _quantile(W[part] * scale, scale * moved + W[part] * of_scale[:, None], spread[part])
        return drawn_W, drawn_H

    def draws_of_H(self, random: np.random.Generator, size: int) -> np.ndarray:
        """Return the H of `draws`, without the work that W takes."""
        return self._draw_H(random, size)[1]

    def _draw_H(self, random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return draws in the coordinates of the response (coordinates, size), of H (size, k, m), and of row sums.

        H has unit row sums from the start: what moves from W to H and leaves W H as it is is known by the priors alone,
        too badly for straight lines.
        """
        z, H = _draw_rest(self.response, random, size), self.H.mean
        moved = z[: H.size].T.reshape(size, *H.shape) * self.H.ee
        of_scale = moved.sum(2)
        return z, _draw_unit(self.factors["H"], moved, of_scale, H.sum(1)), of_scale


class LinearOfColumns(Linear):
    """A response with the columns of H eliminated: it is of W', and `rows` are features."""

    @cached_property
    def factors(self) -> dict[str, Estimate]:
        """Means and variances of "W", "H", "mass" and "share"."""
        response, W, H = self.response, self.W.mean, self.H.mean
        size, of_sample = H.sum(1), W.sum(0)
        unit = (H / size[:, None]).T
        total, t_total = self._sums
        variance_H = np.zeros(unit.shape)
        for part, own, t in response.rows(_transposed(self.H), self.rows):
            u, alone = unit[part], np.einsum("jkk->jk", own)
            joint = response.solve(t - u[:, :, None] * t_total)
            given = alone * (1 - 2 * u) + u**2 * np.diag(total)
            variance_H[part] = (given + (joint**2).sum(0)) / size**2
        each = _each(*W.T.shape)
        shared, sums = response.solve(t_total), response.solve(response.gradient(each.sum(1)))
        moved = size * sums - of_sample * shared
        variance_W = W**2 * np.diag(total)
        for i, samples in enumerate(each.swapaxes(0, 1)):
            joint = size * response.solve(response.gradient(samples)) - W[i] * shared
            variance_W[i] += (joint**2).sum(0)
        return {"W": Estimate(W * size, variance_W), "H": Estimate(unit.T, variance_H.T)} | _of_masses(
            of_sample * size, np.outer(of_sample, of_sample) * total + moved.T @ moved
        )

    @cached_property
    def mean(self) -> Estimate:
        """Mean and variance of W H."""
        found = _of_product(self.response, _transposed(self.H), _transposed(self.W), self.rows)
        return Estimate(found.mean.T, found.variance.T)

    def draws(self, random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return draws of W (size, n, k) and H (size, k, m), which have these variances."""
        W, H = self.W.mean, self.H.mean
        z, scale, moved_H = _draw_rest(self.response, random, size), H.sum(1), np.empty((size, *H.shape))
        for part, moved in _draw_rows(self.response, _transposed(self.H), self.rows, z, random):
            moved_H[:, :, part] = moved.swapaxes(1, 2)
        of_scale = moved_H.sum(2)
        drawn_H = _draw_unit(self.factors["H"], moved_H, of_scale, scale)
        moved_W = (z[: W.size].T.reshape(size, *W.T.shape) * self.W.ee.T).swapaxes(1, 2)
        moved_W = scale * moved_W + W * of_scale[:, None]
        return _quantile(W * scale, moved_W, self.factors["W"].variance), drawn_H

    def draws_of_H(self, random: np.random.Generator, size: int) -> np.ndarray:
        """Return the H of `draws`."""
        return self.draws(random, size)[1]

    @property
    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariance of row sums of H given all else, (k, k), and t summed over features, (k, size)."""
        k = len(self.H.mean)
        total, t_total = np.zeros((k, k)), np.zeros((k, self.response.size))
        for _, own, t in self.response.rows(_transposed(self.H), self.rows):
            total += own.sum(0)
            t_total += t.sum(0)
        return total, t_total


def _of_product(response: Response, W: Moved, H: Moved, rows: Callable[[slice], Rows]) -> Estimate:
    of_H = response.solve(response.gradient(_each(*H.mean.shape)))
    variance = np.zeros((len(W.mean), H.mean.shape[1]))
    few = max(1, CHUNK // (response.size * H.mean.shape[1]))
    for part, own, t in response.rows(W, rows):
        variance[part] = np.einsum("kj,rkl,lj->rj", H.mean, own, H.mean, optimize=True)
        for start in range(0, len(t), few):
            some = slice(start, start + few)
            joint = np.einsum("rk,zkj->zrj", W.mean[part][some], of_H, optimize=True)
            joint -= np.einsum("zrk,kj->zrj", response.solve(t[some]), H.mean, optimize=True)
            variance[part][some] += np.square(joint, out=joint).sum(0)
    return Estimate(W.mean @ H.mean, variance)


def _of_masses(mass: np.ndarray, covariance: np.ndarray) -> dict[str, Estimate]:
    share = mass / mass.sum()
    by_share = (np.eye(len(mass)) - share[:, None]) / mass.sum()
    return {
        "mass": Estimate(mass, np.diag(covariance)),
        "share": Estimate(share, np.einsum("kl,lp,kp->k", by_share, covariance, by_share)),
    }


def _draw_rest(response: Response, random: np.random.Generator, size: int) -> np.ndarray:
    """Return draws in the coordinates of the response, (coordinates, size)."""
    from scipy.linalg import solve_triangular

    return solve_triangular(response.lower, random.standard_normal((response.size, size)), lower=True, trans="T")


def _draw_rows(
    response: Response, W: Moved, rows: Callable[[slice], Rows], z: np.ndarray, random: np.random.Generator
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield samples, and by how much their rows of the eliminated side move in each draw, (size, r, k)."""
    k = W.mean.shape[1]
    for part, own, t in response.rows(W, rows):
        alone = np.einsum("rkk->rk", own)
        fixed = alone <= 0  # known entries
        root = np.linalg.cholesky(own + np.eye(k) * np.where(fixed, 1, 1e-12 * alone)[:, None])
        noise = np.einsum("rkl,srl->srk", root, random.standard_normal((z.shape[1], *alone.shape)))
        yield part, np.where(fixed, 0, noise) - np.einsum("rkz,zs->srk", t, z)


def _draw_unit(unit: Estimate, moved: np.ndarray, of_scale: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return draws of H with unit row sums, from its deviations (size, k, m) and those of its row sums."""
    return unit_sums(_quantile(unit.mean, (moved - unit.mean * of_scale[:, :, None]) / size[:, None], unit.variance))


def _transposed(factor: Moved) -> Moved:
    return Moved(*(a.T for a in factor))


def _each(k: int, m: int) -> np.ndarray:
    """Return the gradient of each entry of H, (k, m, k, m)."""
    return np.eye(k * m).reshape(k, m, k, m)


def unit_sums(H: np.ndarray) -> np.ndarray:
    """Return draws of H, (size, k, m), with rows that sum to 1."""
    return H / np.maximum(H.sum(2, keepdims=True), np.finfo(float).tiny)


def _quantile(mean: np.ndarray, deviation: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return Gamma variables with this mean and variance at the ranks of normal deviations."""
    from scipy.special import gammaincinv, ndtr

    known = variance <= 0
    spread = np.where(known, 1, variance)
    shape = np.where(known, 1, mean**2 / spread)
    rank = np.clip(ndtr(deviation / np.sqrt(spread)), 1e-12, 1 - 1e-12)
    return np.where(known, mean, gammaincinv(shape, rank) * spread / np.where(known, 1, mean))
