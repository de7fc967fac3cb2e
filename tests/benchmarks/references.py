"""Make the reference posteriors of the zoo: long chains by NumPyro alone, of what data can tell.

    python tests/benchmarks/references.py                 # all that have none
    python tests/benchmarks/references.py hpf gap         # these, anew
    python tests/benchmarks/references.py ./my-model      # a folder of your own

Each is written when it is done, so that a run that was stopped goes on with the next. The chains are NumPyro's own NUTS
on the program as it is, in double precision: none of bayesnmf's coordinates, starts or samplers has a part in them.
What they must reach is posteriordb's (Magnusson et al. 2025): 10 chains, 10,000 draws, R-hat below 1.01, no divergent
steps, lag-1 autocorrelation below .05, all after thinning by 10. A file says in ``fails`` what it misses.
"""

from __future__ import annotations

import json
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from arviz_stats.base import array_stats

sys.path.insert(0, str(Path(__file__).parents[1]))
from judge import Judge, drawn
from numpyro.infer import MCMC, NUTS

import bayesnmf as bn
from bayesnmf.models import _folder, _toml

CHAINS, WARMUP, DRAWS, THIN, TARGET = 10, 2000, 1000, 10, 0.9
CRITERIA = {
    "rhat": (0, 1.01), "autocorrelation": (0, 0.05), "divergences": (0, 1), "ess_bulk": (5000, np.inf),
    "ess_tail": (5000, np.inf),
}  # fmt: skip
"""Between what and below what the worst over all quantities must be."""


def make(name: str) -> dict[str, Any]:
    """Return the reference of a model, as it is kept in its folder."""
    folder = _folder(name)
    recipe = _toml(folder, "data.toml")
    X, held_out = drawn(bn.models.load(recipe.get("drawn_from", name)), recipe)
    observed = np.ones(X.shape, bool)
    observed[tuple(held_out.T)] = False
    data = {"X": X, "observed": observed, "rank": recipe["rank"], "arguments": recipe.get("arguments", {})}
    data |= {"groups": recipe["groups"]} if "groups" in recipe else {}
    judge = Judge(bn.models.load(name), data)
    begin = time.perf_counter()
    mcmc = MCMC(
        NUTS(judge.own, target_accept_prob=TARGET), num_warmup=WARMUP, num_samples=DRAWS * THIN, thinning=THIN,
        num_chains=CHAINS, chain_method="sequential", progress_bar=False,
    )  # fmt: skip
    mcmc.run(jax.random.key(recipe["seed"]), X, extra_fields=("diverging",))
    sites = {name: np.asarray(a) for name, a in mcmc.get_samples().items()}
    found = {name: a.reshape(CHAINS, DRAWS, *a.shape[1:]) for name, a in judge.quantities(sites).items()}
    checks = checked(found) | {"divergences": int(np.asarray(mcmc.get_extra_fields()["diverging"]).sum())}
    fails = [name for name, (least, limit) in CRITERIA.items() if not least <= checks[name] < limit]
    return {
        "data": {"X": X.tolist() if np.any(X % 1) else X.astype(int).tolist(), "held_out": held_out.tolist()},
        "quantities": {name: summary(values) for name, values in found.items()},
        "checks": checks, "fails": fails, "seed": recipe["seed"],
        "method": f"numpyro.infer.NUTS(target_accept_prob={TARGET}), float64, {CHAINS} chains of {WARMUP} + "
        f"{DRAWS * THIN} steps, every {THIN}th kept",
        "seconds": round(time.perf_counter() - begin), "versions": {p: version(p) for p in ("jax", "numpyro", "numpy")},
    }  # fmt: skip


def checked(found: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the worst R-hat, effective sizes and autocorrelation of all quantities (chains, draws, ...)."""
    axes = {"chain_axis": 0, "draw_axis": 1}
    flat = np.concatenate([a.reshape(CHAINS, DRAWS, -1) for a in found.values()], 2)
    centred = flat - flat.mean(1, keepdims=True)
    lag = (centred[:, 1:] * centred[:, :-1]).mean((0, 1)) / centred.var((0, 1))
    return {
        "rhat": round(float(np.max(array_stats.rhat(flat, **axes))), 4),
        "ess_bulk": round(float(np.min(array_stats.ess(flat, **axes, method="bulk")))),
        "ess_tail": round(float(np.min(array_stats.ess(flat, **axes, method="tail", prob=0.9)))),
        "autocorrelation": round(float(np.max(np.abs(lag))), 4),
    }


def summary(values: np.ndarray) -> dict[str, Any]:
    """Return mean, standard deviation and Monte Carlo standard error of a quantity (chains, draws, ...)."""
    ess = array_stats.ess(values, chain_axis=0, draw_axis=1, method="mean")
    sd = values.std((0, 1))
    return {name: digits(a) for name, a in (("mean", values.mean((0, 1))), ("sd", sd), ("mcse", sd / np.sqrt(ess)))}


def digits(a: Any) -> Any:
    """Return numbers to seven digits: a reference has no more."""
    return np.vectorize(lambda v: float(f"{v:.7g}"))(np.asarray(a)).tolist()


def text(found: dict[str, Any]) -> str:
    """Return a reference as JSON with one row of a matrix in a line."""
    return (
        re.sub(r"\[\s+([^][]*?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", json.dumps(found, indent=1)) + "\n"
    )


def main(names: list[str]) -> None:
    """Make references."""
    jax.config.update("jax_enable_x64", True)
    chosen = names or [name for name in bn.models.list() if not (_folder(name) / "reference.json").exists()]
    for name in chosen:
        found = make(name)
        (_folder(name) / "reference.json").write_text(text(found), encoding="utf-8")
        print(name, found["seconds"], "s", found["checks"], "fails", found["fails"], flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
