"""What a change of unit does: ``python tests/benchmarks/units.py [songbird | planted]``.

Songbird: components by the ELBO on X times 1, 10, 100, 1000, under compound Poisson noise and under plain Poisson. The
latter is refused by `bayesnmf.fit` here, so that the engine is called past its door.

Planted: X times 1e-6, 1, 1e6 under CompoundPoisson and Gaussian noise: rank by the ELBO and by shrinkage, and how far
ELBO, relative widths and agreement of starts move.
"""

from __future__ import annotations

import sys

import jax
import numpy as np

import bayesnmf as bn
from bayesnmf._input import read

SPARSE = bn.Gamma(0.3)


def elbo(X: np.ndarray, rank: int, likelihood: bn.likelihoods.Likelihood, engine: bn.CAVI) -> float:
    """Return the greatest ELBO of the starts."""
    model = bn.Model(rank, likelihood, W=SPARSE, H=SPARSE)
    return -float(engine.run(model, read(X), jax.random.key(0)).info.objective.min())


def songbird() -> None:
    """Print the rank of the greatest ELBO in each unit."""
    X = bn.datasets.load("songbird").X.astype(float)
    engine = bn.CAVI(starts=3)
    plain = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25)
    for unit in (1.0, 10.0, 100.0, 1000.0):
        for likelihood, ranks in ((bn.CompoundPoisson(), range(1, 9)), (bn.Poisson(), plain)):
            found = {rank: elbo(unit * X, rank, likelihood, engine) for rank in ranks}
            best = max(found, key=found.__getitem__)
            values = " ".join(f"{rank}: {value:.0f}" for rank, value in found.items())
            print(f"X times {unit:g}, {type(likelihood).__name__}: k = {best} ({values})", flush=True)


def planted() -> None:
    """Print ranks, and the greatest relative difference from the unit 1."""
    rng = np.random.default_rng(8)
    mean = rng.gamma(0.7, 4.0, (60, 3)) @ rng.gamma(0.5, 1.0, (3, 30))
    noises = {
        "CompoundPoisson": (bn.CompoundPoisson, bn.CompoundPoisson(shape=2.0, jump=0.5)),
        "Gaussian": (bn.Gaussian, bn.Gaussian(variance=1.0)),
    }
    engine = bn.CAVI(starts=3, max_steps=1000, tol=0.0, residual_tol=0.0, precision="float64")
    for name, (likelihood, truth) in noises.items():
        with jax.enable_x64(True):
            X = np.asarray(truth.sample(jax.random.key(1), jax.numpy.asarray(mean)))
        rows = {}
        for unit in (1.0, 1e-6, 1e6):
            fits = {rank: bn.fit(unit * X, rank=rank, likelihood=likelihood(), engine=engine) for rank in range(1, 6)}
            values = np.array([fit.elbo for fit in fits.values()])
            best = fits[int(values.argmax()) + 1]
            low, high = best.interval("mean")
            shrunk = bn.fit(unit * X, bn.Model(8, likelihood(), shrinkage=bn.ARD()), engine=engine)
            jacobian = np.log(unit) * (np.count_nonzero(X) if name == "CompoundPoisson" else X.size)
            width = (high - low) / best.mean
            rows[unit] = values + jacobian, width, best.agreement.cosine, best.rank, shrunk.rank
        for unit, row in rows.items():
            moved = [np.max(np.abs(a / b - 1)) for a, b in zip(row[:3], rows[1.0][:3], strict=True)]
            print(
                f"{name}, X times {unit:g}: k {row[3]} by the ELBO, {row[4]} by shrinkage; against unit 1 the ELBO "
                f"moves by {moved[0]:.1e}, relative widths by {moved[1]:.1e}, cosines of starts by {moved[2]:.1e}",
                flush=True,
            )


if __name__ == "__main__":
    for given in sys.argv[1:] or ("planted", "songbird"):
        {"planted": planted, "songbird": songbird}[given]()
