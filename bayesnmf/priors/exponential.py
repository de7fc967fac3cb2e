"""Exponential prior: an l1 penalty."""

from __future__ import annotations

from dataclasses import dataclass

import jax

from .._types import Array, Number
from ._base import Prior


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Exponential(Prior):
    """``p(w) = exp(-w / mean) / mean``: sparse entries, an l1 penalty of weight 1 / mean.

    Parameters
    ----------
    mean : float, optional
        Mean, in the unit of the side it is put on. Left out: ``sqrt(mean(X) / rank)``; learned by posterior
        engines, as that of `Gamma`.

    >>> from bayesnmf import Exponential
    >>> Exponential(mean=2.0).rate(2.0)
    0.5
    """

    mean: Number | None = None

    def rate(self, level: Array) -> Array:
        """Return 1 / level."""
        return 1 / level
