"""Programs of the zoo that have no built-in twin say what their cards say: the log joint, written out with SciPy."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from judge import Judge
from numpyro import handlers
from numpyro.infer.util import log_density
from scipy import stats

pytestmark = pytest.mark.usefixtures("promoted", "x64")

Sites = dict[str, Any]
Said = tuple[float, np.ndarray]
"""Log density of all sites but X, and the mean of X."""


def log_gamma(x: np.ndarray, shape: float, rate: Any) -> float:
    return float(stats.gamma(shape, scale=1 / np.asarray(rate)).logpdf(x).sum())


def log_rows(H: np.ndarray) -> float:
    """Return the log density of rows of a symmetric Dirichlet of 1/2."""
    return float(sum(stats.dirichlet(np.full(len(row), 0.5)).logpdf(row) for row in H))


def hpf(z: Sites, X: np.ndarray, groups: Any) -> Said:
    prior = log_gamma(z["xi"], 1, 1) + log_gamma(z["eta"], 1, 1)
    return prior + log_gamma(z["W"], 0.3, z["xi"][:, None]) + log_gamma(z["H"], 0.3, z["eta"]), z["W"] @ z["H"]


def gap(z: Sites, X: np.ndarray, groups: Any) -> Said:
    prior = log_gamma(z["theta"], 2 / len(z["theta"]), 2 / 20)
    return prior + log_gamma(z["V"], 1, 1) + log_gamma(z["H"], 1, 1), (z["V"] * z["theta"]) @ z["H"]


def hierarchical_groups(z: Sites, X: np.ndarray, groups: Any) -> Said:
    level = z["population"] * np.exp(z["spread"] * z["departure"])
    prior = stats.halfnorm.logpdf(z["spread"]).sum() + stats.lognorm(1.5, scale=np.exp(3)).logpdf(z["population"]).sum()
    prior += stats.norm.logpdf(z["departure"]).sum() + log_gamma(z["W"], 3, 3 / level[groups])
    return prior + log_rows(z["H"]), z["W"] @ z["H"]


def time_smooth(z: Sites, X: np.ndarray, groups: Any) -> Said:
    path = [z["new"][0]]
    for step in z["new"][1:]:
        path.append(z["rho"] * path[-1] + np.sqrt(1 - z["rho"] ** 2) * step)
    prior = stats.halfnorm.logpdf(z["sigma"]).sum() + stats.norm(3, 1.5).logpdf(z["level"]).sum()
    prior += stats.norm.logpdf(z["new"]).sum() + log_rows(z["H"])
    return prior, np.exp(z["level"] + z["sigma"] * np.array(path)) @ z["H"]


def convolutive(z: Sites, X: np.ndarray, groups: Any) -> Said:
    n, m = X.shape
    sequences = z["flat"].reshape(len(z["level"]), -1, m)
    mean = np.zeros((n, m))
    for frame in range(n):
        for lag in range(min(sequences.shape[1], frame + 1)):
            mean[frame] += z["W"][frame - lag] @ sequences[:, lag]
    prior = stats.lognorm(2.0).logpdf(z["level"]).sum() + log_gamma(z["W"], 0.3, 0.3 / z["level"])
    return prior + log_rows(z["flat"]), mean


@pytest.mark.parametrize("said", [hpf, gap, hierarchical_groups, time_smooth, convolutive])
def test_the_log_joint_is_that_of_the_card(said: Callable[..., Said]) -> None:
    judge = Judge.of(said.__name__.replace("_", "-"))
    X, seen = judge.data["X"], judge.data["observed"]
    trace = handlers.trace(handlers.seed(judge.own, 3)).get_trace(None)
    z = {site: np.asarray(a["value"]) for site, a in trace.items() if a["type"] == "sample" and site != "X"}
    prior, mean = said(z, X, judge.data.get("groups"))
    got, _ = log_density(judge.own, (jnp.asarray(X),), {}, {site: jnp.asarray(value) for site, value in z.items()})
    assert float(got) == pytest.approx(prior + stats.poisson(mean).logpmf(X)[seen].sum(), rel=1e-10)
