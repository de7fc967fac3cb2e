"""Real values as sums of non-negative parts that are as large as they are needed, with normal noise."""

import numpyro
from jax import numpy as jnp
from numpyro import distributions as dist


def program(X, *, n, m, rank):
    variance = numpyro.sample("variance", dist.LogUniform(1e-10, 1e10))
    rate = numpyro.sample("rate", dist.Gamma(3.0, 2.0).expand([rank]))
    W = numpyro.sample("W", dist.Exponential(rate[None]).expand([n, rank]))
    H = numpyro.sample("H", dist.Exponential(rate[:, None]).expand([rank, m]))
    numpyro.sample("X", dist.Normal(W @ H, jnp.sqrt(variance)), obs=X)
