"""Counts as sums of profiles that are known and of new ones."""

import numpyro
from jax import numpy as jnp
from numpyro import distributions as dist


def program(X, *, n, m, rank, known):
    known = jnp.asarray(known)
    W = numpyro.sample("W", dist.Gamma(1.0, 1.0 / 50.0).expand([n, rank]))
    new = numpyro.sample("new_H", dist.Dirichlet(jnp.full(m, 0.5)).expand([rank - len(known)]))
    H = numpyro.deterministic("H", jnp.concatenate([known, new]))
    numpyro.sample("X", dist.Poisson(W @ H), obs=X)
