"""Second derivatives of the expected log-likelihood, for linear response."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array
from ..likelihoods import Likelihood
from ._noise import learned, moved
from ._prepare import Rows
from ._truncated import standard

FEWEST = 2**12
"""Entries that derivatives are compiled for at least."""


class Moved(NamedTuple):
    """One factor as it may move: means of its two statistics, and the root of their covariance, entry by entry.

    The statistics are w and log w for Gammas, w and w^2 for truncated normals. ``w - E w = ee z1`` and, for the
    second, ``le z1 + ll z2`` with z1, z2 of unit variance under q. All three are 0 where an entry is known.
    """

    mean: np.ndarray
    second: np.ndarray
    ee: np.ndarray
    le: np.ndarray
    ll: np.ndarray

    @classmethod
    def of_gamma(cls, shape: np.ndarray, rate: np.ndarray) -> Moved:
        """Return a factor of Gammas: var w = shape / rate^2, cov = 1 / rate, var log w = trigamma(shape)."""
        from scipy.special import digamma, polygamma

        left = np.where(shape > 1e4, 0.5 / shape**2 + 1 / (6 * shape**3), polygamma(1, shape) - 1 / shape)
        mean = shape / rate
        return cls(mean, digamma(shape) - np.log(rate), np.sqrt(shape) / rate, 1 / np.sqrt(shape), np.sqrt(left))

    @classmethod
    def of_dirichlet(cls, shape: np.ndarray) -> Moved:
        """Return a factor of Gammas that has these rows where they sum to 1, which `Response` sees to."""
        from scipy.special import digamma

        total = shape.sum(1, keepdims=True)
        return cls.of_gamma(shape, total)._replace(second=digamma(shape) - digamma(total))

    @classmethod
    def of_truncated(cls, linear: np.ndarray, quadratic: np.ndarray) -> Moved:
        """Return a factor of truncated normals, from their first four moments."""
        z = linear / np.sqrt(quadratic)
        with jax.enable_x64(True):
            y, square, _ = (np.asarray(a) for a in standard(jnp.asarray(z)))
        third = z * square + 2 * y
        fourth = z * third + 3 * square
        # far in the tail it is exponential, far from zero normal, and the recursion loses its digits at both ends
        ends = [z < -30, z > 12]
        y_tail = 1 / np.where(ends[0], -z, 30)
        variance = np.select(ends, [y_tail**2, np.ones_like(z)], square - y**2)
        joint = np.select(ends, [4 * y_tail**3, 2 * z], third - y * square)
        left = np.select(ends, [4 * y_tail**4, np.full_like(z, 2)], fourth - square**2 - joint**2 / variance)
        unit = 1 / np.sqrt(quadratic)
        root = np.sqrt(variance)
        return cls(y * unit, square * unit**2, root * unit, joint / root * unit**2, np.sqrt(left) * unit**2)

    def known(self, rows: np.ndarray, values: np.ndarray) -> Moved:
        """Return the factor with some of its rows known."""
        nothing = np.zeros_like(values)
        fixed = (values, self.second, nothing, nothing, nothing)
        return Moved(*(np.where(rows[:, None], b, a) for a, b in zip(self, fixed, strict=True)))

    def less_coupled(self, share: float) -> Moved:
        """Return the factor as it moves where all that couples entries is smaller by a share of itself."""
        root = np.sqrt(1 - share)
        return self._replace(ee=root * self.ee, le=root * self.le, ll=root * self.ll)

    def whiten(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return gradients in the means of the statistics, (..., k, m) each, as gradients in z, (..., 2 k m)."""
        z = np.stack([first * self.ee + second * self.le, second * self.ll], -3)
        return z.reshape(*z.shape[:-3], 2 * self.mean.size)


