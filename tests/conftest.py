"""The strictest settings, for every test."""

import os
from collections.abc import Iterator

import jax
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
# the tests compile hundreds of small programs and run each for milliseconds; read when JAX first computes
FLAGS = "--xla_backend_optimization_level=0"
if jax.__version_info__ < (0, 11):  # halves the time again; gone, and then refused, in later versions
    FLAGS += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    FLAGS += " --xla_llvm_disable_expensive_passes=true --xla_cpu_use_onednn=false"
os.environ.setdefault("XLA_FLAGS", FLAGS)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision within a test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True, scope="module")
def _programs_of_one_file() -> Iterator[None]:
    """Drop the compiled programs of a file when its tests are done: one process may not hold all of them."""
    yield
    jax.clear_caches()


@pytest.fixture
def promoted() -> Iterator[None]:
    """Let NumPyro's distributions, and a user's program, promote ranks as NumPy does; chains run in other threads."""
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield
    jax.config.update("jax_numpy_rank_promotion", "raise")
