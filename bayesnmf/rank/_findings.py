"""What the reader of a selection must know, by name."""

from __future__ import annotations

import numpy as np

from .._errors import Finding
from .._input import Table
from ..align import cosines
from ..result import Fit
from ._selection import Structure
from ._structure import blocks_of, residual_correlation

APART = 0.1
"""Share of the rank by which kinds of evidence may differ before it is said; 1 is always allowed."""

VOICES = ("shrinkage", "held_out", "bi_cross")
"""Kinds of evidence that are listened to beside the one that decides."""

SHARED = 3.0
"""Standard deviations above shifted copies of X from which features share something."""

DEPENDENT, CERTAIN = 0.05, 4.0
"""Correlation of the residuals of neighbouring rows that matters, and the standard errors that make it sure."""

TWIN = 0.95
"""Cosine from which two components are taken for one."""

FEW = 10
"""Independent samples, or groups, below which their resampling says little."""


def of_search(answers: dict[str, int], best: int, top: int, least_side: int, ranks: list[int] | None) -> list[Finding]:
    """Return what must be said of the number: at an end that could be elsewhere, or not settled."""
    found, shrunk = [], answers["shrinkage"]
    if best == top < least_side and ranks is None:
        found.append(Finding("hits_max_rank", f"the answer is the most that was looked at, {top}: raise max_rank."))
    if shrunk <= 1 < best:
        text = f"shrinkage kept {shrunk} components, the answer is {best}: events are few for shrinkage."
        found.append(Finding("collapsed", f"{text} Look at recurrence and held-out scores before believing either."))
    if shrunk == top > best:
        found.append(Finding("not_pruned", f"shrinkage kept all {top} components: it says nothing about the number."))
    allowed = max(1, APART * best)
    others = [f"{name} says {answers[name]}" for name in VOICES if abs(answers.get(name, best) - best) > allowed]
    if others:
        text = ", ".join(others)
        found.append(
            Finding(
                "criteria_disagree",
                f"{text}, the answer is {best}: the data do not settle the number. Look at the table, and at what "
                "a fit with each number says.",
            )
        )
    return found


def of_fit(fit: Fit, table: Table) -> list[Finding]:
    """Return what must be said of the fit at that number, and of the rows it was made from."""
    found = [finding for finding in fit.warnings if finding.name == "noise_rejected"]
    close = np.triu(cosines(fit.H, fit.H), 1)
    if fit.rank > 1 and close.max() >= TWIN:
        i, j = np.unravel_index(close.argmax(), close.shape)
        found.append(Finding("twins", f"components {i} and {j} have a cosine of {close.max():.2f}: one part, split."))
    units, what = (table.shape[0], "samples") if table.groups is None else (len(blocks_of(table)), "groups")
    if units < FEW:
        text = f"there are {units} independent {what}: recurrence and standard errors say little below {FEW}."
        found.append(Finding("replicates_too_few", text))
    if table.groups is None:
        correlation, error = residual_correlation(fit, table)
        if correlation > max(DEPENDENT, CERTAIN * error):
            found.append(
                Finding(
                    "dependent_noise",
                    f"residuals of rows that follow each other are correlated ({correlation:.2f}), so that rows are "
                    "fewer than they seem and components may be drifts. Give the trial, run or block as groups=.",
                )
            )
    return found


def of_structure(shared: Structure) -> list[Finding]:
    """Return whether features share no more than they do when shifted."""
    if shared.z >= SHARED:
        return []
    return [
        Finding(
            "no_more_than_surrogates",
            f"features go together no more than when each is shifted by itself ({shared.z:.1f} standard deviations): "
            "components describe features one by one, not parts that they share.",
        )
    ]
