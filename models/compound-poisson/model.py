"""Intensities with exact zeros, as sums of parts: a Poisson number of gamma jumps in each entry."""

import numpyro
from jax import numpy as jnp
from jax import random
from jax.scipy.special import gammaln, logsumexp
from numpyro import distributions as dist
from numpyro.distributions import constraints


class Jumps(dist.Distribution):
    """The sum of Poisson(number) gamma variables of some shape and mean; its density is a series, of 40 terms."""

    support = constraints.nonnegative
    pytree_data_fields = ("number", "kappa", "jump")

    def __init__(self, number, kappa, jump, validate_args=None):
        self.number, self.kappa, self.jump = number, kappa, jump
        super().__init__(batch_shape=jnp.shape(number), validate_args=validate_args)

    def log_prob(self, x):
        k = jnp.arange(1.0, 41.0)
        some, rate = jnp.where(x > 0, x, 1), self.kappa / self.jump
        number = jnp.maximum(self.number, 1e-30)[..., None]
        terms = k * jnp.log(number) - gammaln(k + 1) + self.kappa * k * jnp.log(rate * some[..., None])
        series = logsumexp(terms - gammaln(self.kappa * k), -1) - rate * some - jnp.log(some)
        return jnp.where(x > 0, series, 0) - self.number

    def sample(self, key, sample_shape=()):
        count, size = random.split(key)
        k = random.poisson(count, self.number, sample_shape + self.batch_shape)
        total = random.gamma(size, self.kappa * jnp.maximum(k, 1)) * self.jump / self.kappa
        return jnp.where(k > 0, total, 0)


def program(X, *, n, m, rank):
    jump = numpyro.sample("jump", dist.LogUniform(1e-4, 1e4))
    shape = numpyro.sample("shape", dist.LogUniform(0.05, 30.0))
    W = numpyro.sample("W", dist.Exponential(1.0).expand([n, rank]))
    H = numpyro.sample("H", dist.Exponential(1.0).expand([rank, m]))
    numpyro.sample("X", Jumps(W @ H / jump, shape, jump), obs=X)
