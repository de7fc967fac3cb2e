"""What a selection of the rank found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._errors import Finding
from ..result import Fit
from ._search import LEAD

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Noise:
    """Which noise was taken, and what it was compared with.

    Attributes
    ----------
    chosen : str
        Name of the likelihood.
    against : str or None
        Name of the other one; None where the likelihood was given, or is the only one for such data.
    gain, error : float
        Log density of entries that were left out under the one that was chosen, above that under the other, and its
        standard error over samples or groups; the least and the most are drawn in. `Poisson` is chosen unless the other
        gains enough. Where its fit rejected it afterwards: the gain in evidence, and NaN.
    """

    chosen: str
    against: str | None = None
    gain: float = np.nan
    error: float = np.nan


@dataclass(frozen=True)
class Structure:
    """How strongly features go together, beside what they do when each is shifted in time by itself.

    Attributes
    ----------
    found : float
        Sum of the squared correlations of features, each with each and with itself.
    surrogate, spread : float
        Mean and standard deviation of the same over shifted copies of X.
    """

    found: float
    surrogate: float
    spread: float

    @property
    def z(self) -> float:
        """Standard deviations that X is above its shifted copies; 0 for a single feature."""
        return (self.found - self.surrogate) / self.spread if self.spread > 0 else 0.0


@dataclass(frozen=True, repr=False, eq=False)
class RankSelection:
    """How many components, and why. Made by `bayesnmf.select_rank`.

    Attributes
    ----------
    best : int
        The number of components.
    fit : Fit
        The posterior at that number. Where it began at the fit with a component more, ``fit.agreement`` is of such
        starts, not of random ones, and where it is of other starts, of the ten chains; the table has how random starts
        agree.
    answers : dict
        What each kind of evidence says by itself: "shrinkage" and, for counts, "compressive"; "evidence" (the answer)
        and "elbo" (the answer for large X), neither for noise without a posterior by `CAVI`; "held_out" and "bi_cross".
        And what people know from the literature, without a vote: "bic" (the least), "elbow" (of the reconstruction
        error).
    table : pandas.DataFrame
        A row for each number of components that was fitted. ``evidence``: `Fit.evidence`; -inf where a component holds
        less than one event, or the fit is at no optimum or nearly a saddle; NaN where X is too large. ``elbo``: the
        bound alone, with log k!, since every order of the components is an equal mode. ``held_out``: log density, in
        nats, of the part of X that was left out; ``held_out_error``: standard error of its difference to the best, over
        samples (groups where these are given). ``bi_cross``, ``bi_cross_error``: the same of features left out of new
        samples; not there where X has no two samples with data. ``starts``: share of the other starts in which a
        component comes back, least over components; ``spread``: nats between the best and the worst start. Without a
        vote: ``error`` (squared, relative), ``bic``, ``cophenetic``, ``silhouette`` (of the starts).
    recurrence : array of shape (best,)
        Share of fits to resampled samples, or groups, in which each component of `fit` comes back.
    noise : Noise
        How the likelihood was chosen.
    structure : Structure
        Whether features share anything.
    warnings : tuple of Finding
        What the reader must know. Empty is good.
    probability : dict or None
        P(k | X) for each number k, where `Inclusion` was asked for: of the model, with every number as probable as
        every other before.
    """

    best: int
    fit: Fit
    answers: dict[str, int]
    table: pd.DataFrame
    recurrence: np.ndarray
    noise: Noise
    structure: Structure
    warnings: tuple[Finding, ...]
    probability: dict[int, float] | None = None

    def within(self, nats: float) -> list[int]:
        """Return the numbers of components whose score is at most this far below the greatest.

        How the answer moves: 0 gives the number of the greatest score alone; 3 = log 20 those that lose to it by less
        than 20 to 1, and the least of these is the answer (not under `GammaNoise`, where the greatest score decides).
        """
        score = self.table[self.decided_by]
        return [int(k) for k in score.index[score >= score.max() - nats]]

    @property
    def probability_kind(self) -> str | None:
        """What `probability` is: "posterior", a share of draws; None without one."""
        return None if self.probability is None else "posterior"

    @property
    def decided_by(self) -> str:
        """The column of the table that decides."""
        return next(name for name in ("evidence", "elbo", "held_out") if name in self.answers)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw evidence bound and held-out score against the number of components, and what each evidence says.

        >>> import numpy as np, bayesnmf as bn
        >>> X = np.random.default_rng(0).poisson(np.outer(np.arange(1, 21), np.ones(10)))
        >>> bn.select_rank(X, ranks=[1, 2], starts=2).plot().get_xlabel()
        'components'
        """
        from ..plotting import selection

        return selection(self, ax)

    @property
    def reason(self) -> str:
        """What decided, and by how much, in words."""
        name = {"elbo": "the evidence bound", "held_out": "held-out data"}.get(self.decided_by, "the evidence")
        if len(self.table) == 1:
            return f"{self.best}, the only one that was looked at"
        score = self.table[self.decided_by]
        others = score.drop(self.best)
        if np.isinf(others.max()):
            return f"{self.best} by {name}; no other has a fit at a sound optimum without empty components"
        below = score[self.best] - others.max()
        if below < 0:
            above = f"{others.idxmax()} is {-below:.1f} nats above"
            return f"{self.best} by {name}; {above}, and a greater number must be {LEAD:.0f} above"
        return f"{self.best} by {name}; next best {others.idxmax()}, {below:.1f} nats below"

    def __repr__(self) -> str:
        says = ", ".join(f"{name} {k}" for name, k in self.answers.items())
        lines = [f"RankSelection: {self.best} components, {self.noise.chosen} noise ({says})", f"  {self.reason}"]
        lines.append(
            f"  components come back in {self.recurrence.min():.0%} (least) to {self.recurrence.max():.0%} of fits "
            "to resampled data"
        )
        if self.probability is not None:
            most = sorted(self.probability.items(), key=lambda item: -item[1])[:4]
            lines.append("  drawn with all else: " + ", ".join(f"{k} with probability {p:.2f}" for k, p in most if p))
        lines.append(f"  features go together {self.structure.z:.1f} standard deviations above shifted ones")
        return "\n".join(lines + [f"  {finding}" for finding in self.warnings])
