"""Compressive shrinkage: a hyper-prior whose strength grows with the number of samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from .._errors import ModelError
from .._pytree import pytree
from .._types import Number
from ._base import Prior
from ._shrinkage import Scaling
from .dirichlet import Dirichlet


@pytree
@dataclass(frozen=True)
class Compressive(Scaling):
    """One mean for each component's activities, pulled to nearly nothing with the weight of n samples.

    ``w_ik ~ Gamma(shape, mean = mu_k)``, ``mu_k ~ InverseGamma(n shape + 1, n shape level)``, rows of H Dirichlet
    (Zito and Miller
    2024). The prior says ``level`` as often as there are samples, so that more data do not wash it out. A component
    that
    the data need pays little.

    For counts under `CAVI`. Not for `MAP`, and not for Gaussian noise: use `ARD` there.

    Parameters
    ----------
    level : float
        Prior mean of activities, in counts (events) by sample.
    threshold : float
        A component is kept when its scale is above that of an empty one by this share.

    Examples
    --------
    >>> from bayesnmf import Compressive
    >>> Compressive().level
    0.001
    """

    sides = ("W",)

    level: Number = 1e-3
    threshold: float = 0.5
    a: Number | None = None
    b: Number | None = None

    def check(self, W: Prior, H: Prior) -> None:
        """Raise ModelError for constants out of range, or priors that it cannot scale."""
        if not (np.ndim(self.level) == 0 and 0 < float(self.level) < np.inf):
            raise ModelError(f"Expected Compressive(level=...) to be a positive number of counts; got {self.level!r}.")
        if not isinstance(H, Dirichlet):
            raise ModelError(f"Compressive needs rows of H that sum to 1: leave H out, or use Dirichlet(); got {H!r}.")

    def resolved(self, level: float, shape: tuple[int, int], rank: int, W: Prior, H: Prior) -> Self:
        """Return it with a and b: of the inverse mean, in the form that the rate of W has."""
        n, own = shape[0], float(W.shape)
        return replace(self, a=n * own + 1, b=float(self.level) * n)
