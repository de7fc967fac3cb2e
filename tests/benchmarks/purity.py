"""Purity of the strongest component of each cell against ten sorted populations: hpf of the zoo beside other fits.

    BAYESNMF_BENCH_DATA=folder python tests/benchmarks/purity.py

963 cells x 1000 genes (pbmc_facs_small). For each component the cells that it is strongest in are said to be of the
population that most of them are of; purity is the share of cells for which that is so. A cell's strength in a component
is its share of the cell's expected counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import NMF

import bayesnmf as bn


def purity(W: np.ndarray, H: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of cells in the majority of their strongest component."""
    strongest = (W * H.sum(1)).argmax(1)
    return sum(np.unique(labels[strongest == k], return_counts=True)[1].max() for k in np.unique(strongest)) / len(W)


def main() -> None:
    """Print purities for two numbers of components and three seeds."""
    z = np.load(Path(os.environ["BAYESNMF_BENCH_DATA"]) / "pbmc_facs_small.npz")
    X = sp.csr_matrix((z["data"], z["indices"].astype("i4"), z["indptr"]), shape=tuple(z["shape"])).toarray()
    labels = np.array(str(z["celltype"]).split("\n"))

    def sklearn(k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        model = NMF(k, beta_loss="kullback-leibler", solver="mu", init="random", max_iter=500, random_state=seed)
        return model.fit_transform(X), model.components_

    def fitted(**given: object) -> Callable[[int, int], tuple[np.ndarray, np.ndarray]]:
        def one(k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
            fit = bn.fit(X, rank=k, seed=seed, **given)  # type: ignore[arg-type]
            return fit.W, fit.H

        return one

    ways = {
        "scikit-learn NMF, KL, random, 500 steps": sklearn,
        "bn.fit, MAP, KL, five starts": fitted(engine=bn.MAP(starts=5)),
        "bn.fit, CAVI, Poisson": fitted(),
        "hpf, SVI": fitted(model=bn.models.load("hpf"), engine=bn.SVI(starts=5)),
    }
    for k in (6, 10):
        for name, way in ways.items():
            begin = time.perf_counter()
            found = [purity(*way(k, seed), labels) for seed in range(3)]
            seconds = (time.perf_counter() - begin) / 3
            print(f"k {k:2}  {name:40} {' '.join(f'{p:.3f}' for p in found)}  {seconds:.0f} s a fit", flush=True)


if __name__ == "__main__":
    main()
