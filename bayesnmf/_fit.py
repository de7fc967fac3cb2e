"""The door: X and a model in, a Fit out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from ._checks import course_findings, interval_findings, noise_findings, response_findings
from ._errors import DataError, EngineError, Finding, ModelError
from ._input import Negative, Table, read, refuse_unobserved, split_negative
from ._programs import fit_program
from ._random import Seed, key_of
from ._resolve import check_support, resolve
from ._shapes import by_evidence
from ._types import MatrixLike
from .align import match_rows, unit_rows
from .engines import CAVI, Engine
from .engines._families import Conditional
from .engines._prepare import dense_rows
from .engines._result import EngineResult
from .engines._variational import Beliefs, Family
from .likelihoods import Likelihood
from .model import Model
from .posterior import Posterior
from .result import Agreement, Fit, Projection
from .sampled import Sampled

DEFAULT_MAX_RANK = 25
"""Most components that are looked at when the rank is to be found."""


def fit(
    X: MatrixLike,
    model: Model | Callable[..., Any] | None = None,
    *,
    rank: int | str | None = None,
    likelihood: Likelihood | None = None,
    engine: Engine | None = None,
    seed: Seed = 0,
    init: Fit | tuple[MatrixLike, MatrixLike] | None = None,
    observed: MatrixLike | None = None,
    weights: MatrixLike | None = None,
    size_factors: MatrixLike | None = None,
    opportunities: MatrixLike | None = None,
    groups: MatrixLike | None = None,
    negative: Negative = "error",
    layer: str | None = None,
) -> Fit:
    """Explain a matrix X (samples x features) by parts: X ~ W H with W, H >= 0.

    Parameters
    ----------
    X : matrix of shape (n, m)
        numpy or JAX array, scipy.sparse, list of lists; with names, which are kept, a `bayesnmf.io.Recording`,
        `bayesnmf.datasets.Dataset`, pandas DataFrame, AnnData or xarray of two dimensions. Samples are rows. NaN and
        masked entries are missing.
    model : Model or callable, optional
        Needed only for priors, shrinkage and known components; `rank` and `likelihood` given here go before its own.
        Or a NumPyro program of your own, ``program(X, *, n, m, rank)`` with sites W (n, rank), H (rank, m) and an
        observed X, for `NUTS` and `SVI`; see "A model of your own" in docs/.
    rank : int or "auto"
        Number of components. "auto" asks `bayesnmf.select_rank` for up to 25, or the model's rank, which takes from ten
        seconds to minutes; what it says is `Fit.selection`. A model with `shrinkage` finds the number by that alone,
        from its rank down.
    likelihood : Likelihood, optional
        Left out: `Gaussian` where X has negative entries; `Poisson` for counts, and under `MAP` for all else;
        `CompoundPoisson` for intensities under the others. With ``rank="auto"``: chosen by data, as `select_rank` does.
    engine : CAVI, Gibbs, NUTS, SVI or MAP, optional
        Algorithm and its options. Left out: `CAVI`, a posterior in seconds. `Gibbs` and `NUTS` draw from the exact one.
        `SVI` climbs the evidence bound by stochastic gradients, on batches of rows too. `MAP` is plain NMF.
    seed : int or JAX key
        Same seed, same result.
    init : (W0, H0) or Fit, optional
        One start from here instead of random ones.
    observed : bool matrix of shape (n, m), optional
        False entries are not data.
    weights : array of shape (n, m), (n,) or (m,), optional
        Frequency weights: an entry of weight 2 is two observations of that entry. 0 leaves it out.
    size_factors, opportunities : arrays of shape (n,) and (m,), optional
        Multiply the mean of each sample and of each feature: exposure, bin width, depth; mutational opportunities.
    groups : array of shape (n,), optional
        Label of the trial, run or donor of each sample; kept in the result.
    negative : {"error", "clip", "split"}
        What to do with negative entries where the likelihood has none.
    layer : str, optional
        The layer of an AnnData that holds the counts; its X where left out.

    Returns
    -------
    Fit

    Raises
    ------
    DataError, ModelError, EngineError
        For what cannot be used. The message says what was expected, what was got and what to do. All are ValueErrors.

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(rng.gamma(1, 5, (50, 3)) @ rng.dirichlet(np.ones(20), 3) * 10)
    >>> bn.fit(X, rank=3).H.shape
    (3, 20)
    """
    table = read(
        X, observed=observed, weights=weights, size_factors=size_factors, opportunities=opportunities, groups=groups,
        layer=layer,
    )  # fmt: skip
    if callable(model):
        if likelihood is not None or init is not None or negative != "error":
            raise ModelError("likelihood, init and negative are not for a program of your own: it says what X is.")
        return fit_program(model, table, rank, engine, key_of(seed), seed)
    engine = CAVI() if engine is None else engine
    if not isinstance(engine, Engine):
        raise EngineError(f"Expected engine to be an engine object, such as bn.MAP(); got {engine!r}.")
    auto = isinstance(rank, str) and rank == "auto"
    model = _stated(Model(DEFAULT_MAX_RANK) if auto and model is None else model, None if auto else rank, likelihood)
    table = without_negative(table, model.likelihood, negative)
    refuse_unobserved(table, "column")
    if auto and model.shrinkage is None:
        if init is not None:
            raise ModelError('init has a number of components, and rank="auto" asks for it: leave one of them out.')
        return _fit_selected(table, model, engine, seed)
    return fit_table(table, model, engine, seed, None if init is None else _start(init, model, table))


def _fit_selected(table: Table, model: Model, engine: Engine, seed: Seed) -> Fit:
    """Return the fit with as many components as data speak for, and at most the model's rank."""
    from .rank._select import select  # which asks for fits itself

    resolve(model, table, engine)  # what cannot be fitted is said before the search
    posterior = engine if isinstance(engine, CAVI) else CAVI(starts=engine.starts, precision=engine.precision)
    selection = select(table, model, posterior, seed)
    found = selection.fit
    if posterior is not engine:
        likelihood = model.likelihood or type(found.model.parts[0])()
        found = fit_table(table, replace(model, rank=selection.best, likelihood=likelihood), engine, seed)
    own = {finding.name for finding in found.warnings}
    more = tuple(finding for finding in selection.warnings if finding.name not in own)
    return replace(found, selection=selection, warnings=found.warnings + more)


