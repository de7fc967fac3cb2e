"""Fits on disk: netCDF out and in, and nothing in a file that could run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ._errors import DataError, Finding
from ._input import Table, sound_csr
from ._runs import written
from .engines import CAVI, MAP, NUTS, SVI, Gibbs
from .engines._families import Conditional, Dirichlets, Gammas
from .engines._truncated import TruncatedNormals
from .likelihoods import BetaDivergence, CompoundPoisson, GammaNoise, Gaussian, Likelihood, NegativeBinomial, Poisson
from .model import Model
from .posterior import Posterior
from .priors import ARD, Compressive, Dirichlet, Exponential, Flat, Gamma, HalfNormal, Inclusion
from .result import Agreement, Fit
from .sampled import Sampled

if TYPE_CHECKING:
    import xarray as xr

SCHEMA_VERSION = 1
KIND = "bayesnmf fit"

ENGINES = (MAP, CAVI, Gibbs, NUTS, SVI)

FAMILIES = (Gammas, Dirichlets, TruncatedNormals)
"""What q(W) and q(H) may be."""

CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        Model,
        Poisson,
        NegativeBinomial,
        CompoundPoisson,
        GammaNoise,
        Gaussian,
        BetaDivergence,
        Flat,
        Exponential,
        Gamma,
        HalfNormal,
        Dirichlet,
        ARD,
        Compressive,
        Inclusion,
        *ENGINES,
        Conditional,
        *FAMILIES,
    )
}
"""All that a file can name. A name that is not here is refused, so that a file can only ask for these."""

DIMENSIONS = {
    "draws": ("chain", "draw"),
    "posterior.W": ("sample", "component"),
    "posterior.H": ("component", "feature"),
    "table.X": ("sample", "feature"),
    "table.weight": ("sample", "feature"),
    "table.row_weight": ("sample",),
    "table.col_weight": ("feature",),
    "table.row_factor": ("sample",),
    "table.col_factor": ("feature",),
}
"""Dimensions of what is kept for a posterior, by the beginning of its name."""

TABLE = ("X", "weight", "row_weight", "col_weight", "row_factor", "col_factor")
"""Parts of the data that a posterior needs again."""

BIG = 2**16
"""Bytes from which an array is compressed."""


def save(fit: Fit, path: str | PathLike[str]) -> None:
    """Write a fit as netCDF (HDF5). The public door is `Fit.save`.

    With a posterior the file also holds X, its weights and offsets: intervals are computed from them. Large arrays are
    compressed.

    Parameters
    ----------
    fit : Fit
        Any fit whose model and engine are made of bayesnmf's own classes.
    path : str or path
        File to write, by custom ending in ``.nc``. It is replaced whole or not at all.

    Raises
    ------
    DataError
        For a likelihood or prior of your own, which a file cannot bring back without running code.
    OSError
        Where the file cannot be written, for want of its folder too.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, bayesnmf as bn
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "fit.nc"
    ...     fit.save(path)
    ...     bool((bn.load(path).H == fit.H).all())
    True
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} to. Make it first.")
    dataset = _to_dataset(fit)
    with written(path) as part:
        dataset.to_netcdf(part, engine="h5netcdf")


