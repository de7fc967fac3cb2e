"""Fits side by side, kept in a folder where one is given, so that a run that was stopped goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import jax
import numpy as np

from .._fit import fit_starts
from .._input import Table
from .._random import Seed
from ..engines import CAVI, MAP
from ..engines._chains import claim, shown
from ..engines._result import EngineResult
from ..model import Model
from ..result import Fit


@dataclass(frozen=True)
class Recipe:
    """How data are fitted with some number of components. Padded to a multiple of `pad`, ranks share one program."""

    model: Model
    engine: CAVI | MAP
    seed: Seed
    pad: int

    def fit(self, table: Table, rank: int) -> tuple[Fit, EngineResult]:
        """Return the fit, and what all starts led to."""
        return fit_starts(table, replace(self.model, rank=rank), self.engine, self.seed, pad=self.pad)


class Done(NamedTuple):
    """What came of one task: a fit, where that is wanted later, and numbers."""

    fit: Fit | None
    values: np.ndarray


def fit_of(done: Done) -> Fit:
    """Return the fit that a task left."""
    assert done.fit is not None
    return done.fit


class Work:
    """Tasks of a selection, in threads: a compiled program does not hold Python up, and all threads share it.

    With a checkpoint each task is written there when it is done, and what is there is read.
    """

    def __init__(self, checkpoint: str | None, progress: bool, mark: Callable[[], str]):
        self.folder = None if checkpoint is None else Path(checkpoint)
        if self.folder is not None:
            claim(self.folder, mark())
        self.shown = shown(progress)
        self.workers = (os.cpu_count() or 1) if jax.default_backend() == "cpu" else 1

    def __enter__(self) -> Work:
        """Show the bars."""
        self.shown.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave them as they are."""
        self.shown.__exit__(kind, error, at)

    def run(self, name: str, task: Callable[[Any], Done], items: Iterable[Any]) -> dict[Any, Done]:
        """Return what comes of a task for each item."""
        items = list(items)
        bar = self.shown.add_task(name, total=len(items))

        def one(item: Any) -> Done:
            found = self._kept(f"{name.replace(' ', '_')}-{item}", lambda: task(item))
            self.shown.advance(bar)
            return found

        with ThreadPoolExecutor(self.workers) as pool:
            return dict(zip(items, pool.map(one, items), strict=True))

    def by_rank(self, name: str, task: Callable[[int], Done], ranks: Iterable[int], pad: int) -> dict[int, Done]:
        """Return what comes of a task for each rank; one of those that share a program goes before the others."""
        ranks = sorted(ranks)
        first = {-(-k // pad): k for k in reversed(ranks)}
        found = self.run(name, task, sorted(first.values()))
        return found | self.run(name, task, [k for k in ranks if k not in found])

    def _kept(self, name: str, task: Callable[[], Done]) -> Done:
        if self.folder is None:
            return task()
        fit, values = self.folder / f"{name}.nc", self.folder / f"{name}.npy"
        if values.exists():
            from .._storage import load

            return Done(load(fit) if fit.exists() else None, np.load(values, allow_pickle=False))
        done = task()
        if done.fit is not None:
            done.fit.save(fit)
        part = values.with_suffix(f".{os.getpid()}.part")
        with open(part, "wb") as file:
            np.save(file, done.values, allow_pickle=False)
        os.replace(part, values)
        return done