def without_negative(table: Table, likelihood: Likelihood | None, negative: Negative) -> Table:
    """Return the table as the likelihood can take it, or raise for negative entries."""
    if likelihood is None and negative != "error":
        return split_negative(table, negative, "Poisson")
    if isinstance(likelihood, Likelihood) and likelihood.support != "real":
        return split_negative(table, negative, type(likelihood).__name__)
    return table


def fit_table(
    table: Table, model: Model, engine: Engine, seed: Seed, init: tuple[np.ndarray, np.ndarray] | None = None
) -> Fit:
    """Return the fit of a model to data that were read; `fit` is this after its arguments were checked.

    `init` may hold several starts, on a leading axis of W and H.
    """
    return fit_starts(table, model, engine, seed, init, weigh=True)[0]


def fit_starts(
    table: Table,
    model: Model,
    engine: Engine,
    seed: Seed,
    init: tuple[np.ndarray, np.ndarray] | None = None,
    weigh: bool = False,
    **options: Any,
) -> tuple[Fit, EngineResult]:
    """Return the fit, and what all starts led to; `options` are those of the engine's run.

    `weigh` says whether shapes that `CAVI` learned are then weighed by the evidence (`by_evidence`).
    """
    key = key_of(seed)
    chosen = model.likelihood is None
    model = resolve(model, table, engine)
    result = engine.run(model, table, key, init, **options)
    found = _assemble(result, model, engine, table, seed)
    if weigh and result.at_shapes is not None:
        at_shapes = result.at_shapes
        weighed = by_evidence(found, lambda *given: _assemble(at_shapes(*given), model, engine, table, seed))
        found = with_starts_of(weighed, found)
    if isinstance(found.posterior, Posterior) and model.shrinkage is not None and 0 < found.rank < model.rank:
        found = _without_dropped(found, model, engine, table, key)
    if found.posterior is not None and found.posterior.likelihood is not None and found.rank:
        more = noise_findings(found.posterior) + interval_findings(found.posterior)
        if weigh and isinstance(found.posterior, Posterior):
            more += response_findings(found.posterior)
        found = replace(found, warnings=found.warnings + tuple(more))
    return replace(found, likelihood_chosen=chosen), result