def load(path: str | PathLike[str], *, program: Callable[..., Any] | None = None) -> Fit:
    """Read a fit that `Fit.save` wrote. Arrays come back bit by bit.

    Parameters
    ----------
    path : str or path
        A netCDF file written by `Fit.save`. Nothing in it can run code.
    program : callable, optional
        The program of your own that was fitted, which a file cannot hold: for predictions of such a fit.

    Returns
    -------
    Fit

    Raises
    ------
    DataError
        For a file that is damaged, is not a fit, or was written by a newer version.
    FileNotFoundError
        Where there is no such file.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, bayesnmf as bn
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fit.save(pathlib.Path(folder) / "fit.nc")
    ...     bn.load(pathlib.Path(folder) / "fit.nc").rank
    2
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a file written by Fit.save; there is no file {path}.")
    dataset = _read(path)
    if dataset.attrs.get("kind") != KIND:
        raise DataError(f"{path} is a netCDF file, but not a fit written by Fit.save.")
    version = dataset.attrs.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema version {version}; this bayesnmf reads version {SCHEMA_VERSION}. "
            "Use the bayesnmf that wrote it, or a newer one."
        )
    try:
        fit = _from_dataset(dataset)
        if program is not None and isinstance(fit.posterior, Sampled) and fit.posterior.likelihood is None:
            fit = replace(fit, posterior=replace(fit.posterior, program=program))
        return fit
    except DataError:
        raise
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise DataError(f"{path} says it is a fit, but a part of it is missing or damaged: {error!r}.") from error


def _read(path: Path) -> xr.Dataset:
    import xarray as xr

    try:
        with xr.open_dataset(path, engine="h5netcdf", mask_and_scale=False, decode_times=False) as dataset:
            return dataset.load()
    except PermissionError:
        raise
    except Exception as error:  # HDF5 reports damage in many types
        raise DataError(f"{path} cannot be read as netCDF: it is damaged, cut short, or another format.") from error


def _to_dataset(fit: Fit) -> xr.Dataset:
    import xarray as xr

    arrays: dict[str, np.ndarray] = {}
    model, engine = _encode(fit.model, "model", arrays), _encode(fit.engine, "engine", arrays)
    posterior = None if fit.posterior is None else _encode_posterior(fit.posterior, arrays)
    arrays |= {f"noise.{name}": np.asarray(value) for name, value in fit.noise.items()}
    variables: dict[str, Any] = {
        "W": (("sample", "component"), fit.W),
        "H": (("component", "feature"), fit.H),
        "rate_W": ("component", fit.rate_W),
        "relevance": ("model_component", fit.relevance),
        "trace": ("check", fit.trace),
        "start_objective": ("start", fit.agreement.objective),
        "start_rank": ("start", fit.agreement.rank),
        "start_cosine": (("start", "component"), fit.agreement.cosine),
    }
    if fit.groups is not None:
        variables["groups"] = ("sample", fit.groups)
    for name, value in arrays.items():
        variables[name] = (_dimensions(name, value), value)
    coordinates = {
        name: np.asarray(names, dtype=object)
        for name, names in (("sample", fit.samples), ("feature", fit.features))
        if names is not None
    }
    attributes = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "model": json.dumps(model),
        "engine": json.dumps(engine),
        "posterior": json.dumps(posterior),
        "likelihood_chosen": json.dumps(fit.likelihood_chosen),
        "noise": json.dumps(list(fit.noise)),
        "versions": json.dumps(fit.versions),
        "warnings": json.dumps([[w.name, w.message] for w in fit.warnings]),
        "start_status": json.dumps(fit.agreement.status),
        "best_start": fit.agreement.best,
        "seed": json.dumps(fit.seed),
        "negative": json.dumps(fit.negative),
        "status": fit.status,
        "steps": fit.steps,
        "objective": fit.objective,
        "residual": fit.residual,
        "groups_dtype": json.dumps(None if fit.groups is None else fit.groups.dtype.str),
    }
    dataset = xr.Dataset(variables, coords=coordinates, attrs=attributes)
    for variable in dataset.variables.values():
        if variable.dtype.kind == "f":
            variable.encoding["_FillValue"] = None
        if variable.dtype.kind in "biuf" and variable.nbytes >= BIG:
            variable.encoding |= {"zlib": True, "complevel": 4, "shuffle": True}
    return dataset


def _dimensions(name: str, value: np.ndarray) -> tuple[str, ...]:
    for beginning, dimensions in DIMENSIONS.items():
        if name.startswith(beginning) and len(dimensions) == value.ndim:
            return dimensions
    return tuple(f"{name}.{axis}" for axis in range(value.ndim))


def _from_dataset(dataset: xr.Dataset) -> Fit:
    def text(name: str) -> Any:
        return json.loads(dataset.attrs[name])

    def values(name: str) -> np.ndarray:
        return dataset[name].values

    def names(dimension: str) -> tuple[str, ...] | None:
        return tuple(map(str, values(dimension))) if dimension in dataset.coords else None

    agreement = Agreement(
        values("start_objective"), values("start_rank"), values("start_cosine"), tuple(text("start_status")),
        int(dataset.attrs["best_start"]),
    )  # fmt: skip
    groups = values("groups").astype(np.dtype(text("groups_dtype"))) if "groups" in dataset else None
    fit = Fit(
        W=values("W"), H=values("H"), relevance=values("relevance"),
        model=_decode(text("model"), dataset, Model), engine=_decode(text("engine"), dataset, *ENGINES),
        noise={name: values(f"noise.{name}") for name in text("noise")},
        objective=float(dataset.attrs["objective"]), residual=float(dataset.attrs["residual"]),
        status=str(dataset.attrs["status"]), steps=int(dataset.attrs["steps"]), trace=values("trace"),
        agreement=agreement, warnings=tuple(Finding(*pair) for pair in text("warnings")), seed=text("seed"),
        samples=names("sample"), features=names("feature"), groups=groups, negative=text("negative"),
        rate_W=values("rate_W"), versions=text("versions"),
        likelihood_chosen=bool(json.loads(dataset.attrs.get("likelihood_chosen", "false"))),
    )  # fmt: skip
    # files from before there were posteriors do not say that they have none
    posterior = json.loads(dataset.attrs.get("posterior", "null"))
    return fit if posterior is None else replace(fit, posterior=_decode_posterior(posterior, dataset, fit))


def _encode_posterior(posterior: Posterior | Sampled, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return what JSON can hold of a posterior. Names and groups of its data are those of the fit."""
    names = ["W", "H", "prior_W", "prior_H", "likelihood"] + ["rate"] * isinstance(posterior, Posterior)
    given = {name: getattr(posterior, name) for name in names}
    others = posterior.others if isinstance(posterior, Sampled) else {}
    arrays |= {f"draws.{name}": values for name, values in others.items()}
    return {
        "others": list(others) or None,
        **{name: _encode(value, f"posterior.{name}", arrays) for name, value in given.items()},
        "learned": list(posterior.learned),
        "weighed": list(getattr(posterior, "weighed", ())),
        "product": getattr(posterior, "product", True),
        "dims": getattr(posterior, "dims", {}),
        "known": posterior.known,
        "table": {name: _encode(getattr(posterior.table, name), f"table.{name}", arrays) for name in TABLE},
    }


