"""A gamma process over parts, cut at rank: few components have most of the mass, whatever the rank."""

import numpyro
from numpyro import distributions as dist


def program(X, *, n, m, rank):
    alpha, total = 2.0, 20.0
    theta = numpyro.sample("theta", dist.Gamma(alpha / rank, alpha / total).expand([rank]))
    V = numpyro.sample("V", dist.Gamma(1.0, 1.0).expand([n, rank]))
    W = numpyro.deterministic("W", V * theta)
    H = numpyro.sample("H", dist.Gamma(1.0, 1.0).expand([rank, m]))
    numpyro.sample("X", dist.Poisson(W @ H), obs=X)
