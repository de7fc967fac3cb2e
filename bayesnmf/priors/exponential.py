"""Exponential prior: an l1 penalty."""

from __future__ import annotations

from dataclasses import dataclass

from .._pytree import pytree
from .._types import Array, Number
from ._base import Prior


@pytree
@dataclass(frozen=True)
class Exponential(Prior):
    """``p(w) = exp(-w / mean) / mean``: sparse entries, an l1 penalty of weight 1 / mean.

    Parameters
    ----------
    mean : float, optional
        Mean, in the unit of the side it is put on. Left out: ``sqrt(mean(X) / rank)``; learned by posterior
        engines, as that of `Gamma`.

    Examples
    --------
    >>> from bayesnmf import Exponential
    >>> Exponential(mean=2.0).rate(2.0)
    0.5
    """

    mean: Number | None = None

    def rate(self, level: Array) -> Array:
        """Return 1 / level."""
        return 1 / level
