"""Engines: algorithms that fit a model. One file each."""

from .cavi import CAVI as CAVI
from .gibbs import Gibbs as Gibbs
from .map import MAP as MAP
from .nuts import NUTS as NUTS
from .svi import SVI as SVI

Engine = MAP | CAVI | Gibbs | NUTS | SVI
