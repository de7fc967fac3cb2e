"""What judges fits by a zoo model's reference: its data, what of a posterior data can tell, and the same of any fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from numpyro import handlers
from numpyro.infer.util import log_density
from numpyro.primitives import Messenger

import bayesnmf as bn
from bayesnmf._input import read
from bayesnmf._resolve import resolve
from bayesnmf.sampled import Sampled

Values = dict[str, Any]
"""Values of the sites of a program, or what follows from them, draws first."""


class Seen(Messenger):
    """Leave entries of X that are held out without a density."""

    def __init__(self, fn: Callable[..., Any], observed: np.ndarray):
        self.observed = observed
        super().__init__(fn)

    def process_message(self, message: Any) -> None:
        if message["type"] == "sample" and message["name"] == "X":
            message["fn"] = message["fn"].mask(self.observed)


def bound(program: Callable[..., Any], recipe: dict[str, Any], n: int, m: int) -> Callable[..., Any]:
    """Return a program with all of its arguments but X: sizes, groups, and its own."""
    given = dict(n=n, m=m, rank=recipe["rank"], **recipe.get("arguments", {}))
    if "groups" in recipe:
        given |= {"groups": jnp.asarray(recipe["groups"]), "n_groups": len(set(np.asarray(recipe["groups"]).tolist()))}
    return partial(program, **given)


def drawn(program: Callable[..., Any], recipe: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return X drawn from a program, some of its sites as the recipe has them, and which entries are held out."""
    n, m, seed = recipe["n"], recipe["m"], recipe["seed"]
    sites = {name: jnp.asarray(value, float) for name, value in recipe.get("drawn_with", {}).items()}
    other = {"arguments": {}} if "drawn_from" in recipe else {}
    own = bound(program, recipe | {"rank": recipe.get("drawn_rank", recipe["rank"])} | other, n, m)
    trace = handlers.trace(handlers.seed(handlers.substitute(own, data=sites), seed)).get_trace(None)
    flat = np.random.default_rng(seed).choice(n * m, recipe["held_out"], replace=False)
    return np.asarray(trace["X"]["value"], float), np.stack(np.divmod(np.sort(flat), m), 1)


@dataclass(frozen=True)
class Judge:
    """A program and the data that its reference is of."""

    program: Callable[..., Any]
    data: dict[str, Any]
    own: Callable[..., Any] = field(init=False)
    """The program with all its arguments, X masked."""

    def __post_init__(self) -> None:
        own = bound(self.program, self.data, *self.data["X"].shape)
        object.__setattr__(self, "own", Seen(own, self.data["observed"]))

    @classmethod
    def of(cls, name: Any, program: Callable[..., Any] | None = None) -> Judge:
        """Return that of a model of the zoo, or of a program that is to be judged by its reference."""
        return cls(program or bn.models.load(name), bn.models.data(name))

    def quantities(self, values: Values) -> dict[str, np.ndarray]:
        """Return what data can tell, for each draw of all sites: entries of the mean, log densities, masses."""
        X, observed = jnp.asarray(self.data["X"]), self.data["observed"]

        def one(values: Values) -> dict[str, jax.Array]:
            trace = handlers.trace(handlers.substitute(self.own, data=values)).get_trace(X)
            free = {
                name: site["value"]
                for name, site in trace.items()
                if site["type"] == "sample" and not site["is_observed"]
            }
            joint, _ = log_density(self.own, (X,), {}, free)
            fn = trace["X"]["fn"].base_dist
            log = jnp.broadcast_to(fn.log_prob(X), X.shape)
            W, H = trace["W"]["value"], trace["H"]["value"]
            mean = trace["mean"]["value"] if "mean" in trace else W @ H
            return {"log_joint": joint} | of_draw(mean, W, H, log, observed)

        return jax.tree.map(np.asarray, jax.lax.map(one, jax.tree.map(jnp.asarray, values)))

    def fit(self, engine: Any, model: bn.Model | None = None, **given: Any) -> bn.Fit:
        """Return a fit of the data, of the program or of a built-in model that says the same."""
        arguments = {name: self.data[name] for name in ("observed", "groups") if name in self.data} | given
        if model is not None:
            return bn.fit(self.data["X"], model, engine=engine, **arguments)
        program = partial(self.program, **self.data["arguments"]) if self.data["arguments"] else self.program
        return bn.fit(self.data["X"], program, rank=self.data["rank"], engine=engine, **arguments)

    def of_fit(self, fit: bn.Fit) -> dict[str, np.ndarray]:
        """Return the quantities of a fit, (chains, draws, ...): what it has of them."""
        if isinstance(fit.posterior, Sampled):
            return self._of_sites(fit.posterior.W, fit.posterior.H, fit.posterior.others, fit.posterior.known)
        X, observed = jnp.asarray(self.data["X"]), self.data["observed"]
        draws = fit.draws(1000)

        def one(draw: tuple[Any, Any]) -> dict[str, jax.Array]:
            mean = draw[0] @ draw[1]
            return of_draw(mean, *draw, fit.posterior.likelihood.log_density(X, mean), observed)

        found = jax.lax.map(one, (jnp.asarray(draws["W"]), jnp.asarray(draws["H"])))
        return {name: np.asarray(a)[None] for name, a in found.items()}

    def of_draws(self, engine: Any, model: bn.Model, seed: int = 0) -> dict[str, np.ndarray]:
        """Return the quantities of a built-in model, of all components: a fit leaves out what shrinkage drops."""
        table = read(self.data["X"], observed=self.data["observed"])
        kept = engine.run(resolve(model, table, engine), table, jax.random.key(seed)).draws
        return self._of_sites(kept.W, kept.H, kept.others, model.known_rows)

    def _of_sites(self, W: np.ndarray, H: np.ndarray, others: Values, known: int) -> dict[str, np.ndarray]:
        """Return the quantities of draws with rows of H that sum to 1, by the names that the zoo has for sites."""
        values, shape = dict(others), W.shape[:2]
        if "scale" in values:
            size = values.pop("scale")
            W, H = W / size[:, :, None], H * size[..., None]
        if known:
            values["new_H"] = H[:, :, known:]
        if "rate_W" in values:
            values["rate"] = values["rate_W"]
        flat = {name: a.reshape(-1, *a.shape[2:]) for name, a in (values | {"W": W, "H": H}).items()}
        return {name: a.reshape(*shape, *a.shape[1:]) for name, a in self.quantities(flat).items()}


