"""A zoo of generative models: NumPyro programs to fit, to read and to change, with reference posteriors."""

from __future__ import annotations

import builtins
import json
import sys
import tomllib
from collections.abc import Callable
from functools import lru_cache
from os import PathLike
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from ._errors import ModelError

FILES = ("model.py", "card.toml", "data.toml", "reference.json")
"""What the folder of a model holds."""

CARD = ("title", "formula", "use", "avoid", "identifiable", "references", "licence")
"""What a card says."""

HERE = Path(__file__).parent
ROOT = HERE / "_zoo" if (HERE / "_zoo").is_dir() else HERE.parent / "models"
"""The models that come with the library: in a wheel beside its modules, in a checkout beside the package."""

Name = str | PathLike[str]
"""The name of a model of the zoo, or the path of a folder of your own."""


def list() -> tuple[str, ...]:
    """Return the names of the models that come with the library.

    >>> import bayesnmf as bn
    >>> "hpf" in bn.models.list()
    True
    """
    return tuple(sorted(path.parent.name for path in ROOT.glob("*/card.toml")))


def load(name: Name) -> Callable[..., Any]:
    """Return a model as a NumPyro program, to be fitted with `bayesnmf.fit` by `NUTS` or `SVI`.

    Its priors are fixed in its file: copy the folder to change them, and load the copy by its path. **A path runs the
    file model.py that is there**: load only folders that you trust.

    Parameters
    ----------
    name : str or path
        Name of a model of the zoo, or the path of a folder of your own, whose `model.py` defines
        ``program(X, *, n, m, rank)``. A text is a path where there is a separator in it.

    Returns
    -------
    callable
        Further arguments, such as ``known`` of ``fixed-plus-new``, are given with `functools.partial`; ``groups``,
        ``size_factors`` and ``opportunities`` by `bayesnmf.fit`, where the program has them.

    Raises
    ------
    ModelError
        Where there is no such model, or its file defines no program.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> X = np.random.default_rng(0).poisson(3.0, (20, 10))
    >>> fit = bn.fit(X, bn.models.load("poisson-gamma"), rank=2, engine=bn.SVI(max_steps=200))
    >>> fit.H.shape
    (2, 10)
    """
    return _program(_folder(name) / "model.py", source(name))


def card(name: Name) -> dict[str, Any]:
    """Return what is to be known of a model: title, formula, use, avoid, identifiable, references, licence.

    ``same_as``, where it is there, names the likelihood, priors and shrinkage of the `Model` that says the same.

    >>> import bayesnmf as bn
    >>> bn.models.card("hpf")["title"]
    'Hierarchical Poisson factorization'
    """
    folder = _folder(name)
    found = _toml(folder, "card.toml")
    missing = [key for key in CARD if key not in found]
    if missing:
        raise ModelError(f"{folder / 'card.toml'} does not say {', '.join(missing)}.")
    return found


def source(name: Name) -> str:
    """Return the text of a model's program, to read and to copy.

    >>> import bayesnmf as bn
    >>> bn.models.source("poisson-gamma").splitlines()[-1].strip()
    'numpyro.sample("X", dist.Poisson(W @ H), obs=X)'
    """
    return _text(_folder(name), "model.py")


def data(name: Name) -> dict[str, Any]:
    """Return the small data that a model's reference posterior is of, as arguments of `bayesnmf.fit`.

    Returns
    -------
    dict
        ``X`` (n, m), ``observed`` (n, m), ``rank``, and ``groups`` where there are; ``arguments``, a dict, are those of
        the program itself.

    Examples
    --------
    >>> import bayesnmf as bn
    >>> bn.models.data("poisson-gamma")["X"].shape
    (10, 8)
    """
    folder = _folder(name)
    recipe, drawn = _toml(folder, "data.toml"), reference(name)["data"]
    X = np.asarray(drawn["X"], float)
    observed = np.ones(X.shape, bool)
    observed[tuple(np.transpose(drawn["held_out"]))] = False
    found = {"X": X, "observed": observed, "rank": recipe["rank"], "arguments": recipe.get("arguments", {})}
    return found | ({"groups": np.asarray(recipe["groups"])} if "groups" in recipe else {})


def reference(name: Name) -> dict[str, Any]:
    """Return the reference posterior of a model: what long chains of NumPyro say of what data can tell.

    ``quantities`` holds, for entries of the mean, the log joint, the log-likelihood, that of held-out entries and the
    masses in order, each with mean, standard deviation and Monte Carlo standard error; ``checks`` what the chains
    reach of posteriordb's criteria, ``fails`` those that they miss.

    >>> import bayesnmf as bn
    >>> sorted(bn.models.reference("hpf")["quantities"])
    ['entries', 'held_out', 'log_joint', 'log_likelihood', 'masses']
    """
    folder = _folder(name)
    try:
        found: dict[str, Any] = json.loads(_text(folder, "reference.json"))
    except json.JSONDecodeError as error:
        raise ModelError(f"{folder / 'reference.json'} is not JSON: {error}.") from error
    return found


def _folder(name: Name) -> Path:
    if isinstance(name, str) and name in list():
        return ROOT / name
    if isinstance(name, PathLike) or (isinstance(name, str) and ("/" in name or "\\" in name)):
        folder = Path(name).resolve()
        if (folder / "model.py").is_file():
            return folder
        raise ModelError(f"Expected a folder with a file model.py; there is none in {folder}.")
    raise ModelError(
        f"There is no model {name!r}. There are {', '.join(list())}; a folder of your own is named by its path, "
        'such as "./mine".'
    )


def _text(folder: Path, file: str) -> str:
    try:
        return (folder / file).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelError(f"Expected {', '.join(FILES)} in {folder}; there is no {file}.") from None
    except UnicodeDecodeError as error:
        raise ModelError(f"{folder / file} is not UTF-8 text: {error}.") from error


def _toml(folder: Path, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(folder, file))
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{folder / file} is not TOML: {error}.") from error


@lru_cache(maxsize=64)
def _program(path: Path, text: str) -> Callable[..., Any]:
    """Return the program that a file defines. The same text gives the same object, so that it compiles once."""
    module = ModuleType(f"bayesnmf._zoo.{path.parent.name}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, str(path), "exec", dont_inherit=True), module.__dict__)
    except Exception as error:
        raise ModelError(f"{path} could not be run: {error!r}.") from error
    program = module.__dict__.get("program")
    if not isinstance(program, FunctionType):
        raise ModelError(f"Expected {path} to define program(X, *, n, m, rank); it defines {_defined(vars(module))}.")
    program.__name__ = program.__qualname__ = path.parent.name
    program.source = text  # type: ignore[attr-defined]
    return program


def _defined(given: dict[str, Any]) -> str:
    names: builtins.list[str] = [name for name in given if not name.startswith("__")]
    return ", ".join(names) or "nothing"
