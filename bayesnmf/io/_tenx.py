"""10x Genomics: the feature-barcode matrix as Cell Ranger writes it, in its folder or in one .h5 file."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import DataError
from .._input import sound_csr
from ._recording import Recording, malformed

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("id", "name", "type", "chromosome", "start", "end")
"""Of features.tsv, as many as it has; genes.tsv has the first two."""


def read_10x(path: str | PathLike[str]) -> Recording:
    r"""Read counts of cells x genes as Cell Ranger 2 and later write them, and STARsolo and others after it.

    The files are genes x cells: they are turned. Not for .h5ad (`read_h5ad`), nor for the molecules of
    ``molecule_info.h5``. No further library is needed.

    Parameters
    ----------
    path : str or path
        The folder with ``matrix.mtx``, ``barcodes.tsv`` and ``features.tsv`` or ``genes.tsv``, each as it is or as .gz;
        the .mtx file itself, when the others stand beside it with the same beginning of their names
        (``GSM123_matrix.mtx.gz``, ``GSM123_barcodes.tsv.gz``), or do not exist; or the .h5 file.

    Returns
    -------
    Recording
        X is sparse. ``samples`` are named by barcode; ``features`` by name, with the id behind it where a name comes
        twice, and have id, name, type and the like as columns.

    Raises
    ------
    DataError
        For files that are damaged or do not belong together, and for an .h5 file of several genomes.
    FileNotFoundError
        Where there is no such file, or no matrix in the folder.

    References
    ----------
    10x Genomics, "Feature-barcode matrices", in the documentation of Cell Ranger.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, scipy.io, scipy.sparse as sp, bayesnmf as bn
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = pathlib.Path(name)
    ...     scipy.io.mmwrite(folder / "matrix.mtx", sp.csc_array(np.array([[0, 2, 1], [3, 0, 0]])))
    ...     _ = (folder / "barcodes.tsv").write_text("AAAC\nAAAG\nAAAT\n")
    ...     _ = (folder / "genes.tsv").write_text("ENSG1\tCD3E\nENSG2\tMS4A1\n")
    ...     recording = bn.io.read_10x(folder)
    >>> print(recording)
    matrix.mtx, 10x, turned: 3 samples x 2 features, counts, sparse (50% stored)
    >>> recording.features.index.tolist()
    ['CD3E', 'MS4A1']
    """
    path = Path(path)
    if path.is_dir():
        path = _present(path, "matrix.mtx") or path / "matrix.mtx"
    with malformed(path, "a 10x matrix"):
        return _h5(path) if path.suffix.lower() == ".h5" else _mtx(path)


def _present(folder: Path, *names: str) -> Path | None:
    """Return the first of these files that is there, as it is or compressed."""
    files = (folder / f"{name}{end}" for name in names for end in ("", ".gz"))
    return next((file for file in files if file.exists()), None)


def _mtx(path: Path) -> Recording:
    import pandas as pd
    import scipy.sparse as sp
    from scipy.io import mmread

    with warnings.catch_warnings():  # the option that it asks for is not in all of the versions that we take
        warnings.filterwarnings("ignore", "The default value for `spmatrix`", DeprecationWarning)
        X = sp.csr_array(mmread(path).T)
    start = path.name.partition("matrix.mtx")[0] if "matrix.mtx" in path.name else ""
    tables = []
    for names in (("barcodes.tsv",), ("features.tsv", "genes.tsv")):
        file = _present(path.parent, *(start + name for name in names))
        table = None
        if file is not None:
            with malformed(file, "a table of names"):
                table = pd.read_csv(file, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3)
        tables.append(table)
    barcodes, features = tables
    if features is not None:
        features = features.iloc[:, : len(COLUMNS)]
        features.columns = list(COLUMNS[: features.shape[1]])
    return _recording(path, X, None if barcodes is None else barcodes[0], features)


def _h5(path: Path) -> Recording:
    """Read the .h5 of Cell Ranger: one group "matrix", or before version 3 a group for each genome."""
    import h5py
    import pandas as pd
    import scipy.sparse as sp

    with h5py.File(path) as file:
        genomes = [name for name, group in file.items() if isinstance(group, h5py.Group) and "barcodes" in group]
        if len(genomes) != 1:
            raise DataError(
                f"Expected one matrix of Cell Ranger in {path.name}; it holds {', '.join(file) or 'nothing'}. Of "
                "several genomes read one: bn.fit(scanpy.read_10x_h5(path, genome=...), ...)."
            )
        group = file[genomes[0]]
        new = "features" in group
        kept = {"id": "features/id", "name": "features/name", "type": "features/feature_type"}
        kept = kept | {"genome": "features/genome"} if new else {"id": "genes", "name": "gene_names"}
        columns = {name: group[place].asstr()[:] for name, place in kept.items() if place in group}
        m, n = group["shape"][:]
        X = sound_csr(sp.csr_array((group["data"][:], group["indices"][:], group["indptr"][:]), shape=(n, m)))
        return _recording(path, X, pd.Series(group["barcodes"].asstr()[:]), pd.DataFrame(columns))


def _recording(path: Path, X: Any, barcodes: pd.Series | None, features: pd.DataFrame | None) -> Recording:
    """Return what was read, with names that are unique where there are such."""
    import pandas as pd

    for what, table, length in (("barcodes", barcodes, X.shape[0]), ("features", features, X.shape[1])):
        if table is not None and len(table) != length:
            raise DataError(f"Expected {length} {what} beside {path.name}, as many as it has; got {len(table)}.")
    n, m = X.shape
    said = "" if barcodes is not None else ", no barcodes"
    samples = pd.DataFrame(index=pd.RangeIndex(n) if barcodes is None else pd.Index(barcodes, name=None))
    if features is None:
        return Recording(X, samples, pd.DataFrame(index=pd.RangeIndex(m)), f"{path.name}, 10x{said}, no names, turned:")
    names = features["name" if "name" in features else "id"]
    twice = names.duplicated(keep=False)
    features = features.set_index(names.where(~twice, names + " (" + features["id"] + ")").rename(None))
    if twice.any():
        said += f", {twice.sum()} features with their id since others have the same name"
    if "type" in features and features["type"].nunique() > 1:
        said += f", {' and '.join(f'{count} {kind}' for kind, count in features['type'].value_counts().items())}"
    return Recording(X, samples, features, f"{path.name}, 10x{said}, turned:")
