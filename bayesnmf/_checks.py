"""Whether the noise of a fit is that of its data: what a reader must know before believing an interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ._errors import EngineError, Finding
from .engines import CAVI, MAP, SVI, Engine
from .engines._families import Gammas
from .engines._prepare import dense_rows
from .engines._result import EngineInfo
from .likelihoods import Gaussian, Poisson
from .posterior import LITTLE_WORK, SOFT, Posterior
from .sampled import Sampled


def course_findings(info: EngineInfo, best: int, engine: Engine) -> tuple[Finding, ...]:
    """Return what must be said of how the best start ended."""
    status = info.status[best]
    if status == "nonfinite":
        message = "the objective stopped being finite; the last finite state is kept. Use precision='float64' or "
        return (Finding(status, message + "rescale X."),)
    if status != "max_steps" or not (getattr(engine, "tol", 0) or getattr(engine, "residual_tol", 0)):
        return ()
    if isinstance(engine, SVI):
        message = f"the bound had not stopped rising after max_steps={engine.max_steps}. Raise it, or rate."
    else:
        assert isinstance(engine, (MAP, CAVI))
        message = (
            f"not converged after max_steps={engine.max_steps}: residual {info.residual[best]:.2g}, wanted "
            f"{engine.residual_tol:g}. Raise max_steps, or go on from here with init=fit."
        )
    return (Finding(status, message),)


CHUNK = 2**22
"""Entries of X that are looked at together."""

SURE, LARGE = 4.0, 0.1
"""Rejected are differences of more standard errors than the first that are larger than the second."""


def noise_findings(posterior: Posterior | Sampled) -> list[Finding]:
    """Return a finding where the residuals, or the exact zeros, are not those that the likelihood expects.

    The mean of ``(x - v)^2 / variance`` is 1 where the likelihood is right, after W and H have spent their degrees of
    freedom: an entry that holds little beside its prior has spent little. Where that would reject the noise, and a
    response is little work, it has the last word. Learned Gaussian noise has it by construction, and real values have
    no zeros to count.
    """
    likelihood, (W, H), table = posterior.likelihood, posterior.means, posterior.table
    if likelihood is None or isinstance(likelihood, Gaussian):
        return []
    n, m = table.shape
    sums = np.zeros(5)
    for start in range(0, n, step := max(1, CHUNK // m)):
        rows = dense_rows(table, slice(start, min(start + step, n)))
        v = np.maximum(rows.factor * (W[start : start + step] @ H), 1e-12 * table.level)
        ratio = np.square(rows.x - v) / np.asarray(likelihood.variance_at(v), float)
        zero = np.asarray(likelihood.zeros(v), float)
        terms = (np.ones_like(v), ratio, ratio**2, (rows.x == 0) - zero, zero * (1 - zero))
        sums += [term[rows.weight > 0].sum() for term in terms]
    count, (dispersion, square, off, noise) = sums[0], sums[1:] / sums[0]
    error, noise = np.sqrt(max(square - dispersion**2, 0) / count), np.sqrt(noise / count)
    name = type(likelihood).__name__
    said = []

    def excess(spent: float) -> float:
        """Return by how much residuals vary more than they should; 0 where that may be chance."""
        left = 1 - min(spent / table.total_weight, 0.9)
        more = dispersion / left - 1
        return more if more > max(LARGE, SURE * error / left) else 0.0

    more = excess(_spent(posterior))
    if more and isinstance(posterior, Posterior) and posterior.weighed:
        more = excess(_leverage(posterior))
    if more:
        said.append(f"residuals vary {1 + more:.2f} times as much as {name} noise says")
    if abs(off) > LARGE / 2 and abs(off) > SURE * noise:
        said.append(f"there are {abs(off):.1%} {'more' if off > 0 else 'fewer'} exact zeros than {name} noise makes")
    if not said:
        return []
    way_out = "NegativeBinomial() or more components" if isinstance(likelihood, Poisson) else "more components"
    return [Finding("noise_rejected", f"{', and '.join(said)}: intervals are too narrow. Try {way_out}.")]


def _spent(posterior: Posterior | Sampled) -> float:
    """Return the degrees of freedom of W and H: those of a posterior by `CAVI` as its noise is corrected for them."""
    (n, m), k = posterior.table.shape, posterior.rank
    most = k * (n + m - k)
    if isinstance(posterior, Sampled) or not isinstance(posterior.W, Gammas) or not isinstance(posterior.H, Gammas):
        return most
    sides = ((posterior.W, posterior.prior_W), (posterior.H, posterior.prior_H))
    return min(sum(float(np.sum(1 - prior.shape / q.shape)) for q, prior in sides) - k, most)


def _leverage(posterior: Posterior) -> float:
    """Return the degrees of freedom of W and H by linear response: variance of the mean over that of the noise."""
    try:
        of_mean = replace(posterior).estimate("mean", "linear_response").variance
    except EngineError:
        return _spent(posterior)
    rows, (W, H) = dense_rows(posterior.table, slice(0, len(of_mean))), posterior.means
    v = np.maximum(rows.factor * (W @ H), 1e-12 * posterior.table.level)
    noise = np.asarray(posterior.likelihood.variance_at(v), float)
    return float(np.sum(rows.weight * rows.factor**2 * of_mean / noise))


DIVERGENT = 0.01
"""Share of divergent steps above which draws may miss where the posterior is narrow."""

RHAT, EFFECTIVE = 1.05, 100.0
"""R-hat above which, and effective draws below which, chains are not to be trusted (Vehtari et al. 2021)."""


def interval_findings(posterior: Posterior | Sampled) -> list[Finding]:
    """Return what must be said where intervals are known to hold the truth less often than they promise."""
    if isinstance(posterior, Sampled):
        return _chain_findings(posterior)
    if not posterior.has_response:
        of_draws = posterior.fitted is not None and not posterior.fitted.linear
        way_out = (
            "samples are projected by CAVI at the mean of the draws. Project from a fit by engine=bn.CAVI()."
            if of_draws
            else "the work of linear response is bounded. Use fewer features or components."
        )
        said = f"intervals ignore how W and H move together, and are too narrow: {way_out}"
        return [Finding("intervals_of_mean_field", said)]
    return []


def response_findings(posterior: Posterior) -> list[Finding]:
    """Return what must be said where the linear response is not defined, or only nearly; nothing where it is long."""
    if not posterior.has_response or posterior.work > LITTLE_WORK:
        return []
    try:
        if not replace(posterior).is_softened:  # of a copy: the response is large, and the fit keeps what it is asked
            return []
    except EngineError as error:
        return [Finding("no_intervals", str(error))]
    return [
        Finding(
            "nearly_flat",
            "this optimum is so flat in some direction that intervals are taken with factors that move together "
            f"{SOFT:.1%} less: those of the components concerned are rough. Lower the rank, or draw: "
            "engine=bn.Gibbs(), init=fit.",
        )
    ]


def _chain_findings(posterior: Sampled) -> list[Finding]:
    found = posterior.convergence
    apart = [f"{name} {rhat:.2f}" for name, (rhat, _, _) in found.items() if rhat > RHAT]
    few = [f"{name} {min(ess):.0f}" for name, (_, *ess) in found.items() if min(ess) < EFFECTIVE]
    findings = []
    divergent = float(np.mean(posterior.others.get("diverging", 0.0)))
    if divergent > DIVERGENT:
        findings.append(
            Finding(
                "divergent_steps",
                f"{divergent:.0%} of the draws come from divergent steps: where the posterior is narrow they may not "
                "have been. Raise target, or use priors with shapes of 1 or more.",
            )
        )
    if apart:
        findings.append(
            Finding(
                "chains_disagree",
                f"R-hat is above {RHAT} ({', '.join(apart)}): chains are in different modes, or not there yet. Raise "
                "warmup and draws; if it stays, read each chain by itself.",
            )
        )
    if few:
        findings.append(
            Finding(
                "few_effective_draws",
                f"fewer than {EFFECTIVE:.0f} effective draws ({', '.join(few)}): ends of intervals are rough. Raise "
                "draws.",
            )
        )
    return findings
