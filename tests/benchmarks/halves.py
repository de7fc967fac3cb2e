"""Do two halves of the data say the same? ``python tests/benchmarks/halves.py [word ...]``.

Words: names of studies of selection.py. For each, its first set is cut into two halves: samples at random, those of
time series in ten blocks by turns, so that neither half has neighbours of the other. `select_rank` looks at both. The
share of components of one half that come back in the other, matched with a cosine of at least .9, is beside the mean
`recurrence` that the first half predicted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from selection import STUDIES

import bayesnmf as bn

SETS = ("poisson", "overdispersed", "catalogue-10", "biliary", "ca1", "songbird")
SERIES = ("ca1", "songbird")
BLOCKS, NEAR = 10, 0.9


def halves(n: int, series: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples of two halves."""
    turn = np.arange(n) * BLOCKS // n % 2 == 0 if series else np.random.default_rng(0).permutation(n) < n // 2
    return np.flatnonzero(turn), np.flatnonzero(~turn)


def main(names: list[str]) -> None:
    """Print a line for each set of data."""
    print("| data | samples of a half | components | come back in the other half | recurrence of the first half |")
    print("|---|---|---|---|---|")
    for name in names or SETS:
        X = np.asarray(STUDIES[name][1](0).X)
        parts = [X[rows][:, X.sum(0) > 0] for rows in halves(len(X), name in SERIES)]
        seen = np.all([part.sum(0) > 0 for part in parts], 0)
        one, other = (bn.select_rank(part[:, seen]) for part in parts)
        cosine = bn.match(one.fit, other.fit).cosine
        print(
            f"| {name} | {len(parts[0])}, {len(parts[1])} | {one.best}, {other.best} | "
            f"{np.sum(cosine >= NEAR)} of {one.best} | {one.recurrence.mean():.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
