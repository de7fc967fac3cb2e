"""Mutation catalogues: how many mutations of each kind in its context there are in each tumour."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._errors import DataError
from ._recording import Recording, malformed, table
from ._text import delimiter, is_number, number

COMPLEMENT = str.maketrans("ACGT", "TGCA")
NAMINGS = [
    re.compile(pattern)
    for pattern in (
        r"((?P<strand>[TUBN]):)?(?P<five>[ACGT]*)[\[.](?P<ref>[ACGT])[>.](?P<alt>[ACGT])[\].](?P<three>[ACGT]*)",
        r"(?P<five>[ACGT])(?P<ref>[ACGT])(?P<three>[ACGT])>((?P=five)(?P<alt>[ACGT])(?P=three)|(?P<alt_>[ACGT]))",
        r"(?P<ref>[ACGT])>(?P<alt>[ACGT])[ :_.-](?P<five>[ACGT])(?P=ref)(?P<three>[ACGT])",
        r"(?P<ref>[ACGT])(?P<alt>[ACGT]) (?P<five>[ACGT])\.(?P<three>[ACGT])",
        r"(?P<ref>[ACGT])(?P<alt>[ACGT])(?P<five>[ACGT])(?P<three>[ACGT])",
        r"(?P<ref>[ACGT])>(?P<alt>[ACGT])",
    )
]
"""Single-base substitutions: A[C>A]A and R's A.C.A.A, ACA>AAA, C>A:ACA, CA A.A, CAAA, C>A."""

DOUBLET = re.compile(r"(?P<five>[ACGT]?)\[?(?P<ref>[ACGT]{2})[>.](?P<alt>[ACGT]{2})\]?(?P<three>[ACGT]?)")
PALINDROMES = {
    "AT": "CA CC CG GA GC TA", "CG": "AT GC GT TA TC TT", "GC": "AA AG AT CA CG TA", "TA": "AT CG CT GC GG GT",
}  # fmt: skip
"""What doublets that both strands have become, as COSMIC names it."""

INDEL = re.compile(r"X?(\d)\+?[:.](Del|Ins)[:.]([CTRM])[:.](\d)\+?", re.IGNORECASE)
PCAWG = re.compile(r"(DEL|INS)_(C|T|repeats|MH)_(\d)\+?_(\d)\+?")
BLOCKS = ["DelC", "DelT", "InsC", "InsT", "DelR", "InsR", "DelM"]
"""Indels in the order of catalogues: of C and T in runs, of repeats, with microhomology."""

KINDS = {"single-base substitutions": (7, 96), "doublet substitutions": (5, 78), "indels": (9, 83)}
"""Length of a name and number of contexts in the usual catalogue of each kind."""


class Context(NamedTuple):
    """A kind of mutation, in the order of catalogues, with its name and what is known of it."""

    order: tuple[Any, ...]
    kind: str
    name: str
    known: dict[str, str]


def read_mutations(path: str | PathLike[str]) -> Recording:
    r"""Read a mutation catalogue: counts in tumours of substitutions by context, of doublets or of indels.

    Which side holds the contexts is found by their names, in any of the usual ways of writing them: A[C>A]A (COSMIC,
    SigProfiler), ACA>AAA, C>A:ACA, "CA A.A", CAAA, or substitution and triplet in two columns; more bases on either
    side, and a strand as in T:A[C>A]A; doublets AC>CA; indels 1:Del:C:0 or DEL_C_1_0. Substitutions of a purine, and
    doublets that COSMIC does not list, are named from the other strand. Not for copy numbers and rearrangements: their
    catalogues are tables (`read_text`).

    Parameters
    ----------
    path : str or path
        A text table, comma, semicolon or tab between cells.

    Returns
    -------
    Recording
        Tumours x contexts, whatever the file has. Contexts have the names and the order of COSMIC: substitutions by
        what they change, then by the base before, then by that after. ``features`` has ``substitution``,
        ``five_prime``, ``three_prime`` (and ``strand``), or ``indel``, ``length``, ``motif``, ``repeats``.

    Raises
    ------
    DataError
        Where neither side holds contexts, one is there twice, or a cell is no number.
    FileNotFoundError
        Where there is no such file.

    References
    ----------
    Alexandrov et al. (2020), The repertoire of mutational signatures in human cancer. Nature 578, 94-101.

    Examples
    --------
    >>> import pathlib, tempfile, bayesnmf as bn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "catalogue.csv")
    ...     _ = path.write_text("MutationType,T1,T2,T3\nA[T>C]G,5,0,1\nT[C>A]A,2,8,0\n")
    ...     recording = bn.io.read_mutations(path)
    >>> recording.X.tolist(), list(recording.features.index)
    ([[2.0, 5.0], [8.0, 0.0], [0.0, 1.0]], ['T[C>A]A', 'A[T>C]G'])
    """
    import pandas as pd

    path = Path(path)
    with malformed(path, "a text table in UTF-8"):
        names, columns, rows = _sides(_lines(path))
    sides = {"rows": names, "columns": columns}
    found = {side: [context_of(name) for name in sides[side]] for side in sides}
    side = max(sides, key=lambda side: sum(map(bool, found[side])) / max(len(found[side]), 1))
    contexts = [context for context in found[side] if context is not None]
    if len(contexts) < len(sides[side]) or not contexts:
        lacking = [repr(name) for name, context in zip(sides[side], found[side], strict=True) if context is None]
        raise DataError(
            f"Expected the names of the rows or of the columns of {path.name} to be mutations in context, such as "
            f"A[C>A]A, ACA>AAA, AC>CA or 1:Del:C:0; {len(lacking)} of {len(sides[side])} {side} are not: "
            f"{', '.join(lacking[:3])}."
        )
    short = [line for line, row in enumerate(rows, 1) if len(row) != len(columns or rows[0])]
    if short:
        raise DataError(f"{path.name} has rows of unequal length; row {short[0]} is the first.")
    X = np.array([[number(path, i, j, cell) for j, cell in enumerate(row, 2)] for i, row in enumerate(rows, 2)])
    order = sorted(range(len(contexts)), key=lambda place: contexts[place].order)
    contexts = [contexts[place] for place in order]
    labels = [context.name for context in contexts]
    if twice := [name for name, following in zip(labels, labels[1:], strict=False) if name == following]:
        raise DataError(f"{path.name} has more than one of {side} for {', '.join(twice[:5])}.")
    features = pd.DataFrame([context.known for context in contexts], index=pd.Index(labels, name="context"))
    X, tumours = (X.T, columns) if side == "rows" else (X, names)
    said = f"{path.name}, a catalogue of {_kinds(contexts)}, which are its {side}{': turned' * (side == 'rows')}."
    return Recording(X[:, order], table(tumours or None, len(X), "tumour"), features, said)


