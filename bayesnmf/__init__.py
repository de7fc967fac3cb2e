"""Bayesian non-negative matrix factorization: the parts of a matrix, how many there are, and how sure that is."""

from importlib import import_module as _import_module
from typing import Any as _Any

from . import models as models
from ._errors import DataError as DataError
from ._errors import EngineError as EngineError
from ._errors import Finding as Finding
from ._errors import ModelError as ModelError
from ._fit import fit as fit
from ._storage import load as load
from .engines import CAVI as CAVI
from .engines import MAP as MAP
from .engines import NUTS as NUTS
from .engines import SVI as SVI
from .engines import Gibbs as Gibbs
from .likelihoods import BetaDivergence as BetaDivergence
from .likelihoods import CompoundPoisson as CompoundPoisson
from .likelihoods import GammaNoise as GammaNoise
from .likelihoods import Gaussian as Gaussian
from .likelihoods import NegativeBinomial as NegativeBinomial
from .likelihoods import Poisson as Poisson
from .model import Model as Model
from .priors import ARD as ARD
from .priors import Compressive as Compressive
from .priors import Dirichlet as Dirichlet
from .priors import Exponential as Exponential
from .priors import Flat as Flat
from .priors import Gamma as Gamma
from .priors import HalfNormal as HalfNormal
from .priors import Inclusion as Inclusion
from .rank import select_rank as select_rank
from .result import Fit as Fit
from .result import match as match

__version__ = "0.2.0.dev0"

_LAZY = {
    "BayesianNMF": "estimator",
    "datasets": "datasets",
    "diagnostics": "diagnostics",
    "io": "io",
    "plotting": "plotting",
}


def __getattr__(name: str) -> _Any:
    """Import what brings heavy libraries only when it is asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _import_module(f".{_LAZY[name]}", __name__)
    return module if _LAZY[name] == name else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