class Curvature(NamedTuple):
    """Second derivatives in the statistics of some rows of W and of H, first with first and second with second.

    Statistics of different kinds do not meet. Of W among themselves (r, k, k), of W with H (r, k, k', m), of H among
    themselves
    (m, k, k), and with the logarithms of the p noise parameters, entry by entry (p, r, k, m) for W, summed over rows
    (p, k, m) for H, (p, p, m) among themselves.
    """

    first: np.ndarray
    second: np.ndarray
    cross_first: np.ndarray
    cross_second: np.ndarray
    columns_first: np.ndarray
    columns_second: np.ndarray
    noise_first: np.ndarray
    noise_second: np.ndarray
    noise_columns_first: np.ndarray
    noise_columns_second: np.ndarray
    noise: np.ndarray


def curvature(likelihood: Likelihood, W: Moved, H: Moved, rows: Rows, step: int) -> Curvature:
    """Return the second derivatives for some rows; `step` is the number of rows that is compiled for."""
    if likelihood.background == "quadratic":
        return _of_squares(likelihood, W, H, rows)
    return _of_logs(likelihood, W, H, rows, step)


def _of_logs(likelihood: Likelihood, W: Moved, H: Moved, rows: Rows, step: int) -> Curvature:
    """Statistics w and log w: the bound sees lo = sum_k exp(E log w + E log h) and hi = sum_k E w E h."""
    k = W.mean.shape[1]
    f = rows.factor[:, None]
    share = f * np.exp(W.second)[:, :, None] * np.exp(H.second)
    with_H, with_W = f * H.mean, f * W.mean[:, :, None]
    d = _entrywise(likelihood, rows, share.sum(1), rows.factor * (W.mean @ H.mean), step)
    cross_first = (d["hi_hi"][:, None] * with_H)[:, :, None] * with_W[:, None]
    cross_second = (d["lo_lo"][:, None] * share)[:, :, None] * share[:, None]
    second, columns_second = cross_second.sum(3), cross_second.sum(0).transpose(2, 0, 1)
    events = d["lo"][:, None] * share
    diagonal = np.arange(k)
    cross_first[:, diagonal, diagonal] += (d["hi"] * rows.factor)[:, None]
    cross_second[:, diagonal, diagonal] += events
    second[:, diagonal, diagonal] += events.sum(2)
    columns_second[:, diagonal, diagonal] += events.sum(0).T
    noise_first, noise_second = d["hi_noise"][:, :, None] * with_H, d["lo_noise"][:, :, None] * share
    return Curvature(
        np.einsum("rj,rkj,rlj->rkl", d["hi_hi"], with_H, with_H, optimize=True), second, cross_first, cross_second,
        np.einsum("rj,rkj,rlj->jkl", d["hi_hi"], with_W, with_W, optimize=True), columns_second,
        noise_first, noise_second,
        np.einsum("prj,rkj->pkj", d["hi_noise"], with_W), noise_second.sum(1), d["noise_noise"].sum(2),
    )  # fmt: skip


def _of_squares(likelihood: Likelihood, W: Moved, H: Moved, rows: Rows) -> Curvature:
    """Statistics w and w^2: minus half of the precision times (x - hi)^2 and the variance of the mean."""
    k, m = H.mean.shape
    f = rows.factor
    weight = rows.weight * np.asarray(likelihood.precision(m), float)
    scale = weight * f**2
    w, h = W.mean, H.mean
    off = 1 - np.eye(k)
    residual = weight * f * (rows.x - f * (w @ h))
    cross_first = -scale[:, None, None] * h[None, :, None] * w[:, None, :, None]
    diagonal = np.arange(k)
    cross_first[:, diagonal, diagonal] += residual[:, None] + 2 * scale[:, None] * w[:, :, None] * h
    cross_second = np.zeros_like(cross_first)
    cross_second[:, diagonal, diagonal] -= scale[:, None] / 2
    noise = np.zeros((0, len(w), k, m)), np.zeros((0, len(w), k, m))
    of_noise = np.zeros((0, 0, m))
    if likelihood.learned:
        # in the logarithm of the variance everything but the constant turns its sign
        own_W = -(residual[:, None] * h + scale[:, None] * w[:, :, None] * h**2)
        own_H = -(residual[:, None] * w[:, :, None] + scale[:, None] * w[:, :, None] ** 2 * h)
        spread = f**2 * (W.second @ H.second - w**2 @ h**2)
        of_noise = -(weight * ((rows.x - f * (w @ h)) ** 2 + spread)).sum(0)[None, None] / 2
        noise = own_W[None], scale[None, :, None] * H.second / 2
        noise_columns = own_H.sum(0)[None], (scale[:, None] * W.second[:, :, None]).sum(0)[None] / 2
    else:
        noise_columns = np.zeros((0, k, m)), np.zeros((0, k, m))
    return Curvature(
        -np.einsum("rj,kj,lj->rkl", scale, h, h, optimize=True) * off, np.zeros((len(w), k, k)), cross_first,
        cross_second, -np.einsum("rj,rk,rl->jkl", scale, w, w, optimize=True) * off, np.zeros((m, k, k)),
        *noise, *noise_columns, of_noise,
    )  # fmt: skip


