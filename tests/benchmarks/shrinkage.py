"""Ten starts of ARD beside SignatureAnalyzer's: ``python tests/benchmarks/shrinkage.py PYTHON``.

PYTHON is the interpreter of an environment with SignatureAnalyzer (Python 3.11, torch for the CPU, pyarrow below 19,
setuptools below 81), which is not among our own dependencies. Poisson counts, 100 samples x 96 features, 10 parts, from
25 components down, L1 priors on both sides, its other options as they are. Ours and theirs by turns, each repeat in a
warm process; the first of ours, with compilation, is printed by itself.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers import catalogue

import bayesnmf as bn

STARTS, REPEATS, MOST = 10, 3, 25

THEIRS = f"""
import contextlib, io, sys, time, warnings
warnings.simplefilter("ignore")
with contextlib.redirect_stdout(io.StringIO()):
    import numpy as np, pandas as pd, signatureanalyzer as sa
X = pd.DataFrame(np.load(sys.argv[1]).T.astype(float))
X.index, X.columns = X.index.astype(str), X.columns.astype(str)

def once():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = sa.bnmf.ardnmf(X, K0={MOST}, objective="poisson", cuda_int=None, verbose=False)
    return found["W"].filter(regex="^S").shape[1]

once()
begin = time.perf_counter()
kept = [once() for _ in range({STARTS})]
print(time.perf_counter() - begin, *kept)
"""


def main(python: str) -> None:
    """Print seconds of ten starts and the numbers kept, ours and theirs, and the ratio of the medians."""
    X, _ = catalogue(0)
    model, engine = bn.Model(MOST, bn.Poisson(), shrinkage=bn.ARD()), bn.MAP(starts=STARTS)
    own: list[float] = []
    other: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.npy"
        np.save(path, X, allow_pickle=False)
        for repeat in range(REPEATS + 1):
            begin = time.perf_counter()
            fit = bn.fit(X, model, engine=engine, seed=repeat)
            own.append(time.perf_counter() - begin)
            print(f"ours   {own[-1]:7.2f} s, kept {fit.agreement.rank}", flush=True)
            if repeat:
                said = subprocess.run([python, "-c", THEIRS, str(path)], check=True, capture_output=True, text=True)
                seconds, *kept = said.stdout.split()
                other.append(float(seconds))
                print(f"theirs {other[-1]:7.2f} s, kept {kept}", flush=True)
    ours, theirs = statistics.median(own[1:]), statistics.median(other)
    print(f"medians {ours:.2f} and {theirs:.2f} s: {theirs / ours:.1f} times as fast; first of ours {own[0]:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1])
