"""Priors on the entries of W and H, and shrinkage of whole components. One file each."""

from ._base import Prior as Prior
from .ard import ARD as ARD
from .exponential import Exponential as Exponential
from .flat import Flat as Flat
from .gamma import Gamma as Gamma
from .half_normal import HalfNormal as HalfNormal