def of_draw(mean: Any, W: Any, H: Any, log: Any, observed: np.ndarray) -> dict[str, jax.Array]:
    """Return what follows from one draw."""
    return {
        "log_likelihood": jnp.sum(jnp.where(observed, log, 0)),
        "held_out": jnp.sum(jnp.where(observed, 0, log)),
        "masses": jnp.sort(W.sum(0) * H.sum(1)),
        "entries": mean,
    }


def same_as(card: dict[str, Any], data: dict[str, Any]) -> bn.Model | None:
    """Return the built-in model that a card names, or None."""
    if "same_as" not in card:
        return None
    parts = {
        name: getattr(bn, given["class"])(**{key: value for key, value in given.items() if key != "class"})
        for name, given in card["same_as"].items()
    }
    known = data["arguments"].get("known")
    return bn.Model(data["rank"], known=None if known is None else np.asarray(known), **parts)


class Compared(NamedTuple):
    """A quantity of a fit beside its reference: the difference of means in standard errors of both (`z`), and in
    posterior standard deviations (`away`); the ratio of standard deviations (`spread`); effective draws (`ess`)."""

    z: np.ndarray
    away: np.ndarray
    spread: np.ndarray
    ess: np.ndarray


def compared(found: dict[str, np.ndarray], reference: dict[str, Any]) -> dict[str, Compared]:
    """Return quantities (chains, draws, ...) beside those of a reference."""
    result = {}
    for name, values in found.items():
        mean, sd, mcse = (np.asarray(reference[name][key]) for key in ("mean", "sd", "mcse"))
        if mean.shape != values.shape[2:]:  # masses of a fit that dropped a component
            continue
        own = values.std((0, 1))
        ess = np.maximum(array_stats.ess(values, chain_axis=0, draw_axis=1, method="mean"), 1)
        error = own / np.sqrt(ess)
        gap = values.mean((0, 1)) - mean
        result[name] = Compared(gap / np.hypot(error, mcse), gap / sd, own / sd, np.asarray(ess))
    return result


DIRICHLET = 'H = numpyro.sample("H", dist.Dirichlet(jnp.full(m, 0.5)).expand([rank]))'
TRANSPOSED = """T = numpyro.sample("T", dist.Dirichlet(jnp.full(rank, 0.5)).expand([m]))
    H = numpyro.deterministic("H", T.T)"""
FAULTS = {
    "rate": {
        "hpf": ('"xi", dist.Gamma(1.0, 1.0)', '"xi", dist.Gamma(1.0, 1.2)'),
        "compressive": ("n * level", "1.2 * n * level"),
        "fixed-plus-new": ("1.0 / 50.0", "1.2 / 50.0"),
    },
    "transposed": {name: (DIRICHLET, TRANSPOSED) for name in ("compressive", "hierarchical-groups", "time-smooth")},
}
"""Faults by kind and model: a rate that is wrong by a fifth, and H the wrong way round."""


def planted(name: str, kind: str, folder: Path) -> Judge:
    """Return what judges a copy of a model, with a fault, by the reference of the model."""
    right, wrong = FAULTS[kind][name]
    text = bn.models.source(name)
    if text.count(right) != 1:
        raise ValueError(f"{name} has no {right}")
    shutil.copytree(bn.models.ROOT / name, folder / name)
    (folder / name / "model.py").write_text(text.replace(right, wrong), encoding="utf-8")
    return Judge.of(folder / name)
