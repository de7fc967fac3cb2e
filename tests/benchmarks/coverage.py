"""How often 90% intervals hold the truth: ``python tests/benchmarks/coverage.py [gibbs] [name ...] [starts [sets]]``.

Truths are drawn from the model: W and H from Gamma(shape), X from its likelihood. Each set is fitted from random
starts; components
are matched to the truth once, by the cosine of the rows of H. W and H refer to H with unit row sums. Standard errors
are
those of the mean over sets.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

import bayesnmf as bn
from bayesnmf.align import match_rows


@dataclass(frozen=True)
class Setting:
    """A truth, and the model it is fitted with."""

    sets: int = 200
    n: int = 40
    m: int = 40
    k: int = 3
    shape: float = 1.0
    mean: float = 2.0
    noise: Any = bn.Poisson()
    likelihood: Any = bn.Poisson()
    prior: Any = bn.Gamma()
    rank: int | None = None


def settings() -> dict[str, Setting]:
    """Return the settings by name."""
    nb = bn.NegativeBinomial(dispersion=0.15)
    found = {
        "poisson-known": Setting(prior=bn.Gamma(1.0, mean=2.0)),
        "poisson-learned": Setting(prior=bn.Gamma(shape=None)),
        "sparse": Setting(n=60, m=30, k=4, shape=0.3, prior=bn.Gamma(0.3)),
        "sparse-learned": Setting(n=60, m=30, k=4, shape=0.3, prior=bn.Gamma(shape=None)),
        "nb": Setting(noise=nb, likelihood=bn.NegativeBinomial()),
        "nb-as-poisson": Setting(sets=50, noise=nb),
        "one-less": Setting(sets=50, rank=2),
        "one-more": Setting(sets=50, rank=4),
    }
    if hasattr(bn, "CompoundPoisson"):
        cp = bn.CompoundPoisson(shape=1.5, jump=1.0)
        found["compound"] = Setting(sets=100, noise=cp, likelihood=bn.CompoundPoisson())
    found["gaussian"] = Setting(
        sets=100, noise=bn.Gaussian(variance=4.0), likelihood=bn.Gaussian(), prior=bn.Exponential()
    )
    return found


def measure(setting: Setting, seed: int, engine: bn.CAVI | bn.Gibbs) -> list[float]:
    """Return coverage of W, H, W H, its thirds by posterior mean, W H under CAVI's mean field, and noise learned."""
    import jax

    rng = np.random.default_rng(seed)
    scale = setting.mean / setting.shape
    W = rng.gamma(setting.shape, scale, (setting.n, setting.k))
    H = rng.gamma(setting.shape, scale, (setting.k, setting.m))
    X = np.asarray(setting.noise.sample(jax.random.key(seed), np.asarray(W @ H, np.float32)), float)
    model = bn.Model(setting.rank or setting.k, setting.likelihood, W=setting.prior, H=setting.prior)
    fit = bn.fit(X, model, engine=engine, seed=seed)
    size = H.sum(1)
    true = {"W": W * size, "H": H / size[:, None], "mean": W @ H}
    found = match_rows(true["H"], fit.H)
    kept = {"W": (slice(None), found.own), "H": found.own, "mean": ...}
    other = {"W": (slice(None), found.other), "H": found.other, "mean": ...}
    row = []
    for name in ("W", "H", "mean"):
        low, high = (end[other[name]] for end in fit.interval(name, 0.9))
        inside = (low <= true[name][kept[name]]) & (true[name][kept[name]] <= high)
        row.append(inside.mean())
    order = np.argsort(fit.mean, axis=None)
    row += [part.mean() for part in np.array_split(inside.ravel()[order], 3)]
    if isinstance(engine, bn.CAVI):
        low, high = fit.interval("mean", 0.9, method="mean_field")
        row.append(((low <= true["mean"]) & (true["mean"] <= high)).mean())
    return row + [float(np.mean(v)) for v in fit.noise.values()]


def main(names: list[str], starts: int = 1, sets: int | None = None) -> None:
    """Print a line for each setting."""
    everything = settings()
    engine: bn.CAVI | bn.Gibbs = bn.CAVI(starts=starts)
    if "gibbs" in names:
        engine = bn.Gibbs(chains=2, warmup=500, draws=1000, starts=starts)
    names = [name for name in names if name != "gibbs"]
    print(f"90% intervals, {engine}: W, H, W H; thirds of W H by mean; with CAVI W H by mean field; learned noise")
    for name in names or everything:
        setting, begin = everything[name], time.perf_counter()
        rows, failed = [], 0
        for seed in range(sets or setting.sets):
            try:
                rows.append(measure(setting, seed, engine))
            except bn.EngineError:
                failed += 1
        mean, error = np.mean(rows, 0), np.std(rows, 0) / np.sqrt(len(rows))
        figures = "  ".join(f"{a:.3f}" for a in mean)
        print(
            f"{name:16} {len(rows):3} sets, {failed} failed: {figures}  (se {error[0]:.3f} {error[1]:.3f} "
            f"{error[2]:.3f}; {(time.perf_counter() - begin) / len(rows):.2f} s a set)",
            flush=True,
        )


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    main([a for a in sys.argv[1:] if not a.isdigit()], *numbers)
