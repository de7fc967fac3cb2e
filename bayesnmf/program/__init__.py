"""A model as a NumPyro program, and any program as a density over coordinates that are free.

The one place where models and NumPyro meet. It is imported only when an engine of NumPyro's runs.
"""

from ._guides import draw as draw
from ._guides import guide as guide
from ._guides import start_params as start_params
from ._guides import target as target
from ._joint import Bare as Bare
from ._joint import Joint as Joint
from ._joint import is_positive as is_positive
from ._joint import settled as settled
from ._model import ModelProgram as ModelProgram
from ._model import Noise as Noise
