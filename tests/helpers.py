"""Registries of what is offered, data, and slow twins: plain loops that say what the fast code must give."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy import stats
from scipy.special import logsumexp

import bayesnmf as bn

LIKELIHOODS = {
    "poisson": lambda: bn.Poisson(),
    "negative-binomial": lambda: bn.NegativeBinomial(),
    "negative-binomial-per-feature": lambda: bn.NegativeBinomial(per_feature=True),
    "compound-poisson": lambda: bn.CompoundPoisson(),
    "gamma-noise": lambda: bn.GammaNoise(),
    "gaussian": lambda: bn.Gaussian(),
    "gaussian-fixed": lambda: bn.Gaussian(variance=2.0),
    "gaussian-per-feature": lambda: bn.Gaussian(per_feature=True),
    "beta-0": lambda: bn.BetaDivergence(0.0),
    "beta-0.5": lambda: bn.BetaDivergence(0.5),
    "beta-1": lambda: bn.BetaDivergence(1.0),
    "beta-1.5": lambda: bn.BetaDivergence(1.5),
    "beta-2": lambda: bn.BetaDivergence(2.0),
    "beta-3": lambda: bn.BetaDivergence(3.0, dispersion=4.0),
}
PRIORS = {
    "flat": lambda: bn.Flat(),
    "exponential": lambda: bn.Exponential(),
    "gamma": lambda: bn.Gamma(shape=1.5),
    "half-normal": lambda: bn.HalfNormal(),
}
HOLDERS = {"dense": np.asarray, "csr": sp.csr_array}


def methods(likelihood: bn.likelihoods.Likelihood) -> list[str]:
    """Return the algorithms that can fit a likelihood."""
    return ["mu", "hals"] if likelihood.background == "quadratic" else ["mu"]


def planted(n: int = 24, m: int = 15, k: int = 3, seed: int = 0, positive: bool = False) -> np.ndarray:
    """Return counts with k parts, a third of them zero unless `positive`."""
    rng = np.random.default_rng(seed)
    X = rng.poisson(rng.gamma(0.7, 3.0, (n, k)) @ rng.gamma(0.5, 1.0, (k, m))).astype(float)
    return X + 0.5 if positive else X


def intensities(counts: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return sums of as many gamma jumps of shape 2 and mean 1."""
    return np.where(counts > 0, np.random.default_rng(seed).gamma(2.0 * np.maximum(counts, 1)) / 2, 0)


def observations(seed: int = 0, n: int = 24, m: int = 15) -> dict[str, Any]:
    """Return everything that can come beside X, all at once."""
    rng = np.random.default_rng(seed)
    return {
        "weights": rng.integers(1, 4, (n, m)),
        "observed": rng.random((n, m)) > 0.2,
        "size_factors": rng.uniform(0.5, 2.0, n),
        "opportunities": rng.uniform(0.5, 2.0, m),
    }


def loss(likelihood: bn.likelihoods.Likelihood, x: float, v: float) -> float:
    """Return the loss of one entry, written out."""
    if isinstance(likelihood, bn.Gaussian):
        return (x - v) ** 2 / 2
    if isinstance(likelihood, bn.NegativeBinomial):
        alpha = 1 / float(np.ravel(likelihood.dispersion)[0])
        own = x * np.log(x / v) if x > 0 else 0.0
        return own - (alpha + x) * np.log((alpha + x) / (alpha + v))
    if isinstance(likelihood, bn.CompoundPoisson):
        return slow_compound(likelihood, x, x) - slow_compound(likelihood, x, v)
    beta = 0.0 if isinstance(likelihood, bn.GammaNoise) else getattr(likelihood, "beta", 1.0)
    if beta == 1:
        return (x * np.log(x / v) if x > 0 else 0.0) - x + v
    if beta == 0:
        return x / v - np.log(x / v) - 1
    return (x**beta + (beta - 1) * v**beta - beta * x * v ** (beta - 1)) / (beta * (beta - 1))


def slow_compound(likelihood: bn.CompoundPoisson, x: float, v: float, terms: int = 2000) -> float:
    """Return the log density of a Poisson number of gamma jumps, by its series."""
    rate = v / float(likelihood.jump)
    if x == 0:
        return -rate
    n, shape = np.arange(1, terms + 1), float(likelihood.shape)
    scale = float(likelihood.jump) / shape
    return float(logsumexp(stats.poisson(rate).logpmf(n) + stats.gamma(shape * n, scale=scale).logpdf(x)))


def repeated(X: np.ndarray, weights: np.ndarray, observed: np.ndarray) -> list[tuple[int, int, float]]:
    """Return the observations (i, j, x) of whole weights, one by one."""
    return [(i, j, X[i, j]) for i, j in np.ndindex(X.shape) if observed[i, j] for _ in range(int(weights[i, j]))]


def slow_kl(
    entries: list[tuple[int, int, float]], W: np.ndarray, H: np.ndarray, s: np.ndarray, o: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return W and H after multiplicative KL updates over single observations, in plain loops."""
    for _ in range(steps):
        up, down = np.zeros_like(W), np.zeros_like(W)
        for i, j, x in entries:
            v = s[i] * o[j] * (W[i] @ H[:, j])
            up[i] += x / v * s[i] * o[j] * H[:, j]
            down[i] += s[i] * o[j] * H[:, j]
        W = W * up / down
        up, down = np.zeros_like(H), np.zeros_like(H)
        for i, j, x in entries:
            v = s[i] * o[j] * (W[i] @ H[:, j])
            up[:, j] += x / v * s[i] * o[j] * W[i]
            down[:, j] += s[i] * o[j] * W[i]
        H = H * up / down
    return W, H


def catalogue(
    seed: int, n: int = 100, m: int = 96, k: int = 10, dispersion: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return counts and their profiles, by the generator of Zito and Miller (2024) with Dirichlet(.25) profiles.

    Activities are Gamma(.5, rate .5) times Gamma(100, 1) for each profile: 100 counts a sample and profile on average.
    """
    rng = np.random.default_rng(seed)
    profiles = rng.dirichlet(np.full(m, 0.25), k)
    activities = rng.gamma(0.5, 2.0, (n, k)) * rng.gamma(100.0, 1.0, k)
    mean = activities @ profiles
    if dispersion:
        mean = rng.gamma(1 / dispersion, dispersion * mean)
    return rng.poisson(mean), profiles


def recovered(fit: bn.Fit, profiles: np.ndarray) -> tuple[float, float]:
    """Return precision and sensitivity: matched with a cosine above .9, over those found and over those there are."""
    from bayesnmf.align import match_rows

    hits = int((match_rows(profiles, fit.H).cosine > 0.9).sum())
    return hits / max(fit.rank, 1), hits / len(profiles)
