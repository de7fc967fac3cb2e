"""Counts of samples in groups: components are shared, and activities pooled by group and over groups."""

import numpyro
from jax import numpy as jnp
from numpyro import distributions as dist


def program(X, *, n, m, rank, groups, n_groups):
    spread = numpyro.sample("spread", dist.HalfNormal(1.0).expand([rank]))
    population = numpyro.sample("population", dist.LogNormal(3.0, 1.5).expand([rank]))
    with numpyro.plate("group", n_groups, dim=-2), numpyro.plate("component", rank, dim=-1):
        departure = numpyro.sample("departure", dist.Normal(0.0, 1.0))
        level = numpyro.deterministic("level", population * jnp.exp(spread * departure))
    W = numpyro.sample("W", dist.Gamma(3.0, 3.0 / level[groups]))
    H = numpyro.sample("H", dist.Dirichlet(jnp.full(m, 0.5)).expand([rank]))
    numpyro.sample("X", dist.Poisson(W @ H), obs=X)