OF_STARTS = ("components_not_recurring", "starts_disagree_on_rank")
"""Findings that speak of how random starts agree."""


def with_starts_of(fit: Fit, found: Fit) -> Fit:
    """Return a fit that began at another with how the random starts of that one agree, and what was said of them."""
    pairs, cosine = match_rows(fit.H, found.H), np.zeros_like(found.agreement.cosine)
    cosine[:, pairs.own] = found.agreement.cosine[:, pairs.other]
    return _agreeing(fit, replace(found.agreement, cosine=cosine))


def beside(fit: Fit, others: list[Fit]) -> Fit:
    """Return the fit with how others of as many components agree with it in the place of how its starts do."""
    all_of_them = [fit, *others]
    cosine = np.zeros((len(all_of_them), fit.rank))
    for own, other in zip(cosine, all_of_them, strict=True):
        pairs = match_rows(fit.H, other.H)
        own[pairs.own] = pairs.cosine
    objective, rank = (np.array([getattr(one, name) for one in all_of_them]) for name in ("objective", "rank"))
    return _agreeing(fit, Agreement(objective, rank, cosine, tuple(one.status for one in all_of_them), 0))


def _agreeing(fit: Fit, agreement: Agreement) -> Fit:
    said = [finding for finding in fit.warnings if finding.name not in OF_STARTS]
    return replace(fit, agreement=agreement, warnings=(*said, *_of_starts(agreement)))


def project(fit: Fit, X: MatrixLike, **data: Any) -> Projection:
    """Return activities of new samples at the fit's H. See `Fit.project`."""
    table = read(X, **data)
    named = table.features is not None
    if fit.negative is not None:
        table = split_negative(table, fit.negative, "This fit", again=True)  # type: ignore[arg-type]
    if table.shape[1] != fit.H.shape[1]:
        raise DataError(
            f"X has {table.shape[1]} features, but this fit is expecting {fit.H.shape[1]} features as input."
        )
    if named and fit.features is not None and table.features != fit.features:
        raise DataError(_of_other_features(fit.features, table.features))
    likelihood = fit.model.likelihood
    if likelihood is not None:
        check_support(likelihood, without_negative(table, likelihood, "error"))
    if fit.rank == 0:
        return Projection(np.zeros((table.shape[0], 0)), fit.warnings)
    nothing = table.level == 0
    if nothing and fit.posterior is None:
        return Projection(np.zeros((table.shape[0], fit.rank)))
    # data of nothing but zeros have no level to start from; with the mean sample of the fit they have
    result, engine = activities(fit, _with_sample(table, fit.W.mean(0) @ fit.H) if nothing else table)
    course = course_findings(result.info, result.best, engine)
    if fit.posterior is None:
        return Projection(result.W[0], course)
    assert result.beliefs is not None
    n = table.shape[0]
    posterior = fit.posterior.projected(jax.tree.map(lambda a: a[:n], result.beliefs.W), table)
    return Projection(posterior.means[0], course + tuple(interval_findings(posterior)), posterior)


