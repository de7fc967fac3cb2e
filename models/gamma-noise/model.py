"""Positive values with noise in proportion to them, as sums of parts."""

import numpyro
from numpyro import distributions as dist


def program(X, *, n, m, rank):
    shape = numpyro.sample("shape", dist.LogUniform(1e-3, 1e6))
    W = numpyro.sample("W", dist.Gamma(2.0, 2.0).expand([n, rank]))
    H = numpyro.sample("H", dist.Gamma(2.0, 2.0).expand([rank, m]))
    numpyro.sample("X", dist.Gamma(shape, shape / (W @ H)), obs=X)
