"""The search: shrinkage says where to look, the evidence bound and held-out data look there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import lgamma
from typing import Any

import numpy as np

from .._errors import Finding, ModelError
from .._fit import Seed, fit_starts, without_negative
from .._input import Negative, Table, read
from .._types import MatrixLike
from ..align import cosines
from ..engines import CAVI
from ..engines._prepare import check_count
from ..engines._result import EngineResult
from ..likelihoods import Likelihood
from ..model import Model
from ..result import Fit
from ._held_out import Held, held_out
from ._noise import choose_noise
from ._selection import RankSelection, Structure
from ._stability import (
    bic,
    cophenetic,
    elbow,
    numbers_of,
    reconstruction_error,
    recurrence,
    silhouette,
)  # fmt: skip
from ._structure import blocks_of, residual_correlation, structure

ROUGH = 30.0
"""How much looser the tolerances are of fits to thinned and to resampled data."""

MOST_DENSE = 2**24
"""Entries of sparse X up to which it is held dense."""

PATIENCE = 3
"""How many ranks beyond the best one are looked at on either side."""

MODES = 2
"""Starts of shrinkage, for each start of a posterior."""

APART = 0.1
"""Share of the rank by which kinds of evidence may differ before it is said; 1 is always allowed."""

SHARED = 3.0
"""Standard deviations above shifted copies of X from which features share something."""

DEPENDENT, CERTAIN = 0.05, 4.0
"""Correlation of the residuals of neighbouring rows that matters, and the standard errors that make it sure."""

TWIN = 0.95
"""Cosine from which two components are taken for one."""

FEW = 10
"""Independent samples, or groups, below which their resampling says little."""


def select_rank(
    X: MatrixLike,
    *,
    ranks: list[int] | None = None,
    max_rank: int = 25,
    likelihood: Likelihood | None = None,
    starts: int = 5,
    seed: Seed = 0,
    observed: MatrixLike | None = None,
    weights: MatrixLike | None = None,
    size_factors: MatrixLike | None = None,
    opportunities: MatrixLike | None = None,
    groups: MatrixLike | None = None,
    negative: Negative = "error",
) -> RankSelection:
    """Say how many components X has, from evidence of several kinds that is kept apart.

    1. *Shrinkage*: the mode under `ARD`, from `max_rank` components down. It says where to look.
    2. *Evidence bound*: the ELBO of `CAVI`, without shrinkage, at these ranks and on both sides, until it has fallen
       three times. **Its best rank is the answer.**
    3. *Held-out data*: X is thinned into two parts that are independent given the noise (Neufeld et al. 2024, JMLR 25,
       57; Dharamshi et al. 2025, JASA 120, 511). Components and activities of one predict the other. The least rank
       within one standard error of the best.
    4. *Recurrence*: components of the answer in fits to samples, or groups, drawn with replacement.
    5. *Surrogates*: whether features go together more than they do when each is shifted in time by itself.

    Counts are taken for `Poisson` unless `NegativeBinomial` predicts a tenth of the entries, left out of both fits,
    better by more than two standard errors and one nat. That is judged under shrinkage from `max_rank` components: too
    few look like noise. Shrinkage then speaks of nine tenths of X.

    For a rank to go on with, and reasons. Not a probability. Where the bound and held-out data differ, the second
    is less demanding: it asks what predicts, not what is sure. Not for noise without a posterior by `CAVI`
    (`GammaNoise`): use ``bn.Model(rank, ..., shrinkage=bn.ARD())`` there.

    Parameters
    ----------
    X : matrix of shape (n, m)
        As in `bayesnmf.fit`.
    ranks : list of int, optional
        Look at these alone. Left out: the search above.
    max_rank : int
        Most components; no more than n and m.
    likelihood : Likelihood, optional
        Left out: as above for counts; `CompoundPoisson` for intensities; `Gaussian` where X has negative entries.
    starts : int
        Random starts of each fit, twice as many of shrinkage.
    seed : int or JAX key
        Same seed, same answer.
    observed, weights, size_factors, opportunities, groups, negative
        As in `bayesnmf.fit`. Rows of one group (trial, run, donor) are not independent: standard errors, resampling and
        shifts take whole groups.

    Returns
    -------
    RankSelection
        Warnings by name: ``collapsed`` and ``not_pruned`` (shrinkage kept at most one component, or all),
        ``hits_max_rank``, ``criteria_disagree``, ``replicates_too_few``, ``twins``, ``noise_rejected`` (of the fit),
        ``dependent_noise`` (rows that follow each other have residuals alike, and there are no groups),
        ``no_more_than_surrogates``.

    Raises
    ------
    DataError, ModelError, EngineError
        As in `bayesnmf.fit`. A likelihood without a posterior by `CAVI` is refused.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(rng.gamma(1, 5, (50, 3)) @ rng.dirichlet(np.full(20, 0.3), 3) * 10)
    >>> bn.select_rank(X, max_rank=6, starts=2).best
    3
    """
    table = read(
        X, observed=observed, weights=weights, size_factors=size_factors, opportunities=opportunities, groups=groups
    )
    table = _dense(without_negative(table, likelihood, negative))
    check_count("starts", starts, 1)
    top = min(_whole(max_rank, "max_rank"), *table.shape)
    if ranks is not None:
        ranks = sorted({_whole(k, "ranks") for k in ranks})
        if not ranks:
            raise ModelError("Expected ranks to name at least one number of components; got none.")
        top = ranks[-1]
    engine = CAVI(starts=starts)
    if likelihood is not None:
        engine.check(likelihood)

    likelihood, noise, mode = choose_noise(table, likelihood, top, MODES * starts, seed)
    fits: dict[int, tuple[Fit, EngineResult]] = {}

    def score(k: int) -> float:
        if k not in fits:
            fits[k] = fit_starts(table, Model(k, likelihood), engine, seed)
        return fits[k][0].elbo + lgamma(k + 1)

    if ranks is None:
        _climb(score, max(mode.rank, 1), top)
    else:
        for k in ranks:
            score(k)
    best = max(fits, key=score)
    fit = fits[best][0]
    rough = replace(engine, tol=ROUGH * engine.tol, residual_tol=ROUGH * engine.residual_tol)
    held = held_out(table, {k: found for k, (found, _) in fits.items()}, best, likelihood, rough, seed)
    shared = structure(table, np.random.default_rng([2, *np.ravel(numbers_of(seed))]))
    rows = _table(table, fits, score, held)
    found_ranks = rows.index.to_numpy()
    answers = {
        "shrinkage": mode.rank, "elbo": best, "held_out": held.best, "bic": int(rows["bic"].idxmin()),
        "elbow": elbow(found_ranks, rows["error"].to_numpy()),
    }  # fmt: skip
    findings = [
        *_of_search(answers, mode, top, ranks), *_of_fit(fit, table), *_of_structure(shared),
    ]  # fmt: skip
    back = recurrence(table, fit, likelihood, rough, seed)
    return RankSelection(best, fit, answers, rows, back, noise, shared, tuple(findings))


def _dense(table: Table) -> Table:
    """Return the table dense where that is small: parts and resampled rows of it then share one compiled program."""
    if not table.is_sparse or np.prod(table.shape) > MOST_DENSE:
        return table
    weight = None if table.weight is None else 1 - table.weight.toarray()
    return replace(table, X=table.X.toarray(), weight=weight)


def _whole(k: Any, name: str) -> int:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ModelError(f"Expected {name} to be whole numbers of at least 1; got {k!r}.")
    return int(k)


def _climb(score: Callable[[int], float], start: int, top: int) -> None:
    """Score ranks from the start up and down, until `PATIENCE` of them beyond the best are not better."""
    for step in (1, -1):
        best = k = start
        while 1 <= k <= top and abs(k - best) <= PATIENCE:
            if score(k) > score(best):
                best = k
            k += step
        start = best


def _table(table: Table, fits: dict[int, tuple[Fit, EngineResult]], score: Callable[[int], float], held: Held) -> Any:
    import pandas as pd

    rows = {
        k: {
            "elbo": score(k), "held_out": held.score[k], "held_out_error": held.error[k],
            "starts": float(np.min(f.agreement.recurrence)), "error": reconstruction_error(f, table),
            "bic": bic(f, table), "cophenetic": cophenetic(result.W, result.H),
            "silhouette": silhouette(result.H, result.best),
        }
        for k, (f, result) in sorted(fits.items())
    }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("rank")


def _of_search(answers: dict[str, int], mode: Fit, top: int, ranks: list[int] | None) -> list[Finding]:
    best, found = answers["elbo"], []
    if best == top and ranks is None:
        found.append(Finding("hits_max_rank", f"the answer is the most that was looked at, {top}: raise max_rank."))
    if mode.rank <= 1 < best:
        text = f"shrinkage kept {mode.rank} components, the evidence bound {best}: events are few for shrinkage."
        found.append(Finding("collapsed", f"{text} Look at recurrence and held-out scores before believing either."))
    if mode.rank == top > best:
        found.append(Finding("not_pruned", f"shrinkage kept all {top} components: it says nothing about the number."))
    allowed = max(1, APART * best)
    others = {name: answers[name] for name in ("shrinkage", "held_out") if abs(answers[name] - best) > allowed}
    if others:
        text = ", ".join(f"{name} says {k}" for name, k in others.items())
        found.append(
            Finding(
                "criteria_disagree",
                f"{text}, the evidence bound {best}: the data do not settle the number. Look at the table, and at what "
                "a fit with each number says.",
            )
        )
    return found


def _of_fit(fit: Fit, table: Table) -> list[Finding]:
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


def _of_structure(shared: Structure) -> list[Finding]:
    if shared.z >= SHARED:
        return []
    return [
        Finding(
            "no_more_than_surrogates",
            f"features go together no more than when each is shifted by itself ({shared.z:.1f} standard deviations): "
            "components describe features one by one, not parts that they share.",
        )
    ]
