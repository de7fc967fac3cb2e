"""Real values as sums of non-negative parts, with normal noise of one variance."""

import numpyro
from jax import numpy as jnp
from numpyro import distributions as dist


def program(X, *, n, m, rank):
    variance = numpyro.sample("variance", dist.LogUniform(1e-10, 1e10))
    W = numpyro.sample("W", dist.Exponential(1.0).expand([n, rank]))
    H = numpyro.sample("H", dist.Exponential(1.0).expand([rank, m]))
    numpyro.sample("X", dist.Normal(W @ H, jnp.sqrt(variance)), obs=X)