def _of_other_features(own: tuple[str, ...], given: Any) -> str:
    """Return what is wrong with the names of the features of new samples."""
    if sorted(own) == sorted(given):
        return "X has the features of this fit in another order. Bring them to that of fit.features."
    j = next(j for j, names in enumerate(zip(own, given, strict=True)) if names[0] != names[1])
    return f"Expected the features of this fit; feature {j} is {given[j]!r}, and {own[j]!r} there. See fit.features."


def _with_sample(table: Table, x: np.ndarray) -> Table:
    """Return the table, dense, with one more sample that is observed whole."""
    rows = dense_rows(replace(table, row_weight=None, row_factor=None, col_weight=None, col_factor=None), slice(None))

    def more(a: Any) -> Any:
        return None if a is None else np.append(a, 1.0)

    return replace(
        table, X=np.vstack([rows.x, x]), weight=np.vstack([rows.weight, np.ones_like(x)]), groups=None, samples=None,
        row_weight=more(table.row_weight), row_factor=more(table.row_factor),
    )  # fmt: skip


def activities(fit: Fit, table: Table, **options: Any) -> tuple[EngineResult, Engine]:
    """Return what the fit's engine makes of new samples at the fit's H (CAVI for draws), and that engine.

    `options` are those of the engine's run.
    """
    likelihood = fit.model.likelihood
    if likelihood is not None and likelihood.learned:
        likelihood = replace(likelihood, learned=False)  # type: ignore[type-var]
    model = replace(fit.model, rank=fit.rank, likelihood=likelihood, shrinkage=None, known=None)
    engine: Any = CAVI(precision=fit.engine.precision) if isinstance(fit.posterior, Sampled) else fit.engine
    engine = replace(engine, starts=1)
    fixed = (fit.H, fit.rate_W) if fit.posterior is None else fit.posterior.beliefs
    W0 = np.full((table.shape[0], fit.rank), table.level)
    return engine.run(model, table, jax.random.key(0), (W0, fit.H), fixed, **options), engine


def refit(fit: Fit, engine: Engine, seed: Seed) -> Fit:
    """Return the model of a fit by another engine, from that fit, on the same data; what was learned is so again."""
    assert fit.posterior is not None
    table, model, learned = fit.posterior.table, fit.model, fit.posterior.learned
    sides: dict[str, Any] = {}
    for side, prior in (("W", model.W), ("H", model.H)):
        free = {part: None for part, name in (("shape", "shape"), ("mean", "rate")) if f"{name}_{side}" in learned}
        sides[side] = replace(prior, **free)  # type: ignore[type-var]
    shrinkage = model.shrinkage and replace(model.shrinkage, threshold=-np.inf)  # type: ignore[type-var]
    model = replace(model, rank=fit.rank, shrinkage=shrinkage, **sides)
    engine.check(model.parts[0])
    key = key_of(seed)
    return _assemble(engine.run(model, table, key, (fit.W, fit.H)), model, engine, table, seed)


def _stated(model: Model | None, rank: Any, likelihood: Likelihood | None) -> Model:
    if isinstance(rank, str):
        raise ModelError(f'Expected rank to be a whole number or "auto"; got {rank!r}.')
    if model is None:
        if rank is None:
            raise ModelError('Say how many components: rank=8, or rank="auto" to find out.')
        return Model(rank, likelihood)
    if not isinstance(model, Model):
        hint = f" For so many components: rank={model}." if isinstance(model, int) else ""
        raise ModelError(f"Expected model to be a bn.Model; got {model!r}.{hint}")
    if rank is not None:
        model = replace(model, rank=rank)
    return model if likelihood is None else replace(model, likelihood=likelihood)


def _start(init: Any, model: Model, table: Table) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(init, Fit) and not (isinstance(init, (tuple, list)) and len(init) == 2):
        raise DataError(f"Expected init to be a pair of arrays (W0, H0), or a fit; got {type(init).__name__}.")
    W, H = (init.W, init.H) if isinstance(init, Fit) else init
    W, H = np.asarray(W, float), np.asarray(H, float)
    expected = (table.shape[0], model.rank), (model.rank, table.shape[1])
    if (W.shape, H.shape) != expected:
        raise DataError(
            f"Expected init=(W0, H0) of shapes {expected[0]} and {expected[1]}; got {W.shape} and {H.shape}."
        )
    if not (np.all(np.isfinite(W)) and np.all(np.isfinite(H))) or np.any(W < 0) or np.any(H < 0):
        raise DataError("Expected init=(W0, H0) to hold finite numbers of at least 0.")
    return W, H


