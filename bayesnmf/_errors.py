"""Mistakes are exceptions; numerical outcomes are findings."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any


class DataError(ValueError):
    """The data, or what describes them, cannot be used. The message says what to do."""


class ModelError(ValueError):
    """The model cannot be what was asked for. The message names the nearest one that works."""


class EngineError(ValueError):
    """The engine cannot do what was asked for. The message names one that can."""


@dataclass(frozen=True)
class Finding:
    """Something about a fit that its reader must know, with what to do about it.

    Attributes
    ----------
    name : str
        Stable name, to test for: ``"max_steps"``, ``"collapsed_to_zero"``, ...
    message : str
        What was found, in numbers, and the remedy.
    """

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


def check_count(name: str, value: Any, least: int) -> None:
    """Raise EngineError for an option that is no whole number, or too small."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise EngineError(f"Expected {name} to be a whole number of at least {least}; got {value!r}.")
