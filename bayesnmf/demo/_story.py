"""What a demonstration tells."""

from __future__ import annotations

from dataclasses import dataclass, field

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