def _assemble(result: EngineResult, model: Model, engine: Engine, table: Table, seed: Seed) -> Fit:
    known = model.known_rows
    starts = [_order(*part, known, model) for part in zip(result.W, result.H, result.relevance, strict=True)]
    W, H, order, kept = starts[result.best]
    posterior: Posterior | Sampled | None = None
    if result.draws is not None:
        pooled = result.draws.W.mean((0, 1)), result.draws.H.mean((0, 1))
        _, _, order, kept = _order(*pooled, result.relevance[result.best], known, model)
        posterior = _sampled(result, order[:kept], known, table)
        W, H = posterior.means
    cosine = np.zeros((len(starts), kept))
    for s, (_, other, _, _) in enumerate(starts):
        found = match_rows(H, other)
        cosine[s, found.own] = found.cosine
    info = result.info
    agreement = Agreement(info.objective, np.array([s[3] for s in starts]), cosine, info.status, result.best)
    size = result.H[result.best].sum(1)[order[:kept]]
    if result.beliefs is not None:
        rate = None if model.shrinkage is None else _some(result.beliefs.rate, order[:kept])
        factors = _of_components(result.beliefs, order[:kept])
        posterior = Posterior(*factors, rate, result.likelihood, result.learned, known, table)
    W_prior, H_prior = result.priors
    mean = float(W.sum(0) @ H.sum(1)) / W.shape[0] / H.shape[1]
    findings = [
        *course_findings(info, result.best, engine), *_findings(model, kept - known, known, table, mean),
        *_of_starts(agreement),
    ]  # fmt: skip
    return Fit(
        W=W, H=H, relevance=result.relevance[result.best][order],
        model=replace(model, likelihood=result.likelihood, shrinkage=result.shrinkage, W=W_prior, H=H_prior),
        engine=engine,
        noise=result.likelihood.noise(),
        objective=float(info.objective[result.best]), residual=float(info.residual[result.best]),
        status=info.status[result.best], steps=int(info.steps[result.best]), trace=info.trace, agreement=agreement,
        warnings=tuple(findings),
        seed=int(seed) if isinstance(seed, (int, np.integer)) else None,
        samples=table.samples, features=table.features, groups=table.groups, negative=table.negative,
        rate_W=result.rate_W[order[:kept]] / np.where(size > 0, size, 1) ** W_prior.power,
        posterior=posterior,
    )  # fmt: skip


def _sampled(result: EngineResult, kept: np.ndarray, known: int, table: Table) -> Sampled:
    """Return the draws of some of the components."""
    assert result.draws is not None
    W, H, others = result.draws
    k = W.shape[3]
    by_component = {
        name for name in ("rate_W", "rate_H", "scale", "inclusion") if name in others and others[name].ndim == 3
    }
    others = {name: a[..., kept] if name in by_component else a for name, a in others.items()}
    of_W, of_H = result.priors
    rate = result.rate_W[kept]
    prior_W = Conditional(float(of_W.shape), rate[None], np.log(rate)[None])
    prior_H = Conditional(float(of_H.shape), np.ones((k, 1))[kept], np.zeros((k, 1))[kept])
    drawn = W[..., kept], H[:, :, kept]
    return Sampled(*drawn, others, prior_W, prior_H, result.likelihood, result.learned, known, table, of_W.power)


