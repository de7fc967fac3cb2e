"""Engines side by side: ``python tests/benchmarks/engines.py [svi | ess | agree | chains] ...``.

svi: batches of 128 rows on pbmc_facs_small (in BAYESNMF_BENCH_DATA), against CAVI's ELBO with the same priors.
ess: effective draws a second on 60 x 96, K 20, some 2,000 counts a sample, in a second run (nothing compiles).
agree: NUTS against Gibbs on what labels cannot spoil, in Monte Carlo standard errors.
chains: four chains on real recordings: R-hat, effective draws, minutes, and how CAVI differs.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from arviz_stats.base import array_stats

import bayesnmf as bn

AXES = {"chain_axis": 0, "draw_axis": 1}


def svi() -> None:
    """Print the ELBO of CAVI and of SVI on batches."""
    import scipy.sparse as sp

    with np.load(Path(os.environ["BAYESNMF_BENCH_DATA"]) / "pbmc_facs_small.npz") as z:
        X = sp.csr_matrix((z["data"], z["indices"].astype("i4"), z["indptr"]), shape=tuple(z["shape"]))
    level = float(np.sqrt(X.mean() / 6))
    model = bn.Model(6, bn.Poisson(), W=bn.Gamma(0.5, mean=level), H=bn.Gamma(0.5, mean=level))
    for engine in (bn.CAVI(starts=3), bn.SVI(batch=128, starts=3, draws=100)):
        begin = time.perf_counter()
        fit = bn.fit(X, model, engine=engine)
        error = f" (Monte Carlo error {fit.residual:.1f})" if isinstance(engine, bn.SVI) else ""
        print(f"{engine}: ELBO {fit.elbo:.1f}{error}, {fit.status} after {fit.steps}", end=" steps, ")
        print(f"{time.perf_counter() - begin:.0f} s", flush=True)


def catalogue() -> np.ndarray:
    """Return 60 samples x 96 features of 20 parts, some 2,000 counts a sample."""
    rng = np.random.default_rng(0)
    return rng.poisson(rng.gamma(1, 1, (60, 20)) @ rng.dirichlet(np.full(96, 0.25), 20) * 100)


def ess() -> None:
    """Print effective draws a second of masses and of entries of W H."""
    X, model = catalogue(), bn.Model(20, W=bn.Gamma(1.0), H=bn.Gamma(0.5))
    start = bn.fit(X, model, engine=bn.CAVI())
    for engine in (bn.Gibbs(chains=2, warmup=500, draws=1500), bn.NUTS(chains=2), bn.NUTS(chains=2, target=0.8)):
        bn.fit(X, model, engine=engine, init=start)
        for seed in (1, 2, 3):
            begin = time.perf_counter()
            fit = bn.fit(X, model, engine=engine, init=start, seed=seed)
            seconds = time.perf_counter() - begin
            mass, entries = quantities(fit)
            sizes = [np.median(array_stats.ess(a, **AXES, method="bulk")) for a in (mass, entries)]
            print(
                f"{engine}, seed {seed}: {seconds:.1f} s; masses {sizes[0]:.0f} effective, {sizes[0] / seconds:.1f} a "
                f"second; W H {sizes[1]:.0f}, {sizes[1] / seconds:.1f} a second",
                flush=True,
            )


def quantities(fit: bn.Fit) -> tuple[np.ndarray, np.ndarray]:
    """Return sorted masses, and 200 entries of W H, of each draw."""
    posterior: Any = fit.posterior
    rng = np.random.default_rng(0)
    i, j = rng.integers(fit.W.shape[0], size=200), rng.integers(fit.H.shape[1], size=200)
    entries = np.einsum("cdek,cdke->cde", posterior.W[:, :, i], posterior.H[..., j])
    return np.sort(posterior.W.sum(2), 2), entries


def recordings() -> dict[str, tuple[np.ndarray, bn.Model]]:
    """Return recordings and the models they are fitted with."""
    ca1 = bn.datasets.load("ca1").X
    return {
        "ca1, every tenth bin": (np.asarray(ca1)[::10], bn.Model(7, bn.Poisson())),
        "songbird": (bn.datasets.load("songbird").X.astype(float), bn.Model(3, bn.CompoundPoisson())),
        "breast": (np.asarray(bn.datasets.load("breast").X), bn.Model(10, bn.NegativeBinomial())),
    }


def agree() -> None:
    """Print how far means under NUTS are from those under Gibbs."""
    rng = np.random.default_rng(1)
    X = rng.poisson(rng.gamma(1.0, 2.0, (40, 3)) @ rng.gamma(1.0, 2.0, (3, 40)))
    given: dict[str, tuple[np.ndarray, bn.Model]] = {"simulated, 40 x 40": (X, bn.Model(3, bn.Poisson()))}
    ca1 = np.asarray(bn.datasets.load("ca1").X)[::40]
    given["CA1, every fortieth bin"] = (ca1, bn.Model(3, bn.Poisson(), W=bn.Gamma(1.0), H=bn.Gamma(1.0)))
    for name, (data, model) in given.items():
        start = bn.fit(data, model)
        found = []
        for engine in (bn.Gibbs(chains=4, warmup=2000, draws=8000), bn.NUTS(chains=4, warmup=500, draws=2000)):
            fit = bn.fit(data, model, engine=engine, init=start)
            values = np.concatenate(quantities(fit), 2)
            effective = array_stats.ess(values, **AXES, method="mean")
            found.append((values.mean((0, 1)), values.var((0, 1)) / effective, effective.min()))
        (a, of_a, least_a), (b, of_b, least_b) = found
        scores = np.abs(a - b) / np.sqrt(of_a + of_b)
        print(
            f"{name}: {len(scores)} quantities, beyond 2 standard errors {np.mean(scores > 2):.1%}, beyond 3 "
            f"{np.mean(scores > 3):.1%}, most {scores.max():.1f}; least effective {least_a:.0f} and {least_b:.0f}",
            flush=True,
        )


def chains() -> None:
    """Print convergence of four chains, and how CAVI differs from them."""
    for name, (X, model) in recordings().items():
        start = bn.fit(X, model)
        few = bn.Gibbs(chains=4, warmup=300, draws=700)
        engines = [few if name == "songbird" else bn.Gibbs(chains=4, warmup=1000, draws=2000)]
        engines.append(bn.NUTS(chains=4, warmup=300, draws=300))
        for engine in engines:
            begin = time.perf_counter()
            fit = bn.fit(X, model, engine=engine, init=start)
            minutes = (time.perf_counter() - begin) / 60
            text = ", ".join(
                f"{what} {rhat:.3f} {bulk:.0f} {tail:.0f}"
                for what, (rhat, bulk, tail) in fit.posterior.convergence.items()  # type: ignore[union-attr]
            )
            drawn = fit.draws(1000, seed=0)
            match = bn.match(start, fit)
            sd = drawn["W"].std(0)[:, match.other]
            moved = np.abs(start.W[:, match.own] - fit.W[:, match.other]) / sd
            low, high = start.interval("W")
            width = (high - low)[:, match.own] / (3.29 * sd)
            sums = np.quantile(moved, [0.5, 0.9])
            print(
                f"{name}, {type(engine).__name__}: {minutes:.1f} minutes; R-hat, bulk and tail: {text}; CAVI's W is "
                f"{sums[0]:.2f} (median) to {sums[1]:.2f} (a tenth more) standard deviations away, its intervals "
                f"{np.median(width):.2f} times as wide (median); {[w.name for w in fit.warnings]}",
                flush=True,
            )


if __name__ == "__main__":
    for given in sys.argv[1:] or ("svi", "ess", "agree", "chains"):
        {"svi": svi, "ess": ess, "agree": agree, "chains": chains}[given]()
