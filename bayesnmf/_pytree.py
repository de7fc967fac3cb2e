"""Dataclasses that JAX can look into."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeVar

import jax
from jax.tree_util import GetAttrKey

Class = TypeVar("Class", bound=type)


def pytree(cls: Class) -> Class:
    """Register a frozen dataclass: its fields are leaves or trees, those with ``metadata={"static": True}`` are not.

    `jax.tree_util.register_dataclass` says the same, but takes two classes with the same static fields for equal
    (jax 0.10), and a compiled program of one is then, now and then, run for the other.

    >>> from dataclasses import dataclass
    >>> @pytree
    ... @dataclass(frozen=True)
    ... class Scaled:
    ...     factor: float
    >>> jax.tree.leaves(Scaled(2.0))
    [2.0]
    """
    inner = [f.name for f in fields(cls) if not f.metadata.get("static", False)]
    static = [f.name for f in fields(cls) if f.metadata.get("static", False)]

    def flatten(value: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(value, name) for name in inner), tuple(getattr(value, name) for name in static)

    def flatten_with_keys(value: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children, aside = flatten(value)
        return tuple((GetAttrKey(name), child) for name, child in zip(inner, children, strict=True)), aside

    def unflatten(aside: tuple[Any, ...], children: Iterable[Any]) -> Any:
        return cls(**dict(zip(inner, children, strict=True)), **dict(zip(static, aside, strict=True)))

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls
