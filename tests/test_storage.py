"""Fits on disk: what was written comes back, and what is not a fit is refused."""

import json
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesnmf as bn

ENGINE = bn.MAP(starts=2, max_steps=40, tol=0.0, residual_tol=0.0)


def counts(n: int = 18, m: int = 9) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.poisson(rng.gamma(1.0, 4.0, (n, 2)) @ rng.dirichlet(np.ones(m), 2) * m) + 1


def named() -> pd.DataFrame:
    return pd.DataFrame(counts(), [f"Probe {i}" for i in range(18)], [f"Gen µ{j}" for j in range(9)])


def empty(fit: bn.Fit) -> bn.Fit:
    agreement = replace(fit.agreement, rank=np.zeros(2, int), cosine=np.zeros((2, 0)))
    return replace(fit, W=fit.W[:, :0], H=fit.H[:0], rate_W=fit.rate_W[:0], agreement=agreement)


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
    "shrinkage": lambda: bn.fit(counts(), rank="auto", engine=ENGINE),
    "gamma": lambda: bn.fit(counts(), bn.Model(2, W=bn.Gamma(1.5), H=bn.Gamma(2.0, mean=1.0)), engine=ENGINE),
    "negative": lambda: bn.fit(
        counts() - 2.0, rank=2, likelihood=bn.BetaDivergence(0.5), engine=ENGINE, negative="split"
    ),
    "a JAX key": lambda: bn.fit(counts(), rank=2, engine=replace(ENGINE, precision="float64"), seed=jax.random.key(1)),
    "rank 0": lambda: empty(bn.fit(counts(), rank="auto", engine=ENGINE)),
    "one of each": lambda: bn.fit(np.array([[3.0]]), rank=1, engine=replace(ENGINE, starts=1)),
}


def assert_same(a: Any, b: Any, where: str = "fit") -> None:
    if isinstance(a, (np.ndarray, jax.Array)):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        np.testing.assert_array_equal(a, b, where)
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
