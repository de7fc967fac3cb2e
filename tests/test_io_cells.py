"""AnnData, 10x, Parquet and netCDF: the values of each format's own library, what is said, and damaged files."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import jax
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp
import xarray as xr
from typer.testing import CliRunner

import bayesnmf as bn
from bayesnmf import io
from bayesnmf.cli import app

ad = pytest.importorskip("anndata")
pytest.importorskip("pyarrow")

# anndata sets options of pandas that are about to go
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' option is deprecated")

N, M = 20, 8
MAP = bn.MAP(starts=1, max_steps=50)
CAVI = bn.CAVI(starts=1)


def counts(n: int = N, m: int = M) -> np.ndarray:
    """Return counts of two parts, a third of them zeros."""
    rng = np.random.default_rng(0)
    return rng.poisson(rng.gamma(0.5, 10.0, (n, 2)) @ rng.dirichlet(np.full(m, 0.5), 2))


def dense(X: Any) -> np.ndarray:
    return X if isinstance(X, np.ndarray) else X.toarray()


def cells(kind: Callable[[Any], Any] = np.asarray) -> Any:
    """Return an AnnData whose X is log counts; the counts are a layer, and with one gene more in raw."""
    rng = np.random.default_rng(1)
    obs = pd.DataFrame(
        {"depth": rng.random(N), "type": pd.Categorical(rng.choice(["B", "T"], N))},
        index=[f"cell {i}" for i in range(N)],
    )
    var = pd.DataFrame({"chosen": np.arange(M) % 2 == 0}, index=[f"gene {j}" for j in range(M)])
    X = counts()
    adata = ad.AnnData(kind(np.log1p(X)), obs, var, layers={"counts": kind(X), "halved": kind(X / 2)})
    raw = ad.AnnData(kind(np.c_[X, X[:, 0]]), obs, pd.DataFrame(index=[*var.index, "last"]))
    adata.raw = raw
    return adata


@pytest.fixture
def real() -> Path:
    path = Path(os.environ.get("BAYESNMF_DATA", ""), "10x_pbmc68k_reduced.h5ad")
    if not path.is_file():
        pytest.skip("BAYESNMF_DATA names no folder with 10x_pbmc68k_reduced.h5ad")
    return path


# AnnData: reading


@pytest.mark.parametrize("layer", [None, "counts", "halved", "raw"])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_h5ad_equals_anndata(tmp_path: Path, kind: Callable[[Any], Any], layer: str | None) -> None:
    adata = cells(kind)
    adata.write_h5ad(tmp_path / "x.h5ad")
    twin = ad.read_h5ad(tmp_path / "x.h5ad")
    X = {None: twin.X, "raw": twin.raw.X}.get(layer, twin.layers.get(layer))
    found = io.read(tmp_path / "x.h5ad", layer=layer)
    assert isinstance(found.X, np.ndarray if kind is np.asarray else sp.csr_array)
    assert found.X.dtype == X.dtype
    np.testing.assert_array_equal(dense(found.X), dense(X))
    pd.testing.assert_frame_equal(found.samples, twin.obs)
    var = twin.raw.var if layer == "raw" else twin.var
    pd.testing.assert_frame_equal(found.features, var, check_column_type=False)


def test_h5ad_says_what_is_beside_and_where_counts_seem_to_be(tmp_path: Path) -> None:
    adata = cells(sp.csr_matrix)
    adata.write_h5ad(tmp_path / "x.h5ad")
    beside = "x.h5ad, X, beside it raw, counts, halved: "
    hint = 'X is not counts; what seems to be: layer="raw", layer="counts".'
    assert str(io.read_h5ad(tmp_path / "x.h5ad")).startswith(f"{beside}{hint} {N} samples x {M} features, intensities")
    adata.X = adata.layers.pop("counts")
    adata.write_h5ad(tmp_path / "x.h5ad")
    assert str(io.read_h5ad(tmp_path / "x.h5ad")).startswith(
        f"x.h5ad, X, beside it raw, halved: {N} samples x {M} features, counts, sparse"
    )


def test_h5ad_names_of_both_tables_do_not_meet_in_fold(tmp_path: Path) -> None:
    adata = cells()
    adata.obs.index.name = adata.var.index.name = "index"
    adata.write_h5ad(tmp_path / "x.h5ad")
    recording = io.read_h5ad(tmp_path / "x.h5ad", layer="counts")
    folded = recording.fold(bn.fit(recording, rank=2, engine=MAP))
    assert dict(folded.sizes) == {"component": 2, "sample": N, "feature": M}


def test_h5ad_reads_nothing_that_is_not_asked_for(tmp_path: Path) -> None:
    cells().write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "a") as file:
        for place in ("obsm/X_other", "layers/other"):
            file[place] = np.zeros((N, M))
            file[place].attrs.update({"encoding-type": "of another library", "encoding-version": "9"})
    with pytest.raises(Exception, match="another library"):
        ad.read_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(io.read_h5ad(tmp_path / "x.h5ad", layer="counts").X, counts())


def test_h5ad_refuses_by_name(tmp_path: Path) -> None:
    cells().write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(bn.DataError, match=r"one of X, raw, counts, halved in x.h5ad; got 'umi'"):
        io.read_h5ad(tmp_path / "x.h5ad", layer="umi")
    ad.AnnData(None, shape=(N, M), layers={"counts": counts()}).write_h5ad(tmp_path / "no X.h5ad")
    with pytest.raises(bn.DataError, match=r"one of counts in no X.h5ad; got None"):
        io.read_h5ad(tmp_path / "no X.h5ad")
    with h5py.File(tmp_path / "other.h5ad", "w") as file:
        file["series"] = np.zeros(3)
    with pytest.raises(bn.DataError, match=r"obs and var in other.h5ad; it holds series"):
        io.read_h5ad(tmp_path / "other.h5ad")
    with pytest.raises(FileNotFoundError):
        io.read_h5ad(tmp_path / "none.h5ad")


@pytest.mark.filterwarnings("ignore:Moving element from:FutureWarning", "ignore::anndata.OldFormatWarning")
def test_real_h5ad_of_an_old_version(real: Path) -> None:
    twin = ad.read_h5ad(real)
    found, raw = io.read_h5ad(real), io.read_h5ad(real, layer="raw")
    np.testing.assert_array_equal(found.X, twin.X)
    assert (raw.X != twin.raw.X).nnz == 0
    pd.testing.assert_frame_equal(found.samples, twin.obs, check_names=False)
    pd.testing.assert_frame_equal(found.features, twin.var, check_names=False)
    pd.testing.assert_frame_equal(raw.features, twin.raw.var, check_names=False, check_column_type=False)
    assert found.samples["bulk_labels"].iloc[0] == "CD14+ Monocyte"
    # both matrices are log values, so that neither is named as counts
    said = "10x_pbmc68k_reduced.h5ad, X, beside it raw: 700 samples x 765 features, real values, some negative"
    assert str(found) == said


# AnnData: fitting


@pytest.mark.parametrize("backed", [False, True])
@pytest.mark.parametrize("layer", [None, "counts"])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_fit_takes_anndata(tmp_path: Path, kind: Callable[[Any], Any], layer: str | None, backed: bool) -> None:
    adata = cells(kind)
    X = dense(adata.X if layer is None else adata.layers[layer])
    if backed:
        adata.write_h5ad(tmp_path / "x.h5ad")
        adata = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
        assert adata.isbacked
    fit = bn.fit(adata, rank=2, layer=layer, engine=MAP)
    np.testing.assert_allclose(fit.mean, bn.fit(X, rank=2, engine=MAP).mean, rtol=1e-3, atol=1e-4)
    assert fit.samples == tuple(adata.obs_names)
    assert fit.features == tuple(adata.var_names)
    if backed:
        part = bn.fit(adata[[5, 2, 7]], rank=2, layer=layer, engine=MAP)
        assert part.samples == ("cell 5", "cell 2", "cell 7")
        np.testing.assert_allclose(part.mean, bn.fit(X[[5, 2, 7]], rank=2, engine=MAP).mean, rtol=1e-3, atol=1e-4)
        adata.file.close()


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
def test_cells_of_a_backed_file_are_read_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Callable[[Any], Any]
) -> None:
    ad.AnnData(kind(counts(2000))).write_h5ad(tmp_path / "x.h5ad")
    adata = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    read: list[int] = []
    take = h5py.Dataset.__getitem__

    def watched(self: h5py.Dataset, *where: Any) -> Any:
        values = take(self, *where)
        read.append(np.size(values) if self.name in ("/X", "/X/data") else 0)
        return values

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    table = bn._input.read(adata[:20])
    np.testing.assert_array_equal(dense(table.X), counts(2000)[:20])
    assert 0 < sum(read) <= 20 * M
    adata.file.close()


# AnnData: back


def round_trip(adata: Any, folder: Path) -> Any:
    adata.write_h5ad(folder / "back.h5ad")
    return ad.read_h5ad(folder / "back.h5ad")


def test_to_anndata_writes_and_reads_back_equal(tmp_path: Path) -> None:
    adata = cells(sp.csr_matrix)
    fit = bn.fit(adata, rank=2, layer="counts", engine=CAVI, seed=3)
    assert io.to_anndata(fit, adata, prob=0.8) is adata
    back = round_trip(adata, tmp_path)
    np.testing.assert_array_equal(back.obsm["X_bayesnmf"], fit.W)
    np.testing.assert_array_equal(back.varm["bayesnmf"], fit.H.T)
    for end, of_W, of_H in zip(("low", "high"), fit.interval("W", 0.8), fit.interval("H", 0.8), strict=True):
        np.testing.assert_array_equal(back.obsm[f"X_bayesnmf_{end}"], of_W)
        np.testing.assert_array_equal(back.varm[f"bayesnmf_{end}"], of_H.T)
    said = back.uns["bayesnmf"]
    assert (said["rank"], said["likelihood"], said["engine"], said["seed"]) == (2, "Poisson", "CAVI", 3)
    assert said["versions"] == fit.versions
    assert said["intervals"].startswith("80%, linear response")
    np.testing.assert_array_equal(said["shares"], fit.share)
    assert list(said["warnings"]) == [str(finding) for finding in fit.warnings]


def test_to_anndata_replaces_all_of_an_earlier_fit(tmp_path: Path) -> None:
    adata = cells()
    io.to_anndata(bn.fit(adata, rank=3, layer="counts", engine=CAVI), adata)
    assert {"X_bayesnmf_low", "X_bayesnmf_high"} < set(adata.obsm)
    fit = bn.fit(adata, rank=2, layer="counts", engine=bn.MAP(starts=1, max_steps=2), seed=jax.random.key(0))
    assert [finding.name for finding in fit.warnings] == ["max_steps"]
    back = round_trip(io.to_anndata(fit, adata), tmp_path)
    assert set(back.obsm) == {"X_bayesnmf"}
    assert set(back.varm) == {"bayesnmf"}
    assert back.obsm["X_bayesnmf"].shape == (N, 2)
    assert "seed" not in back.uns["bayesnmf"]
    assert back.uns["bayesnmf"]["intervals"].startswith("90%, none")
    assert list(back.uns["bayesnmf"]["warnings"]) == [str(fit.warnings[0])]


def test_to_anndata_of_nothing_kept(tmp_path: Path) -> None:
    adata = cells()
    fit = bn.fit(adata, bn.Model(3, shrinkage=bn.ARD(threshold=1e9)), layer="counts", engine=MAP)
    assert fit.rank == 0
    assert round_trip(io.to_anndata(fit, adata), tmp_path).obsm["X_bayesnmf"].shape == (N, 0)


def test_to_anndata_refuses_what_it_is_not_of() -> None:
    adata = cells()
    fit = bn.fit(adata, rank=2, layer="counts", engine=MAP)
    with pytest.raises(bn.DataError, match=r"fit's 20 cells x 8 genes; got 20 x 5.*adata\[:, genes\]"):
        io.to_anndata(fit, adata[:, :5])
    with pytest.raises(bn.DataError, match=r"cell 0 is 'cell 19' in the AnnData and 'cell 0' in the fit"):
        io.to_anndata(fit, adata[::-1])
    renamed = adata.copy()
    renamed.var_names = [*adata.var_names[:-1], "another"]
    with pytest.raises(bn.DataError, match=r"gene 7 is 'another' in the AnnData and 'gene 7' in the fit"):
        io.to_anndata(fit, renamed)
    assert "bayesnmf" not in renamed.uns
    adata.X = adata.X - 1
    with pytest.raises(bn.DataError, match=r"20 cells x 16 genes \(a feature for each sign\); got 20 x 8"):
        io.to_anndata(bn.fit(adata, rank=2, negative="split", engine=MAP), adata)
    # without names sizes are what is known
    unnamed = bn.fit(counts(), rank=2, engine=MAP)
    np.testing.assert_array_equal(io.to_anndata(unnamed, adata).varm["bayesnmf"], unnamed.H.T)


@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
def test_to_anndata_of_a_view(tmp_path: Path) -> None:
    adata = cells()
    view = adata[:, adata.var["chosen"]]
    fit = bn.fit(view, rank=2, layer="counts", engine=CAVI)
    back = round_trip(io.to_anndata(fit, view), tmp_path)
    np.testing.assert_array_equal(back.obsm["X_bayesnmf"], fit.W)
    np.testing.assert_array_equal(back.varm["bayesnmf"], fit.H.T)
    assert {"bayesnmf", "bayesnmf_low", "bayesnmf_high"} == set(back.varm)
    assert back.uns["bayesnmf"]["rank"] == 2
    assert not adata.obsm


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
def test_scanpy_plots_and_takes_what_was_written(real: Path, tmp_path: Path) -> None:
    sc = pytest.importorskip("scanpy")
    import matplotlib.pyplot as plt

    recording = io.read_h5ad(real, layer="raw")
    adata = ad.read_h5ad(real).raw.to_adata()
    # counts come back from logs of counts per 10,000
    total = recording.samples["n_counts"].to_numpy()[:, None]
    adata.layers["counts"] = np.round(total / 1e4 * np.expm1(recording.X.toarray()))
    adata = adata[:150, :60].copy()
    fit = bn.fit(adata, rank=3, layer="counts", engine=CAVI)
    adata = round_trip(io.to_anndata(fit, adata), tmp_path)
    figure = sc.pl.embedding(adata, basis="X_bayesnmf", color="bulk_labels", show=False, return_fig=True)
    points = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(np.sort(points, 0), np.sort(fit.W[:, :2], 0), rtol=1e-6)
    plt.close(figure)
    sc.pp.neighbors(adata, n_neighbors=5, use_rep="X_bayesnmf", method="gauss")
    nearest = adata.obsp["distances"].toarray()
    apart = np.linalg.norm(fit.W[:, None] - fit.W[None], axis=2)
    i, j = nearest.nonzero()
    assert len(i) == 150 * 4
    np.testing.assert_allclose(nearest[i, j], apart[i, j], rtol=1e-4)


# 10x

BARCODES = [f"AAAC{i:04}-1" for i in range(N)]
IDS = [f"ENSG{j:04}" for j in range(M)]
NAMES = ["CD3E", "MS4A1", "1e3", "TBCE", "LYZ", "TBCE", "NKG7", "CD3"]
TYPES = ["Gene Expression"] * 7 + ["Antibody Capture"]
INDEX = ["CD3E", "MS4A1", "1e3", "TBCE (ENSG0003)", "LYZ", "TBCE (ENSG0005)", "NKG7", "CD3"]


def tenx_folder(folder: Path, version: int, start: str = "", genes: str = "features.tsv") -> Path:
    """Write the matrix as Cell Ranger 2 or 3 lays it out."""
    folder.mkdir(exist_ok=True)
    scipy.io.mmwrite(folder / f"{start}matrix.mtx", sp.csc_array(counts().T))
    columns = [IDS, NAMES, TYPES] if version == 3 else [IDS, NAMES]
    lines = ["\t".join(row) for row in zip(*columns, strict=True)]
    (folder / f"{start}barcodes.tsv").write_text("\n".join(BARCODES) + "\n")
    (folder / f"{start}{genes if version == 3 else 'genes.tsv'}").write_text("\n".join(lines) + "\n")
    if version == 3:
        for file in list(folder.glob(f"{start}*")):
            with gzip.open(f"{file}.gz", "wb") as stream:
                stream.write(file.read_bytes())
            file.unlink()
    return folder


def tenx_h5(path: Path, version: int, genomes: tuple[str, ...] = ("GRCh38",)) -> Path:
    """Write the matrix as the .h5 of Cell Ranger 2 or 3."""
    X = sp.csr_array(counts())
    words = {"id": IDS, "name": NAMES, "feature_type": TYPES, "genome": ["GRCh38"] * M}
    with h5py.File(path, "w") as file:
        for genome in ("matrix",) if version == 3 else genomes:
            group = file.create_group(genome)
            group["data"], group["indices"], group["indptr"] = X.data.astype("i4"), X.indices.astype("i8"), X.indptr
            group["shape"] = np.array([M, N], "i4")
            group["barcodes"] = np.array(BARCODES, "S")
            if version == 3:
                for name, values in words.items():
                    group[f"features/{name}"] = np.array(values, "S")
                group["features/_all_tag_keys"] = np.array(["genome"], "S")
            else:
                group["genes"], group["gene_names"] = np.array(IDS, "S"), np.array(NAMES, "S")
    return path


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("form", ["folder", "h5"])
def test_10x_equals_scanpy(tmp_path: Path, form: str, version: int) -> None:
    sc = pytest.importorskip("scanpy")
    if form == "h5":
        path = tenx_h5(tmp_path / "filtered.h5", version)
        twin = sc.read_10x_h5(path, gex_only=False)
    else:
        path = tenx_folder(tmp_path / "filtered", version)
        twin = sc.read_10x_mtx(path, make_unique=False, gex_only=False)
    found = io.read(path)
    assert isinstance(found.X, sp.csr_array)
    assert found.X.dtype.kind == "i"
    np.testing.assert_array_equal(found.X.toarray(), twin.X.toarray())
    np.testing.assert_array_equal(found.X.toarray(), counts())
    assert found.samples.index.tolist() == twin.obs_names.tolist()
    assert found.features.index.tolist() == INDEX
    assert found.features["name"].tolist() == twin.var_names.tolist()
    assert found.features["id"].tolist() == twin.var["gene_ids"].tolist()
    said = ", 10x, 2 features with their id since others have the same name"
    if version == 3:
        assert found.features["type"].tolist() == twin.var["feature_types"].tolist()
        said += ", 7 Gene Expression and 1 Antibody Capture"
    assert f"{said}, turned: {N} samples x {M} features, counts, sparse" in str(found)


def test_10x_matrix_with_and_without_its_neighbours(tmp_path: Path) -> None:
    tenx_folder(tmp_path, 3, "GSM1_")
    tenx_folder(tmp_path, 2, "GSM2_")
    other = tenx_folder(tmp_path / "alone", 2)
    for name in ("GSM1_matrix.mtx.gz", "GSM2_matrix.mtx"):
        found = io.read(tmp_path / name)
        assert found.samples.index.tolist() == BARCODES
        assert found.features.index.tolist() == INDEX
    for name in ("barcodes.tsv", "genes.tsv"):
        (other / name).unlink()
    found = io.read(other / "matrix.mtx")
    np.testing.assert_array_equal(found.X.toarray(), counts())
    assert str(found).startswith(f"matrix.mtx, 10x, no barcodes, no names, turned: {N} samples x {M} features, counts")
    assert bn.fit(found, rank=2, engine=MAP).features is None


def test_10x_peaks_keep_their_places(tmp_path: Path) -> None:
    tenx_folder(tmp_path, 2)
    lines = [f"{name}\tNA\tPeaks\tchr1\t{j}\t{j + 1}" for j, name in enumerate(IDS)]
    (tmp_path / "genes.tsv").rename(tmp_path / "features.tsv").write_text("\n".join(lines))
    features = io.read_10x(tmp_path).features
    assert features.columns.tolist() == ["id", "name", "type", "chromosome", "start", "end"]
    assert features.loc["NA (ENSG0003)", "start"] == "3"


def test_10x_refuses_what_does_not_belong_together(tmp_path: Path) -> None:
    tenx_folder(tmp_path, 2)
    (tmp_path / "barcodes.tsv").write_text("\n".join(BARCODES[:-1]))
    with pytest.raises(bn.DataError, match=r"Expected 20 barcodes beside matrix.mtx, as many as it has; got 19"):
        io.read(tmp_path)
    with pytest.raises(bn.DataError, match=r"two.h5; it holds hg19, mm10. Of several genomes read one"):
        io.read(tenx_h5(tmp_path / "two.h5", 2, ("hg19", "mm10")))
    with h5py.File(tenx_h5(tmp_path / "wrong.h5", 3), "a") as file:
        file["matrix/indices"][0] = M
    with pytest.raises(bn.DataError, match=r"wrong.h5 is not a 10x matrix that can be read"):
        io.read(tmp_path / "wrong.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["series"] = np.zeros(3)
    with pytest.raises(bn.DataError, match=r"one matrix of Cell Ranger in other.h5; it holds series"):
        io.read(tmp_path / "other.h5")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"matrix\.mtx"):
        io.read_10x(tmp_path / "empty")


# Parquet


def test_parquet_equals_pandas(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.random((5, 3)), columns=["a", "b", "c"])
    frame["b"] = rng.poisson(3.0, 5)
    frame.to_parquet(tmp_path / "x.parquet")
    found = io.read(tmp_path / "x.parquet")
    np.testing.assert_array_equal(found.X, frame.to_numpy())
    assert found.features.index.tolist() == ["a", "b", "c"]
    assert str(found) == "x.parquet, no names of samples. 5 samples x 3 features, intensities"
    assert bn.fit(found, rank=1, engine=MAP).samples is None


def labelled_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "unit": ["u1", "u2", "u3"], "u": pd.array([1, None, 3], dtype="Int64"), "v": np.array([0, 1, 2], "u1"),
            "region": pd.Categorical(["CA1", "CA1", "CA3"]), "good": [True, False, True], "w": [0.5, np.nan, 2.0],
            "start": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]), "depth": [10, 20, 30],
        }
    )  # fmt: skip


def test_parquet_tells_features_from_what_describes_samples(tmp_path: Path) -> None:
    frame = labelled_frame()
    frame.to_parquet(tmp_path / "x.parquet")
    found = io.read_parquet(tmp_path / "x.parquet")
    np.testing.assert_array_equal(found.X, [[1, 0, 0.5, 10], [np.nan, 1, np.nan, 20], [3, 2, 2.0, 30]])
    assert found.features.index.tolist() == ["u", "v", "w", "depth"]
    assert found.samples.index.tolist() == ["u1", "u2", "u3"]
    assert found.samples["region"].tolist() == ["CA1", "CA1", "CA3"]
    assert str(found).startswith("x.parquet, names of samples from unit, not features: region, good, start. 3 samples")

    found = io.read(tmp_path / "x.parquet", features=["w", "v"])
    np.testing.assert_array_equal(found.X, [[0.5, 0], [np.nan, 1], [2.0, 2]])
    assert found.samples.columns.tolist() == ["u", "region", "good", "start", "depth"]
    assert found.samples["depth"].tolist() == [10, 20, 30]
    np.testing.assert_array_equal(io.read(tmp_path / "x.parquet", features="v").X[:, 0], found.X[:, 1])


def test_parquet_names_of_samples(tmp_path: Path) -> None:
    frame = labelled_frame()[["region", "v"]].astype({"region": str})
    frame.to_parquet(tmp_path / "x.parquet")
    found = io.read_parquet(tmp_path / "x.parquet")  # a label that comes twice is no name
    assert isinstance(found.samples.index, pd.RangeIndex)
    assert found.samples["region"].tolist() == ["CA1", "CA1", "CA3"]
    keys = pd.MultiIndex.from_product([["x"], [1, 2, 3]], names=["trial", "bin"])
    frame.set_index(keys).to_parquet(tmp_path / "x.parquet")
    found = io.read_parquet(tmp_path / "x.parquet")
    pd.testing.assert_index_equal(found.samples.index, keys)
    assert "names of samples from its index" in found.said
    assert bn.fit(found, rank=1, engine=MAP).samples == ("x 1", "x 2", "x 3")


def test_parquet_refuses_by_name(tmp_path: Path) -> None:
    labelled_frame()[["unit", "good"]].to_parquet(tmp_path / "x.parquet")
    with pytest.raises(bn.DataError, match=r"a column of numbers in x.parquet; it has unit, good"):
        io.read(tmp_path / "x.parquet")
    with pytest.raises(bn.DataError, match=r"columns depth, v in x.parquet; it has unit, good"):
        io.read_parquet(tmp_path / "x.parquet", features=["depth", "good", "v"])
    with pytest.raises(bn.DataError, match=r"numbers in the features of x.parquet"):
        io.read_parquet(tmp_path / "x.parquet", features=["unit"])


# netCDF


def power() -> xr.Dataset:
    """Return epoch x channel x band with a gap, and what is known of each dimension."""
    values = np.random.default_rng(0).gamma(2.0, 1.0, (6, 3, 2))
    values[1, 2, 0] = np.nan
    return xr.Dataset(
        {
            "power": (("epoch", "channel", "band"), values),
            "condition": ("epoch", list("ababab")),
            "latency": ("epoch", np.arange(6.0), {"units": "s"}),
        },
        {"channel": ["C3", "Cz", "C4"], "band": [10.5, 20.0], "x": ("channel", [-1.0, 0.0, 1.0])},
    )


def test_netcdf_equals_xarray_and_folds_back(tmp_path: Path) -> None:
    dataset = power()
    dataset.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    found = io.read(tmp_path / "x.nc", features=("channel", "band"))
    np.testing.assert_array_equal(found.X, dataset["power"].to_numpy().reshape(6, 6))
    assert found.samples["condition"].tolist() == list("ababab")
    assert found.samples["latency"].tolist() == list(range(6))
    assert found.features.index[1] == ("C3", 20.0)
    assert found.features["x"].tolist() == [-1, -1, 0, 0, 1, 1]
    assert str(found).startswith("x.nc, power, epoch x channel x band (6 x 3 x 2), unfolded: rows are epoch, columns")
    fit = bn.fit(found, rank=2, engine=MAP)
    folded = found.fold(fit)["H"]
    assert folded.dims == ("component", "channel", "band")
    np.testing.assert_array_equal(folded.sel(channel="Cz", band=20.0), fit.H[:, 3])


@pytest.mark.parametrize(
    "options", [{"engine": "h5netcdf"}, {"engine": "scipy", "format": "NETCDF3_64BIT"}], ids=["netCDF 4", "netCDF 3"]
)
def test_netcdf_of_two_dimensions(tmp_path: Path, options: dict[str, Any]) -> None:
    rates = xr.DataArray(
        counts(), {"time": pd.date_range("2024-01-01", periods=N), "neuron": [f"n{j}" for j in range(M)]}, name="rates"
    )
    rates.to_netcdf(tmp_path / "x.nc", **options)
    found = io.read(tmp_path / "x.nc")
    np.testing.assert_array_equal(found.X, counts())
    assert found.is_counts
    fit = bn.fit(found, rank=2, engine=MAP)
    assert fit.features == tuple(f"n{j}" for j in range(M))
    assert fit.samples is not None
    assert fit.samples[1].startswith("2024-01-02")
    np.testing.assert_array_equal(io.read(tmp_path / "x.nc", features="time").X, counts().T)


def test_netcdf_asks_where_there_is_a_choice(tmp_path: Path) -> None:
    dataset = power()
    dataset.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with pytest.raises(bn.DataError, match=r'power of x.nc has .* epoch x channel x band: .* features="band"'):
        io.read(tmp_path / "x.nc")
    with pytest.raises(bn.DataError, match=r"numbers in two dimensions or more; got epoch, dtype float64"):
        io.read_netcdf(tmp_path / "x.nc", variable="latency")
    dataset["phase"] = dataset["power"].isel(band=0, drop=True) * 2
    dataset.to_netcdf(tmp_path / "y.nc", engine="h5netcdf")
    with pytest.raises(
        bn.DataError,
        match=r'one variable .* variable="...".*power \(epoch x channel x band\),.* phase \(epoch x channel\)',
    ):
        io.read(tmp_path / "y.nc")
    with pytest.raises(bn.DataError, match=r"variable 'rate' in y.nc; it holds power"):
        io.read_netcdf(tmp_path / "y.nc", variable="rate")
    np.testing.assert_array_equal(io.read(tmp_path / "y.nc", variable="phase").X, dataset["phase"].to_numpy())


# every format


def rates() -> xr.DataArray:
    return xr.DataArray(counts().astype("i4"), dims=("time", "neuron"), name="rates")


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "AnnData": ("x.h5ad", lambda path: cells().write_h5ad(path)),
    "10x .h5": ("x.h5", lambda path: tenx_h5(path, 3)),
    "10x .mtx": ("plain/matrix.mtx", lambda path: tenx_folder(path.parent, 2)),
    "10x .mtx.gz": ("packed/matrix.mtx.gz", lambda path: tenx_folder(path.parent, 3)),
    "10x names": ("packed/features.tsv.gz", lambda path: tenx_folder(path.parent, 3)),
    "Parquet": ("x.parquet", lambda path: pd.DataFrame(counts(), columns=IDS).to_parquet(path)),
    "netCDF 4": ("x.nc", lambda path: rates().to_netcdf(path, engine="h5netcdf")),
    "netCDF 3": ("x.nc", lambda path: rates().to_netcdf(path, engine="scipy", format="NETCDF3_64BIT")),
}


def write(form: str, folder: Path) -> Path:
    name, writer = WRITERS[form]
    writer(folder / name)
    return folder / name


@pytest.mark.parametrize("damage", ["half", "most", "noise", "empty"])
@pytest.mark.parametrize("form", WRITERS)
def test_damaged_files_give_one_clear_error(tmp_path: Path, form: str, damage: str) -> None:
    path = write(form, tmp_path)
    target = path.parent if form == "10x names" else path
    whole = path.read_bytes()
    assert io.read(target).X.shape[0] == N
    noise = np.random.default_rng(0).integers(0, 256, 500, np.uint8).tobytes()
    path.write_bytes(
        {"half": whole[: len(whole) // 2], "most": whole[: -len(whole) // 50 - 1], "noise": noise, "empty": b""}[damage]
    )
    with pytest.raises(bn.DataError) as caught:
        io.read(target)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message or form == "10x names"


@pytest.mark.parametrize("form", ["h5ad", "npz", "mat", "memory"])
@pytest.mark.parametrize("index", [2**30, 7, -1])
def test_indices_beyond_the_ends_are_refused(tmp_path: Path, form: str, index: int) -> None:
    """They would be followed all the same, outside of the array."""
    X, path = sp.csr_array(np.arange(1.0, 7).reshape(3, 2)), tmp_path / f"x.{form}"
    if form == "h5ad":
        ad.AnnData(X).write_h5ad(path)
        with h5py.File(path, "r+") as file:
            file["X/indices"][2] = index
    elif form == "mat":
        with h5py.File(path, "w", userblock_size=512) as file:
            group = file.create_group("X")
            group.attrs.update({"MATLAB_class": np.bytes_("double"), "MATLAB_sparse": np.uint64(3)})
            columns = X.tocsc()
            group["data"], group["ir"], group["jc"] = columns.data, columns.indices.astype(np.int64), columns.indptr
            group["ir"][2] = index
    else:
        X.indices[2] = index
        sp.save_npz(tmp_path / "x.npz", X)
    with pytest.raises(bn.DataError, match="indices are within" if form == "memory" else f"{path.name} is not an?"):
        bn.fit(X, rank=1) if form == "memory" else io.read(path)


@pytest.mark.parametrize("form", ["AnnData", "10x .mtx.gz"])
def test_command_line_fits_each(tmp_path: Path, form: str) -> None:
    path = write(form, tmp_path)
    path = path.parent if form.startswith("10x") else path
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["fit", str(path), "--rank", "2", "--engine", "map", "--likelihood", "poisson", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    found = bn.load(out / "fit.nc")
    assert found.W.shape == (N, 2)
    assert found.features == bn.fit(io.read(path), rank=2, engine=MAP).features
