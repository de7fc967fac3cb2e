"""Mutation catalogues: every usual naming, either way round, in the order of COSMIC."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesnmf import DataError, datasets, io
from bayesnmf.io._mutations import context_of

BASES = "ACGT"
CHANGES = ["C>A", "C>G", "C>T", "T>A", "T>C", "T>G"]
STANDARD = [f"{five}[{change}]{three}" for change, five, three in product(CHANGES, BASES, BASES)]
OTHER = {
    "AC": "CA CG CT GA GG GT TA TG TT", "AT": "CA CC CG GA GC TA", "CC": "AA AG AT GA GG GT TA TG TT",
    "CG": "AT GC GT TA TC TT", "CT": "AA AC AG GA GC GG TA TC TG", "GC": "AA AG AT CA CG TA",
    "TA": "AT CG CT GC GG GT", "TC": "AA AG AT CA CG CT GA GG GT", "TG": "AA AC AT CA CC CT GA GC GT",
    "TT": "AA AC AG CA CC CG GA GC GG",
}  # fmt: skip
DOUBLETS = [f"{ref}>{alt}" for ref, alts in OTHER.items() for alt in alts.split()]
RUNS = [f"1:{kind}:{base}:{n}" for kind in ("Del", "Ins") for base in "CT" for n in range(6)]
REPEATS = [f"{length}:{kind}:R:{n}" for kind in ("Del", "Ins") for length in range(2, 6) for n in range(6)]
INDELS = RUNS + REPEATS + [f"{length}:Del:M:{n}" for length in range(2, 6) for n in range(1, length)] + ["5:Del:M:5"]


def flipped(name: str) -> str:
    """Return the same substitution as the other strand has it."""
    pairs = dict(zip("ACGT", "TGCA", strict=True))
    return f"{pairs[name[6]]}[{pairs[name[2]]}>{pairs[name[4]]}]{pairs[name[0]]}"


NAMINGS: dict[str, Callable[[str], str]] = {
    "COSMIC": str,
    "R": lambda name: ".".join((name[0], name[2], name[4], name[6])),
    "triplets": lambda name: f"{name[0]}{name[2]}{name[6]}>{name[0]}{name[4]}{name[6]}",
    "triplet and base": lambda name: f"{name[0]}{name[2]}{name[6]}>{name[4]}",
    "signeR": lambda name: f"{name[2:5]}:{name[0]}{name[2]}{name[6]}",
    "SomaticSignatures": lambda name: f"{name[2]}{name[4]} {name[0]}.{name[6]}",
    "SignatureAnalyzer": lambda name: f"{name[2]}{name[4]}{name[0]}{name[6]}",
    "other strand": flipped,
}


def frame(contexts: list[str], seed: int = 0) -> pd.DataFrame:
    """Return counts of three tumours (columns) in these contexts, in an order that means nothing."""
    rng = np.random.default_rng(seed)
    counts = pd.DataFrame(rng.poisson(5.0, (len(contexts), 3)), contexts, ["T1", "T2", "T3"])
    return counts.iloc[rng.permutation(len(contexts))]


@pytest.mark.smoke
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("naming", NAMINGS)
def test_every_naming_either_way_round(naming: str, turned: bool, tmp_path: Path) -> None:
    counts = frame(STANDARD)
    renamed = counts.rename(NAMINGS[naming])
    path = tmp_path / "a.tsv"
    (renamed.T if turned else renamed).to_csv(path, sep="\t", index_label="MutationType")
    recording = io.read(path)
    assert recording.features.index.tolist() == STANDARD
    assert recording.samples.index.tolist() == ["T1", "T2", "T3"]
    np.testing.assert_array_equal(recording.X, counts.loc[STANDARD].T)
    said = "a.tsv, a catalogue of 96 single-base substitutions, which are its "
    assert str(recording).startswith(said + ("columns." if turned else "rows: turned."))
    parts = recording.features[["substitution", "five_prime", "three_prime"]].agg(list, axis=1)
    assert parts.tolist() == [list(part) for part in product(CHANGES, BASES, BASES)]


@pytest.mark.parametrize("sep", [",", ";", "\t"])
def test_substitution_and_triplet_in_two_columns(sep: str, tmp_path: Path) -> None:
    counts = frame(STANDARD)
    parts = pd.DataFrame(
        {"Mutation type": [n[2:5] for n in counts.index], "Trinucleotide": [n[0] + n[2] + n[6] for n in counts.index]}
    )
    path = tmp_path / "a.csv"
    pd.concat([parts, counts.reset_index(drop=True)], axis=1).to_csv(path, index=False, sep=sep)
    recording = io.read(path)
    np.testing.assert_array_equal(recording.X, counts.loc[STANDARD].T)
    assert recording.samples.index.tolist() == ["T1", "T2", "T3"]


@pytest.mark.parametrize(("contexts", "kind"), [(DOUBLETS, "doublet substitutions"), (INDELS, "indels")])
def test_doublets_and_indels_in_the_order_of_cosmic(contexts: list[str], kind: str, tmp_path: Path) -> None:
    counts, path = frame(contexts), tmp_path / "a.csv"
    counts.to_csv(path)
    recording = io.read(path)
    assert recording.features.index.tolist() == contexts
    np.testing.assert_array_equal(recording.X, counts.loc[contexts].T)
    assert f"{len(contexts)} {kind}" in recording.said
    assert len(contexts) == {"indels": 83}.get(kind, 78)


def test_names_of_indels_by_pcawg_and_contexts_of_more_bases_or_a_strand() -> None:
    known = {
        "DEL_C_1_0": "1:Del:C:0", "INS_T_1_5+": "1:Ins:T:5", "DEL_repeats_5+_5+": "5:Del:R:5",
        "DEL_MH_2_1": "2:Del:M:1", "X1.Del.C.0": "1:Del:C:0",
        "AA[C>A]TT": "AA[C>A]TT", "T:A[C>A]A": "T:A[C>A]A", "C>A": "[C>A]", "[T>G]": "[T>G]",
        "A[AC>CA]T": "A[AC>CA]T", "AC.CA": "AC>CA", "AA[G>T]CT": "AG[C>A]TT",
        "GT>TG": "AC>CA", "A[GT>TG]C": "G[AC>CA]T", "AT>TG": "AT>CA", "AT>CA": "AT>CA", "CG>AA": "CG>TT",
    }  # fmt: skip
    assert {name: getattr(context_of(name), "name", None) for name in known} == known
    for name in ("", "A", "TP53", "A[C>C]A", "AAAA", "C>AA", "1:Ins:M:2", "sample 1", "0:LOH:>1Mb", "ACA>ACA"):
        assert context_of(name) is None, name


def test_both_strands_of_a_doublet_are_one_of_the_78() -> None:
    other = str.maketrans("ACGT", "TGCA")
    pairs = {f"{a}{b}>{c}{d}" for a, b, c, d in product(BASES, repeat=4) if a != c and b != d}
    for name in pairs:
        ref, alt = (part.translate(other)[::-1] for part in name.split(">"))
        here, there = context_of(name), context_of(f"{ref}>{alt}")
        assert here == there
        assert here is not None
        assert here.name in DOUBLETS
    assert len(pairs) == 144


def test_a_catalogue_of_several_kinds_and_one_that_lacks_contexts(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    kinds = STANDARD[:-2] + DOUBLETS + INDELS
    frame(kinds).to_csv(path)
    recording = io.read(path)
    assert recording.features.index.tolist() == kinds
    assert "94 of the 96 single-base substitutions and 78 doublet substitutions and 83 indels" in recording.said
    assert recording.features["indel"].notna().sum() == 83
    assert recording.features["substitution"].notna().sum() == 94 + 78


def test_tumours_without_names_or_with_numbers_for_names(tmp_path: Path) -> None:
    path, counts = tmp_path / "a.csv", frame(STANDARD)
    numbered = counts.set_axis([11, 12, 13], axis=1)
    cases = {
        "rows": (lambda: numbered.to_csv(path, index_label="type"), ["11", "12", "13"]),
        "columns": (lambda: numbered.T.to_csv(path, index_label="tumour"), ["11", "12", "13"]),
        "no names, columns": (lambda: counts.T.to_csv(path, index=False), [0, 1, 2]),
        "no names, rows": (lambda: counts.to_csv(path, header=False), [0, 1, 2]),
        "R": (lambda: path.write_text(counts.to_csv().removeprefix(",")), ["T1", "T2", "T3"]),
    }
    for case, (write, names) in cases.items():
        write()
        recording = io.read(path)
        np.testing.assert_array_equal(recording.X, counts.loc[STANDARD].T, err_msg=case)
        assert recording.samples.index.tolist() == names, case


def test_the_catalogue_of_breast_cancers() -> None:
    folder = Path(os.environ.get("BAYESNMF_DATA", ""))
    if not (folder / "pcawg_breast_sbs.csv").exists():
        pytest.skip("BAYESNMF_DATA names no folder with the upstream files")
    recording, breast = io.read(folder / "pcawg_breast_sbs.csv"), datasets.load("breast")
    place = [breast.feature_names.index(name) for name in recording.features.index]
    np.testing.assert_array_equal(recording.X, breast.X[:, place])
    assert recording.features.index.tolist() == STANDARD
    assert recording.samples.index.tolist() == breast.coords["sample"].tolist()


def test_what_is_no_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    cases = {
        "gene,a,b\nTP53,1,2\nMYC,3,4\n": "2 of 2 rows are not: 'TP53', 'MYC'",
        "type,a,b\nA[C>A]A,1,2\nA[C>A]C,1,2\ntotal,2,4\n": "1 of 3 rows are not: 'total'",
        "type,a,b\nA[C>A]A,1,2\nACA>AAA,3,4\n": r"more than one of rows for A\[C>A\]A",
        "type,a,b\nA[C>A]A,1,two\nA[C>A]C,3,4\n": "line 2, cell 3: expected a number; got 'two'",
        "type,a,b\nA[C>A]A,1,2\nA[C>A]C,3\n": "rows of unequal length; row 2 is the first",
        "type\nA[C>A]A\nA[C>A]C\n": "numbers in the second line",
        "type,a,b\n": "at least two lines",
        "": "at least two lines",
    }
    for text, match in cases.items():
        path.write_text(text)
        with pytest.raises(DataError, match=match):
            io.read_mutations(path)
    path.write_bytes(b"type,a\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="a.csv is not a text table in UTF-8"):
        io.read_mutations(path)
    with pytest.raises(FileNotFoundError):
        io.read_mutations(tmp_path / "no.csv")
    path.write_text("gene,a,b\nTP53,1,2\nMYC,3,4\n")
    assert io.read(path).features.index.tolist() == ["a", "b"]  # a plain table
