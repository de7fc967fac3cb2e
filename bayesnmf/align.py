"""Scale and order, fixed once: H with unit row sums, and which component is which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Match(NamedTuple):
    """Component ``other[i]`` of the second set goes with component ``own[i]`` of the first; `cosine` says how well."""

    own: np.ndarray
    other: np.ndarray
    cosine: np.ndarray


def unit_rows(W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return W and H with the sum of each row of H moved into W. Rows of zeros stay.

    >>> import numpy as np
    >>> from bayesnmf.align import unit_rows
    >>> W, H = unit_rows(np.array([[1.0]]), np.array([[2.0, 6.0]]))
    >>> W.tolist(), H.tolist()
    ([[8.0]], [[0.25, 0.75]])
    """
    size = H.sum(1)
    return W * size, H / np.where(size > 0, size, 1)[:, None]


def cosines(H: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the cosine of each row of H with each row of `other`; 0 with a row of zeros."""

    def unit(a: np.ndarray) -> np.ndarray:
        norm = np.linalg.norm(a, axis=1, keepdims=True)
        return a / np.where(norm > 0, norm, 1)

    return unit(H) @ unit(other).T


def by_name(names: Sequence[str], others: Sequence[str]) -> list[int] | None:
    """Return where each name stands among others; None where these are not the same names, each once.

    >>> from bayesnmf.align import by_name
    >>> by_name(["a", "b", "c"], ["c", "a", "b"])
    [1, 2, 0]
    """
    place = {name: j for j, name in enumerate(others)}
    if len(place) != len(names) or len(place) != len(others) or place.keys() != set(names):
        return None
    return [place[name] for name in names]


def match_rows(H: np.ndarray, other: np.ndarray) -> Match:
    """Return the matching of rows with the greatest total cosine (Hungarian method).

    >>> import numpy as np
    >>> from bayesnmf.align import match_rows
    >>> match_rows(np.eye(3), np.eye(3)[[2, 0, 1]]).other.tolist()
    [1, 2, 0]
    """
    from scipy.optimize import linear_sum_assignment

    cosine = cosines(H, other)
    own, matched = linear_sum_assignment(-cosine)
    return Match(own, matched, cosine[own, matched])
