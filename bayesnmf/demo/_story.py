"""What a demonstration tells."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from ..datasets import Dataset
from ..engines import CAVI, MAP
from ..result import Fit


@dataclass(frozen=True)
class Stage:
    """What a demonstration is given: a recording, the engines, and where progress is printed."""

    recording: Dataset
    mode: MAP
    posterior: CAVI
    console: Console


@dataclass(frozen=True)
class Story:
    """A fit, its picture, and paragraphs for the page: below the heading, what was found, what not to conclude."""

    fit: Fit
    figure: Figure
    title: str
    lead: list[str]
    found: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)


def markdown_table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def range_of(low: np.ndarray, high: np.ndarray, digits: int = 2) -> list[str]:
    """Return "low to high" for each pair."""
    return [f"{a:.{digits}f} to {b:.{digits}f}" for a, b in zip(low, high, strict=True)]
