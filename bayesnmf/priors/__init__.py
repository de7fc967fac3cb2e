"""Priors on the entries of W and H, and shrinkage of whole components. One file each."""

from .._pytree import pytree as pytree
from ._base import Prior as Prior
from ._shrinkage import Scaling as Scaling
from ._shrinkage import Shrinkage as Shrinkage
from .ard import ARD as ARD
from .compressive import Compressive as Compressive
from .dirichlet import Dirichlet as Dirichlet
from .exponential import Exponential as Exponential
from .flat import Flat as Flat
from .gamma import SHAPES as SHAPES
from .gamma import Gamma as Gamma
from .half_normal import HalfNormal as HalfNormal
from .inclusion import Inclusion as Inclusion
from .inclusion import log_inclusion as log_inclusion
