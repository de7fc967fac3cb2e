"""From files and objects of each field to a matrix of samples x features, and results back to them."""

from ._numpy import read_numpy as read_numpy
from ._read import read as read
from ._recording import Recording as Recording
from ._tensor import unfold as unfold
from ._text import read_text as read_text
