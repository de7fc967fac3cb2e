"""What a prior must say."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from .._types import Array, Number


class Prior:
    """A density over the non-negative entries of W or H, of the generalised gamma family.

    ``-log p(w | rate) = rate w^power / power - (shape - 1) log w - (shape / power) log rate + constant``

    Flat, Exponential, Gamma and HalfNormal are members: a subclass names its `shape`, its `power` and
    its `rate`, and every engine uses the methods below. Priors are free of units: a mean that is left
    out is taken from the level of X, ``sqrt(mean(X) / rank)``, at the door.
    """

    power: ClassVar[int] = 1
    """1 penalises w, 2 penalises w^2 / 2."""
    lifts_zero: ClassVar[bool] = False
    """Whether the density may vanish at 0, so that the mode is inside."""

    shape: Any = 1.0
    mean: Number | None = None

    def rate(self, level: Array) -> Array:
        """Return the rate of the prior whose mean is `level`."""
        raise NotImplementedError  # pragma: no cover - abstract

    @property
    def powers(self) -> tuple[float, float]:
        """(p, q) of the penalty, as in `Likelihood.powers`; q counts for a linear term too."""
        return (0.0 if self.lifts_zero else np.inf), float(self.power)

    def energy(self, w: Array, rate: Array) -> jax.Array:
        """Return -log p(w | rate), entry by entry, without the terms of the rate alone."""
        penalty = rate * w**self.power / self.power
        return penalty - (self.shape - 1) * jnp.log(w) if self.lifts_zero else penalty

    def statistic(self, w: Array, axis: int) -> jax.Array:
        """Return f(w) = sum of w^power / power along an axis: what the rate multiplies."""
        return jnp.sum(w**self.power, axis=axis) / self.power

    def halves(self, w: Array, rate: Array) -> tuple[Array, jax.Array]:
        """Return (up, down) of d log p / d w, both non-negative."""
        down = jnp.broadcast_to(rate * w ** (self.power - 1), jnp.shape(w))
        return (jnp.asarray((self.shape - 1) / w) if self.lifts_zero else jnp.zeros_like(w)), down

    def solve(self, linear: Array, quadratic: Array, rate: Array) -> jax.Array:
        """Return argmax over w >= 0 of ``linear w - quadratic w^2 / 2 + log p(w | rate)``."""
        if self.power == 1:
            linear = linear - rate
        else:
            quadratic = quadratic + rate
        # a component whose other side is all but zero says nothing about this one: it stays zero
        safe = jnp.where(quadratic > DEAD, quadratic, jnp.inf)
        if not self.lifts_zero:
            return jnp.maximum(linear / safe, 0)
        root = jnp.sqrt(linear**2 + 4 * quadratic * (self.shape - 1))
        # the two forms of the positive root, each where it does not cancel
        upper = (root + linear) / (2 * safe)
        lower = 2 * (self.shape - 1) / jnp.maximum(root - linear, jnp.finfo(jnp.result_type(root)).tiny)
        return jnp.where(linear > 0, upper, lower)

    def check(self) -> None:
        """Raise ModelError for parameters out of range."""
        if self.mean is not None and not (np.ndim(self.mean) == 0 and 0 < float(self.mean) < np.inf):
            raise ModelError(
                f"Expected {type(self).__name__}(mean=...) to be a positive number; got {self.mean!r}. "
                "Leave it out to take it from the level of X."
            )


DEAD = 1e-30
"""Curvature below which an entry is not determined by the data, for data of a level near 1."""
