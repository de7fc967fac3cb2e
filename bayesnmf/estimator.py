"""`BayesianNMF`: the library as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any, Self

import jax
import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ._errors import DataError, EngineError, Finding, ModelError, check_count
from ._fit import fit as fit_matrix
from ._input import labelled
from ._types import MatrixLike, Precision
from .engines import CAVI, MAP
from .likelihoods import CompoundPoisson, GammaNoise, Gaussian, Likelihood, NegativeBinomial, Poisson
from .posterior import Name

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
    "compound_poisson": CompoundPoisson,
    "gaussian": Gaussian,
    "gamma": GammaNoise,
}
"""What the strings of `BayesianNMF(likelihood=...)` stand for; "auto" leaves it to the door."""

ENGINES: dict[str, type[CAVI] | type[MAP]] = {"cavi": CAVI, "map": MAP}
"""What the strings of `BayesianNMF(engine=...)` stand for."""

FOLDS = 5
"""Parts that `BayesianNMF.score` divides the features into."""

BLOCK = 2**22
"""Entries that are held dense at a time."""

PROJECTION = {"precision": "float64", "starts": 1, "max_steps": 20_000, "tol": 1e-9, "residual_tol": 1e-3}
"""Options of the engine in `transform`: solved far enough that each sample stands for itself."""


class BayesianNMF(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Non-negative matrix factorization as a scikit-learn transformer: ``X ~ transform(X) @ components_``.

    For pipelines and grid searches. `bayesnmf.fit` gives the same answer and takes more: weights, offsets, groups,
    priors, known components.

    Parameters
    ----------
    n_components : int or "auto"
        Number of components. "auto" asks `bayesnmf.select_rank`, which chooses the noise too where that is
        left out; `fit_.selection` says why.
    likelihood : {"auto", "poisson", "negative_binomial", "compound_poisson", "gaussian", "gamma"} or Likelihood
        What the entries of X are, given their mean. "auto" is what `bayesnmf.fit` takes X for: with "cavi" whole
        numbers are Poisson, other non-negative values CompoundPoisson; with "map" non-negative X is Poisson; X with
        negative entries is Gaussian.
    engine : {"cavi", "map"}, CAVI or MAP
        Algorithm: a posterior, or its mode. An object brings its own options: then leave `starts`, `max_iter`, `tol`
        and `precision` alone.
    starts : int, optional
        Random starts, of which the best is kept. Left out: as many as the engine has by itself.
    max_iter : int
        Most steps of one start.
    tol : float
        Converged when the objective (minus the ELBO, or the log posterior) falls by less than this share of itself.
    precision : {"float32", "float64"}
        Arithmetic of `fit`. `transform` works in float64.
    random_state : int, RandomState or None
        An int is the `seed` of `bayesnmf.fit`: same seed, same result. None draws one from NumPy's global state.

    Attributes
    ----------
    components_ : array of shape (n_components_, n_features)
        The parts, each row summing to 1: posterior means, or the mode.
    components_std_ : array of shape (n_components_, n_features)
        Posterior standard deviations of `components_`, computed when asked for. Not there with "map".
    n_components_ : int
        Number of components kept; 0 where shrinkage found nothing but noise, with a warning.
    reconstruction_err_ : float
        ``sqrt(2 D)``, D the divergence that belongs to the likelihood between X and W H: the Frobenius norm for
        Gaussian, as in scikit-learn.
    n_iter_ : int
        Steps of the best start.
    fit_ : Fit
        All there is to know: agreement of the starts, warnings, trace, noise.
    n_features_in_, feature_names_in_ : int, array of str
        Number of features of X; their names, where X had them.

    Notes
    -----
    X is dense or scipy.sparse. NaN and masked entries are missing. What must be known of a fit is said as a warning: a
    `ConvergenceWarning` when it did not converge, a `UserWarning` otherwise; the same findings are in
    ``fit_.warnings``.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesnmf import BayesianNMF
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(rng.gamma(1, 50, (50, 3)) @ rng.dirichlet(np.full(20, 0.3), 3))
    >>> model = BayesianNMF(n_components=3, starts=3)
    >>> model.fit_transform(X).shape
    (50, 3)
    >>> model.components_.sum(axis=1).round(6).tolist()
    [1.0, 1.0, 1.0]
    >>> low, high = model.interval("H", prob=0.9)
    >>> low.shape
    (3, 20)
    """

    def __init__(
        self,
        n_components: int | str = "auto",
        *,
        likelihood: str | Likelihood = "auto",
        engine: str | CAVI | MAP = "cavi",
        starts: int | None = None,
        max_iter: int = 5000,
        tol: float = 1e-6,
        precision: Precision = "float32",
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.n_components = n_components
        self.likelihood = likelihood
        self.engine = engine
        self.starts = starts
        self.max_iter = max_iter
        self.tol = tol
        self.precision = precision
        self.random_state = random_state

    def fit(self, X: MatrixLike, y: Any = None) -> Self:
        """Learn the components of X (n_samples, n_features). `y` is ignored.

        Raises
        ------
        DataError, ModelError, EngineError
            For data or parameters that cannot be used. All are ValueErrors.
        """
        rank, likelihood, engine = self._rank(), self._likelihood(), self._engine()
        matrix, samples, features = labelled(X)
        X = self._validated(matrix, reset=True)
        found = fit_matrix(X, rank=rank, likelihood=likelihood, engine=engine, seed=self._seed())
        self.fit_ = replace(found, samples=samples, features=features)
        self.components_ = found.H.astype(X.dtype)
        self.n_components_ = found.rank
        self.n_iter_ = found.steps
        self.reconstruction_err_ = self._reconstruction_error(X)
        _say(found.warnings)
        return self

    @property
    def components_std_(self) -> np.ndarray:
        """Posterior standard deviations of `components_`, (n_components_, n_features)."""
        check_is_fitted(self)
        posterior = self.fit_.posterior
        if posterior is None:
            raise AttributeError(
                "components_std_ needs a posterior, and engine='map' gives one point. Use engine='cavi'."
            )
        try:
            variance = posterior.variance("H")
        except EngineError as error:
            raise AttributeError(f"There is no components_std_. {error}") from error
        return np.sqrt(variance).astype(self.components_.dtype)

    def interval(self, name: Name = "H", prob: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper ends of intervals of the fit, as `Fit.interval` does.

        `name` is "H" (the components), or "W", "mean", "mass" or "share" of the samples that were fitted.

        Raises
        ------
        EngineError
            With engine="map", which is one point.
        """
        check_is_fitted(self)
        return self.fit_.interval(name, prob)

    def transform(self, X: MatrixLike) -> np.ndarray:
        """Return the activities (n_samples, n_components_) of samples at the fitted components.

        Posterior means given what was learned of the components, or the mode. The components stay as they are, so
        each row depends on its own sample only. The dtype is that of X where X is float32, else float64.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        return self._activities(X).astype(X.dtype)

    def inverse_transform(self, X: MatrixLike) -> np.ndarray:
        """Return the mean (n_samples, n_features) at activities X (n_samples, n_components_), as `transform` gives."""
        check_is_fitted(self)
        X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32])
        if X.shape[1] != self.n_components_:
            raise DataError(
                f"Expected activities of {self.n_components_} components, as transform gives; got {X.shape[1]} columns."
            )
        return np.asarray(X @ self.components_)

    def score(self, X: MatrixLike, y: Any = None) -> float:
        """Return the mean log density of the entries of X, each predicted from other features of its sample.

        Features are dealt into 5 parts (0, 5, 10, ...; 1, 6, ...). For each part, activities are found from
        the other features, and the entries of the part are scored at the mean they give. So more components are not
        better by themselves, and `GridSearchCV` over `n_components` means something. Higher is better; for a
        likelihood that is no density (`BetaDivergence`) it is minus the mean loss. Missing entries do not count. A
        predicted mean below 1% of the feature's mean in the fit counts as that 1%: a mode has exact zeros, and one
        count there would cost everything. With a few counts for each sample the score prefers too few components.
        `y` is ignored.

        Raises
        ------
        DataError
            For X with a single feature: there is none to predict it from.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        m = X.shape[1]
        if m == 1:
            raise DataError("score predicts each feature from the others, and X has 1 feature(s). Use fit_.objective.")
        total = count = 0.0
        least = self.fit_.W.mean(0) @ self.fit_.H / 100
        for _, x in _blocks(X):
            for fold in range(min(FOLDS, m)):
                out = np.arange(m) % FOLDS == fold
                # a sample with nothing but missing entries in the other features cannot be predicted
                rows = x[~np.isnan(x[:, ~out]).all(1)]
                if not len(rows):
                    continue
                mean = self._activities(np.where(out, np.nan, rows)) @ self.fit_.H
                density = self._by_entry("log_density", rows, np.maximum(mean, least))[:, out]
                total, count = total + np.nansum(density), count + np.isfinite(rows[:, out]).sum()
        return float(total / count)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        likelihood = LIKELIHOODS.get(self.likelihood) if isinstance(self.likelihood, str) else self.likelihood
        tags.input_tags.positive_only = getattr(likelihood, "support", "real") != "real"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _validated(self, X: MatrixLike, reset: bool) -> Any:
        """Return X as scikit-learn checks it, NaN where it was masked."""
        X, _, _ = labelled(X)
        if isinstance(X, np.ma.MaskedArray):
            X = np.ma.filled(X.astype(float), np.nan)
        return validate_data(
            self, X, reset=reset, accept_sparse="csr", dtype=[np.float64, np.float32], ensure_all_finite="allow-nan"
        )

    def _rank(self) -> int | str:
        k = self.n_components
        whole = isinstance(k, Integral) and not isinstance(k, bool) and k >= 1
        if not whole and not (isinstance(k, str) and k == "auto"):
            raise ModelError(f'Expected n_components to be "auto" or a whole number of at least 1; got {k!r}.')
        return k

    def _likelihood(self) -> Likelihood | None:
        if isinstance(self.likelihood, Likelihood):
            return self.likelihood
        if self.likelihood not in ("auto", *LIKELIHOODS):
            names = ", ".join(f'"{name}"' for name in LIKELIHOODS)
            raise ModelError(
                f'Expected likelihood to be "auto", {names} or an object such as bn.Poisson(); got {self.likelihood!r}.'
            )
        return None if self.likelihood == "auto" else LIKELIHOODS[self.likelihood]()

    def _engine(self) -> CAVI | MAP:
        options = {"starts": self.starts, "max_iter": self.max_iter, "tol": self.tol, "precision": self.precision}
        if isinstance(self.engine, (CAVI, MAP)):
            default = type(self)()
            changed = [name for name, value in options.items() if value != getattr(default, name)]
            if changed:
                raise EngineError(f"An engine object has its own options: set {', '.join(changed)} there, not here.")
            return self.engine
        if not isinstance(self.engine, str) or self.engine not in ENGINES:
            names = ", ".join(f'"{name}"' for name in ENGINES)
            raise EngineError(f"Expected engine to be {names} or an object such as bn.CAVI(); got {self.engine!r}.")
        check_count("max_iter", self.max_iter, 1)
        engine = ENGINES[self.engine](max_steps=self.max_iter, tol=self.tol, precision=self.precision)
        return engine if self.starts is None else replace(engine, starts=self.starts)

    def _seed(self) -> int:
        drawn = check_random_state(self.random_state)
        return int(self.random_state) if isinstance(self.random_state, Integral) else drawn.randint(2**31 - 1)

    def _activities(self, X: Any) -> np.ndarray:
        found = replace(self.fit_, engine=replace(self.fit_.engine, **PROJECTION)).project(X)
        _say(found.warnings)
        return found.W

    def _reconstruction_error(self, X: Any) -> float:
        total = 0.0
        for rows, x in _blocks(X):
            total += np.nansum(self._by_entry("divergence", x, self.fit_.W[rows] @ self.fit_.H))
        return float(np.sqrt(2 * max(total, 0.0)))

    def _by_entry(self, method: str, x: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Return a method of the fit's likelihood at each entry; NaN where x is missing."""
        with jax.enable_x64(True):
            likelihood = jax.tree.map(lambda leaf: np.asarray(leaf, float), self.fit_.model.likelihood)
            mean = np.maximum(mean, np.finfo(float).tiny)
            value = np.asarray(_entrywise(likelihood, np.nan_to_num(x).astype(float), mean, method=method))
        return np.where(np.isnan(x), np.nan, value)


@partial(jax.jit, static_argnames="method")
def _entrywise(likelihood: Likelihood, x: np.ndarray, mean: np.ndarray, *, method: str) -> jax.Array:
    return getattr(likelihood, method)(x, mean)


def _blocks(X: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the rows of X block by block, dense."""
    step = max(1, BLOCK // X.shape[1])
    for start in range(0, X.shape[0], step):
        rows = slice(start, start + step)
        yield rows, X[rows] if isinstance(X, np.ndarray) else X[rows].toarray()


def _say(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        course = finding.name in ("max_steps", "nonfinite")
        warnings.warn(str(finding), ConvergenceWarning if course else UserWarning, stacklevel=3)
