"""Fits side by side, kept in a folder where one is given, so that a run that was stopped goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .._fit import fit_starts, with_starts_of
from .._input import Table
from .._random import Seed
from .._runs import side_by_side, written
from ..engines import CAVI, MAP
from ..engines._result import EngineResult
from ..model import Model
from ..result import Fit

AnyEngine = TypeVar("AnyEngine", bound=CAVI | MAP)
Init = tuple[np.ndarray, np.ndarray] | None

ROUGH = 30.0
"""How much looser the tolerances are of fits to parts and resampled rows of X, and under shrinkage of known noise."""


LARGE, LARGE_STARTS = 2**18, 2
"""Entries of X beyond which fits are rough until the answer is known, and start from fewer random starts."""


def is_large(table: Table) -> bool:
    """Whether fits to the whole of X are too slow to be made many times."""
    return bool(np.prod(table.shape) > LARGE)


def loose(engine: AnyEngine) -> AnyEngine:
    """Return the engine with looser tolerances."""
    return replace(engine, tol=ROUGH * engine.tol, residual_tol=ROUGH * engine.residual_tol)


@dataclass(frozen=True)
class Recipe:
    """How data are fitted with some number of components. Padded to a multiple of `pad`, ranks share one program.

    Rough ones have looser tolerances.
    """

    model: Model
    engine: CAVI | MAP
    seed: Seed
    pad: int
    is_rough: bool = False

    @property
    def rough(self) -> Recipe:
        """The same with looser tolerances."""
        return replace(self, is_rough=True)

    def fit(
        self, table: Table, rank: int, init: Init = None, weigh: bool = False, **options: Any
    ) -> tuple[Fit, EngineResult]:
        """Return the fit, and what all starts led to; `weigh` and `options` as in `fit_starts`."""
        model, engine = replace(self.model, rank=rank), loose(self.engine) if self.is_rough else self.engine
        return fit_starts(table, model, engine, self.seed, init, weigh, pad=self.pad, **options)

    def finish(self, table: Table, found: Fit) -> Fit:
        """Return a fit at its optimum, to the engine's own tolerances, its shapes weighed; starts agree as they did."""
        init = copies(found, 1 if self.is_rough else self.engine.starts)  # of a rough fit none shares the program
        fit, _ = replace(self, is_rough=False).fit(table, found.rank, init, weigh=True)
        return with_starts_of(fit, found)


def copies(fit: Fit, starts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return starts that are all at the fit, W (starts, n, k) and H."""
    return np.repeat(fit.W[None], starts, 0), np.repeat(fit.H[None], starts, 0)


class Done(NamedTuple):
    """What came of one task: a fit, where that is wanted later, and numbers."""

    fit: Fit | None
    values: np.ndarray


def fit_of(done: Done) -> Fit:
    """Return the fit that a task left."""
    assert done.fit is not None
    return done.fit


@dataclass(frozen=True)
class Work:
    """Tasks of a selection, side by side; all threads share what is compiled.

    With a folder each task is written there when it is done, and what is there is read. `shown` holds a bar for each
    kind of task.
    """

    folder: Path | None
    shown: Any
    bars: dict[str, Any] = field(default_factory=dict)

    def run(self, name: str, task: Callable[[Any], Done], items: Iterable[Any]) -> dict[Any, Done]:
        """Return what comes of a task for each item."""
        items = list(items)
        if name not in self.bars:
            self.bars[name] = self.shown.add_task(name, total=0)
        bar = self.bars[name]
        self.shown.update(bar, total=self.shown.tasks[bar].total + len(items))

        def one(item: Any) -> Done:
            found = self._kept(f"{name.replace(' ', '_')}-{item}", lambda: task(item))
            self.shown.advance(bar)
            return found

        return dict(zip(items, side_by_side(one, items), strict=True))

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
        with written(values) as part, open(part, "wb") as file:
            np.save(file, done.values, allow_pickle=False)
        return done