def is_catalogue(path: Path) -> bool:
    """Whether the first lines of a text table name mutations in context, as its rows or as its columns."""
    try:
        names, columns, _ = _sides(_lines(path, 8))
    except (csv.Error, UnicodeDecodeError, DataError):
        return False
    return any(len(side) > 1 and all(map(context_of, side)) for side in (names, columns))


def _lines(path: Path, most: int | None = None) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        top = stream.readline()
        stream.seek(0)
        rows = csv.reader(stream, delimiter=delimiter(top))
        lines = list(islice((row for row in rows if row), most))
    if len(lines) < 2:
        raise DataError(f"Expected at least two lines in {path.name}; it has fewer.")
    return lines


def _sides(lines: list[list[str]]) -> tuple[list[str], list[str], list[list[str]]]:
    """Return the names of rows (all cells before the numbers), those of columns (none without a header), and cells."""
    top, second = lines[:2]
    words = next((place for place, cell in enumerate(second) if is_number(cell)), len(second))
    if words == len(second):
        raise DataError("Expected numbers in the second line; there are none.")
    if words == 0 and (len(top) < len(second) or context_of(top[0]) is None):
        words = 1  # names of tumours that are numbers
    headless = words > 0 and context_of(" ".join(top[:words])) is not None
    rows = lines if headless else lines[1:]
    columns = [] if headless else top[len(top) - (len(second) - words) :]
    return [" ".join(row[:words]) for row in rows if words], columns, [row[words:] for row in rows]


def context_of(name: str) -> Context | None:
    """Return the kind of mutation that has this name, or None.

    >>> from bayesnmf.io._mutations import context_of
    >>> [context_of(name).name for name in ("ACA>AAA", "C>A ACA", "T[G>T]T", "DEL_C_1_0")]
    ['A[C>A]A', 'A[C>A]A', 'A[C>A]A', '1:Del:C:0']
    """
    words = name.split()
    return next((c for part in (name.strip(), *reversed(words)) if (c := _substitution(part) or _indel(part))), None)


def _substitution(name: str) -> Context | None:
    match = next((m for pattern in (*NAMINGS, DOUBLET) if (m := pattern.fullmatch(name))), None)
    if match is None:
        return None
    got = match.groupdict(default="")
    five, ref, three, strand = (got.get(key, "") for key in ("five", "ref", "three", "strand"))
    alt = got["alt"] or got.get("alt_", "")
    if ref == alt:
        return None
    if ref in ("A", "G", "AA", "AG", "CA", "GA", "GG", "GT") or alt not in PALINDROMES.get(ref, alt):
        five, ref, alt, three = (part.translate(COMPLEMENT)[::-1] for part in (three, ref, alt, five))
    kind = "single-base substitutions" if len(ref) == 1 else "doublet substitutions"
    change, bare = f"{ref}>{alt}", len(ref) == 2 and not five
    known = {"substitution": change}
    if not bare:
        known |= {"five_prime": five, "three_prime": three}
    if strand:
        known["strand"] = strand
    name = f"{strand}{':' * bool(strand)}" + (change if bare else f"{five}[{change}]{three}")
    return Context((len(ref), strand, change, five, three), kind, name, known)


def _indel(name: str) -> Context | None:
    if match := INDEL.fullmatch(name):
        length, indel, motif, repeats = match.groups()
    elif match := PCAWG.fullmatch(name):
        indel, motif, length, repeats = match.groups()
        motif = {"repeats": "R", "MH": "M"}.get(motif, motif)
    else:
        return None
    indel, motif = indel.capitalize(), motif.upper()
    if indel + motif not in BLOCKS:
        return None
    known = {"indel": indel, "length": length, "motif": motif, "repeats": repeats}
    order = (3, BLOCKS.index(indel + motif), int(length), int(repeats))
    return Context(order, "indels", f"{length}:{indel}:{motif}:{repeats}", known)


def _kinds(contexts: Sequence[Context]) -> str:
    words = []
    for kind, (length, whole) in KINDS.items():
        names = [context.name for context in contexts if context.kind == kind]
        usual = len(names) < whole and {len(name) for name in names} == {length}
        words += [f"{len(names)}{f' of the {whole}' * usual} {kind}"] * bool(names)
    return " and ".join(words)
