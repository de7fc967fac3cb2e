"""Whether to believe a fit, and whether to believe a sampler. One question per file."""

from ._geweke import geweke as geweke
from ._loo import loo as loo
from ._predictive import predictive as predictive
from ._referee import referee as referee
from ._sbc import sbc as sbc
