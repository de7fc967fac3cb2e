"""What long runs share: threads, bars, a folder to go on from, and files that are there whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ._errors import EngineError
from ._types import Precision


def side_by_side(task: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Return ``task(item)`` for each item, in threads on a CPU: a compiled program does not hold Python up."""
    # a thread has the precision and the device of the process, not of its caller
    held: Any = jax.config
    precise, device = jax.numpy.result_type(float) == np.float64, held.jax_default_device
    matrices = held.jax_default_matmul_precision

    def one(item: Any) -> Any:
        with jax.enable_x64(precise), jax.default_device(device), jax.default_matmul_precision(matrices):
            return task(item)

    workers = (os.cpu_count() or 1) if jax.default_backend() == "cpu" else 1
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, items))


@contextmanager
def arithmetic(precision: Precision) -> Iterator[None]:
    """Compute in a precision, products of matrices too: GPUs and TPUs would take fewer digits for those."""
    with jax.enable_x64(precision == "float64"), jax.default_matmul_precision("highest"):
        yield


def bars(wanted: bool) -> Any:
    """Return bars on stderr, or what takes the same calls and shows nothing."""
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), disable=not wanted)


def claim(folder: Path, kind: str, mark: str) -> None:
    """Make the folder of a run, or make sure that it is this run's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.json"
    if path.exists():
        if json.loads(path.read_text(encoding="utf-8")).get("mark") != mark:
            raise EngineError(
                f"{folder} holds what another run left: other data, model, engine, seed or versions. Use another "
                "folder, or delete this one."
            )
        return
    with written(path) as part:
        part.write_text(json.dumps({"kind": f"bayesnmf {kind}", "mark": mark}), encoding="utf-8")


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of `path` when all went well."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
