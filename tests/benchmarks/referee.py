"""Judge every engine by every reference of the zoo that it can fit.

    python tests/benchmarks/referee.py                       # all, what is missing in the table
    python tests/benchmarks/referee.py hpf gap               # these
    python tests/benchmarks/referee.py faults                # faults planted in copies of models
    python tests/benchmarks/referee.py page                  # the table as it is in docs/zoo.md

A row for each engine and each form of a model: the program, and the built-in `Model` that says the same. Exact engines
are judged in Monte Carlo standard errors of both (`beyond`: how many of `of` quantities are more than three away;
.27% are by chance), the others in posterior standard deviations of the reference.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from judge import FAULTS, Judge, compared, planted, same_as

import bayesnmf as bn

PATH = Path(__file__).parent / "tables" / "referee.csv"
ENGINES = {
    "NUTS": bn.NUTS(chains=4, warmup=1000, draws=2500, target=0.8, precision="float64"),
    "Gibbs": bn.Gibbs(chains=4, warmup=2000, draws=20000, precision="float64"),
    "CAVI": bn.CAVI(starts=5, precision="float64"),
    "SVI": bn.SVI(starts=5, max_steps=5000, draws=2000, precision="float64"),
    "MAP": bn.MAP(starts=5, precision="float64"),
}
EXACT, DRAWN = ("NUTS", "Gibbs"), ("NUTS", "Gibbs", "SVI")
ENOUGH = 400
"""Effective draws from which a standard error is worth its name (Vehtari et al. 2021)."""
FIELDS = "model form engine of beyond worst which ess entries spread held_out seconds said".split()


def judged(name: str, form: str, engine: str) -> dict[str, Any] | None:
    """Return a row of the table, None where the engine does not take the model."""
    judge, card = Judge.of(name), bn.models.card(name)
    model = same_as(card, judge.data) if form == "Model" else None
    if form == "Model" and model is None:
        return None
    begin = time.perf_counter()
    try:
        fit = judge.fit(ENGINES[engine], model)
        draws = judge.of_draws(ENGINES[engine], model) if model is not None and engine in DRAWN else None
    except (bn.EngineError, bn.ModelError) as error:
        print(name, form, engine, "refused:", error, flush=True)
        return None
    seconds = time.perf_counter() - begin
    row = {"model": name, "form": form, "engine": engine, "seconds": round(seconds, 1)}
    row |= {"said": " ".join(finding.name for finding in fit.warnings)}
    reference = bn.models.reference(name)["quantities"]
    try:
        found = None if fit.posterior is None else compared(judge.of_fit(fit) if draws is None else draws, reference)
    except bn.EngineError:  # a posterior without draws: shrinkage dropped what still held a part of X
        found = None
    if found is None:
        mean, sd = (np.asarray(reference["entries"][key]) for key in ("mean", "sd"))
        return row | {"entries": round(float(np.sqrt(np.mean(((fit.mean - mean) / sd) ** 2))), 3)}
    if engine in EXACT:
        z = {key: np.abs(a.z).max() for key, a in found.items()}
        which = max(z, key=lambda key: z[key])
        row |= {"of": sum(a.z.size for a in found.values()), "worst": round(float(z[which]), 2), "which": which}
        row |= {"beyond": sum(int((np.abs(a.z) > 3).sum()) for a in found.values())}
        row |= {"ess": round(min(float(a.ess.min()) for a in found.values()))}
    entries = found["entries"]
    return row | {
        "entries": round(float(np.sqrt(np.mean(entries.away**2))), 3),
        "spread": round(float(np.mean(entries.spread)), 3), "held_out": round(float(found["held_out"].away), 2),
    }  # fmt: skip


def main(words: list[str]) -> None:
    """Measure what is not in the table yet."""
    rows = []
    if PATH.exists():
        with open(PATH, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    if "page" in words:
        page(rows)
        return
    jax.config.update("jax_enable_x64", True)
    if "faults" in words:
        faults()
        return
    done = {(row["model"], row["form"], row["engine"]) for row in rows}
    for name in words or bn.models.list():
        for form in ("program", "Model"):
            for engine in ENGINES if form == "Model" else ("NUTS", "SVI"):
                if (name, form, engine) in done:
                    continue
                row = judged(name, form, engine)
                if row is None:
                    continue
                print(*row.values(), flush=True)
                fresh = not PATH.exists()
                with open(PATH, "a", encoding="utf-8", newline="") as file:
                    writer = csv.DictWriter(file, FIELDS, lineterminator="\n", restval="")
                    if fresh:
                        writer.writeheader()
                    writer.writerow(row)


def faults() -> None:
    """Print how far copies of models with a fault are from the references, in standard errors."""
    for kind, names in FAULTS.items():
        for name in names:
            with TemporaryDirectory() as folder:
                judge = planted(name, kind, Path(folder))
                told(kind, name, judge.fit(ENGINES["NUTS"]), judge)
    for name in ("gamma-noise", "poisson-gamma", "negative-binomial"):
        judge = Judge.of(name)
        told("no mask", name, judge.fit(ENGINES["NUTS"], observed=np.ones_like(judge.data["observed"])), judge)


def told(kind: str, name: str, fit: bn.Fit, judge: Judge) -> None:
    """Print the quantity that is furthest from the reference."""
    found = compared(judge.of_fit(fit), bn.models.reference(name)["quantities"])
    z = {key: float(np.abs(a.z).max()) for key, a in found.items()}
    which = max(z, key=lambda key: z[key])
    beyond, of = sum(int((np.abs(a.z) > 3).sum()) for a in found.values()), sum(a.z.size for a in found.values())
    print(f"{kind:12} {name:20} {z[which]:6.1f} ({which}), {beyond} of {of} beyond 3", flush=True)


def page(rows: list[dict[str, str]]) -> None:
    """Print the table, exact engines first."""
    print("| model | form | engine | quantities | beyond 3 | worst | least ess | entries | their sd | held out |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: row["engine"] not in EXACT):
        worst = f"{row['worst']} ({row['which']})" if row["worst"] else ""
        cells = row["model"], row["form"], row["engine"], row["of"], row["beyond"], worst, row["ess"]
        print("|", " | ".join((*cells, row["entries"], row["spread"], row["held_out"])), "|")
    for name, own in (
        ("all", [row for row in rows if row["engine"] in EXACT]),
        (f"at least {ENOUGH} effective draws", [row for row in rows if row["ess"] and int(row["ess"]) >= ENOUGH]),
    ):
        beyond, of = (sum(int(row[key]) for row in own) for key in ("beyond", "of"))
        print(f"\nExact engines, {name}: {beyond} of {of} beyond three standard errors ({beyond / of:.2%}).")


if __name__ == "__main__":
    main(sys.argv[1:])
