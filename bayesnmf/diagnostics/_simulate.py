"""Data from a model or a program, for what judges samplers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from .._input import Table, read
from .._programs import joint_for
from .._resolve import resolve
from ..engines import NUTS
from ..engines.nuts import _Task
from ..model import Model


@dataclass(frozen=True)
class Simulation:
    """A joint density whose X is drawn anew, in the units of X, and the table of all ones that stands for X.

    Attributes
    ----------
    joint : Joint
        Of a program.
    table : Table
        Ones, with weights and offsets.
    task : engines.nuts._Task or None
        The model in the engine's units, which are those of X here; None for a program of the user's.
    """

    joint: Any
    table: Table
    task: Any

    @classmethod
    def of(cls, model: Any, shape: tuple[int, int], rank: int | None, data: dict[str, Any]) -> Simulation:
        """Return what simulates from a model whose priors and noise are given, or from a program."""
        table = read(np.ones(shape), **data)
        if not isinstance(model, Model):
            if rank is None:
                raise ModelError("Say how many components the program is called with: rank=2.")
            return cls(joint_for(model, table, rank, np.float32), table, None)
        engine = NUTS()
        resolved = resolve(model, table, engine)
        likelihood, W, H = resolved.parts
        given = W.mean is not None and (H.mean is not None or type(H).__name__ == "Dirichlet")
        if not given or likelihood.learned or model.shrinkage is not None:
            raise ModelError(
                "To simulate there must be a truth: give the means of both priors and the noise, such as "
                "Model(2, Poisson(), W=Gamma(1.5, mean=2.0), H=Gamma(1.5, mean=1.0)), and no shrinkage."
            )
        task = _Task(engine, resolved, table)
        return cls(task.joint, table, task)

    def draw(self, key: jax.Array) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return X and the sites that made it."""
        sites = self.simulated(key)
        return np.asarray(sites.pop("X"), float), {name: np.asarray(value) for name, value in sites.items()}

    def simulated(self, key: jax.Array) -> dict[str, Any]:
        """Return X and the sites that made it, under JAX's transformations."""
        from numpyro import handlers

        _, given = self.joint.arguments(None)
        trace = handlers.trace(handlers.seed(self.joint.program, key)).get_trace(None, **given)
        return {name: site["value"] for name, site in trace.items() if site["type"] in ("sample", "deterministic")}

    def quantities(self, X: np.ndarray, W: np.ndarray, H: np.ndarray) -> dict[str, float]:
        """Return what labels cannot spoil, the scale of W against H among it, which the priors alone know."""
        mean, mass = W @ H, W.sum(0) * H.sum(1)
        values = {"W": jnp.asarray(W, self.joint.X.dtype), "H": jnp.asarray(H, self.joint.X.dtype)}
        joint = replace(self.joint, X=jnp.asarray(X, self.joint.X.dtype))
        return {
            "sum of W": float(W.sum()), "sum of H": float(H.sum()), "greatest mass": float(mass.max()),
            "W H, first entry": float(mean[0, 0]), "W H, last entry": float(mean[-1, -1]),
            "log-likelihood": float(_log_likelihood(joint, values)),
        }  # fmt: skip


@jax.jit
def _log_likelihood(joint: Any, values: dict[str, Any]) -> jax.Array:
    return jnp.sum(joint.entries(values, jax.random.key(0))[0])
