"""Engines: algorithms that fit a model. One file each."""

from .cavi import CAVI as CAVI
from .map import MAP as MAP