def _without_dropped(found: Fit, model: Model, engine: Engine, table: Table, key: jax.Array) -> Fit:
    """Return a fit whose kept components are at their optimum without those that shrinkage dropped.

    Dropped components still hold a little; without them the others are not where their response can be taken.
    """
    shrinkage = found.model.shrinkage
    kept = replace(model, rank=found.rank, shrinkage=replace(shrinkage, threshold=-np.inf))  # type: ignore[type-var]
    again = _assemble(engine.run(kept, table, key, (found.W, found.H)), kept, engine, table, 0)
    own = replace(again.model, rank=model.rank, shrinkage=shrinkage)
    return replace(
        found, W=again.W, H=again.H, model=own, noise=again.noise, posterior=again.posterior, rate_W=again.rate_W
    )


def _of_components(beliefs: Beliefs, kept: np.ndarray) -> tuple[Family, Family, Conditional, Conditional]:
    """Return q of W and H and their priors for some of the components."""
    W, H, prior_W, prior_H, *_ = beliefs
    return (
        jax.tree.map(lambda a: a[:, kept], W), _some(H, kept),
        Conditional(prior_W.shape, prior_W.rate[:, kept], prior_W.log_rate[:, kept]),
        Conditional(prior_H.shape, prior_H.rate[kept], prior_H.log_rate[kept]),
    )  # fmt: skip


def _some(q: Any, kept: np.ndarray) -> Any:
    return jax.tree.map(lambda a: a[kept], q)


def _order(
    W: np.ndarray, H: np.ndarray, relevance: np.ndarray, known: int, model: Model
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Return W and H of the components kept, the order of all of the model's components, and how many are kept."""
    mass = W.sum(0) * H.sum(1)
    keep = np.ones(len(H), bool) if model.shrinkage is None else relevance > model.shrinkage.threshold
    keep[:known] = True
    rank_of = np.lexsort((-relevance, -mass, ~keep))
    order = np.concatenate([np.arange(known), rank_of[rank_of >= known]]).astype(int)
    kept = int(keep.sum())
    return *unit_rows(W[:, order[:kept]], H[order[:kept]]), order, kept


def _findings(model: Model, found: int, known: int, table: Table, mean: float) -> list[Finding]:
    """Return what must be said of the rank; `mean` is the mean of W H."""
    findings = []

    def say(name: str, message: str) -> None:
        findings.append(Finding(name, message))

    if model.shrinkage is not None:
        cause = (
            "Either X is noise for this model, or its samples hold too few counts for shrinkage by the mode, "
            "which weighs each component by n + m. Check the likelihood, or state the rank and compare."
        )
        if found + known == 0 or mean < 0.1 * table.level:
            say("collapsed_to_zero", f"shrinkage left {mean / table.level:.0%} of the mean of X explained. {cause}")
        elif found == 1 and known == 0:
            say("collapsed_to_one", f"shrinkage left a single component. {cause}")
        elif found + known == model.rank:
            say(
                "not_pruned",
                f"all {model.rank} components are kept: there may be more, or the noise is wider than the "
                f"likelihood says. "
                "Raise the rank of the model, or choose another likelihood.",
            )
    elif model.rank > min(table.shape):
        say(
            "rank_above_shape",
            f"rank {model.rank} is above min(n, m) = {min(table.shape)}: components are not determined. Lower the "
            f"rank.",
        )
    return findings


def _of_starts(agreement: Agreement) -> list[Finding]:
    """Return what must be said of how the starts agree."""
    findings = []
    if len(set(agreement.rank.tolist())) > 1:
        findings.append(
            Finding(
                "starts_disagree_on_rank",
                f"random starts keep {agreement.rank.min()} to {agreement.rank.max()} components. "
                "Read the rank as a range; more starts may help.",
            )
        )
    rare = int((agreement.recurrence < 0.5).sum())
    if rare:
        findings.append(
            Finding(
                "components_not_recurring",
                f"{rare} of {agreement.cosine.shape[1]} components come back in fewer than half of the other starts: "
                "other parts explain X about as well. Lower the rank, or trust only those that come back "
                "(fit.agreement.recurrence).",
            )
        )
    return findings
