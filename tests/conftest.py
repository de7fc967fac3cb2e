"""The strictest settings, for every test."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")
# the tests compile hundreds of small programs and run each for milliseconds
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")

from collections.abc import Iterator

import pytest


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision within a test."""
    with jax.enable_x64(True):
        yield
