"""Mutations in breast cancers."""

from __future__ import annotations

import csv

import numpy as np

from ._dataset import Dataset
from ._registry import fetch


def breast() -> Dataset:
    """Load the mutational catalogue of 192 breast cancers.

    For each tumour, how many single-base substitutions fall in each of 96 contexts: the substitution with the base
    before and the base after it. The file has contexts as rows; it is turned here.

    Returns
    -------
    Dataset
        X has shape (192, 96), counts of mutations. ``coords["sample"]`` holds the tumours' names.

    Raises
    ------
    DatasetError
        If the file is neither in the cache folder nor can be fetched.

    References
    ----------
    ICGC/TCGA Pan-Cancer Analysis of Whole Genomes Consortium (2020). Pan-cancer analysis of whole genomes. Nature 578,
    82-93.

    Nik-Zainal, S. et al. (2016). Landscape of somatic mutations in 560 breast cancer whole-genome sequences. Nature
    534, 47-54.

    Examples
    --------
    >>> from bayesnmf import datasets
    >>> datasets.load("breast").X.shape  # doctest: +SKIP
    (192, 96)
    """
    with fetch("pcawg_breast_sbs.csv").open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    counts = np.array([row[1:] for row in rows]).astype(np.int64)
    return Dataset(
        name="breast",
        X=counts.T.copy(),
        feature_names=tuple(row[0] for row in rows),
        coords={"sample": np.array(header[1:])},
        description="Single-base substitutions of 192 breast cancers in 96 contexts, counts.",
        known=(
            "Signatures of mutational processes are catalogued (COSMIC), and 12 were found in another collection of "
            "560 breast cancers (Nik-Zainal et al. 2016, Nature 534, 47-54). How many act in these 192 is not known."
        ),
        likelihood="NegativeBinomial",
        licence="MIT (repository parklab/salamander)",
        citation=(
            "ICGC/TCGA Pan-Cancer Analysis of Whole Genomes Consortium (2020). Pan-cancer analysis of whole genomes. "
            "Nature 578, 82-93. File: parklab/salamander."
        ),
    )
