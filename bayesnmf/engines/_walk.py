"""A model's draws as values of its NumPyro program, and back; and the fit that engines of NumPyro begin at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import EngineError
from .._input import Table
from .._types import Array
from ..likelihoods import Likelihood
from ..model import Model
from ..priors import Dirichlet, Flat, Prior
from ._families import Conditional, Gammas
from ._gibbs import Draw
from ._prepare import Prepared, dense_rows
from ._result import EngineResult
from ._variational import Beliefs
from .cavi import CAVI, learned_parameters
from .map import MAP

if TYPE_CHECKING:
    from ..program import Joint

Options = tuple[tuple[str, Any], ...]
"""What a compiled program of an engine depends on."""

Values = dict[str, Any]
"""Values, or coordinates, by site."""

LEAST = 1e-3
"""Least entry of a first draw, as a share of the mean: far below it gradients lead nowhere."""

NEAR = 10.0
"""Shape of what is believed about a fit by the mode."""


def joint_of(ready: Prepared, size: Array, learned: tuple[str, ...]) -> Joint:
    """Return the joint density of a prepared model, without the terms of X alone."""
    from ..program import Joint, ModelProgram

    likelihood, W, H = ready.model.parts
    rows = dense_rows(ready.table, slice(0, ready.table.shape[0]))
    seen = rows.weight > 0
    means = {}
    for side, prior, unit in (("W", W, ready.unit_W), ("H", H, ready.unit_H)):
        means[side] = ready.array(ready.size if prior.mean is None else prior.mean / unit)
    known = ready.known[: ready.model.known_rows] if ready.model.known_rows else None
    program = ModelProgram(
        likelihood=ready.likelihood, W=jax.tree.map(ready.array, W), H=jax.tree.map(ready.array, H), means=means,
        size=size, floor=ready.data.floor, shrinkage=ready.shared,
        known=None if known is None else ready.array(known), learned=learned, lean=True,
    )  # fmt: skip
    vectors = {"size_factors": ready.table.row_factor, "opportunities": ready.table.col_factor}
    given = {name: ready.array(value) for name, value in vectors.items() if value is not None}
    weight = None if np.all(rows.weight == 1) else ready.array(rows.weight)
    X = ready.array(np.where(seen, rows.x / ready.unit, 1.0))
    free = "H" if known is None else "new_H"
    sheared = free if ready.model.known_rows < ready.model.rank and not isinstance(H, Dirichlet) else None
    return Joint(program, X, weight, given, ready.model.rank, sheared)


def values_of(draw: Draw, joint: Joint) -> Values:
    """Return a draw as values of the sites of a model's program."""
    program = joint.program
    values = {"W": draw.W[: len(joint.X)]}
    known = 0 if program.known is None else len(program.known)
    if known < joint.rank:
        values["H" if known == 0 else "new_H"] = draw.H[known:]
    values |= {name: getattr(draw, name) for name in program.learned if name.startswith("shape")}
    values |= {name: getattr(draw, name)[0] for name in program.learned if name.startswith("rate")}
    if program.shrinkage is not None and known < joint.rank:
        values["rate"] = draw.rate_W[known:]
    noise = {name: getattr(draw.likelihood, name) for name in program.likelihood.noise_ranges}
    return {name: jnp.asarray(value) for name, value in (values | noise).items()}


def draw_of(values: Values, joint: Joint, n_padded: int) -> Draw:
    """Return values of the sites of a model's program as a draw; what is not sampled is 0 or as it is given."""
    program, dtype = joint.program, joint.X.dtype
    W, H = values["W"], values["H"]
    shrunk = () if program.shrinkage is None else program.shrinkage.sides
    shapes, rates = [], []
    for side, prior in (("W", program.W), ("H", program.H)):
        shape = values.get(f"shape_{side}", 1.0 if prior.shape is None else prior.shape)
        rate = values.get(f"rate_{side}", program.fixed_rate(side, shape))
        if side in shrunk and "rate" in values:
            rate = program.with_known(values["rate"], side, shape)
        shapes.append(jnp.asarray(shape, dtype))
        rates.append(jnp.broadcast_to(jnp.asarray(rate, dtype), (joint.rank,)))
    noise: dict[str, Any] = {name: values[name] for name in program.likelihood.noise_ranges}
    likelihood = replace(program.likelihood, **noise)
    W = jnp.pad(W, ((0, n_padded - len(W)), (0, 0)))
    return Draw(W, H, shapes[0], shapes[1], rates[0], rates[1], likelihood)


def first_fit(
    model: Model, table: Table, key: jax.Array, init: tuple[np.ndarray, np.ndarray] | None, starts: int,
    precision: Any,
) -> EngineResult:  # fmt: skip
    """Return a fit to begin at: by CAVI, or, where the model is none of CAVI's, round the mode without priors."""
    engine = CAVI(starts=starts, precision=precision)
    if fits(engine, model):
        return engine.run(model, table, key, init)
    point = MAP(starts=starts, precision=precision)
    flat = replace(model, W=Flat(), H=Flat(), shrinkage=None)
    found = point.run(flat, table, key, init)
    W, H = (np.maximum(a[found.best], 1e-3 * a[found.best].mean()) for a in (found.W, found.H))
    # the scale of W against H is free there: it goes to where the priors have theirs
    ready = Prepared(model, table, np.dtype(precision), pad=1)
    sides = zip(model.parts[1:], (ready.unit_W, ready.unit_H), strict=True)
    own = [ready.size * unit if prior.mean is None else float(prior.mean) for prior, unit in sides]
    scale = np.sqrt(own[0] / own[1] * H.mean(1) / W.mean(0))
    W, H = W * scale, H / scale[:, None]
    priors = [_conditional(prior, own[axis], axis, model.rank) for axis, prior in enumerate(model.parts[1:])]
    ones = np.ones(model.rank)
    q_W, q_H = Gammas(NEAR + 0 * W, NEAR / W), Gammas(NEAR + 0 * H, NEAR / H)
    beliefs = Beliefs(q_W, q_H, priors[0], priors[1], Gammas(ones, ones), found.likelihood)
    shrinkage = ready.shrinkage
    return found._replace(
        beliefs=beliefs, priors=(model.parts[1], model.parts[2]), shrinkage=shrinkage,
        learned=learned_parameters(model), relevance=np.broadcast_to(np.inf, found.relevance.shape),
    )  # fmt: skip


def fits(engine: CAVI, model: Model) -> bool:
    """Whether CAVI has a posterior for a model."""
    likelihood, W, H = model.parts
    try:
        engine.check(likelihood)
    except EngineError:
        return False
    normal = likelihood.background == "quadratic"
    return all((p.power == 2 or float(p.shape or 0) == 1) if normal else p.power == 1 for p in (W, H))


def _conditional(prior: Prior, mean: float, axis: int, rank: int) -> Conditional:
    shape = 1.0 if prior.shape is None else float(prior.shape)
    rate = float(prior.rate(jnp.asarray(mean))) if prior.power == 2 else shape / mean
    full = np.expand_dims(np.full(rank, rate), axis)
    return Conditional(shape, full, np.log(full))


def check_density(likelihood: Likelihood, name: str) -> None:
    """Raise EngineError for what is no likelihood."""
    if not likelihood.is_density:
        raise EngineError(
            f"{name} has no posterior for {type(likelihood).__name__}, which is no density. Use a likelihood such as "
            "Poisson() or Gaussian(), or engine=bn.MAP()."
        )
