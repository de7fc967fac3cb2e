"""Transcripts in single blood cells."""

from __future__ import annotations

import numpy as np

from ._dataset import Dataset
from ._registry import fetch


def pbmc() -> Dataset:
    """Load counts of 765 genes in 700 blood cells of ten types.

    The file holds logarithms of counts per 10,000, to three decimals, and each cell's total. The counts come back by
    rounding: all but one lie within 0.05 of a whole number, and that one within 0.09.

    Returns
    -------
    Dataset
        X has shape (700, 765), transcripts (unique molecular identifiers), two thirds of them zero. ``coords``:

        - ``cell``: the cell's barcode.
        - ``cell_type``: one of ten, from which sorted population the cell resembles most.
        - ``cluster``: one of eleven, found in the same counts and so no independent check.
        - ``total_counts``: over all genes, not only these; ``size_factors`` when divided by its mean.

    Raises
    ------
    DatasetError
        If the file is neither in the cache folder nor can be fetched.

    References
    ----------
    Zheng, G. X. Y. et al. (2017). Massively parallel digital transcriptional profiling of single cells. Nature
    Communications 8, 14049.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> datasets.load("pbmc").X.shape  # doctest: +SKIP
    (700, 765)
    """
    import h5py
    from scipy.sparse import csr_array

    with h5py.File(fetch("10x_pbmc68k_reduced.h5ad")) as file:
        cells, genes, stored = file["obs"][:], file["raw.var"]["index"].astype(str), file["raw.X"]
        logged = csr_array((stored["data"][:].astype(float), stored["indices"][:], stored["indptr"][:])).toarray()
        kinds = {key: file[f"uns/{key}_categories"][:].astype(str) for key in ("bulk_labels", "louvain")}
    total = cells["n_counts"].astype(float)
    return Dataset(
        name="pbmc",
        X=np.rint(total[:, None] / 1e4 * np.expm1(logged)).astype(np.int64),
        feature_names=tuple(genes.tolist()),
        coords={
            "cell": cells["index"].astype(str),
            "cell_type": kinds["bulk_labels"][cells["bulk_labels"]],
            "cluster": kinds["louvain"][cells["louvain"]],
            "total_counts": total,
        },
        description=(
            "Single-cell RNA sequencing of 700 blood cells, 765 genes: counts of transcripts, 67% zeros, recovered "
            "from the logarithms in the file."
        ),
        known=(
            "The type of each cell, which no fit sees. B cells are told by CD79A, NK cells and many cytotoxic T cells "
            "by GNLY, monocytes and dendritic cells by LYZ; the five types of T cells are much alike, and their labels "
            "uncertain. How many programs of genes there are is not known."
        ),
        likelihood="NegativeBinomial",
        licence="BSD-3-Clause (repository scverse/scanpy); the counts are public data of 10x Genomics",
        citation=(
            "Zheng, G. X. Y. et al. (2017). Massively parallel digital transcriptional profiling of single cells. "
            "Nature Communications 8, 14049. File: scverse/scanpy (Wolf, F. A. et al. 2018, Genome Biology 19, 15)."
        ),
    )
