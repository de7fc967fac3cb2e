"""Linear response: how the factors of a coordinate-ascent posterior move together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array
from ..likelihoods import Likelihood
from ._prepare import Rows

CHUNK = 2**24
"""Numbers that are held at a time."""


class Moved(NamedTuple):
    """One factor as it may move: means of w and log w, and the root of their own covariance, entry by entry.

    ``w - E w = ee z1`` and ``log w - E log w = le z1 + ll z2`` with z1, z2 of unit variance under q. All three are 0
    where an entry is known.
    """

    mean: np.ndarray
    log_mean: np.ndarray
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

    def known(self, rows: np.ndarray, values: np.ndarray) -> Moved:
        """Return the factor with some of its rows known."""
        with np.errstate(divide="ignore"):
            fixed = Moved(values, np.log(values), *(np.zeros_like(values) for _ in range(3)))
        return Moved(*(np.where(rows[:, None], b, a) for a, b in zip(self, fixed, strict=True)))

    def whiten(self, of_mean: np.ndarray, of_log: np.ndarray) -> np.ndarray:
        """Return gradients in (E w, E log w), (..., k, m) each, as gradients in z, (..., 2 k m)."""
        z = np.stack([of_mean * self.ee + of_log * self.le, of_log * self.ll], -3)
        return z.reshape(*z.shape[:-3], 2 * self.mean.size)


class Hyper(NamedTuple):
    """Parameters of the priors that move too: what each adds to the gradient in E w and E log w, and their own block.

    `W` and `H` are (2, p, k); `own` (p, p) is minus the Hessian of the ELBO.
    """

    W: np.ndarray
    H: np.ndarray
    own: np.ndarray


@dataclass(frozen=True)
class Response:
    """Covariance of W and H about a posterior at its optimum: ``(V^-1 - D'')^-1`` in the moments (E w, E log w).

    V is their covariance under q, D'' the Hessian of the expected log-likelihood and log-priors (Giordano, Broderick
    and Jordan
    2018, JMLR 19, 51). Rows of W are independent given all else, so they are eliminated one by one; `lower` is the
    Cholesky factor of what is left: the whitened moments of H, the priors' parameters, the logarithms of the noise
    parameters.

    Raises `numpy.linalg.LinAlgError` where the posterior is not at an optimum.
    """

    H: Moved
    hyper: Hyper
    likelihood: Likelihood
    lower: np.ndarray

    @classmethod
    def at(cls, W: Moved, H: Moved, hyper: Hyper, likelihood: Likelihood, rows: Callable[[slice], Rows]) -> Response:
        """Return the response of a fit to its data."""
        response = cls(H, hyper, likelihood, np.zeros((0, 0)))
        schur = np.eye(response.size)
        response._add_hyper(schur)
        for _, _, G, own in response._eliminate(W, rows):
            flat = G.reshape(-1, response.size)
            schur -= flat.T @ flat
            response._add_columns(schur, own)
        return cls(H, hyper, likelihood, np.linalg.cholesky((schur + schur.T) / 2))

    @property
    def noise_sizes(self) -> list[int]:
        """Length of each learned noise parameter: 1, or m."""
        return [int(np.size(leaf)) for leaf in learned_leaves(self.likelihood)]

    @property
    def size(self) -> int:
        """Number of coordinates that are left when W is eliminated."""
        return 2 * self.H.mean.size + len(self.hyper.own) + sum(self.noise_sizes)

    def gradient(self, of_mean: np.ndarray) -> np.ndarray:
        """Return the gradient of functions of E H, (..., k, m), in all coordinates, (..., size)."""
        own = self.H.whiten(of_mean, np.zeros_like(of_mean))
        return np.concatenate([own, np.zeros((*own.shape[:-1], self.size - own.shape[-1]))], -1)

    def solve(self, gradients: np.ndarray) -> np.ndarray:
        """Return ``lower^-1 g`` for gradients (..., size): (size, ...). Squares over the first axis are variances."""
        from scipy.linalg import solve_triangular

        flat = gradients.reshape(-1, self.size).T
        return solve_triangular(self.lower, flat, lower=True).reshape(self.size, *gradients.shape[:-1])

    def rows(self, W: Moved, rows: Callable[[slice], Rows]) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield samples, the covariance of w given all else (r, k, k), and t (r, k, size): w moves with it by -t."""
        k = W.mean.shape[1]
        for part, inverse, G, _ in self._eliminate(W, rows):
            half = (inverse[:, :, :k] * W.ee[part][:, None]).swapaxes(1, 2)
            yield part, half @ half.swapaxes(1, 2), half @ G

    def _eliminate(
        self, W: Moved, rows: Callable[[slice], Rows]
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray, dict]]:
        """Yield samples, the inverse lower factors of their own blocks, those times what joins them to the rest."""
        n, k = W.mean.shape
        step = max(1, CHUNK // (2 * k * self.size))
        for start in range(0, n, step):
            part = slice(start, min(start + step, n))
            own, e_row, l_row = self._of_rows(W, part, rows(part), step)
            ee, le, ll = (a[part] for a in W[2:])
            A = np.zeros((part.stop - start, 2 * k, 2 * k))
            A[:, :k, :k] = np.eye(k) - own["e"] * _outer(ee) - own["l"] * _outer(le)
            A[:, :k, k:] = -own["l"] * le[:, :, None] * ll[:, None]
            A[:, k:, :k] = A[:, :k, k:].swapaxes(1, 2)
            A[:, k:, k:] = np.eye(k) - own["l"] * _outer(ll)
            C = np.concatenate([-(ee[:, :, None] * e_row + le[:, :, None] * l_row), -ll[:, :, None] * l_row], 1)
            inverse = np.linalg.inv(np.linalg.cholesky(A))
            yield part, inverse, inverse @ C, own

    def _of_rows(self, W: Moved, part: slice, rows: Rows, step: int) -> tuple[dict, np.ndarray, np.ndarray]:
        """Return second derivatives in the moments of some rows of W: own, with all else by E w and by E log w."""
        H, k = self.H, W.mean.shape[1]
        mean, low = W.mean[part], np.exp(W.log_mean[part])
        f = rows.factor[:, None]
        share = f * low[:, :, None] * np.exp(H.log_mean)
        with_H, with_W = f * H.mean, f * mean[:, :, None]
        d = entrywise(self.likelihood, rows, share.sum(1), (f * (mean @ H.mean)[:, None])[:, 0], step)
        own = {
            "e": np.einsum("rkj,rlj->rkl", d["hi_hi"][:, None] * with_H, with_H),
            "l": np.einsum("rkj,rlj->rkl", d["lo_lo"][:, None] * share, share),
        }
        E = (d["hi_hi"][:, None] * with_H)[:, :, None] * with_W[:, None]
        L = (d["lo_lo"][:, None] * share)[:, :, None] * share[:, None]
        diagonal = np.arange(k)
        first = d["lo"][:, None] * share
        E[:, diagonal, diagonal] += (d["hi"] * rows.factor)[:, None]
        L[:, diagonal, diagonal] += first
        own["l"][:, diagonal, diagonal] += first.sum(2)
        shape = len(mean), k, len(self.hyper.own)
        e_rest = [self.H.whiten(E, np.zeros_like(E)), np.broadcast_to(self.hyper.W[0].T, shape)]
        l_rest = [self.H.whiten(np.zeros_like(L), L), np.broadcast_to(self.hyper.W[1].T, shape)]
        noise_e, noise_l = d["hi_noise"][:, :, None] * with_H, d["lo_noise"][:, :, None] * share
        for q, size in enumerate(self.noise_sizes):
            e_rest.append(noise_e[q] if size > 1 else noise_e[q].sum(2, keepdims=True))
            l_rest.append(noise_l[q] if size > 1 else noise_l[q].sum(2, keepdims=True))
        own |= {
            "columns_e": np.einsum("rj,rkj,rlj->jkl", d["hi_hi"], with_W, with_W, optimize=True),
            "columns_l": np.einsum("rj,rkj,rlj->jkl", d["lo_lo"], share, share, optimize=True),
            "columns_first": first.sum(0),
            "noise_e": np.einsum("prj,rkj->pkj", d["hi_noise"], with_W),
            "noise_l": np.einsum("prj,rkj->pkj", d["lo_noise"], share),
            "noise": d["noise_noise"].sum(2),
        }
        return own, np.concatenate(e_rest, 2), np.concatenate(l_rest, 2)

    def _add_columns(self, schur: np.ndarray, own: dict) -> None:
        """Subtract the second derivatives in H and the noise that some rows bring."""
        H = self.H
        k, m = H.mean.shape
        place = np.arange(2 * k * m).reshape(2, k, m)
        for j in range(m):
            ee, le, ll = H.ee[:, j], H.le[:, j], H.ll[:, j]
            by_log = own["columns_l"][j] + np.diag(own["columns_first"][:, j])
            a, b = place[0, :, j], place[1, :, j]
            schur[np.ix_(a, a)] -= own["columns_e"][j] * np.outer(ee, ee) + by_log * np.outer(le, le)
            schur[np.ix_(b, b)] -= by_log * np.outer(ll, ll)
            mixed = by_log * np.outer(le, ll)
            schur[np.ix_(a, b)] -= mixed
            schur[np.ix_(b, a)] -= mixed.T
        places = self._noise_places()
        for q, at in enumerate(places):
            by_mean, by_log = own["noise_e"][q], own["noise_l"][q]
            if self.noise_sizes[q] > 1:
                by_mean, by_log = (a.T[:, :, None] * np.eye(m)[:, None] for a in (by_mean, by_log))
            else:
                by_mean, by_log = by_mean[None], by_log[None]
            cross = H.whiten(by_mean, by_log)
            schur[at, : 2 * k * m] -= cross
            schur[: 2 * k * m, at] -= cross.T
            for r, other in enumerate(places):
                block = own["noise"][q, r]
                sizes = self.noise_sizes[q], self.noise_sizes[r]
                schur[at, other] -= np.diag(block) if min(sizes) > 1 else (block if max(sizes) > 1 else block.sum())

    def _add_hyper(self, schur: np.ndarray) -> None:
        """Put in the block of the priors' parameters; the noise has no prior."""
        k, m = self.H.mean.shape
        at = slice(2 * k * m, 2 * k * m + len(self.hyper.own))
        schur[at, at] = self.hyper.own
        cross = self.H.whiten(*(np.broadcast_to(a[:, :, None], (*a.shape, m)) for a in self.hyper.H))
        schur[at, : 2 * k * m] -= cross
        schur[: 2 * k * m, at] -= cross.T
        schur[at.stop :, at.stop :] = 0

    def _noise_places(self) -> list[slice]:
        ends = 2 * self.H.mean.size + len(self.hyper.own) + np.cumsum([0, *self.noise_sizes])
        return [slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]


def learned_leaves(likelihood: Likelihood) -> list[np.ndarray]:
    """Return the noise parameters that were learned."""
    return jax.tree.leaves(likelihood) if likelihood.learned else []


def entrywise(likelihood: Likelihood, rows: Rows, lo: np.ndarray, hi: np.ndarray, step: int) -> dict[str, np.ndarray]:
    """Return first and second derivatives of the bound in lo, hi and the logarithms of the noise, weights included.

    lo and hi do not meet in a bound, so there is no mixed derivative of theirs.
    """
    r = len(rows.x)

    def padded(a: np.ndarray, by: float) -> np.ndarray:
        return np.pad(a, ((0, step - r), (0, 0)), constant_values=by)

    with jax.enable_x64(True):
        likelihood = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), likelihood)
        given = (padded(rows.x, 1), padded(lo, 1), padded(hi, 1))
        found = _derivatives(likelihood, *(jnp.asarray(a) for a in given))
    return {name: np.asarray(a)[..., :r, :] * rows.weight for name, a in found.items()}


