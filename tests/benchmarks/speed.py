"""Time of a multiplicative KL update beside scikit-learn's, in one run: ``python tests/benchmarks/speed.py``.

Prints medians over repeats, and ratios. Both start from the same W and H, run a fixed number of iterations in float32
and
stop for nothing else. A time is (long run - short run) / (difference in iterations), so that what happens once
(validation, copies) does not count; it counts in the last column, which is the whole call of the long run.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import NMF

import bayesnmf as bn

REPEATS = 5


def planted(n: int, m: int, k: int, nonzero: float | None = None) -> np.ndarray:
    """Return Poisson counts with k parts; with a share of non-zeros, spread at random."""
    rng = np.random.default_rng(0)
    mean = rng.gamma(0.5, 2.0, (n, k)) @ rng.gamma(0.5, 1.0, (k, m))
    X = rng.poisson(mean).astype(np.float32)
    if nonzero is not None:
        X *= rng.random((n, m)) < nonzero / (X > 0).mean()
    return X


def ours(X: Any, W: np.ndarray, H: np.ndarray, steps: int) -> None:
    """Run `steps` multiplicative updates of bayesnmf."""
    engine = bn.MAP(method="mu", max_steps=steps, tol=0.0, residual_tol=0.0, check_every=10)
    bn.fit(X, rank=H.shape[0], likelihood=bn.Poisson(), init=(W, H), engine=engine)


def theirs(X: Any, W: np.ndarray, H: np.ndarray, steps: int) -> None:
    """Run `steps` multiplicative updates of scikit-learn."""
    model = NMF(H.shape[0], init="custom", solver="mu", beta_loss="kullback-leibler", tol=0.0, max_iter=steps)
    model.fit_transform(X, W=W.copy(), H=H.copy())


def per_step(run: Callable[..., None], X: Any, W: np.ndarray, H: np.ndarray, steps: int) -> tuple[float, float]:
    """Return seconds an iteration, and seconds of the whole call."""

    def seconds(count: int) -> float:
        begin = time.perf_counter()
        run(X, W, H, count)
        return time.perf_counter() - begin

    short = max(steps // 10, 1)
    seconds(short), seconds(steps)
    rows = [(seconds(short), seconds(steps)) for _ in range(REPEATS)]
    return statistics.median((b - a) / (steps - short) for a, b in rows), statistics.median(b for _, b in rows)


def main() -> None:
    """Print the table."""
    warnings.filterwarnings("ignore", module="sklearn")
    print(f"{'data':<32}{'ours':>12}{'scikit-learn':>14}{'ratio':>8}   whole call")
    for name, n, m, k, nonzero, steps in (
        ("dense 100 x 96, k 25", 100, 96, 25, None, 3000),
        ("dense 2000 x 1000, k 20", 2000, 1000, 20, None, 100),
        ("csr 5000 x 2000, 13%, k 15", 5000, 2000, 15, 0.13, 30),
    ):
        X = planted(n, m, k, nonzero)
        rng = np.random.default_rng(1)
        W, H = (rng.uniform(0.1, 1.0, shape).astype(np.float32) for shape in ((n, k), (k, m)))
        given = X if nonzero is None else sp.csr_matrix(X)
        own, own_all = per_step(ours, given, W, H, steps)
        rivals = [("", given)] if nonzero is None else [("", given), (" (dense)", X)]
        for label, matrix in rivals:
            other, other_all = per_step(theirs, matrix, W, H, steps)
            print(
                f"{name + label:<32}{own * 1e6:>9.0f} us{other * 1e6:>11.0f} us{other / own:>8.2f}"
                f"   {own_all:.2f} s, {other_all:.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
