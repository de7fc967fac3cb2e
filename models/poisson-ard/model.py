"""Counts as sums of parts that are as large as they are needed: one scale for each component, shared by W and H."""

import numpyro
from numpyro import distributions as dist


def program(X, *, n, m, rank):
    rate = numpyro.sample("rate", dist.Gamma(5.0, 12.0).expand([rank]))
    W = numpyro.sample("W", dist.Exponential(rate[None]).expand([n, rank]))
    H = numpyro.sample("H", dist.Exponential(rate[:, None]).expand([rank, m]))
    numpyro.sample("X", dist.Poisson(W @ H), obs=X)
