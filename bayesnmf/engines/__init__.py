"""Engines: algorithms that fit a model. One file each."""

from .map import MAP as MAP
