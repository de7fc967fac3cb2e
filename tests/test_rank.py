"""Rank by shrinkage, on data whose rank is known. The full study is ``python tests/benchmarks/rank.py``."""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers import catalogue, recovered

import bayesnmf as bn


@pytest.mark.smoke
def test_ard_finds_ten_of_ten_profiles() -> None:
    X, profiles = catalogue(seed=0)
    fit = bn.fit(X, bn.Model(25, shrinkage=bn.ARD()), engine=bn.MAP(starts=3))
    assert fit.rank == 10
    assert recovered(fit, profiles) == (1.0, 1.0)
    assert len(fit.relevance) == 25
    assert fit.relevance[10:].max() < 0.05 < fit.relevance[:10].min()
    assert fit.agreement.cosine.shape == (3, 10)


def test_precisions_agree() -> None:
    X, _ = catalogue(seed=1)
    fits = [
        bn.fit(X, bn.Model(25, shrinkage=bn.ARD()), engine=bn.MAP(starts=2, precision=p))
        for p in ("float32", "float64")
    ]
    assert fits[0].rank == fits[1].rank
    assert fits[0].objective == pytest.approx(fits[1].objective, rel=1e-5)


def test_gaussian_ard_finds_the_rank() -> None:
    rng = np.random.default_rng(0)
    X = rng.exponential(1.0, (100, 10)) @ rng.exponential(1.0, (10, 80)) + rng.normal(size=(100, 80))
    fit = bn.fit(X, bn.Model(20, bn.Gaussian(), shrinkage=bn.ARD()), engine=bn.MAP(starts=3))
    assert fit.rank == 10


def test_twins_are_merged() -> None:
    """Started with a component split in two, shrinkage alone keeps both halves; merging brings one back."""
    rng = np.random.default_rng(0)
    profiles = rng.dirichlet(np.full(40, 0.3), 3)
    W = rng.gamma(1.0, 100.0, (60, 3))
    X = rng.poisson(W @ profiles)
    split_W = np.column_stack([W[:, :2], W[:, 2] * (rng.random(60) < 0.5), W[:, 2]]) + 1e-3
    split_W[:, 3] -= split_W[:, 2] - 2e-3
    split_H = np.vstack([profiles, profiles[2]]) + 1e-6
    size = np.sqrt(split_W.sum(0))
    init = (split_W / size, split_H * size[:, None])
    fit = bn.fit(X, bn.Model(4, shrinkage=bn.ARD()), init=init)
    assert fit.rank == 3
    assert recovered(fit, profiles) == (1.0, 1.0)


def test_noise_alone_is_said_by_name() -> None:
    fit = bn.fit(
        np.random.default_rng(0).poisson(0.05, (40, 30)), bn.Model(25, shrinkage=bn.ARD()), engine=bn.MAP(starts=2)
    )
    assert fit.rank <= 1
    assert {w.name for w in fit.warnings} & {"collapsed_to_zero", "collapsed_to_one"}


def test_rank_that_is_not_pruned_is_said_by_name() -> None:
    X, _ = catalogue(seed=2)
    fit = bn.fit(X, bn.Model(5, shrinkage=bn.ARD()), engine=bn.MAP(starts=2))
    assert fit.rank == 5
    assert "not_pruned" in {w.name for w in fit.warnings}


@pytest.mark.skipif("BAYESNMF_BENCH_DATA" not in os.environ, reason="needs BAYESNMF_BENCH_DATA with swimmer.npz")
def test_swimmer_has_sixteen_limbs() -> None:
    images = np.load(Path(os.environ["BAYESNMF_BENCH_DATA"]) / "swimmer.npz", allow_pickle=False)["X"].T
    X = np.random.default_rng(0).poisson(images)
    fit = bn.fit(X, bn.Model(32, shrinkage=bn.ARD()), engine=bn.MAP(starts=2))
    assert fit.rank in (16, 17)
