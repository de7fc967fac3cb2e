"""A NumPyro program of the user's: looked at once at the door, fitted, and its draws as a Fit."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ._checks import course_findings, interval_findings
from ._errors import EngineError, Finding, ModelError
from ._input import Table, refuse_unobserved
from ._resolve import resolve
from ._runs import arithmetic
from ._sites import axes_of, dims_of, fixed_rows, free, is_exchangeable, is_product, look
from .align import match_rows, unit_rows
from .engines import CAVI, NUTS, SVI
from .engines._chains import Kept, align, fingerprint, reordered
from .engines._prepare import dense_rows
from .likelihoods import Poisson
from .model import Model
from .result import Agreement, Fit
from .sampled import Sampled

if TYPE_CHECKING:
    from .program import Joint

Program = Callable[..., Any]


def joint_for(program: Program, table: Table, rank: int, dtype: Any) -> Joint:
    """Return the joint density of a program and a table, in the units of X."""
    from .program import Bare, Joint

    bare, n_groups = Bare(program), 0
    rows = dense_rows(table, slice(0, table.shape[0]))
    given = {}
    for name, value in (("size_factors", table.row_factor), ("opportunities", table.col_factor)):
        if value is None:
            continue
        if not bare.takes(name):
            raise ModelError(f"{name} are given, but the program has no argument of that name: add {name}=None to it.")
        given[name] = jnp.asarray(value, dtype)
    if bare.takes("groups") and table.groups is not None:
        names, codes = np.unique(table.groups, return_inverse=True)
        given["groups"], n_groups = jnp.asarray(codes), len(names)
    elif bare.needs("groups"):
        raise ModelError("The program takes groups: give the group of each sample, groups=... of shape (n,).")
    weight = None if np.all(rows.weight == 1) else jnp.asarray(rows.weight, dtype)
    # what is not seen must be possible all the same: the feature's first entry that is
    seen = rows.weight > 0
    X = jnp.asarray(np.where(seen, rows.x, rows.x[seen.argmax(0), np.arange(table.shape[1])]), dtype)
    return Joint(bare, X, weight, given, rank, n_groups=n_groups)


def fit_program(program: Program, table: Table, rank: Any, engine: Any, key: jax.Array, seed: Any) -> Fit:
    """Fit a program. The public door is `bayesnmf.fit`."""
    if not isinstance(engine, (NUTS, SVI)):
        given = "no engine" if engine is None else type(engine).__name__
        raise EngineError(
            f"A program of your own is fitted by bn.NUTS() or bn.SVI(), which need its density alone; got {given}."
        )
    if isinstance(rank, bool) or not isinstance(rank, (int, np.integer)) or rank < 1:
        raise ModelError(f"Say how many components the program is called with, such as rank=8; got {rank!r}.")
    engine.check(Poisson())
    refuse_unobserved(table, "column")
    with arithmetic(engine.precision):
        joint = joint_for(program, table, int(rank), np.dtype(engine.precision))
        sites = look(joint, key)
        product = is_product(sites, joint)
        start = _start(sites, table, int(rank), key, engine) if product else None
        joint = _sheared(joint, sites)
        known = fixed_rows(joint, sites, key)
        dims = dims_of(sites, joint, known) | ({"scale": ("component",)} if product else {})

        def first(key: jax.Array) -> dict[str, Any]:
            return _first(joint, sites, start, key)

        settings = f"{replace(engine, checkpoint=None, progress=False)!r} {_source(program)}"
        mark = fingerprint(settings, table, jax.random.key_data(key), dict(joint.given))
        _check_finite(joint, first(key))
        matched = is_exchangeable(joint, axes_of(dims), known, key)
        values, stats, info = engine.run_program(joint, first, key, mark)
    kept = Kept(np.asarray(values.pop("W"), float), np.asarray(values.pop("H"), float), values | stats)
    if product:
        kept.others["scale"] = kept.H.sum(3)
    axes = {name: axis for name, axis in axes_of(dims).items() if name in kept.others}
    if matched:
        reference = start[1] if product and start is not None else kept.H[0, -1]
        kept = align(kept, reference, known, axes)
        mass = kept.W.mean((0, 1)).sum(0) * kept.H.mean((0, 1)).sum(1)
        kept = reordered(kept, np.r_[np.arange(known), known + np.argsort(-mass[known:])], known, axes)
    elif product:
        kept = align(kept, kept.H[0, -1], int(rank), {})
    dims = {name: own for name, own in dims.items() if name in kept.others}
    return _as_fit(kept, info, joint, table, engine, seed, product, matched, dims)


def _source(program: Program) -> str:
    """Return the text of a program, or its name where there is none: a checkpoint is of one program."""
    if isinstance(program, partial):
        given = [np.asarray(value).tolist() for value in program.args]
        named = [(name, np.asarray(value).tolist()) for name, value in sorted(program.keywords.items())]
        return f"{_source(program.func)} {given} {named}"
    if hasattr(program, "source"):
        return str(program.source)
    try:
        return inspect.getsource(program)
    except (OSError, TypeError):
        return name_of(program)


def name_of(program: Program) -> str:
    """Return the name of a program: that of its function."""
    inner = program.func if isinstance(program, partial) else program
    return getattr(inner, "__name__", type(inner).__name__)


def _sheared(joint: Joint, sites: dict[str, Any]) -> Joint:
    """Return the joint with W's coordinates referring to H where both are positive sites."""
    from .program import is_positive

    both = all(free(sites[name]) and is_positive(sites[name]["fn"]) for name in ("W", "H"))
    return replace(joint, sheared="H") if both else joint