@partial(jax.jit)
def _derivatives(likelihood: Likelihood, x: Array, lo: Array, hi: Array) -> dict[str, Array]:
    leaves, tree = jax.tree.flatten(likelihood)
    count = len(learned_leaves(likelihood))

    def bound(lo: Array, hi: Array, logs: list[Array]) -> Array:
        if not count:
            return likelihood.bound(x, lo, hi)
        return jax.tree.unflatten(tree, [a * jnp.exp(t) for a, t in zip(leaves, logs, strict=True)]).bound(x, lo, hi)

    point = [lo, hi, *(jnp.zeros_like(x) for _ in range(count))]

    def gradient(point: list[Array]) -> list[Array]:
        return jax.grad(lambda p: jnp.sum(bound(p[0], p[1], p[2:])))(point)

    def along(axis: int) -> tuple[list[Array], list[Array]]:
        return jax.jvp(gradient, (point,), ([jnp.full_like(x, float(axis == i)) for i in range(2 + count)],))

    parts = [along(axis) for axis in range(2 + count)]
    first, second = parts[0][0], [p[1] for p in parts]
    empty = jnp.zeros((0, *x.shape), x.dtype)

    def stack(arrays: list[Array]) -> Array:
        return jnp.stack(arrays) if arrays else empty

    return {
        "lo": first[0], "hi": first[1], "lo_lo": second[0][0], "hi_hi": second[1][1],
        "lo_noise": stack(second[0][2:]), "hi_noise": stack(second[1][2:]),
        "noise_noise": stack([stack(s[2:]) for s in second[2:]]) if count else empty[None],
    }  # fmt: skip


def _outer(a: np.ndarray) -> np.ndarray:
    return a[:, :, None] * a[:, None]
