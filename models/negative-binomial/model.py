"""Counts that vary more than Poisson, as sums of parts."""

import numpyro
from numpyro import distributions as dist


def program(X, *, n, m, rank):
    dispersion = numpyro.sample("dispersion", dist.LogUniform(1e-8, 1e4))
    W = numpyro.sample("W", dist.Gamma(1.0, 1.0 / 5.0).expand([n, rank]))
    H = numpyro.sample("H", dist.Gamma(1.0, 1.0 / 3.0).expand([rank, m]))
    numpyro.sample("X", dist.NegativeBinomial2(W @ H, 1 / dispersion), obs=X)
