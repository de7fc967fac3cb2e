"""How many components: evidence of several kinds, and one answer."""

from ._select import select_rank as select_rank
from ._selection import Noise as Noise
from ._selection import RankSelection as RankSelection
from ._selection import Structure as Structure
