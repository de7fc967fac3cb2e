"""Counts as sums of parts: X ~ Poisson(W H), every entry of W and H a gamma variable."""

import numpyro
from numpyro import distributions as dist


def program(X, *, n, m, rank):
    W = numpyro.sample("W", dist.Gamma(1.0, 1.0 / 5.0).expand([n, rank]))
    H = numpyro.sample("H", dist.Gamma(1.0, 1.0 / 3.0).expand([rank, m]))
    numpyro.sample("X", dist.Poisson(W @ H), obs=X)
