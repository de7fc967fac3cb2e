"""How often shrinkage finds the rank: ``python tests/benchmarks/rank.py [name ...]``.

Catalogues: the generator of Zito and Miller (2024), 100 samples x 96 features, 10 profiles from Dirichlet(.25),
Poisson, ten starts, in both precisions. Overdispersed: 200 samples with variance mu + .15 mu^2, five starts.
Swimmer: 256 images of 1024 pixels with Poisson noise, 16 limb positions (needs BAYESNMF_BENCH_DATA), ten starts.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers import catalogue, recovered

import bayesnmf as bn
from bayesnmf.align import cosines


def catalogues(sets: int = 20) -> None:
    """Print exact counts, precision and sensitivity over sets, and how far the two precisions agree."""
    found: dict[str, list[tuple[int, float, float, float]]] = {}
    closest = []
    for precision in ("float32", "float64"):
        begin, rows = time.perf_counter(), []
        for seed in range(sets):
            X, profiles = catalogue(seed)
            model, engine = bn.Model(25, shrinkage=bn.ARD()), bn.MAP(starts=10, precision=precision)
            fit = bn.fit(X, model, engine=engine, seed=seed)
            rows.append((fit.rank, *recovered(fit, profiles), fit.objective))
            if precision == "float32":
                closest.append((cosines(profiles, profiles) - np.eye(len(profiles))).max())
        found[precision] = rows
        ranks, hits = [r[0] for r in rows], np.array([r[1:3] for r in rows]).mean(0)
        print(
            f"catalogues {precision}: exact {ranks.count(10)} of {sets}, ranks {min(ranks)} to {max(ranks)}, "
            f"precision {hits[0]:.3f}, sensitivity {hits[1]:.3f}, {(time.perf_counter() - begin) / sets:.2f} s a set"
        )
    print(f"greatest cosine between two profiles of a set: {np.median(closest):.2f} median, {max(closest):.2f} most")
    both = list(zip(*found.values(), strict=True))
    print(
        f"same rank in both precisions: {sum(a[0] == b[0] for a, b in both)} of {sets}; objectives differ by "
        f"{max(abs(a[3] / b[3] - 1) for a, b in both):.1e} at most"
    )


def overdispersed(sets: int = 20) -> None:
    """Print ranks, and dispersions where .15 is true, for negative binomial catalogues of 200 samples."""
    begin, ranks, hits, dispersions = time.perf_counter(), [], [], []
    for seed in range(sets):
        X, profiles = catalogue(seed, n=200, dispersion=0.15)
        model = bn.Model(25, bn.NegativeBinomial(), shrinkage=bn.ARD())
        fit = bn.fit(X, model, seed=seed, engine=bn.MAP(starts=5))
        ranks.append(fit.rank)
        hits.append(recovered(fit, profiles))
        dispersions.append(float(fit.noise["dispersion"]))
    precision, sensitivity = np.mean(hits, 0)
    print(
        f"overdispersed: exact {ranks.count(10)} of {sets}, ranks {min(ranks)} to {max(ranks)}, "
        f"precision {precision:.3f}, sensitivity {sensitivity:.3f}, dispersion {min(dispersions):.3f} to "
        f"{max(dispersions):.3f}, {(time.perf_counter() - begin) / sets:.2f} s a set"
    )


def by_posterior(sets: int = 20) -> None:
    """Print exact counts on the same catalogues for the posterior, under both kinds of shrinkage."""
    for name, shrinkage in (("ARD", bn.ARD()), ("Compressive", bn.Compressive())):
        begin, rows = time.perf_counter(), []
        for seed in range(sets):
            X, profiles = catalogue(seed)
            fit = bn.fit(X, bn.Model(25, shrinkage=shrinkage), engine=bn.CAVI(), seed=seed)
            rows.append((fit.rank, *recovered(fit, profiles)))
        ranks, hits = [r[0] for r in rows], np.array([r[1:] for r in rows]).mean(0)
        print(
            f"catalogues, CAVI and {name}: exact {ranks.count(10)} of {sets}, ranks {min(ranks)} to {max(ranks)}, "
            f"precision {hits[0]:.3f}, sensitivity {hits[1]:.3f}, {(time.perf_counter() - begin) / sets:.2f} s a set"
        )


def swimmer(sets: int = 10) -> None:
    """Print the rank found on the swimmer."""
    folder = os.environ.get("BAYESNMF_BENCH_DATA")
    if folder is None:
        print("swimmer: skipped, set BAYESNMF_BENCH_DATA to a folder with swimmer.npz")
        return
    images = np.load(Path(folder) / "swimmer.npz", allow_pickle=False)["X"].T
    ranks = []
    for seed in range(sets):
        X = np.random.default_rng(seed).poisson(images)
        ranks.append(bn.fit(X, bn.Model(32, shrinkage=bn.ARD()), engine=bn.MAP(), seed=seed).rank)
    print(f"swimmer: ranks {ranks}")


STUDIES = {study.__name__: study for study in (catalogues, by_posterior, overdispersed, swimmer)}

if __name__ == "__main__":
    for given in sys.argv[1:] or STUDIES:
        STUDIES[given]()
