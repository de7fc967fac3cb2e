"""Names for the things that are passed around."""

from __future__ import annotations

from typing import Any, Literal

import jax
import numpy as np

Array = jax.Array
Number = float | jax.Array | np.ndarray
"""A number of the user's, a leaf when it is traced."""
Side = Literal["W", "H"]
Precision = Literal["float32", "float64"]
MatrixLike = Any
"""numpy or JAX array, scipy.sparse matrix, pandas DataFrame, xarray DataArray, list of lists."""
