"""Engines: algorithms that fit a model. One file each."""

from .cavi import CAVI as CAVI
from .gibbs import Gibbs as Gibbs
from .map import MAP as MAP

Engine = MAP | CAVI | Gibbs