def _decode_posterior(given: dict[str, Any], dataset: Mapping[Any, Any], fit: Fit) -> Posterior | Sampled:
    def part(name: str, *expected: type) -> Any:
        return _decode(given[name], dataset, *expected)

    (n, k), m = fit.W.shape, fit.H.shape[1]
    parts = [_decode(given["table"][name], dataset) for name in TABLE]
    X, weight, row_weight, col_weight, row_factor, col_factor = parts
    table = Table(
        X, weight, row_weight, col_weight, row_factor, col_factor, fit.groups, fit.samples, fit.features,
        fit.negative,  # type: ignore[arg-type]
    )  # fmt: skip
    known, learned = given["known"], given["learned"]
    shapes = (n, m), (n, m), (n,), (m,), (n,), (m,)
    expected = [(a, shape) for a, shape in zip(parts, shapes, strict=True) if a is not None]
    if given.get("others"):
        W, H = part("W", np.ndarray), part("H", np.ndarray)
        others = {str(name): dataset[f"draws.{name}"].values for name in given["others"]}
        dims = {str(name): tuple(map(str, own)) for name, own in given.get("dims", {}).items()}
        if any(len(own) != others[name].ndim - 2 for name, own in dims.items()):
            raise DataError("The file names other dimensions than its draws have: it is damaged.")
        chains = W.shape[:2]
        _check_arrays([*expected, (W, (*chains, n, k)), (H, (*chains, k, m)), (others["log_joint"], chains)])
        priors = part("prior_W", Conditional, type(None)), part("prior_H", Conditional, type(None))
        power = 1 if fit.model.W is None else fit.model.W.power
        return Sampled(
            W, H, others, *priors, part("likelihood", Likelihood, type(None)), tuple(map(str, learned)), int(known),
            table, power, product=bool(given.get("product", True)),
            dims=dims,
        )  # fmt: skip
    posterior = Posterior(
        part("W", *FAMILIES), part("H", *FAMILIES), part("prior_W", Conditional), part("prior_H", Conditional),
        part("rate", Gammas, type(None)), part("likelihood", Likelihood), tuple(map(str, learned)), int(known), table,
        weighed=tuple(map(str, given.get("weighed", ()))),  # type: ignore[arg-type]
    )  # fmt: skip
    expected += [(a, (n, k)) for a in jax.tree.leaves(posterior.W)]
    _check_arrays(expected + [(a, (k, m)) for a in jax.tree.leaves(posterior.H)])
    return posterior


