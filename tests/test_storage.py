"""Fits on disk: what was written comes back, and what is not a fit is refused."""

import json
import subprocess
import sys
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import xarray as xr
from helpers import observations

import bayesnmf as bn
from bayesnmf._input import read, split_negative
from bayesnmf.engines._families import Conditional, Dirichlets, Gammas
from bayesnmf.engines._truncated import TruncatedNormals
from bayesnmf.posterior import Posterior
from bayesnmf.result import Agreement

ENGINE = bn.MAP(starts=2, max_steps=40, tol=0.0, residual_tol=0.0)


def counts(n: int = 18, m: int = 9) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.poisson(rng.gamma(1.0, 4.0, (n, 2)) @ rng.dirichlet(np.ones(m), 2) * m) + 1


def named() -> pd.DataFrame:
    return pd.DataFrame(counts(), [f"Probe {i}" for i in range(18)], [f"Gen µ{j}" for j in range(9)])


def empty(fit: bn.Fit) -> bn.Fit:
    agreement = replace(fit.agreement, rank=np.zeros(2, int), cosine=np.zeros((2, 0)))
    return replace(fit, W=fit.W[:, :0], H=fit.H[:0], rate_W=fit.rate_W[:0], agreement=agreement)


def gammas(*shape: int) -> Gammas:
    rng = np.random.default_rng(sum(shape))
    return Gammas(rng.gamma(2.0, size=shape), rng.gamma(2.0, size=shape))


def believed(
    X: Any, groups: Any = None, negative: Any = "error", rate: Gammas | None = None, known: int = 0,
    learned: tuple[str, ...] = ("shape_W", "rate_H"), likelihood: bn.likelihoods.Likelihood | None = None,
    H: bn.priors.Prior | None = None, shrinkage: Any = None, **data: Any,
) -> bn.Fit:  # fmt: skip
    """Return a fit with a posterior that no engine had to find, so that nothing is compiled."""
    table = read(X, groups=groups, **data)
    if negative != "error":
        table = split_negative(table, negative, "Poisson")
    n, m = table.shape
    model = bn.Model(2, likelihood or bn.Poisson(), bn.Gamma(1.5, 2.0), H or bn.Gamma(0.5), shrinkage)
    q_H = gammas(2, m) if not isinstance(H, bn.Dirichlet) else Dirichlets(gammas(2, m).shape)
    priors = (Conditional(np.asarray(0.7), *gammas(*shape)) for shape in ((1, 2), (2, 1)))
    posterior = Posterior(gammas(n, 2), q_H, *priors, rate, model.parts[0], learned, known, table)
    W, H_mean = posterior.means
    agreement = Agreement(np.arange(2.0), np.full(2, 2), np.ones((2, 2)), ("converged", "max_steps"), 0)
    return bn.Fit(
        W=W, H=H_mean, relevance=W.sum(0), model=model, engine=bn.CAVI(starts=2), noise=model.parts[0].noise(),
        objective=-3.5, residual=1e-3, status="converged", steps=20, trace=np.arange(3.0), agreement=agreement,
        warnings=(), seed=1, samples=table.samples, features=table.features, groups=table.groups,
        negative=table.negative, rate_W=np.ones(2), posterior=posterior, likelihood_chosen=True,
        versions={"bayesnmf": "0"},
    )  # fmt: skip


def normal() -> bn.Fit:
    fit = believed(counts() - 9.0, likelihood=bn.Gaussian(2.0), H=bn.HalfNormal())
    assert fit.posterior is not None
    W, H = (TruncatedNormals(q.shape - 1, q.rate, power=2) for q in (fit.posterior.W, fit.posterior.H))
    return replace(fit, posterior=replace(fit.posterior, W=W, H=H))


