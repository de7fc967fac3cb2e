"""How often intervals hold the truth: ``python tests/benchmarks/coverage.py [word ...]``.

Words: names of settings below; names of engines (cavi, gibbs, nuts, svi, svi-component; left out: cavi); the number of
sets; a file that ends in .csv, which a row is added to for each set, quantity and level, and which a later run goes on
from.

Truths are drawn from the model: W and H from Gamma(shape), X from its likelihood. Each set is fitted from random
starts; components are matched to the truth once, by the cosine of the rows of H. W and H refer to H with unit row sums,
masses are sorted. Standard errors are those of the mean over sets. For CAVI the intervals of the mean field are counted
too, as an engine of their own.
"""

from __future__ import annotations

import csv
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
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
        "wide": Setting(sets=20, n=30, m=300, prior=bn.Gamma(1.0)),
        "one-less": Setting(sets=50, rank=2),
        "one-more": Setting(sets=50, rank=4),
    }
    cp = bn.CompoundPoisson(shape=1.5, jump=1.0)
    found["compound"] = Setting(sets=100, noise=cp, likelihood=bn.CompoundPoisson())
    found["gaussian"] = Setting(
        sets=100, noise=bn.Gaussian(variance=4.0), likelihood=bn.Gaussian(), prior=bn.Exponential()
    )
    return found


ENGINES: dict[str, Any] = {
    "cavi": bn.CAVI(starts=1),
    "gibbs": bn.Gibbs(chains=2, warmup=500, draws=1500, starts=1),
    "nuts": bn.NUTS(chains=2, warmup=300, draws=500, starts=1),
    "svi": bn.SVI(starts=1),
    "svi-component": bn.SVI(starts=1, guide="component"),
}
LEVELS = (0.5, 0.8, 0.9, 0.95)
Row = tuple[str, str, int, str, float, float]


def measure(name: str, setting: Setting, engine: str, seed: int) -> list[Row]:
    """Return what share of the truths the intervals of one set hold, by quantity and level."""
    rng = np.random.default_rng(seed)
    scale = setting.mean / setting.shape
    W = rng.gamma(setting.shape, scale, (setting.n, setting.k))
    H = rng.gamma(setting.shape, scale, (setting.k, setting.m))
    X = np.asarray(setting.noise.sample(jax.random.key(seed), np.asarray(W @ H, np.float32)), float)
    model = bn.Model(setting.rank or setting.k, setting.likelihood, W=setting.prior, H=setting.prior)
    fit = bn.fit(X, model, engine=ENGINES[engine], seed=seed)
    size = H.sum(1)
    found = match_rows(H / size[:, None], fit.H)
    of_components = {"W": (W * size)[:, found.own], "H": (H / size[:, None])[found.own]}
    thirds = np.argsort(fit.mean, axis=None)
    rows: list[Row] = []
    for method in (None, "mean_field") if engine == "cavi" else (None,):
        label = engine if method is None else "cavi, mean field"
        for level in LEVELS:
            for what in ("W", "H", "mean", "mass"):
                low, high = fit.interval(what, level, method=method)  # type: ignore[arg-type]
                if what in of_components:
                    low, high = (a[:, found.other] if what == "W" else a[found.other] for a in (low, high))
                    inside = (low <= of_components[what]) & (of_components[what] <= high)
                elif what == "mean":
                    inside = (low <= W @ H) & (W @ H <= high)
                    for third, part in enumerate(np.array_split(inside.ravel()[thirds], 3)):
                        rows.append((name, label, seed, f"mean, third {third + 1}", level, float(part.mean())))
                elif fit.rank == setting.k:
                    true = np.sort((W * size).sum(0))
                    inside = (np.sort(low) <= true) & (true <= np.sort(high))
                else:
                    continue
                rows.append((name, label, seed, what, level, float(inside.mean())))
    return rows + [(name, label, seed, f"noise {key}", np.nan, float(np.mean(v))) for key, v in fit.noise.items()]


def read(path: Path | None) -> list[Row]:
    """Return the rows of a table, none where there is no file."""
    if path is None or not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [(a, b, int(c), d, float(e), float(f)) for a, b, c, d, e, f in list(csv.reader(file))[1:]]


def main(words: list[str]) -> None:
    """Measure what is not in the table yet, and print a line for each setting and engine."""
    everything = settings()
    path = next((Path(word) for word in words if word.endswith(".csv")), None)
    sets = next((int(word) for word in words if word.isdigit()), None)
    names = [word for word in words if word in everything] or list(everything)
    engines = [word for word in words if word in ENGINES] or ["cavi"]
    rows = read(path)
    for name in names:
        for engine in engines:
            done = {row[2] for row in rows if row[:2] == (name, engine)}
            begin, failed, seeds = time.perf_counter(), 0, range(sets or everything[name].sets)
            for seed in seeds:
                if seed in done:
                    continue
                try:
                    new = measure(name, everything[name], engine, seed)
                except bn.EngineError:
                    failed += 1
                    continue
                rows += new
                if path is not None:
                    fresh = not path.exists()
                    with open(path, "a", encoding="utf-8", newline="") as file:
                        writer = csv.writer(file)
                        writer.writerows([("setting", "engine", "set", "quantity", "level", "value")] if fresh else [])
                        writer.writerows([(*row[:5], f"{row[5]:.5f}") for row in new])
            say(name, engine, rows, failed, time.perf_counter() - begin)


def say(name: str, engine: str, rows: list[Row], failed: int, seconds: float) -> None:
    """Print coverage by quantity at all levels, and noise that was learned."""
    for label in (engine, "cavi, mean field") if engine == "cavi" else (engine,):
        own = [row for row in rows if row[:2] == (name, label)]
        for what in dict.fromkeys(row[3] for row in own):
            at = {}
            for level in dict.fromkeys(row[4] for row in own if row[3] == what and not np.isnan(row[4])):
                values = [row[5] for row in own if row[3:5] == (what, level)]
                at[level] = f"{level:.2f}: {np.mean(values):.3f} ({np.std(values) / np.sqrt(len(values)):.3f})"
            noise = [row[5] for row in own if row[3] == what and np.isnan(row[4])]
            text = "  ".join(at.values()) if at else f"mean {np.mean(noise):.4g}"
            print(f"{name:16} {label:17} {len({row[2] for row in own}):3} sets  {what:14} {text}", flush=True)
    print(f"{name:16} {engine}: {failed} failed, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
