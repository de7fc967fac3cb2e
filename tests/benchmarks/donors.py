"""Do intervals of hierarchical-groups hold the activities of donors, and of the population they are from?

    python tests/benchmarks/donors.py [nuts|svi] [sets]

Eight donors of eight samples each, 20 features, three components; all drawn from the program itself, so that exact
intervals of 90% hold .90 of the truth. Components are matched to the truth by cosine; those below .9 are left out and
their share is said. `plain` takes no notice of donors: the interval of a donor's mean activity in a fit by CAVI.
"""

from __future__ import annotations

import sys

import numpy as np
from numpyro import handlers

import bayesnmf as bn

DONORS, EACH, M, RANK, PROB, NEAR = 8, 8, 20, 3, 0.9, 0.9
GROUPS = np.repeat(np.arange(DONORS), EACH)


def simulated(seed: int) -> dict[str, np.ndarray]:
    """Return a draw of all sites of the program."""
    program = handlers.seed(bn.models.load("hierarchical-groups"), seed)
    trace = handlers.trace(program).get_trace(
        None, n=len(GROUPS), m=M, rank=RANK, groups=GROUPS, n_groups=DONORS
    )  # fmt: skip
    return {name: np.asarray(site["value"], float) for name, site in trace.items() if site["type"] != "plate"}


def held(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return whether the interval of draws (draws, ...) holds the truth."""
    low, high = np.quantile(draws, [(1 - PROB) / 2, (1 + PROB) / 2], axis=0)
    return (low <= truth) & (truth <= high)


def main(words: list[str]) -> None:
    """Print coverage by quantity, with standard errors over sets."""
    sets = next((int(word) for word in words if word.isdigit()), 20)
    engine = bn.SVI(starts=3) if "svi" in words else bn.NUTS(chains=2, warmup=500, draws=1000, starts=3)
    rows: dict[str, list[float]] = {name: [] for name in ("population", "level", "W", "plain", "matched")}
    for seed in range(sets):
        truth = simulated(seed)
        X = truth["X"]
        if np.any(X.sum(0) == 0) or np.any(X.sum(1) == 0):
            print("set", seed, "has a row or a column without counts: left out", flush=True)
            continue
        fit = bn.fit(X, bn.models.load("hierarchical-groups"), rank=RANK, groups=GROUPS, engine=engine, seed=seed)
        match = bn.align.match_rows(fit.H, truth["H"])
        own, true = (np.asarray(a)[match.cosine > NEAR] for a in (match.own, match.other))
        rows["matched"].append(len(own) / RANK)
        if not len(own):
            continue
        others = {name: a.reshape(-1, *a.shape[2:]) for name, a in fit.posterior.others.items()}
        W = fit.posterior.W.reshape(-1, *fit.posterior.W.shape[2:])
        rows["population"].append(held(others["population"][:, own], truth["population"][true]).mean())
        rows["level"].append(held(others["level"][..., own], truth["level"][:, true]).mean())
        rows["W"].append(held(W[..., own], truth["W"][:, true]).mean())
        plain = bn.fit(X, rank=RANK, seed=seed)
        match = bn.align.match_rows(plain.H, truth["H"])
        own, true = (np.asarray(a)[match.cosine > NEAR] for a in (match.own, match.other))
        if len(own):
            mean = np.stack([plain.draws(500)["W"][:, donor == GROUPS].mean(1) for donor in range(DONORS)], 1)
            rows["plain"].append(held(mean[..., own], truth["level"][:, true]).mean())
        print(seed, *(f"{name} {values[-1]:.2f}" for name, values in rows.items() if values), flush=True)
    for name, values in rows.items():
        print(f"{name:12} {np.mean(values):.3f} +- {np.std(values) / np.sqrt(len(values)):.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
