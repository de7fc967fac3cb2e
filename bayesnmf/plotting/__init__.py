"""Pictures of a fit. Every function takes and returns matplotlib Axes, and none shows a window.

Those that need nothing but the fit are methods of ``fit.plot`` too. Components are counted from 0, intervals are of 90%
and drawn where the fit has them, and a component has one colour in every picture.
"""

from ._activities import by_condition as by_condition
from ._activities import over as over
from ._body import body as body
from ._brain import brain as brain
from ._draw import COLOURS as COLOURS
from ._fit import FitPlots as FitPlots
from ._genes import ranking as ranking
from ._mutations import CHANNELS as CHANNELS
from ._mutations import mutations as mutations
from ._predictive import predictive as predictive
from ._raster import raster as raster
from ._scalp import scalp as scalp
from ._selection import selection as selection
