"""What shrinkage must say."""

from __future__ import annotations

from typing import ClassVar, Self

from .._types import Number, Side
from ._base import Prior


class Shrinkage:
    """What finds the number of components: those whose relevance is above the threshold are kept."""

    threshold: float

    def check(self, W: Prior, H: Prior) -> None:
        """Raise ModelError for constants out of range, or priors that it does not go with."""
        raise NotImplementedError  # pragma: no cover - abstract


class Scaling(Shrinkage):
    """A scale for each component, ``scale_k ~ InverseGamma(a, b)``, learned, that shrinks what is not needed."""

    sides: ClassVar[tuple[Side, ...]] = ("W", "H")
    """The factors whose scale it is."""

    a: Number | None
    b: Number | None

    def resolved(self, level: float, shape: tuple[int, int], rank: int, W: Prior, H: Prior) -> Self:
        """Return it with a and b as numbers, for X with a mean of `level` and (n, m) = shape."""
        raise NotImplementedError  # pragma: no cover - abstract
