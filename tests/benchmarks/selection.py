"""What `select_rank` says where the answer is known: ``python tests/benchmarks/selection.py [word ...]``.

Words: names of studies below; a number, the most sets of each; a file that ends in .csv, which a row is added to for
each set, and which a later run goes on from; "page", which prints the table of docs/rank.md from such a file and
measures nothing. Everything at its defaults: neither the number nor the likelihood is given.

poisson, overdispersed, catalogue-K, sparse: the generators of Zito and Miller (2024) and of Landy et al. (2025), with
profiles from Dirichlet(.25). compound, gaussian, gamma: intensities, also times 1e-6 and 1e6; compound-666 has as many
samples as the songbird recording. nothing, independent, *-shifted: no shared structure.
dependent-*: a gain for each feature that drifts within trials, with groups and without; control: activities drift and
the noise does not. swimmer, biliary (in BAYESNMF_BENCH_DATA), songbird-*, ca1-*: real data, and other seeds.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers import catalogue, recovered

import bayesnmf as bn

FIELDS = (
    "study", "set", "true", "best", "next", "gap", "noise", "shrinkage", "held_out", "bi_cross", "bic", "elbow",
    "precision", "sensitivity", "recurrence", "z", "warnings", "seconds",
)  # fmt: skip


class Case(NamedTuple):
    """X, its parts where they are known, how many there are, and what else `select_rank` is given."""

    X: Any
    profiles: np.ndarray | None = None
    true: int | None = None
    given: dict[str, Any] = {}


def landy(seed: int, k: int, mean: int = 1000) -> Case:
    """64 samples: counts by sample are negative binomial, split by Dirichlet(1), drawn from k profiles."""
    rng = np.random.default_rng([seed, k, mean])
    profiles = rng.dirichlet(np.full(96, 0.25), k)
    totals = rng.negative_binomial(k * mean / 9, 0.1, 64)
    activities = np.stack([rng.multinomial(n, p) for n, p in zip(totals, rng.dirichlet(np.ones(k), 64), strict=True)])
    return Case(rng.poisson(activities @ profiles), profiles, k)


def zito(seed: int, n: int, dispersion: float) -> Case:
    """10 profiles of 100 counts each on average; variance mu + dispersion mu^2."""
    return Case(*catalogue(seed, n=n, dispersion=dispersion), 10)


def compound(seed: int, n: int = 100) -> Case:
    """n x 80, 5 parts, gamma jumps, 93% zeros: 7 jumps a sample."""
    rng = np.random.default_rng([seed, 5])
    H = rng.dirichlet(np.full(80, 0.1), 5)
    mean = rng.gamma(0.5, 2.0, (n, 5)) @ H
    number = rng.poisson(mean * 7 / mean.mean() / 80)
    return Case(np.where(number > 0, rng.gamma(np.maximum(1.5 * number, 0.1), 0.2), 0.0), H, 5)


def gaussian(seed: int) -> Case:
    """Brouwer's data: 100 x 80, 10 parts with Exp(1) entries, noise a tenth of the signal's spread; some negative."""
    rng = np.random.default_rng([seed, 10])
    W, H = rng.exponential(1, (100, 10)), rng.exponential(1, (10, 80))
    return Case(W @ H + rng.normal(0, 0.1 * np.std(W @ H), (100, 80)) - 0.0, H / H.sum(1, keepdims=True), 10)


def gamma(seed: int) -> Case:
    """100 x 80, 6 parts, multiplied by gamma noise of shape 4."""
    rng = np.random.default_rng([seed, 6])
    H = rng.dirichlet(np.full(80, 0.25), 6)
    mean = rng.gamma(0.5, 2.0, (100, 6)) @ H
    return Case(mean * rng.gamma(4.0, 0.25, mean.shape), H, 6)


def nothing(seed: int) -> Case:
    """100 x 60 Poisson counts round one profile."""
    rng = np.random.default_rng(seed)
    return Case(rng.poisson(np.tile(rng.gamma(1, 3, 60), (100, 1))), None, 1)


def independent(seed: int) -> Case:
    """500 x 30: each neuron fires by itself, at a rate that drifts (log rate AR(1), rho .9, sd .7)."""
    rng = np.random.default_rng(seed)
    return Case(rng.poisson(np.exp(0.7 * ar1(rng, 500, 30, 0.9))))


def ar1(rng: np.random.Generator, n: int, m: int, rho: float) -> np.ndarray:
    """Return m independent AR(1) series with standard normal margins, (n, m)."""
    z = rng.normal(size=(n, m))
    for t in range(1, n):
        z[t] = rho * z[t - 1] + np.sqrt(1 - rho**2) * z[t]
    return z


def dependent(seed: int, groups: bool, control: bool = False) -> Case:
    """40 trials x 25 rows x 40 features, 5 parts, mean count 2: gains of features (cv .4), or activities, are AR(1)."""
    rng = np.random.default_rng([seed, 40])
    H = rng.dirichlet(np.full(40, 0.25), 5)
    trials, rows = 40, 25
    if control:
        W = np.concatenate([np.exp(1.0 * ar1(rng, rows, 5, 0.7)) for _ in range(trials)])
        gain = np.ones((trials * rows, 40))
    else:
        W, sd = rng.gamma(1.0, 1.0, (trials * rows, 5)), np.sqrt(np.log(1 + 0.4**2))
        gain = np.concatenate([np.exp(sd * ar1(rng, rows, 40, 0.7) - sd**2 / 2) for _ in range(trials)])
    mean = W @ H
    X = rng.poisson(2 * mean / mean.mean() * gain)
    return Case(X, H, 5, {"groups": np.repeat(np.arange(trials), rows)} if groups else {})


def shifted(X: np.ndarray, seed: int, columns: int) -> Case:
    """Some columns of a recording, each shifted circularly by itself."""
    rng = np.random.default_rng(seed)
    own = rng.choice(X.shape[1], columns, replace=False)
    return Case(np.stack([np.roll(X[:, j], rng.integers(len(X))) for j in own], 1))


def subset(X: np.ndarray, seed: int, columns: int) -> Case:
    """The same columns, as they are."""
    return Case(X[:, np.random.default_rng(seed).choice(X.shape[1], columns, replace=False)])


def in_units(case: Case, unit: float) -> Case:
    """The same in other units."""
    return case._replace(X=case.X * unit)


def songbird() -> np.ndarray:
    return np.asarray(bn.datasets.load("songbird").X, float)


def ca1() -> np.ndarray:
    return np.asarray(bn.datasets.load("ca1").X)[::8]


def bench(name: str, key: str = "X") -> Any:
    return np.load(Path(os.environ["BAYESNMF_BENCH_DATA"]) / name, allow_pickle=False)[key]


INTENSITIES: dict[str, Callable[[int], Case]] = {
    "compound": compound,
    "compound-666": lambda seed: compound(seed, 666),
    "gaussian": gaussian,
    "gamma": gamma,
}

STUDIES: dict[str, tuple[int, Callable[[int], Case]]] = {
    "poisson": (20, lambda seed: zito(seed, 100, 0.0)),
    "overdispersed": (20, lambda seed: zito(seed, 200, 0.15)),
    "sparse": (10, lambda seed: landy(seed, 20, mean=100)),
    **{f"catalogue-{k}": (10 if k == 20 else 5, lambda seed, k=k: landy(seed, k)) for k in range(20, 0, -1)},
    "nothing": (20, nothing),
    "independent": (20, independent),
    **{name: (20, make) for name, make in INTENSITIES.items()},
    **{
        f"{name}-times-{unit:.0e}": (3, lambda seed, make=make, unit=unit: in_units(make(seed), unit))
        for name, make in INTENSITIES.items()
        for unit in (1e-6, 1e6)
    },
    "dependent-groups": (20, lambda seed: dependent(seed, True)),
    "dependent-none": (20, lambda seed: dependent(seed, False)),
    "control": (20, lambda seed: dependent(seed, False, control=True)),
    "biliary": (20, lambda seed: Case(bench("pcawg_biliary35.npz", "counts").T)),
    "swimmer": (10, lambda seed: Case(np.random.default_rng(seed).poisson(bench("swimmer.npz").T), None, 16)),
    "songbird-shifted": (20, lambda seed: shifted(songbird(), seed, 30)),
    "songbird-subset": (20, lambda seed: subset(songbird(), seed, 30)),
    "ca1-shifted": (20, lambda seed: shifted(ca1(), seed, 20)),
    "ca1-subset": (20, lambda seed: subset(ca1(), seed, 20)),
    "songbird": (20, lambda seed: Case(songbird())),
    "songbird-100": (10, lambda seed: Case(100 * songbird())),
    "songbird-by-3": (20, lambda seed: Case(songbird().reshape(-1, 3, 75).sum(1))),
    "ca1": (20, lambda seed: Case(ca1())),
    "repeat-poisson": (20, lambda seed: zito(0, 100, 0.0)),
    "repeat-catalogue": (20, lambda seed: landy(0, 10)),
    "repeat-gamma": (20, lambda seed: gamma(0)),
}


def measure(name: str, seed: int) -> dict[str, Any]:
    """Return a row of the table."""
    case = STUDIES[name][1](seed)
    begin = time.perf_counter()
    found = bn.select_rank(case.X, seed=seed, **case.given)
    seconds = time.perf_counter() - begin
    score = found.table[found.decided_by]
    others = score.drop(found.best)
    hits = (np.nan, np.nan) if case.profiles is None else recovered(found.fit, case.profiles)
    return {
        "study": name, "set": seed, "true": case.true, "best": found.best, "next": others.idxmax(),
        "gap": round(score[found.best] - others.max(), 1), "noise": found.noise.chosen,
        **{key: found.answers.get(key, "") for key in ("shrinkage", "held_out", "bi_cross", "bic", "elbow")},
        "precision": round(hits[0], 3), "sensitivity": round(hits[1], 3),
        "recurrence": round(float(found.recurrence.min(initial=1)), 2), "z": round(found.structure.z, 1),
        "warnings": " ".join(w.name for w in found.warnings), "seconds": round(seconds, 1),
    }  # fmt: skip


def read(path: Path | None) -> list[dict[str, Any]]:
    """Return the rows of a table, none where there is no file."""
    if path is None or not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main(words: list[str]) -> None:
    """Measure what is not in the table yet."""
    path = next((Path(word) for word in words if word.endswith(".csv")), None)
    most = next((int(word) for word in words if word.isdigit()), 1000)
    rows = read(path)
    if "page" in words:
        page(rows)
        return
    done = {(row["study"], int(row["set"])) for row in rows}
    for name in [word for word in words if word in STUDIES] or STUDIES:
        for seed in range(min(most, STUDIES[name][0])):
            if (name, seed) in done:
                continue
            row = measure(name, seed)
            print(*row.values(), flush=True)
            if path is not None:
                fresh = not path.exists()
                with open(path, "a", encoding="utf-8", newline="") as file:
                    writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                    if fresh:
                        writer.writeheader()
                    writer.writerow(row)


def page(rows: list[dict[str, Any]]) -> None:
    """Print a line for each study: how often exact, which numbers, precision and sensitivity, noise, warnings."""
    print("| study | sets | exact | numbers chosen | precision, sensitivity | noise | warnings | held out | bi-cross |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in dict.fromkeys(row["study"] for row in rows):
        own = [row for row in rows if row["study"] == name]
        exact = sum(row["best"] == row["true"] for row in own) if own[0]["true"] else "-"
        hits = [np.mean([float(row[key]) for row in own]) for key in ("precision", "sensitivity")]
        hit = "-" if np.isnan(hits[0]) else f"{hits[0]:.3f}, {hits[1]:.3f}"
        warned = Counter(word for row in own for word in row["warnings"].split())
        print(
            f"| {name} | {len(own)} | {exact} | {counted(row['best'] for row in own)} | {hit} | "
            f"{', '.join(f'{a} {b}' for a, b in Counter(row['noise'] for row in own).items())} | "
            f"{', '.join(f'{a} {b}' for a, b in warned.items())} | {counted(row['held_out'] for row in own)} | "
            f"{counted(row['bi_cross'] for row in own if row['bi_cross'])} |"
        )


def counted(values: Any) -> str:
    """Return how often there is which number."""
    return ", ".join(f"{k} in {c}" for k, c in sorted(Counter(int(v) for v in values).items()))


if __name__ == "__main__":
    main(sys.argv[1:])
