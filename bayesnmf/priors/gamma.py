"""Gamma prior."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from .._pytree import pytree
from .._types import Array, Number
from ._base import Prior

SHAPES = (0.03, 30.0)
"""Range of a shape that is learned."""


@pytree
@dataclass(frozen=True)
class Gamma(Prior):
    """``p(w) ~ w^(shape - 1) exp(-shape w / mean)``: conjugate to counts.

    A shape above 1 keeps entries away from zero, 1 is `Exponential`. A shape below 1 has no mode: `MAP` refuses it.

    Parameters
    ----------
    shape : float or None
        Shape. None: learned, by posterior engines.
    mean : float, optional
        Mean, in the unit of the side it is put on. Left out: ``sqrt(mean(X) / rank)``; posterior engines learn that of
        W, and that of H where that of W is given (their product is all that the data can tell).

    Examples
    --------
    >>> from bayesnmf import Gamma
    >>> float(Gamma(shape=3.0, mean=2.0).rate(2.0))
    1.5
    """

    lifts_zero = True
    shape: Number | None = 1.0
    mean: Number | None = None

    def rate(self, level: Array) -> Array:
        """Return shape / level."""
        return jnp.asarray((1.0 if self.shape is None else self.shape) / level)

    def check(self) -> None:
        """Raise ModelError for a shape or a mean that is not positive."""
        super().check()
        if self.shape is not None and not (np.ndim(self.shape) == 0 and 0 < float(self.shape) < np.inf):
            raise ModelError(f"Expected Gamma(shape=...) to be a positive number; got {self.shape!r}.")
