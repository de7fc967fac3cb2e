"""Counts in time: the logarithm of each activity is a stationary autoregression."""

import numpyro
from jax import lax
from jax import numpy as jnp
from numpyro import distributions as dist


def program(X, *, n, m, rank):
    rho = numpyro.sample("rho", dist.Uniform(0.0, 1.0).expand([rank]))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0).expand([rank]))
    level = numpyro.sample("level", dist.Normal(3.0, 1.5).expand([rank]))
    new = numpyro.sample("new", dist.Normal(0.0, 1.0).expand([n, rank]))

    def step(z, e):
        z = rho * z + jnp.sqrt(1 - rho**2) * e
        return z, z

    _, later = lax.scan(step, new[0], new[1:])
    z = jnp.concatenate([new[:1], later])
    W = numpyro.deterministic("W", jnp.exp(level + sigma * z))
    H = numpyro.sample("H", dist.Dirichlet(jnp.full(m, 0.5)).expand([rank]))
    numpyro.sample("X", dist.Poisson(W @ H), obs=X)
