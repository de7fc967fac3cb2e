"""How often intervals hold the truth: ``python tests/benchmarks/coverage.py [word ...]``.

Words: names of settings below; names of engines (cavi, gibbs, nuts, svi, svi-component; left out: cavi); the number of
sets; a file that ends in .csv, which a row is added to for each set and engine, and which a later run goes on from;
"page", which prints the tables of docs/coverage.md from such a file and measures nothing.

Truths are drawn from the model: W and H from Gamma(shape), X from its likelihood (H has a shape of its own in
"profiles-learned"). Each set is fitted from random
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
    shape_H: float | None = None
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
        "dense-learned": Setting(n=50, m=24, k=4, prior=bn.Gamma(shape=None)),
        "profiles-learned": Setting(n=60, m=96, k=5, shape_H=0.25, prior=bn.Gamma(shape=None)),
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
QUANTITIES = ("W", "H", "mean", "mean, third 1", "mean, third 2", "mean, third 3", "mass")
FIELDS = ("setting", "engine", "set", "noise", *(f"{what} {level}" for what in QUANTITIES for level in LEVELS))
EXACT = {"gibbs", "nuts"}
DRAWS = 2000
Row = dict[str, Any]


def measure(name: str, setting: Setting, engine: str, seed: int) -> list[Row]:
    """Return what share of the truths the intervals of one set hold, by quantity and level; a row for each method."""
    rng = np.random.default_rng(seed)
    shape_H = setting.shape_H or setting.shape
    W = rng.gamma(setting.shape, setting.mean / setting.shape, (setting.n, setting.k))
    H = rng.gamma(shape_H, setting.mean / shape_H, (setting.k, setting.m))
    X = np.asarray(setting.noise.sample(jax.random.key(seed), np.asarray(W @ H, np.float32)), float)
    model = bn.Model(setting.rank or setting.k, setting.likelihood, W=setting.prior, H=setting.prior)
    fit = bn.fit(X, model, engine=ENGINES[engine], seed=seed)
    size = H.sum(1)
    found = match_rows(H / size[:, None], fit.H)
    of_components = {"W": (W * size)[:, found.own], "H": (H / size[:, None])[found.own]}
    thirds = np.argsort(fit.mean, axis=None)
    masses = np.sort(fit.draws(DRAWS)["W"].sum(1), 1)
    noise = "; ".join(f"{key} {np.mean(value):.4g}" for key, value in fit.noise.items())
    rows: list[Row] = []
    for method in (None, "mean_field") if engine == "cavi" else (None,):
        row: Row = dict.fromkeys(FIELDS, np.nan)
        label = "cavi, mean field" if method else engine
        row.update(setting=name, engine=label, set=seed, noise=noise)
        for level in LEVELS:
            for what in ("W", "H", "mean", "mass"):
                low, high = fit.interval(what, level, method=method)  # type: ignore[arg-type]
                if what in of_components:
                    low, high = (a[:, found.other] if what == "W" else a[found.other] for a in (low, high))
                    inside = (low <= of_components[what]) & (of_components[what] <= high)
                elif what == "mean":
                    inside = (low <= W @ H) & (W @ H <= high)
                    for third, part in enumerate(np.array_split(inside.ravel()[thirds], 3)):
                        row[f"mean, third {third + 1} {level}"] = float(part.mean())
                elif fit.rank == setting.k:
                    true = np.sort((W * size).sum(0))
                    if method is None:  # of each draw, for the greatest mass is not always of the same component
                        low, high = np.quantile(masses, [(1 - level) / 2, (1 + level) / 2], axis=0)
                    inside = (np.sort(low) <= true) & (true <= np.sort(high))
                else:
                    continue
                row[f"{what} {level}"] = float(inside.mean())
        rows.append(row)
    return rows


def read(path: Path | None) -> list[Row]:
    """Return the rows of a table, none where there is no file."""
    if path is None or not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        rows: list[Row] = list(csv.DictReader(file))
    for row in rows:
        row.update({key: float(row[key]) for key in FIELDS[4:]}, set=int(row["set"]))
    return rows


def add(path: Path, rows: list[Row]) -> None:
    """Write rows at the end of a table."""
    fresh = not path.exists()
    with open(path, "a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if fresh:
            writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{value:.4f}" if isinstance(value, float) else value for key, value in row.items()})


def main(words: list[str]) -> None:
    """Measure what is not in the table yet, and print a line for each setting and engine."""
    everything = settings()
    path = next((Path(word) for word in words if word.endswith(".csv")), None)
    sets = next((int(word) for word in words if word.isdigit()), None)
    names = [word for word in words if word in everything] or list(everything)
    engines = [word for word in words if word in ENGINES] or ["cavi"]
    rows = read(path)
    if "page" in words:
        page(rows)
        return
    for name in names:
        for engine in engines:
            done = {row["set"] for row in rows if (row["setting"], row["engine"]) == (name, engine)}
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
                    add(path, new)
            say(name, engine, rows, failed, time.perf_counter() - begin)


def covered(rows: list[Row], what: str, level: float) -> tuple[float, float]:
    """Return the mean over sets of the share inside, and its standard error, clustered by set."""
    values = np.array([row[f"{what} {level}"] for row in rows])
    values = values[~np.isnan(values)]
    return (float(values.mean()), float(values.std() / np.sqrt(len(values)))) if len(values) else (np.nan, np.nan)


def say(name: str, engine: str, rows: list[Row], failed: int, seconds: float) -> None:
    """Print coverage by quantity at all levels, and noise that was learned."""
    for label in (engine, "cavi, mean field") if engine == "cavi" else (engine,):
        own = [row for row in rows if (row["setting"], row["engine"]) == (name, label)]
        for what in QUANTITIES:
            text = "  ".join("{:.2f}: {:.3f} ({:.3f})".format(level, *covered(own, what, level)) for level in LEVELS)
            print(f"{name:16} {label:17} {len(own):3} sets  {what:14} {text}", flush=True)
    print(
        f"{name:16} {engine}: {failed} failed, {seconds:.0f} s; noise of the last set: {rows[-1]['noise']}", flush=True
    )


def page(rows: list[Row]) -> None:
    """Print a Markdown table for each setting, and what is further from nominal than it should be.

    That is, for engines that draw from the exact posterior: W H and the sorted masses by more than .02 and two
    standard errors.
    """
    beyond = []
    for name in dict.fromkeys(row["setting"] for row in rows):
        print(f"\n### {name}\n\n| engine | sets | W | H | W H | mass |\n|---|---|---|---|---|---|")
        for engine in dict.fromkeys(row["engine"] for row in rows if row["setting"] == name):
            own = [row for row in rows if (row["setting"], row["engine"]) == (name, engine)]
            cells = []
            for what in ("W", "H", "mean", "mass"):
                found = [covered(own, what, level) for level in LEVELS]
                cells.append(" ".join(f"{share:.3f}".lstrip("0") for share, _ in found) + f" ({found[2][1]:.3f})")
                for level, (share, error) in zip(LEVELS, found, strict=True):
                    if engine in EXACT and what in ("mean", "mass") and abs(share - level) > 0.02 + 2 * error:
                        beyond.append(f"{name}, {engine}, {what} at {level}: {share:.3f}")
            print(f"| {engine} | {len(own)} | {' | '.join(cells)} |")
    print("\nExact engines beyond .02 and two standard errors:", "; ".join(beyond) or "none")


if __name__ == "__main__":
    main(sys.argv[1:])
