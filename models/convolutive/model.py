"""Sequences: each component is a pattern over features and lags, and its activity says when it begins."""

import numpyro
from jax import numpy as jnp
from numpyro import distributions as dist


def program(X, *, n, m, rank, lags=5):
    level = numpyro.sample("level", dist.LogNormal(0.0, 2.0).expand([rank]))
    W = numpyro.sample("W", dist.Gamma(0.3, 0.3 / level).expand([n, rank]))
    with numpyro.plate("component", rank):
        flat = numpyro.sample("flat", dist.Dirichlet(jnp.full(lags * m, 0.5)))
    sequences = flat.reshape(rank, lags, m).swapaxes(0, 1)
    with numpyro.plate("lag", lags, dim=-3):
        numpyro.deterministic("sequences", sequences)
    numpyro.deterministic("H", sequences.sum(0))
    begun = jnp.stack([jnp.pad(W, ((lag, 0), (0, 0)))[:n] for lag in range(lags)])
    mean = numpyro.deterministic("mean", jnp.einsum("ltk,lkj->tj", begun, sequences))
    numpyro.sample("X", dist.Poisson(mean), obs=X)
