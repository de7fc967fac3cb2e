"""Hierarchical Poisson factorization: every sample and every feature has a budget of its own."""

import numpyro
from numpyro import distributions as dist


def program(X, *, n, m, rank):
    with numpyro.plate("row", n):
        xi = numpyro.sample("xi", dist.Gamma(1.0, 1.0))
    with numpyro.plate("feature", m):
        eta = numpyro.sample("eta", dist.Gamma(1.0, 1.0))
    W = numpyro.sample("W", dist.Gamma(0.3, xi[:, None]).expand([n, rank]))
    H = numpyro.sample("H", dist.Gamma(0.3, eta[None]).expand([rank, m]))
    numpyro.sample("X", dist.Poisson(W @ H), obs=X)