CASES: dict[str, Any] = {
    "plain": lambda: bn.fit(counts(), rank=3, engine=ENGINE),
    "names": lambda: bn.fit(named(), rank=2, engine=ENGINE),
    "text groups": lambda: bn.fit(counts(), rank=2, engine=ENGINE, groups=np.array(["a", "bé", "ccc"] * 6)),
    "whole groups": lambda: bn.fit(counts(), rank=2, engine=ENGINE, groups=np.arange(18, dtype=np.int16)),
    "bool groups": lambda: bn.fit(counts(), rank=2, engine=ENGINE, groups=np.arange(18) > 4),
    "known and l2": lambda: bn.fit(
        counts(),
        bn.Model(4, known=np.eye(9, dtype=np.float32)[:2], W=bn.HalfNormal(), H=bn.HalfNormal(mean=0.1)),
        engine=ENGINE,
    ),
    "variance by feature": lambda: bn.fit(
        counts() - 2.5, rank=2, likelihood=bn.Gaussian(per_feature=True), engine=replace(ENGINE, method="hals")
    ),
    "given variances": lambda: bn.fit(
        counts(), rank=2, likelihood=bn.Gaussian(variance=np.linspace(0.1, 1, 9)), engine=ENGINE
    ),
    "shrinkage": lambda: bn.fit(counts(), bn.Model(8, shrinkage=bn.ARD()), engine=ENGINE),
    "gamma": lambda: bn.fit(counts(), bn.Model(2, W=bn.Gamma(1.5), H=bn.Gamma(2.0, mean=1.0)), engine=ENGINE),
    "negative": lambda: bn.fit(
        counts() - 2.0, rank=2, likelihood=bn.BetaDivergence(0.5), engine=ENGINE, negative="split"
    ),
    "a JAX key": lambda: bn.fit(counts(), rank=2, engine=replace(ENGINE, precision="float64"), seed=jax.random.key(1)),
    "rank 0": lambda: empty(bn.fit(counts(), bn.Model(8, shrinkage=bn.ARD()), engine=ENGINE)),
    "one of each": lambda: bn.fit(np.array([[3.0]]), rank=1, engine=replace(ENGINE, starts=1)),
    "posterior": lambda: believed(named(), groups=np.arange(18) % 3),
    "posterior of 32-bit data, shrinkage": lambda: believed(
        counts().astype(np.float32), shrinkage=bn.ARD(), rate=gammas(2), known=1, learned=()
    ),
    "posterior of sparse data and all that comes beside them": lambda: believed(
        sp.csr_array(counts() - 1), likelihood=bn.NegativeBinomial(np.linspace(0.1, 1, 9)), **observations(n=18, m=9)
    ),
    "posterior of weighted data, Dirichlet rows": lambda: believed(
        counts(), H=bn.Dirichlet(0.5), weights=np.arange(1, 19), observed=counts() < 20
    ),
    "posterior, Gaussian": lambda: normal(),
    "posterior, compressive": lambda: believed(
        sp.csr_array(counts() - 4.0), H=bn.Dirichlet(), shrinkage=bn.Compressive(), negative="split"
    ),
}


def assert_same(a: Any, b: Any, where: str = "fit") -> None:
    if isinstance(a, (np.ndarray, jax.Array)):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        np.testing.assert_array_equal(a, b, where)
    elif sp.issparse(a):
        assert type(a) is type(b), where
        assert a.shape == b.shape, where
        for part in ("data", "indices", "indptr"):
            assert_same(getattr(a, part), getattr(b, part), f"{where}.{part}")
    elif is_dataclass(a):
        assert type(a) is type(b), where
        for f in fields(a):
            assert_same(getattr(a, f.name), getattr(b, f.name), f"{where}.{f.name}")
    elif isinstance(a, (dict, tuple)):
        assert type(a) is type(b), where
        assert len(a) == len(b), where
        for key in a if isinstance(a, dict) else range(len(a)):
            assert_same(a[key], b[key], f"{where}[{key!r}]")
    else:
        assert a == b, where


