"""MATLAB files of every version: values against SciPy, shapes as MATLAB shows them, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from bayesnmf import DataError, datasets, io

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(1.0, (6, 9)).astype(float)
MATLAB = Path(scipy.io.matlab.__file__).parent / "tests" / "data"


@pytest.fixture(scope="module")
def upstream() -> Path:
    folder = Path(os.environ.get("BAYESNMF_DATA", ""))
    if not (folder / "MackeviciusData.mat").exists():
        pytest.skip("BAYESNMF_DATA names no folder with the upstream files")
    return folder


def v73(path: Path, variables: dict[str, Any]) -> Path:
    """Write as MATLAB does in version 7.3: columns first, with the class beside, after 512 bytes of its own."""
    with h5py.File(path, "w", userblock_size=512) as file:
        _store(file, variables)
    text = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    with path.open("r+b") as stream:
        stream.write(text)
    return path


def _store(group: Any, variables: dict[str, Any]) -> None:
    for name, value in variables.items():
        if isinstance(value, dict):
            inner = group.create_group(name)
            inner.attrs["MATLAB_class"] = np.bytes_("struct")
            _store(inner, value)
        elif sp.issparse(value):
            csc = sp.csc_array(value)
            inner = group.create_group(name)
            inner.attrs["MATLAB_class"] = np.bytes_("logical" if csc.dtype == bool else "double")
            inner.attrs["MATLAB_sparse"] = np.uint64(csc.shape[0])
            inner["jc"] = csc.indptr.astype(np.uint64)
            if csc.nnz:
                inner["data"], inner["ir"] = csc.data, csc.indices.astype(np.uint64)
        else:
            data = np.array([ord(c) for c in value], np.uint16)[:, None] if isinstance(value, str) else value.T
            item = group.create_dataset(name, data=data)
            kind = "char" if isinstance(value, str) else {"float64": "double"}.get(str(data.dtype), str(data.dtype))
            item.attrs["MATLAB_class"] = np.bytes_(kind)


@pytest.mark.smoke
@pytest.mark.parametrize("version", ["4", "5", "5-compressed", "7.3"])
def test_the_only_matrix_is_taken_as_matlab_shows_it(version: str, tmp_path: Path) -> None:
    path, variables = tmp_path / "a.mat", {"X": COUNTS, "rate": np.array([[30.0]]), "t": np.arange(9.0)[None]}
    if version == "7.3":
        v73(path, variables | {"note": "some text"})
    else:
        scipy.io.savemat(path, variables, format=version[0], do_compression="-" in version)
    recording = io.read(path)
    np.testing.assert_array_equal(recording.X, COUNTS)
    assert "a.mat, variable X: rows as MATLAB shows them; transpose=True" in str(recording)
    assert "6 samples x 9 features, counts" in str(recording)
    np.testing.assert_array_equal(io.read(path, transpose=True).X, COUNTS.T)
    np.testing.assert_array_equal(io.read(path, variable="t").X, np.arange(9.0)[None])


@pytest.mark.parametrize("version", ["5", "7.3"])
@pytest.mark.parametrize("kind", [float, bool])
@pytest.mark.parametrize("empty", [False, True])
def test_sparse_matrices(version: str, kind: type, empty: bool, tmp_path: Path) -> None:
    path, X = tmp_path / "a.mat", sp.csc_array(COUNTS * (not empty)).astype(kind)
    if version == "7.3":
        v73(path, {"X": X})
    else:
        scipy.io.savemat(path, {"X": X})
    recording = io.read(path)
    assert isinstance(recording.X, sp.csr_array)
    np.testing.assert_array_equal(recording.X.toarray(), X.toarray())


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_fields_of_structs_by_name_and_what_there_is_in_errors(version: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    held = {
        "s": {"rates": COUNTS, "deep": {"B": COUNTS[:3].astype(np.int16)}},
        "C": np.ones((2, 3, 4)),
        "t": np.ones((9, 1)),
    }
    v73(path, held) if version == "7.3" else scipy.io.savemat(path, held)
    np.testing.assert_array_equal(io.read_mat(path, "s.rates").X, COUNTS)
    inner = io.read_mat(path, "s.deep.B").X
    np.testing.assert_array_equal(inner, COUNTS[:3])
    assert inner.dtype == np.int16
    for variable in (None, "s.no", "no"):
        with pytest.raises(DataError) as error:
            io.read_mat(path, variable)
        for name in ("s.rates (6 x 9)", "s.deep.B (3 x 9)", "a.mat", "variable=" if variable is None else variable):
            assert name in str(error.value)
    with pytest.raises(DataError, match=r"'C' in a.mat to be a matrix; its shape is \(2, 3, 4\)"):
        io.read_mat(path, "C")


def test_text_cells_objects_and_complex_numbers_are_no_matrices(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    cells = np.empty((2, 2), object)
    cells[:] = 1.0
    scipy.io.savemat(path, {"text": np.array(["ab", "cd"]), "cells": cells, "Z": COUNTS * 1j})
    with pytest.raises(DataError, match="a.mat has no array of real numbers outside of cells and objects"):
        io.read(path)
    v73(path, {"text": "some text"})
    with h5py.File(path, "r+") as file:
        file["Z"] = COUNTS * 1j
        file["Z"].attrs["MATLAB_class"] = np.bytes_("double")
        file["object"] = np.ones((3, 4), np.uint32)
        file["object"].attrs.update({"MATLAB_class": np.bytes_("table"), "MATLAB_object_decode": 3})
        file["foreign"] = COUNTS  # without a class it is not MATLAB's, and may be either way round
        file["#refs#/a"] = COUNTS
        file["#refs#/a"].attrs["MATLAB_class"] = np.bytes_("double")
    with pytest.raises(DataError, match="a.mat has no array of real numbers outside of cells and objects"):
        io.read(path)


@pytest.mark.skipif(not MATLAB.exists(), reason="SciPy comes without the files of its tests")
@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("testmatrix_4.2c_SOL2", None), ("testmatrix_7.4_GLNX86", None), ("testsparse_7.4_GLNX86", None),
        ("testmulti_7.4_GLNX86", "a"), ("big_endian", None), ("testbool_8_WIN64", "testbools"),
    ],
)  # fmt: skip
def test_files_that_matlab_wrote(name: str, variable: str | None) -> None:
    recording = io.read_mat(MATLAB / f"{name}.mat", variable)
    held = scipy.io.loadmat(MATLAB / f"{name}.mat")
    taken = recording.said.split("variable ")[1].split(":")[0]
    expected = held[taken].toarray() if sp.issparse(held[taken]) else held[taken]
    np.testing.assert_array_equal(recording.X.toarray() if sp.issparse(recording.X) else recording.X, expected)
    assert recording.X.dtype.isnative


@pytest.mark.skipif(not MATLAB.exists(), reason="SciPy comes without the files of its tests")
def test_what_matlab_wrote_in_version_73_and_its_objects() -> None:
    X = io.read_mat(MATLAB / "testhdf5_7.4_GLNX86.mat", "testdouble").X
    np.testing.assert_allclose(X, np.linspace(0, 2 * np.pi, 9)[None])
    with pytest.raises(DataError, match="no array of real numbers outside of cells and objects"):
        io.read_mat(MATLAB / "testobject_7.4_GLNX86.mat")


def test_recordings(upstream: Path) -> None:
    path = upstream / "MackeviciusData.mat"
    with pytest.raises(DataError, match=r"it has NEURAL \(75 x 666\), SONG \(141 x 4440\)|has NEURAL"):
        io.read(path)
    X = io.read(path, variable="NEURAL", transpose=True).X
    np.testing.assert_array_equal(X.astype(np.float32), datasets.load("songbird").X)
    with pytest.raises(DataError, match="spikes.mat has no array of real numbers outside of cells"):
        io.read(upstream / "spikes.mat")


@pytest.mark.parametrize("version", ["4", "5", "5-compressed", "7.3"])
def test_damaged_files(version: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    if version == "7.3":
        v73(path, {"X": COUNTS})
    else:
        scipy.io.savemat(path, {"X": COUNTS}, format=version[0], do_compression="-" in version)
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[: len(whole) // 2], whole[:-8], b"no such format " * 20):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="a.mat"):
            io.read(path)
    with pytest.raises(FileNotFoundError):
        io.read_mat(tmp_path / "no.mat")