def _entrywise(likelihood: Likelihood, rows: Rows, lo: np.ndarray, hi: np.ndarray, step: int) -> dict[str, np.ndarray]:
    """Return first and second derivatives of the bound in lo, hi and the logarithms of the noise, weights included.

    lo and hi do not meet in a bound, so there is no mixed derivative of theirs. Where features have no noise of their
    own, entries are laid out in a row of some power of 2, so that data of other sizes share the program.
    """
    r, m = rows.x.shape
    alike = not any(np.ndim(leaf) for leaf in jax.tree.leaves(likelihood))
    length = max(FEWEST, 2 ** int(np.ceil(np.log2(r * m)))) if alike else step * m

    def padded(a: np.ndarray) -> np.ndarray:
        row = np.pad(a.ravel(), (0, length - r * m), constant_values=1)
        return row if alike else row.reshape(step, m)

    with jax.enable_x64(True):
        likelihood = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), likelihood)
        found = _derivatives(likelihood, *(jnp.asarray(padded(a)) for a in (rows.x, lo, hi)))

    def back(a: Array) -> np.ndarray:
        outer = a.shape[: a.ndim - (1 if alike else 2)]
        return np.asarray(a).reshape(*outer, length)[..., : r * m].reshape(*outer, r, m) * rows.weight

    return {name: back(a) for name, a in found.items()}


@jax.jit
def _derivatives(likelihood: Likelihood, x: Array, lo: Array, hi: Array) -> dict[str, Array]:
    def bound(point: list[Array]) -> Array:
        return moved(likelihood, point[2:]).bound(x, point[0], point[1])

    point = [lo, hi, *(jnp.zeros_like(leaf) for leaf in learned(likelihood))]

    def along(function: Any, axis: int) -> Any:
        """Return the derivative in one of lo, hi and the logarithms, entry by entry."""
        direction = [jnp.full_like(a, float(i == axis)) for i, a in enumerate(point)]
        return lambda at: jax.jvp(function, (at,), (direction,))[1]

    lower, upper, *noise = (along(bound, axis) for axis in range(len(point)))
    empty = jnp.zeros((0, *x.shape), x.dtype)

    def stack(arrays: list[Array]) -> Array:
        return jnp.stack([jnp.broadcast_to(a, x.shape) for a in arrays]) if arrays else empty

    return {
        "lo": lower(point), "hi": upper(point), "lo_lo": along(lower, 0)(point), "hi_hi": along(upper, 1)(point),
        "lo_noise": stack([along(lower, 2 + q)(point) for q in range(len(noise))]),
        "hi_noise": stack([along(upper, 2 + q)(point) for q in range(len(noise))]),
        "noise_noise": jnp.stack([
            stack([along(own, 2 + q)(point) for q in range(len(noise))]) for own in noise
        ]) if noise else empty[None],
    }  # fmt: skip
