"""Counts as sums of profiles whose mean activity is pulled to nothing with the weight of all samples."""

import numpyro
from jax import numpy as jnp
from numpyro import distributions as dist


def program(X, *, n, m, rank):
    level = 0.001
    rate = numpyro.sample("rate", dist.Gamma(n + 1.0, n * level).expand([rank]))
    W = numpyro.sample("W", dist.Exponential(rate[None]).expand([n, rank]))
    H = numpyro.sample("H", dist.Dirichlet(jnp.full(m, 0.5)).expand([rank]))
    numpyro.sample("X", dist.Poisson(W @ H), obs=X)
