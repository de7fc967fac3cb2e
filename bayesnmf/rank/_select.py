"""The search: shrinkage says where to look, the evidence bound and held-out data look there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._errors import EngineError, ModelError, check_count
from .._fit import DEFAULT_MAX_RANK, without_negative
from .._input import Negative, Table, read, refuse_unobserved
from .._random import Seed, generator, key_of
from .._runs import bars, claim
from .._types import MatrixLike
from ..engines import CAVI, MAP
from ..engines._chains import fingerprint
from ..engines._prepare import PAD
from ..engines.cavi import has_posterior
from ..likelihoods import Likelihood
from ..model import Model
from ..priors import Inclusion
from ._findings import of_fit, of_search, of_structure
from ._fits import COLUMNS, Fits, better_by, score
from ._held_out import Crossed, Held, Thinned
from ._inclusion import included
from ._noise import LEAST_GAIN, candidates, choose_noise, compressed, instead
from ._search import PATIENCE, Found, least_near_best, look_around
from ._selection import Noise, RankSelection
from ._stability import RESAMPLES, elbow, resampled
from ._structure import structure
from ._work import LARGE_STARTS, Done, Recipe, Work, fit_of, is_large

MOST_DENSE = 2**24
"""Entries of sparse X up to which it is held dense."""

MODES = 2
"""Starts of shrinkage, for each start of a posterior."""


def select_rank(
    X: MatrixLike,
    *,
    ranks: list[int] | None = None,
    max_rank: int = DEFAULT_MAX_RANK,
    likelihood: Likelihood | None = None,
    starts: int = 5,
    seed: Seed = 0,
    observed: MatrixLike | None = None,
    weights: MatrixLike | None = None,
    size_factors: MatrixLike | None = None,
    opportunities: MatrixLike | None = None,
    groups: MatrixLike | None = None,
    negative: Negative = "error",
    layer: str | None = None,
    shrinkage: Inclusion | None = None,
    checkpoint: str | None = None,
    progress: bool = False,
) -> RankSelection:
    """Say how many components X has, from evidence of several kinds that is kept apart.

    1. *Shrinkage*: the mode under `ARD`, from `max_rank` components down. It says where to look, in the middle where it
       kept all. For counts, the mean under `Compressive` beside it.
    2. *Evidence*: `Fit.evidence` of `CAVI` without shrinkage, the ELBO with what it lacks by linear response, at these
       ranks and on both sides, until three on each side of the best are lower. Fits also begin at the one with a
       component more, without one of its smallest; where a rank is behind the best by less than starts lie apart
       there, or at the best, ten chains of fits pass through both, from other starts one rank above, and down from
       there; and components of their fits are mixed, until nothing better comes of it. **The least rank within 3 nats
       of the best is the answer**: a greater one must be better by 20 to 1. By the ELBO alone where X is too large for
       a response at one of these ranks.
    3. *Held-out data*: X is thinned into two parts that are independent given the noise (Neufeld et al. 2024, JMLR 25,
       57; Dharamshi et al. 2025, JASA 120, 511). Components and activities of one predict the other. The least rank
       within one standard error of the best. For `GammaNoise`, which has no posterior by `CAVI`, modes are compared in
       this way instead of 2, and the best rank is the answer.
    4. *Bi-cross-validation* (Owen and Perry 2009, Ann. Appl. Stat. 3, 564): components of half of the samples, or
       groups; of the others, activities by half of the features, at random, which predict the other half. Again the
       least rank within one standard error of the best.
    5. *Recurrence*: components of the answer in fits to samples, or groups, drawn with replacement.
    6. *Surrogates*: whether features go together more than they do when each is shifted in time by itself.

    Fits to more than 2^18 entries are rough, from two random starts and no others, until the answer is known, and only
    numbers within three of it are asked of held-out data.

    The noise is judged by a tenth of the entries that are left out, under shrinkage from `max_rank` components: too few
    look like noise. Counts are taken for `Poisson` unless `NegativeBinomial` predicts better by more than two standard
    errors and one nat, or the fit rejects `Poisson` and the evidence is for the other. Positive values are taken for
    what predicts best of `CompoundPoisson`, `GammaNoise` and `Gaussian`; with zeros among them for `CompoundPoisson`,
    with negative entries for `Gaussian`. Where there was a choice, shrinkage speaks of nine tenths of X.

    For a rank to go on with, and reasons. Not a probability. Where the evidence and held-out data differ, the data do
    not settle the number. Not for `BetaDivergence`, which is no distribution.

    Parameters
    ----------
    X : matrix of shape (n, m)
        As in `bayesnmf.fit`.
    ranks : list of int, optional
        Look at these alone. Left out: the search above.
    max_rank : int
        Most components; no more than n and m.
    likelihood : Likelihood, optional
        Left out: chosen as above.
    starts : int
        Random starts of each fit, twice as many of shrinkage. With 1 it is not known how far starts lie apart.
    seed : int or JAX key
        Same seed, same answer.
    observed, weights, size_factors, opportunities, groups, negative, layer
        As in `bayesnmf.fit`. Rows of one group (trial, run, donor) are not independent: standard errors, resampling and
        shifts take whole groups.
    shrinkage : Inclusion, optional
        Ask `Gibbs` for a probability of each number too, up to three beyond the answer: minutes to hours. It does not
        change the answer. Not for Gaussian and gamma noise.
    checkpoint : str, optional
        A folder for each fit when it is done; a run that was stopped goes on from there. Fits hold X.
    progress : bool
        Show bars on stderr.

    Returns
    -------
    RankSelection
        Warnings by name: ``collapsed`` and ``not_pruned`` (shrinkage kept at most one component, or all, and the answer
        is another), ``hits_max_rank``, ``criteria_disagree``, ``replicates_too_few``, ``twins``, ``noise_rejected`` (of
        the fit), ``dependent_noise`` (rows that follow each other have residuals alike, and there are no groups),
        ``no_more_than_surrogates``. With `Inclusion` ``chains_disagree``, ``few_effective_draws``, ``no_probability``.

    Raises
    ------
    DataError, ModelError, EngineError
        As in `bayesnmf.fit`; for a divergence; for a checkpoint of another run.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(rng.gamma(1, 5, (50, 3)) @ rng.dirichlet(np.full(20, 0.3), 3) * 10)
    >>> bn.select_rank(X, max_rank=6, starts=2).best
    3
    """
    table = read(
        X, observed=observed, weights=weights, size_factors=size_factors, opportunities=opportunities, groups=groups,
        layer=layer,
    )  # fmt: skip
    check_count("starts", starts, 1)
    if ranks is not None:
        ranks = sorted({_whole(k, "ranks") for k in ranks})
        if not ranks:
            raise ModelError("Expected ranks to name at least one number of components; got none.")
    model = Model(_whole(max_rank, "max_rank") if ranks is None else ranks[-1], likelihood)
    table = without_negative(table, likelihood, negative)
    refuse_unobserved(table, "column")
    if shrinkage is not None and not isinstance(shrinkage, Inclusion):
        raise ModelError(
            f"Expected shrinkage to be bn.Inclusion() or nothing; got {shrinkage!r}. ARD is looked at in any case."
        )
    return select(table, model, CAVI(starts=starts), seed, ranks, checkpoint, progress, shrinkage)


def select(
    table: Table,
    model: Model,
    engine: CAVI,
    seed: Seed,
    ranks: list[int] | None = None,
    checkpoint: str | None = None,
    progress: bool = False,
    inclusion: Inclusion | None = None,
) -> RankSelection:
    """Return what `select_rank` does, for data that were read; the rank of the model is the most that is looked at."""
    model.check(table.shape[1])
    likelihood = model.likelihood
    if likelihood is not None and not likelihood.is_density:
        raise EngineError(
            f"{type(likelihood).__name__} is a divergence, not a distribution: data cannot speak for or against a "
            "number of components under it. Use GammaNoise(), Gaussian() or another likelihood."
        )
    if ranks is None:
        model = replace(model, rank=max(min(model.rank, *table.shape), model.known_rows, 1))

    folder = None if checkpoint is None else Path(checkpoint)
    if folder is not None:
        from .. import __version__

        settings = f"{model!r} {engine!r} {ranks} {inclusion!r} bayesnmf {__version__} jax {jax.__version__}"
        names = f"{table.samples} {table.features} {None if table.groups is None else table.groups.tolist()}"
        claim(folder, "selection", fingerprint(settings + names, table, jax.random.key_data(key_of(seed)), model))
    with bars(progress) as shown:
        return _selected(_dense(table), model, engine, seed, ranks, Work(folder, shown), inclusion)


def _selected(
    table: Table, model: Model, posterior: CAVI, seed: Seed, ranks: list[int] | None, work: Work,
    inclusion: Inclusion | None,
) -> RankSelection:  # fmt: skip
    top, large = model.rank, is_large(table)
    if large:
        posterior = replace(posterior, starts=min(posterior.starts, LARGE_STARTS))
    modes_of = MAP(starts=posterior.starts if large else MODES * posterior.starts)
    noise, modes = choose_noise(table, model, modes_of, seed, work)
    mode = modes[noise.chosen]
    begin = max(mode.rank if mode.rank < top else top // 2, 1)  # shrinkage that kept all says nothing

    def fits_under(likelihood: Likelihood) -> Fits:
        engine = posterior if has_posterior(likelihood) else MAP(starts=posterior.starts, precision=posterior.precision)
        # of small X all ranks share a program; of a large one padding costs more than to compile a few
        pad = PAD if large else -(-(begin + PATIENCE) // PAD) * PAD
        return Fits(table, Recipe(replace(model, likelihood=likelihood), engine, seed, pad, is_rough=large), work)

    def hold_out(data: Thinned | Crossed, some: list[int]) -> Found:
        name = "held-out data" if isinstance(data, Thinned) else "new samples"
        return work.by_rank(name, data.score, some, data.recipe.pad)

    own = fits_under(model.likelihood or candidates(table)[noise.chosen])
    if isinstance(own.recipe.engine, CAVI):
        fits, best = own.search(ranks, begin, top)
        other = instead(noise, fit_of(fits[best]))
        if other is not None:
            others = fits_under(other)
            its_fits, its_best = others.search(ranks, best, top)
            more = better_by(its_fits, its_best, fits, best)
            if more > LEAST_GAIN:
                own, fits, best, noise = others, its_fits, its_best, Noise(others.noise, own.noise, more)
        near = [k for k in fits if not large or abs(k - best) <= PATIENCE]
        found = hold_out(Thinned(table, fit_of(fits[best]), own.recipe.rough), near)
        answers = {
            score(fits)[0]: best,
            "elbo": least_near_best({k: float(done.values[1]) for k, done in fits.items()}),
        }
    else:
        data = Thinned(table, mode, own.recipe.rough)

        def best_held_out(found: Found) -> int:
            return max(found, key=lambda k: float(found[k].values.sum()))

        least = max(model.known_rows, 1)
        found, best = look_around(lambda some: hold_out(data, some), best_held_out, ranks, begin, least, top)
        fits, answers = own.at(list(found)), {}
    held = {"held_out": Held.of(found)}
    crossed = Crossed(table, own.recipe.rough)
    if crossed.possible:
        held["bi_cross"] = Held.of(hold_out(crossed, list(found)))

    rough, rows = fit_of(fits[best]), _table(fits, held)
    done = work.run("the answer", lambda _: Done(own.recipe.finish(table, rough), np.zeros(0)), [best])
    chosen = fit_of(done[best])
    shrunk = {"shrinkage": modes[noise.chosen].rank}
    mean = compressed(table, replace(model, likelihood=chosen.model.parts[0]), posterior, seed, work)
    answers = (
        shrunk
        | ({} if mean is None else {"compressive": mean})
        | answers
        | {name: own.least for name, own in held.items()}
    )
    answers |= {"bic": int(rows["bic"].idxmin()), "elbow": elbow(rows.index.to_numpy(), rows["error"].to_numpy())}
    shared = structure(table, generator(seed, 2))
    findings = [
        *of_search(answers, best, top, min(table.shape), ranks), *of_fit(chosen, table), *of_structure(shared),
    ]  # fmt: skip
    again = work.run("resampled data", lambda i: resampled(table, chosen, own.recipe.rough, i), range(RESAMPLES))
    back = np.mean([done.values for done in again.values()], 0)
    probability = None
    if inclusion is not None:
        probability, said = included(table, chosen, own.recipe, min(top, best + PATIENCE), inclusion, work)
        findings += said
    return RankSelection(best, chosen, answers, rows, back, noise, shared, tuple(findings), probability)


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


def _table(fits: Found, held: dict[str, Held]) -> Any:
    import pandas as pd

    rows = {}
    for k, done in sorted(fits.items()):
        rows[k] = dict(zip(COLUMNS, done.values.tolist(), strict=True))
        for name, own in held.items():
            rows[k] |= {name: own.score.get(k, np.nan), f"{name}_error": own.error.get(k, np.nan)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("rank")
