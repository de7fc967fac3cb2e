"""Whether samplers are right: ``python tests/benchmarks/calibration.py [sbc | geweke | faults] ...``.

sbc: 8 x 6, k 2, 400 sets, by likelihood, for Gibbs and (Poisson) NUTS. geweke: 6 x 4, k 2, 100,000 steps.
faults: what both say when a shape is wrong by a tenth, a mask is forgotten, or rates are swapped.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

import bayesnmf as bn
from bayesnmf.diagnostics import _simulate

COUNTS = {"W": bn.Gamma(1.5, mean=3.0), "H": bn.Gamma(1.2, mean=1.0)}
NORMAL = {"W": bn.Exponential(mean=1.5), "H": bn.Exponential(mean=1.0)}
MODELS = {
    "Poisson": bn.Model(2, bn.Poisson(), **COUNTS),
    "NegativeBinomial": bn.Model(2, bn.NegativeBinomial(dispersion=0.3), **COUNTS),
    "CompoundPoisson": bn.Model(2, bn.CompoundPoisson(shape=1.5, jump=1.0), **COUNTS),
    "Gaussian": bn.Model(2, bn.Gaussian(variance=1.0), **NORMAL),
}
GIBBS = bn.Gibbs(chains=1, warmup=200, draws=1900, starts=1)
NUTS = bn.NUTS(chains=1, warmup=200, draws=400, starts=1)
MASK = np.ones((8, 6), bool)
MASK[0, :3] = MASK[5, 4] = False


def report(name: str, table: Any, column: str, begin: float) -> None:
    """Print the worst of a table."""
    values = {what: f"{value:.3g}" for what, value in table[column].items()}
    print(f"{name} ({time.perf_counter() - begin:.0f} s), {column}: {values}", flush=True)


def sbc(sets: int = 400) -> None:
    """Print the probability of ranks under uniformity."""
    for name, model in MODELS.items():
        for engine in (GIBBS, NUTS) if name == "Poisson" else (GIBBS,):
            begin = time.perf_counter()
            found = bn.diagnostics.sbc(model, (8, 6), engine=engine, sets=sets, observed=MASK).summary()
            report(f"SBC {name} {type(engine).__name__}", found, "probability", begin)
            report(f"SBC {name} {type(engine).__name__}", found, "z", begin)


def geweke(steps: int = 100_000) -> None:
    """Print z-scores."""
    for name, model in MODELS.items():
        for engine in (bn.Gibbs(), bn.NUTS()):
            begin = time.perf_counter()
            mask = MASK[:6, :4]
            step = 0.03 if name == "Gaussian" else 0.2
            found = bn.diagnostics.geweke(model, (6, 4), engine=engine, steps=steps, step=step, observed=mask)
            report(f"Geweke {name} {type(engine).__name__}", found, "z", begin)


def faults() -> None:
    """Print what SBC and Geweke say of truths that are not the model's."""
    model = MODELS["Poisson"]
    own = _simulate.Simulation.simulated

    def spoiled(**changes: Any) -> Any:
        def simulated(self: Any, key: Any) -> Any:
            program = replace(
                self.joint.program, **{name: change(self.joint.program) for name, change in changes.items()}
            )
            return own(replace(self, joint=replace(self.joint, program=program)), key)

        return simulated

    def hidden(self: Any, key: Any) -> Any:
        sites = own(self, key)
        return {**sites, "X": np.where(MASK, sites["X"], 0)}  # unobserved entries are 0, and taken for data

    shape = spoiled(W=lambda program: replace(program.W, shape=program.W.shape * 1.1))
    swapped = spoiled(means=lambda program: {"W": program.means["H"], "H": program.means["W"]})
    for name, wrong in (("a shape wrong by a tenth", shape), ("swapped rates", swapped), ("no mask", hidden)):
        for study in ("SBC", "Geweke") if wrong is not hidden else ("SBC",):
            begin = time.perf_counter()
            _simulate.Simulation.simulated = wrong  # type: ignore[method-assign]
            if study == "SBC":
                found, column = bn.diagnostics.sbc(model, (8, 6), engine=GIBBS, sets=400).summary(), "probability"
            else:
                found, column = bn.diagnostics.geweke(model, (6, 4), engine=bn.Gibbs(), steps=100_000), "z"
            _simulate.Simulation.simulated = own  # type: ignore[method-assign]
            report(f"{study}, {name}", found, column, begin)


if __name__ == "__main__":
    for given in sys.argv[1:] or ("sbc", "geweke", "faults"):
        {"sbc": sbc, "geweke": geweke, "faults": faults}[given]()
