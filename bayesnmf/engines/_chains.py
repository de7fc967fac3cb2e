"""Chains: blocks of draws, side by side, kept and taken up again; and which component is which in each draw."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import jax
import numpy as np

from .._input import Table
from .._runs import bars, claim, side_by_side, written
from ..align import cosines, match_rows, unit_rows

BLOCK = 50
"""Draws of one chain in one call of a compiled program; a run that was stopped goes on from the last whole block."""

BUDGET = 2**30
"""Bytes that draws of W and H take at most, in float64; beyond it every second, third, ... draw is kept."""


class Kept(NamedTuple):
    """Draws of all chains, in the units of X: W (c, d, n, k), H (c, d, k, m), others by name (c, d, ...)."""

    W: np.ndarray
    H: np.ndarray
    others: dict[str, np.ndarray]


def thinning(chains: int, draws: int, n: int, m: int, k: int) -> int:
    """Return which draws are kept, every so many, within the budget."""
    return max(1, -(-chains * draws * k * (n + m) * 8 // BUDGET))


def fingerprint(settings: str, table: Table, *trees: Any) -> str:
    """Return a digest of what a run depends on."""
    digest = hashlib.sha256(settings.encode())
    digest.update(repr(table.shape).encode())
    vectors = table.row_weight, table.col_weight, table.row_factor, table.col_factor
    parts: list[Any] = [table.X, table.weight, *vectors]
    for part in parts:
        for array in (part.data, part.indices, part.indptr) if hasattr(part, "indptr") else (part,):
            digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    for leaf in jax.tree.leaves(trees):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def run_chains(
    block: Callable[[Any, int, int], tuple[Any, Any]],
    states: list[Any],
    warmup: int,
    blocks: int,
    engine: Any,
    mark: str,
    ended: Callable[[list[Any]], bool] | None = None,
) -> list[Any]:
    """Run ``block(state, chain, index)`` for every chain; return its last state and what it kept, put together.

    The first `warmup` blocks are not kept; with `ended` a chain ends when that is true of what it kept. With a
    checkpoint of the engine each block is written there when it is done, and blocks that are there are read. Chains
    run in threads: a compiled program does not hold Python up.
    """
    folder = engine.checkpoint
    if folder is not None:
        claim(Path(folder), "chains", mark)
    first_of_all = Lock()

    def one(chain: int) -> Any:
        state, kept = states[chain], []
        for index in range(warmup + blocks):
            path = None if folder is None else Path(folder) / f"chain{chain:02d}-block{index:05d}.npz"
            done = None if path is None else _read(path, state)
            if done is None:
                # one chain compiles for all: others wait for its first block
                with first_of_all if index == 0 else nullcontext():
                    state, new = jax.tree.map(np.asarray, block(state, chain, index))
                new = new if index >= warmup else jax.tree.map(lambda a: a[:0], new)
                if path is not None:
                    _write(path, state, new)
            else:
                state, new = done[0], jax.tree.unflatten(jax.tree.structure(_shape_of(block, state)), done[1])
            kept.append(new)
            shown.advance(tasks[chain])
            if ended is not None and ended(kept):
                break
        return state, jax.tree.map(lambda *parts: np.concatenate(parts), *kept)

    with bars(engine.progress) as shown:
        tasks = [shown.add_task(f"chain {chain}", total=warmup + blocks) for chain in range(len(states))]
        return side_by_side(one, range(len(states)))


def _shape_of(block: Callable[[Any, int, int], tuple[Any, Any]], state: Any) -> Any:
    return jax.eval_shape(lambda s: block(s, 0, 0)[1], state)


def _write(path: Path, state: Any, kept: Any) -> None:
    leaves = {f"state{i}": np.asarray(a) for i, a in enumerate(jax.tree.leaves(state))}
    leaves |= {f"kept{i}": np.asarray(a) for i, a in enumerate(jax.tree.leaves(kept))}
    with written(path) as part, open(part, "wb") as file:
        np.savez(file, **leaves)  # type: ignore[arg-type]


def _read(path: Path, state: Any) -> tuple[Any, list[np.ndarray]] | None:
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as file:
        old, structure = jax.tree.leaves(state), jax.tree.structure(state)
        new = jax.tree.unflatten(structure, [file[f"state{i}"] for i in range(len(old))])
        return new, [file[f"kept{i}"] for i in range(len(file.files) - len(old))]


def align(
    kept: Kept, reference: np.ndarray, known: int, axes: dict[str, tuple[int, bool]] | None = None
) -> Kept:  # fmt: skip
    """Return the draws with the components of each in the order of a reference (k, m), the first `known` in place.

    Rows of H are scaled to sum to 1 where their ``scale`` is among the others. `axes` says along which axis of a draw
    each of the others has components, and whether only those that are not known; left out, along that of shape (k,).
    """
    chains, draws, k, m = kept.H.shape
    W, H = (a.reshape(chains * draws, *a.shape[2:]).copy() for a in (kept.W, kept.H))
    if "scale" in kept.others:
        size = kept.others["scale"].reshape(chains * draws, k)
        H /= np.where(size > 0, size, 1)[:, :, None]
        W *= size[:, None]
    if axes is None:
        axes = {name: (0, False) for name, a in kept.others.items() if a.shape[2:] == (k,)}
    others = {name: a.reshape(chains * draws, *a.shape[2:]).copy() for name, a in kept.others.items()}
    _, reference = unit_rows(np.ones((1, k)), reference)
    for s in range(len(H) if known < k else 0):
        cosine = cosines(reference[known:], H[s, known:])
        if np.array_equal(cosine.argmax(1), np.arange(k - known)):
            continue
        order = np.concatenate([np.arange(known), known + match_rows(reference[known:], H[s, known:]).other])
        W[s], H[s] = W[s][:, order], H[s][order]
        for name, (axis, new) in axes.items():
            others[name][s] = others[name][s].take(order[known:] - known if new else order, axis)
    return Kept(
        W.reshape(kept.W.shape), H.reshape(kept.H.shape),
        {name: a.reshape(kept.others[name].shape) for name, a in others.items()},
    )  # fmt: skip


def reordered(kept: Kept, order: np.ndarray, known: int, axes: dict[str, tuple[int, bool]]) -> Kept:
    """Return the draws with components in another order, the `known` first ones in place; `axes` as in `align`."""
    others = dict(kept.others)
    for name, (axis, new) in axes.items():
        others[name] = others[name].take(order[known:] - known if new else order, 2 + axis)
    return Kept(kept.W[..., order], kept.H[:, :, order], others)