@pytest.mark.parametrize("case", CASES)
def test_what_was_saved_comes_back(case: str, tmp_path: Path) -> None:
    fit = CASES[case]()
    fit.save(tmp_path / "fit.nc")
    again = bn.load(tmp_path / "fit.nc")
    assert_same(fit, again)
    assert repr(again) == repr(fit)
    assert [file.name for file in tmp_path.iterdir()] == ["fit.nc"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*none to write fit.nc to"):
        CASES["names"]().save(tmp_path / "none" / "fit.nc")


@pytest.fixture(scope="module")
def fit() -> bn.Fit:
    return CASES["names"]()


@pytest.fixture
def path(fit: bn.Fit, tmp_path: Path) -> Path:
    fit.save(tmp_path / "fit.nc")
    return tmp_path / "fit.nc"


def test_warnings_come_back_by_name(fit: bn.Fit, tmp_path: Path) -> None:
    loud = replace(fit, warnings=(bn.Finding("max_steps", 'not "converged"\nyet'), bn.Finding("other", "µ")))
    loud.save(tmp_path / "fit.nc")
    assert bn.load(tmp_path / "fit.nc").warnings == loud.warnings


def test_a_loaded_fit_projects_as_the_saved_one(fit: bn.Fit, path: Path) -> None:
    np.testing.assert_array_equal(bn.load(path).project(counts()).W, fit.project(counts()).W)


OF_NEW_SAMPLES = """
import sys, numpy as np, bayesnmf as bn
fit = bn.load(sys.argv[1])
new = fit.project(np.load(sys.argv[2]))
found = {f"{name}.{end}": a for name in ("W", "H", "mean", "mass", "share")
         for end, a in zip(("low", "high"), fit.interval(name, 0.8))}
found |= {"new.low": new.interval(0.8)[0], "new.high": new.interval(0.8)[1]}
found |= {f"drawn.{name}": a for name, a in fit.draws(7, seed=5).items()}
found |= {f"new.drawn.{name}": a for name, a in new.draws(7, seed=5).items()}
np.savez(sys.argv[3], elbo=fit.elbo, **found)
"""


def test_a_new_process_gives_the_same_intervals_and_draws(tmp_path: Path) -> None:
    fit = bn.fit(counts(), rank=2, engine=bn.CAVI(starts=2))
    fit.save(tmp_path / "fit.nc")
    np.save(tmp_path / "new.npy", counts()[::-1][:12])
    files = [str(tmp_path / name) for name in ("fit.nc", "new.npy", "found.npz")]
    subprocess.run([sys.executable, "-c", OF_NEW_SAMPLES, *files], check=True)
    there = np.load(files[2])
    new = fit.project(np.load(files[1]))
    assert there["elbo"] == fit.elbo
    for name in ("W", "H", "mean", "mass", "share"):
        for end, a in zip(("low", "high"), fit.interval(name, 0.8), strict=True):
            np.testing.assert_array_equal(there[f"{name}.{end}"], a)
    np.testing.assert_array_equal([there["new.low"], there["new.high"]], new.interval(0.8))
    for where, made in (("drawn", fit), ("new.drawn", new)):
        for name, a in made.draws(7, seed=5).items():
            np.testing.assert_array_equal(there[f"{where}.{name}"], a)


def test_large_arrays_are_compressed(fit: bn.Fit, tmp_path: Path) -> None:
    wide = replace(fit, trace=np.arange(2.0**16))
    wide.save(tmp_path / "fit.nc")
    assert (tmp_path / "fit.nc").stat().st_size < wide.trace.nbytes / 2
    assert_same(wide, bn.load(tmp_path / "fit.nc"))


def test_files_from_before_there_were_posteriors_load(fit: bn.Fit, path: Path) -> None:
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        dataset = dataset.load()
    del dataset.attrs["posterior"], dataset.attrs["likelihood_chosen"]
    dataset.to_netcdf(path, engine="h5netcdf")
    # such a file did not say whether the likelihood was left to the library
    assert_same(bn.load(path), replace(fit, likelihood_chosen=False))


def test_other_programs_find_named_dimensions(fit: bn.Fit, path: Path) -> None:
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        assert dataset.W.dims == ("sample", "component")
        assert dataset.H.dims == ("component", "feature")
        assert dataset.H.sel(feature="Gen µ3").values.tolist() == fit.H[:, 3].tolist()


def change(path: Path, **attributes: Any) -> None:
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        dataset = dataset.load()
    dataset.assign_attrs(attributes).to_netcdf(path, engine="h5netcdf")


def test_later_schema_is_refused(path: Path) -> None:
    change(path, schema_version=99)
    with pytest.raises(bn.DataError, match="schema version 99"):
        bn.load(path)


@pytest.mark.parametrize("name", ["os.system", "Finding", "Path"])
def test_unknown_class_is_refused(path: Path, name: str) -> None:
    change(path, model=json.dumps({"class": name, "fields": {}}))
    with pytest.raises(bn.DataError, match=f"names the class '{name}'"):
        bn.load(path)


@pytest.mark.parametrize(
    "model",
    [
        {"class": "Model", "fields": {"rank": 2, "command": "ls"}},
        {"class": "Poisson", "fields": {}},
        {"class": "Model", "fields": {"rank": {"array": "not there"}}},
        "Model",
        None,
    ],
)
def test_damaged_model_is_refused(path: Path, model: Any) -> None:
    change(path, model=json.dumps(model))
    with pytest.raises(bn.DataError, match="damaged"):
        bn.load(path)


def test_missing_part_is_refused(path: Path) -> None:
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        dataset = dataset.load()
    dataset.drop_vars("H").to_netcdf(path, engine="h5netcdf")
    with pytest.raises(bn.DataError, match="missing or damaged"):
        bn.load(path)


@pytest.fixture(scope="module")
def sparse_posterior(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    path = tmp_path_factory.mktemp("sparse") / "fit.nc"
    CASES["posterior of sparse data and all that comes beside them"]().save(path)
    with xr.open_dataset(path, engine="h5netcdf", mask_and_scale=False) as dataset:
        return dataset.load()


def posterior_without(dataset: xr.Dataset, part: str) -> xr.Dataset:
    given = json.loads(dataset.attrs["posterior"])
    return dataset.assign_attrs(posterior=json.dumps({name: a for name, a in given.items() if name != part}))


def posterior_with(dataset: xr.Dataset, **parts: Any) -> xr.Dataset:
    return dataset.assign_attrs(posterior=json.dumps(json.loads(dataset.attrs["posterior"]) | parts))


DAMAGED: dict[str, Any] = {
    "no table": lambda d: posterior_without(d, "table"),
    "no q(W)": lambda d: posterior_without(d, "W"),
    "no array": lambda d: d.drop_vars("posterior.H.rate"),
    "a model where q(W) belongs": lambda d: posterior_with(d, W=json.loads(d.attrs["model"])),
    "an unknown class": lambda d: posterior_with(d, H={"class": "os.system", "fields": {}}),
    "text": lambda d: d.assign_attrs(posterior='"yes"'),
    "not JSON": lambda d: d.assign_attrs(posterior="{"),
    "q(W) of another shape": lambda d: posterior_with(d, W=json.loads(d.attrs["posterior"])["H"]),
    "whole numbers where X belongs": lambda d: d.assign({"table.X.data": d["table.X.data"].astype(int)}),
    "an index outside of X": lambda d: d.assign({"table.X.indices": d["table.X.indices"] + 10**6}),
    "a row that ends before it starts": lambda d: d.assign({"table.X.indptr": d["table.X.indptr"][::-1]}),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_posterior_is_refused(case: str, sparse_posterior: xr.Dataset, tmp_path: Path) -> None:
    DAMAGED[case](sparse_posterior).to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
    with pytest.raises(bn.DataError, match="damaged|names the class"):
        bn.load(tmp_path / "fit.nc")


@pytest.mark.parametrize("kept", [0, 7, 600, 0.5, -1])
def test_truncated_file_is_refused(path: Path, kept: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(bn.DataError, match="cannot be read as netCDF"):
        bn.load(path)


def test_another_netcdf_file_is_refused(tmp_path: Path) -> None:
    xr.Dataset({"H": ("x", np.zeros(3))}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(bn.DataError, match="not a fit"):
        bn.load(tmp_path / "other.nc")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file"):
        bn.load(tmp_path / "none.nc")


def test_own_likelihood_is_refused_and_leaves_the_old_file(fit: bn.Fit, path: Path) -> None:
    @dataclass(frozen=True)
    class Poisson(bn.Poisson):
        """Has the name of one that is known."""

    before = path.read_bytes()
    with pytest.raises(bn.DataError, match="Cannot save model.likelihood"):
        replace(fit, model=replace(fit.model, likelihood=Poisson())).save(path)
    assert path.read_bytes() == before


def test_failure_while_writing_leaves_the_old_file(fit: bn.Fit, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def half(self: xr.Dataset, file: Path, **options: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", half)
    with pytest.raises(OSError, match="disk full"):
        fit.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["fit.nc"]