def _start(
    sites: dict[str, Any], table: Table, rank: int, key: jax.Array, engine: Any
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return W and H of a plain fit, where they are sites of the program, in the scale of its priors."""
    if not all(free(sites[name]) for name in ("W", "H")) or table.least < 0:
        return None
    plain = CAVI(starts=engine.starts, precision=engine.precision)
    found = plain.run(resolve(Model(rank), table, plain), table, key)
    W, H = (np.maximum(a[found.best], 1e-3 * a[found.best].mean()) for a in (found.W, found.H))
    if np.allclose(np.sum(sites["H"]["value"], 1), 1, rtol=1e-4):
        return unit_rows(W, H)
    typical = [float(np.mean(np.asarray(sites[name]["value"]))) for name in ("W", "H")]
    scale = np.sqrt(typical[0] / typical[1] * H.mean(1) / W.mean(0))
    return W * scale, H / scale[:, None]


def _first(joint: Joint, sites: dict[str, Any], start: Any, key: jax.Array) -> dict[str, Any]:
    """Return first values of every free site: W and H round the start, the others to go with them."""
    from .program import settled

    given = {}
    if start is not None:
        for index, (name, value) in enumerate(zip(("W", "H"), start, strict=True)):
            noise = jax.random.gamma(jax.random.fold_in(key, index), 20.0, value.shape) / 20
            own = jnp.asarray(value) * noise
            given[name] = own / own.sum(1, keepdims=True) if np.allclose(value.sum(1), 1, rtol=1e-6) else own
        given = {name: value.astype(joint.X.dtype) for name, value in given.items()}
    found = joint.first(given, key)
    values = {name: site["value"] for name, site in found.items() if free(sites[name])}
    if given and len(given) < len(values):
        others = joint.density(settled(joint, joint.coordinates(values), kept=tuple(given)))[1]
        values = {name: others[name] for name in values}
    return values


def _check_finite(joint: Joint, values: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # NumPyro's, of values out of support: said below
        density = float(joint.density(joint.coordinates(values))[0])
    if not np.isfinite(density):
        raise ModelError(
            f"The log density of the program is {density} where it should begin. Check that X can come from its "
            "distribution at X (counts for a Poisson, positive values for a Gamma), and that no mean is 0."
        )


def _as_fit(
    kept: Kept, info: Any, joint: Joint, table: Table, engine: Any, seed: Any, product: bool, matched: bool,
    dims: dict[str, tuple[str, ...]],
) -> Fit:  # fmt: skip
    posterior = Sampled(
        *kept, None, None, None, (), 0, table, program=joint.program.function, product=product, dims=dims
    )  # fmt: skip
    W, H = posterior.means
    cosine = np.zeros((len(kept.W), joint.rank))
    for chain, own in enumerate(kept.H.mean(1)):
        match = match_rows(H, own)
        cosine[chain, match.own] = match.cosine
    best = int(np.argmin(info.objective))
    ranks = np.full(len(kept.W), joint.rank)
    found = [*course_findings(info, best, engine), *interval_findings(posterior)]
    if not product:
        found.append(
            Finding(
                "mean_is_not_WH",
                f"the program's mean is not W H: draws are {'not' if matched else 'neither'} scaled to unit rows of H"
                f"{'' if matched else ' nor matched to one another'}, and mean, mass and share are those of W H all "
                "the same.",
            )
        )
    elif not matched:
        found.append(
            Finding(
                "components_not_matched",
                "the program tells its components apart, or has sites of which it is not known whether they have "
                "components: each draw has them in the order of its chain. Put such sites in numpyro.plate"
                '("component", rank).',
            )
        )
    mass = W.sum(0) * H.sum(1)
    return Fit(
        W=W, H=H, relevance=mass / mass.sum(), model=Model(joint.rank), engine=engine, noise={},
        objective=float(info.objective[best]), residual=float(info.residual[best]), status=info.status[best],
        steps=int(info.steps[best]), trace=info.trace,
        agreement=Agreement(info.objective, ranks, cosine, info.status, best), warnings=tuple(found),
        seed=int(seed) if isinstance(seed, (int, np.integer)) else None, samples=table.samples,
        features=table.features, groups=table.groups, negative=table.negative, rate_W=np.ones(joint.rank),
        posterior=posterior,
    )  # fmt: skip
