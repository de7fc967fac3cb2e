"""Linear response: how the factors of a coordinate-ascent posterior move together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..likelihoods import Likelihood
from ._curvature import Curvature, Moved, curvature
from ._noise import learned
from ._prepare import Rows

CHUNK = 2**24
"""Numbers that are held at a time."""

STIFF = 1e8
"""Precision of a sum that does not move, against a prior one of 1."""


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
    and Jordan 2018, JMLR 19, 51). Rows of W are independent given all else, so they are eliminated one by one; `lower`
    is the Cholesky factor of what is left: the whitened moments of H, the priors' parameters, the logarithms of the
    noise parameters. `log_det` is that of ``I - V D''``, in whitened moments and the priors' parameters; `noise` has
    the precision of the logarithm of each noise parameter that was learned, while all before it moves.

    A Dirichlet row is one of independent Gammas given that they sum to 1: with `fixed_sums` nothing may move the sums.

    Raises `numpy.linalg.LinAlgError` where the posterior is not at an optimum.
    """

    H: Moved
    hyper: Hyper
    likelihood: Likelihood
    lower: np.ndarray
    log_det: float = 0.0
    noise: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def at(
        cls, W: Moved, H: Moved, hyper: Hyper, likelihood: Likelihood, rows: Callable[[slice], Rows], fixed_sums: bool
    ) -> Response:
        """Return the response of a fit to its data."""
        response, log_det = cls(H, hyper, likelihood, np.zeros((0, 0))), 0.0
        schur = np.eye(response.size)
        response._add_hyper(schur)
        for _, inverse, G, seen in response._eliminate(W, rows):
            log_det -= 2 * np.log(np.einsum("rii->ri", inverse)).sum()
            flat = G.reshape(-1, response.size)
            schur -= flat.T @ flat
            response._add_columns(schur, seen)
        if fixed_sums:
            k, m = H.mean.shape
            log_det -= k * np.log(STIFF)
            for place, ee in zip(np.arange(k * m).reshape(k, m), H.ee, strict=True):
                schur[np.ix_(place, place)] += STIFF * np.outer(ee, ee) / max(ee @ ee, np.finfo(float).tiny)
        lower = np.linalg.cholesky((schur + schur.T) / 2)
        own, noise = np.split(np.diag(lower), [response.size - sum(response.noise_sizes)])
        return cls(H, hyper, likelihood, lower, float(log_det + 2 * np.log(own).sum()), noise**2)

    @property
    def noise_sizes(self) -> list[int]:
        """Length of each learned noise parameter: 1, or m."""
        return [int(np.size(leaf)) for leaf in learned(self.likelihood)]

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
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray, Curvature]]:
        """Yield samples, the inverse lower factors of their own blocks, those times what joins them to the rest."""
        n, k = W.mean.shape
        step = min(n, max(1, CHUNK // (2 * k * self.size)))
        for start in range(0, n, step):
            part = slice(start, min(start + step, n))
            own = curvature(self.likelihood, Moved(*(a[part] for a in W)), self.H, rows(part), step)
            first, second = self._with_rest(own)
            ee, le, ll = (a[part] for a in W[2:])
            A = np.zeros((part.stop - start, 2 * k, 2 * k))
            A[:, :k, :k] = np.eye(k) - own.first * _outer(ee) - own.second * _outer(le)
            A[:, :k, k:] = -own.second * le[:, :, None] * ll[:, None]
            A[:, k:, :k] = A[:, :k, k:].swapaxes(1, 2)
            A[:, k:, k:] = np.eye(k) - own.second * _outer(ll)
            C = np.concatenate([-(ee[:, :, None] * first + le[:, :, None] * second), -ll[:, :, None] * second], 1)
            inverse = np.linalg.inv(np.linalg.cholesky(A))
            yield part, inverse, inverse @ C, own

    def _with_rest(self, c: Curvature) -> tuple[np.ndarray, np.ndarray]:
        """Return what joins each moment of some rows of W, first and second, to all coordinates that are left."""
        r, k = c.cross_first.shape[:2]
        rest = []
        for first, second, shared, noise in (
            (c.cross_first, np.zeros_like(c.cross_first), self.hyper.W[0], c.noise_first),
            (np.zeros_like(c.cross_second), c.cross_second, self.hyper.W[1], c.noise_second),
        ):
            parts = [self.H.whiten(first, second), np.broadcast_to(shared.T, (r, k, len(self.hyper.own)))]
            parts += [
                own if size > 1 else own.sum(2, keepdims=True)
                for own, size in zip(noise, self.noise_sizes, strict=True)
            ]
            rest.append(np.concatenate(parts, 2))
        return rest[0], rest[1]

    def _add_columns(self, schur: np.ndarray, own: Curvature) -> None:
        """Subtract the second derivatives in H and the noise that some rows bring."""
        H = self.H
        k, m = H.mean.shape
        place = np.arange(2 * k * m).reshape(2, k, m)
        for j in range(m):
            ee, le, ll = H.ee[:, j], H.le[:, j], H.ll[:, j]
            second = own.columns_second[j]
            a, b = place[0, :, j], place[1, :, j]
            schur[np.ix_(a, a)] -= own.columns_first[j] * np.outer(ee, ee) + second * np.outer(le, le)
            schur[np.ix_(b, b)] -= second * np.outer(ll, ll)
            mixed = second * np.outer(le, ll)
            schur[np.ix_(a, b)] -= mixed
            schur[np.ix_(b, a)] -= mixed.T
        places = self._noise_places()
        for q, at in enumerate(places):
            sides = own.noise_columns_first[q], own.noise_columns_second[q]
            by_feature = self.noise_sizes[q] > 1
            cross = H.whiten(*(a.T[:, :, None] * np.eye(m)[:, None] if by_feature else a[None] for a in sides))
            schur[at, : 2 * k * m] -= cross
            schur[: 2 * k * m, at] -= cross.T
            for r, other in enumerate(places):
                block = own.noise[q, r]
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


def _outer(a: np.ndarray) -> np.ndarray:
    return a[:, :, None] * a[:, None]
