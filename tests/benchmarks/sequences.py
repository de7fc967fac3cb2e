"""Sequences in the songbird recording: convolutive of the zoo beside plain NMF, by what is held out.

    BAYESNMF_DATA=folder python tests/benchmarks/sequences.py [table.csv]
    BAYESNMF_DATA=folder python tests/benchmarks/sequences.py look

Events (deconvolved calcium above 0) of 75 neurons in 666 frames at 30 Hz. 10% of entries are held out: at random, or
("blocks") in stretches of 20 frames of one neuron. The score is the sum of the logs of their Poisson densities, each a
mean over draws.
"""

from __future__ import annotations

import csv
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import bayesnmf as bn

FIELDS = ("held_out", "model", "k", "lags", "seed", "score", "elbo", "status", "seconds")
STARTED_MORE = [("convolutive", 2, 10), ("convolutive", 3, 10)]
SVI = bn.SVI(max_steps=10_000, draws=200)


def masked(shape: tuple[int, int], how: str) -> np.ndarray:
    """Return which entries are observed."""
    random = np.random.default_rng(0)
    if how == "entries":
        return random.random(shape) > 0.1
    n, m = -(-shape[0] // 20), shape[1]
    return np.repeat(random.random((n, m)) > 0.1, 20, 0)[: shape[0]]


def score(X: np.ndarray, means: jax.Array, observed: np.ndarray) -> float:
    """Return the log predictive density of held-out counts, given draws of the mean (draws, n, m)."""
    log = jax.scipy.stats.poisson.logpmf(X, jnp.maximum(means, 1e-12))
    entries = jax.nn.logsumexp(log, 0) - jnp.log(len(means))
    return float(jnp.where(observed, 0, entries).sum())


def main(words: list[str]) -> None:
    """Measure what is not in the table yet."""
    path = next((Path(word) for word in words if word.endswith(".csv")), None)
    rows = []
    if path is not None and path.exists():
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    done = {tuple(row[key] for key in FIELDS[:5]) for row in rows}
    X = (np.asarray(bn.datasets.load("songbird").X) > 0).astype(float)
    if "look" in words:
        look(X)
        return
    cases = [("Poisson", k, 1) for k in (1, 2, 3, 4, 5, 6, 8)]
    cases += [("convolutive", k, lags) for lags in (10, 20) for k in (1, 2, 3, 5)]
    for seed in range(6):
        for how in ("entries", "blocks"):
            observed = masked(X.shape, how)
            for model, k, lags in cases if seed < 2 else STARTED_MORE:
                if (how, model, str(k), str(lags), str(seed)) in done:
                    continue
                begin = time.perf_counter()
                if model == "Poisson":
                    fit = bn.fit(X, rank=k, observed=observed, seed=seed)
                    draws = fit.draws(200)
                    means = jax.lax.map(lambda a: a[0] @ a[1], (jnp.asarray(draws["W"]), jnp.asarray(draws["H"])))
                else:
                    program = partial(bn.models.load("convolutive"), lags=lags)
                    fit = bn.fit(X, program, rank=k, observed=observed, seed=seed, engine=SVI)
                    draws = fit.posterior.W[0], fit.posterior.others["sequences"][0]
                    means = jax.lax.map(lambda a: convolved(*a), tuple(map(jnp.asarray, draws)))
                row = (how, model, k, lags, seed, round(score(X, means, observed), 1), round(fit.elbo, 1))
                row += (fit.status, round(time.perf_counter() - begin))
                print(*row, flush=True)
                if path is not None:
                    fresh = not path.exists()
                    with open(path, "a", encoding="utf-8", newline="") as file:
                        csv.writer(file, lineterminator="\n").writerows([FIELDS, row] if fresh else [row])


def look(X: np.ndarray) -> None:
    """Print when the neurons of the two sequences that one start finds are active, and how mass is spread over lags."""
    program = partial(bn.models.load("convolutive"), lags=10)
    fit = bn.fit(X, program, rank=2, observed=masked(X.shape, "entries"), seed=1, engine=SVI)
    mean = fit.posterior.others["sequences"][0].mean(0)
    for k in range(2):
        strongest = np.argsort(-mean[:, k].sum(0))[:15]
        print("mass by lag", np.round(mean[:, k].sum(1), 2), "peaks of 15 neurons", mean[:, k, strongest].argmax(0))


def convolved(W: jax.Array, sequences: jax.Array) -> jax.Array:
    """Return the mean: what began `lag` frames ago, at that lag of its sequence, summed."""
    begun = jnp.stack([jnp.pad(W, ((lag, 0), (0, 0)))[: len(W)] for lag in range(len(sequences))])
    return jnp.einsum("ltk,lkj->tj", begun, sequences)


if __name__ == "__main__":
    main(sys.argv[1:])
