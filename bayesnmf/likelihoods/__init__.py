"""Likelihoods: what the data are, given the mean W H. One file each."""

from .._pytree import pytree as pytree
from ._base import Likelihood as Likelihood
from .beta_divergence import BetaDivergence as BetaDivergence
from .compound_poisson import CompoundPoisson as CompoundPoisson
from .gamma_noise import GammaNoise as GammaNoise
from .gaussian import Gaussian as Gaussian
from .negative_binomial import NegativeBinomial as NegativeBinomial
from .poisson import Poisson as Poisson
