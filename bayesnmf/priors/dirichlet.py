"""Dirichlet prior on the rows of H."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from .._pytree import pytree
from .._types import Array, Number
from ._base import Prior


@pytree
@dataclass(frozen=True)
class Dirichlet(Prior):
    """``h_k ~ Dirichlet(shape, ..., shape)``: rows of H that sum to 1, for counts under `CAVI`.

    For profiles, such as mutational signatures. 1 is uniform, below 1 sparse. For `MAP`, and for noise that is not of
    the count family, use `Gamma` with the same shape: it says the same of a row up to its scale.

    Parameters
    ----------
    shape : float
        Concentration of each feature.

    Examples
    --------
    >>> from bayesnmf import Dirichlet
    >>> Dirichlet(0.5).shape
    0.5
    """

    shape: Number = 1.0

    def rate(self, level: Array) -> Array:
        """Return the rate of Gamma variables that give such rows: 1."""
        return jnp.ones_like(level)

    def check(self) -> None:
        """Raise ModelError for a shape that is not positive."""
        if not (np.ndim(self.shape) == 0 and 0 < float(self.shape) < np.inf):
            raise ModelError(f"Expected Dirichlet(shape=...) to be a positive number; got {self.shape!r}.")
