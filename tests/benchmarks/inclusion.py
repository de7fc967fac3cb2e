"""The probability of each number of components beside the evidence: ``python tests/benchmarks/inclusion.py [counts]``.

50 samples x 40 features, four parts, of which the smallest holds about 40 times `counts` counts in all (left out: 1).
"""

from __future__ import annotations

import sys
import time

import numpy as np

import bayesnmf as bn


def main(counts: float = 1.0) -> None:
    """Print what a selection says, and how long it took with and without the probability."""
    rng = np.random.default_rng(5)
    H = rng.dirichlet(np.full(40, 0.25), 4)
    W = rng.gamma(0.5, 2.0, (50, 4)) * np.array([30, 20, 10, counts])
    X = rng.poisson(W @ H)
    print("counts of each part, expected:", W.sum(0).round())
    for shrinkage in (None, bn.Inclusion()):
        begin = time.perf_counter()
        found = bn.select_rank(X, max_rank=10, shrinkage=shrinkage)
        print(found, f"\n{time.perf_counter() - begin:.0f} s", flush=True)
    print(found.table["evidence"].round(1).to_dict())
    print(found.probability)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
