"""Data whose parts are known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ModelError
from ..align import unit_rows
from ..likelihoods import Poisson
from ..likelihoods._base import Likelihood
from ._dataset import Dataset, Truth

ACTIVITY_SHAPE = 0.5
PERSISTENCE = 0.7
"""Correlation of the logarithm of a gain with the one a row before."""


def simulate(
    n: int = 100,
    m: int = 40,
    rank: int = 5,
    *,
    likelihood: Likelihood | None = None,
    mean: float = 10.0,
    profile_shape: float = 0.25,
    trials: int = 1,
    drift: float = 0.0,
    seed: int = 0,
) -> Dataset:
    """Make data whose components and activities are known, with noise of your choice: to teach, and to test methods.

    Components are Dirichlet(`profile_shape`), activities Gamma of shape 1/2, as in the simulations of Zito and Miller
    (2024): most samples hold little of a component and some hold much. The order is that of mass, as in a fit.

    With `drift`, each feature has a gain that wanders within a trial: samples that follow one another resemble each
    other for a reason that is no component, as in recordings over time. Methods that take samples for independent are
    then misled; ``groups=data.coords["trial"]`` tells them. What is drawn is easier than what is recorded: do not
    conclude from these data that a method works on yours.

    Parameters
    ----------
    n, m, rank : int
        Samples, features, components.
    likelihood : Likelihood, optional
        With its noise given, in the unit of `mean`: ``NegativeBinomial(dispersion=0.15)``,
        ``CompoundPoisson(shape=1.5, jump=0.3)``, ``Gaussian(variance=1.0)``, ``GammaNoise(shape=4.0)``. Left out:
        `Poisson`.
    mean : float
        Expected mean of X.
    profile_shape : float
        Below 1 components have few features each, above it they are alike.
    trials : int
        Number of trials of equal length; they are in ``coords["trial"]``.
    drift : float
        Coefficient of variation of the gains: 0 for none, 0.4 for much. The logarithm of a gain is an autoregressive
        process within a trial, correlated by 0.7 from one sample to the next; its expectation is 1.
    seed : int
        The same seed gives the same data.

    Returns
    -------
    Dataset
        With ``truth``: W (n, rank) in the unit of X and H (rank, m). X has whole numbers where the likelihood is for
        counts. Gains are not in `truth`.

    Raises
    ------
    ModelError
        For a likelihood whose noise is not given or that is no distribution, and for sizes out of range.

    References
    ----------
    Zito, A. and Miller, J. W. (2024). Compressive Bayesian non-negative matrix factorization for mutational signatures
    analysis. arXiv:2404.10974.

    Examples
    --------
    >>> import bayesnmf as bn
    >>> data = bn.datasets.simulate(60, 30, rank=3)
    >>> fit = bn.fit(data.X, rank=3, engine=bn.MAP())
    >>> bool((bn.match(fit, data.truth).cosine > 0.95).all())
    True
    """
    likelihood = Poisson() if likelihood is None else likelihood
    _check(n, m, rank, likelihood, mean, profile_shape, trials, drift)
    rng = np.random.default_rng(seed)
    W, H = unit_rows(
        rng.gamma(ACTIVITY_SHAPE, mean * m / rank / ACTIVITY_SHAPE, (n, rank)),
        rng.dirichlet(np.full(m, profile_shape), rank),
    )
    order = np.argsort(-W.sum(0))
    truth = Truth(W[:, order], H[order])
    gain = _gains(rng, n, m, trials, drift)
    level = jnp.asarray(truth.W @ truth.H * gain, jnp.float32)
    X = np.asarray(likelihood.sample(jax.random.key(int(rng.integers(2**32))), level), float)
    noise = "".join(f", {name} {np.asarray(value).tolist()}" for name, value in likelihood.noise().items())
    kind = type(likelihood).__name__
    return Dataset(
        name="simulated",
        X=X.astype(np.int64) if likelihood.support == "counts" else X,
        feature_names=tuple(f"feature{j:0{len(str(m - 1))}d}" for j in range(m)),
        coords={"trial": np.repeat(np.arange(trials), n // trials)},
        description=(
            f"Simulated: {rank} components from Dirichlet({profile_shape:g}), activities from "
            f"Gamma({ACTIVITY_SHAPE:g}), mean {mean:g}, {kind} noise{noise}"
            + (f", gains that drift by {drift:g} in {trials} trial{'s' * (trials > 1)}." if drift else ".")
        ),
        known=f"All of it: {rank} components; W and H are in `truth`.",
        likelihood=kind,
        licence="None: made by bayesnmf.datasets.simulate",
        citation=(
            "The distributions are those of Zito, A. and Miller, J. W. (2024). Compressive Bayesian non-negative "
            "matrix factorization for mutational signatures analysis. arXiv:2404.10974."
        ),
        truth=truth,
    )


def _check(
    n: int, m: int, rank: int, likelihood: Likelihood, mean: float, profile_shape: float, trials: int, drift: float
) -> None:
    likelihood.check()
    if likelihood.learned:
        raise ModelError(
            f"To simulate there must be a truth: give the noise of {type(likelihood).__name__}, such as "
            "NegativeBinomial(dispersion=0.15), CompoundPoisson(shape=1.5, jump=0.3), Gaussian(variance=1.0) or "
            "GammaNoise(shape=4.0)."
        )
    positive = 0 < mean < np.inf and 0 < profile_shape < np.inf and 0 <= drift < np.inf
    if min(n, m, rank, trials) < 1 or n % trials or not positive:
        raise ModelError(
            f"Expected n, m and rank of at least 1, trials that divide n, mean and profile_shape above 0, drift of at "
            f"least 0; got n={n}, m={m}, rank={rank}, trials={trials}, mean={mean}, profile_shape={profile_shape}, "
            f"drift={drift}."
        )


def _gains(rng: np.random.Generator, n: int, m: int, trials: int, drift: float) -> np.ndarray:
    """Return log-normal gains of mean 1, (n, m), autoregressive within trials."""
    z = rng.normal(size=(trials, n // trials, m))
    for before, now in zip(z.swapaxes(0, 1), z.swapaxes(0, 1)[1:], strict=False):
        now *= np.sqrt(1 - PERSISTENCE**2)
        now += PERSISTENCE * before
    spread = np.log1p(drift**2)
    return np.exp(np.sqrt(spread) * z - spread / 2).reshape(n, m)