def _check_arrays(expected: list[tuple[Any, tuple[int, ...]]]) -> None:
    for array, shape in expected:
        if array.shape != shape or array.dtype.kind != "f":
            raise DataError(f"The file holds {array.dtype} {array.shape} where floats {shape} belong: it is damaged.")


def _encode(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return what JSON can hold of a value; arrays go into `arrays`, under the name of their place."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return float(value) if isinstance(value, np.floating) else value
    if isinstance(value, np.generic):
        return value.item()
    if CLASSES.get(type(value).__name__) is type(value):
        return {
            "class": type(value).__name__,
            "fields": {part: _encode(getattr(value, part), f"{name}.{part}", arrays) for part in _parts(value)},
        }
    if isinstance(value, (np.ndarray, jax.Array, list, tuple)):
        arrays[name] = np.asarray(value)
        return {"array": name}
    if hasattr(value, "indptr"):
        arrays |= {f"{name}.{part}": getattr(value, part) for part in ("data", "indices", "indptr")}
        return {"csr": name, "shape": [int(length) for length in value.shape]}
    raise DataError(
        f"Cannot save {name} = {value!r}: a file can hold only {', '.join(CLASSES)} and numbers. "
        "Keep fit.W and fit.H with numpy.savez instead."
    )


def _parts(value: Any) -> list[str]:
    """Return the names of the fields of a dataclass or a named tuple."""
    return [f.name for f in fields(value)] if is_dataclass(value) else list(value._fields)


def _decode(value: Any, dataset: Mapping[Any, Any], *expected: type) -> Any:
    if isinstance(value, dict) and "array" in value:
        value = dataset[value["array"]].values
    elif isinstance(value, dict) and "csr" in value:
        value = _csr([dataset[f"{value['csr']}.{part}"].values for part in ("data", "indices", "indptr")], value)
    elif isinstance(value, dict):
        if value["class"] not in CLASSES:
            raise DataError(f"The file names the class {value['class']!r}; this bayesnmf knows {', '.join(CLASSES)}.")
        value = CLASSES[value["class"]](**{k: _decode(v, dataset) for k, v in value["fields"].items()})
    if expected and not isinstance(value, expected):
        wanted = " or ".join(cls.__name__ for cls in expected)
        raise DataError(f"The file holds a {type(value).__name__} where a {wanted} belongs: it is damaged.")
    return value


def _csr(parts: list[np.ndarray], given: dict[str, Any]) -> Any:
    import scipy.sparse as sp

    return sound_csr(sp.csr_array(tuple(parts), shape=tuple(given["shape"])))
