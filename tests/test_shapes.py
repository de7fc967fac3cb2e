"""Shapes of priors by the evidence: what it chooses, what intervals then hold, and what is said where it cannot."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bayesnmf as bn
from bayesnmf import _shapes
from bayesnmf._fit import fit_starts, refit
from bayesnmf._input import read
from bayesnmf._types import Side
from bayesnmf.align import match_rows
from bayesnmf.engines._curvature import Moved
from bayesnmf.posterior import Posterior

Truth = tuple[np.ndarray, np.ndarray, np.ndarray]


def dense(seed: int) -> Truth:
    """Profiles whose shape is 1, and some 400 counts a sample: X, W and H."""
    rng = np.random.default_rng(seed)
    H = rng.dirichlet(np.ones(24), 4)
    W = rng.gamma(1.0, 100.0, (50, 4))
    return rng.poisson(W @ H), W, H


def by_bound(X: np.ndarray, rank: int) -> bn.Fit:
    """The fit at the shapes of the greatest ELBO."""
    return fit_starts(read(X), bn.Model(rank, bn.Poisson()), bn.CAVI(), 0)[0]


def held(fit: bn.Fit, W: np.ndarray, H: np.ndarray) -> list[float]:
    """Shares of W and H that are within 90% intervals."""
    found, shares = match_rows(H, fit.H), []
    for name, true in (("W", W[:, found.own].T), ("H", H[found.own])):
        low, high = ((a.T if name == "W" else a)[found.other] for a in fit.interval(name, 0.9))  # type: ignore[arg-type]
        shares.append(float(np.mean((low <= true) & (true <= high))))
    return shares


def test_intervals_hold_what_they_promise_for_dense_profiles() -> None:
    """By the bound 90% intervals held .70 and .70 of W and H in ten such sets, by the evidence .85 and .87."""
    by_evidence, by_elbo = [], []
    for seed in range(1, 9):
        X, W, H = dense(seed)
        by_evidence.append(held(bn.fit(X, rank=4), W, H))
        by_elbo.append(held(by_bound(X, 4), W, H))
    for new, old in zip(np.transpose(by_evidence), np.transpose(by_elbo), strict=True):
        gain = new - old
        assert gain.mean() > 4 * gain.std(ddof=1) / np.sqrt(len(gain))
        assert new.mean() > 0.8


def test_no_other_shapes_have_more_evidence() -> None:
    X, _, _ = dense(3)
    fit = bn.fit(X, rank=4)
    bound = by_bound(X, 4)
    given: Any = replace(bound.posterior, weighed=("W", "H"))  # type: ignore[type-var]
    assert fit.evidence > replace(bound, posterior=given).evidence + 10
    assert fit.elbo < bound.elbo
    W, H = (float(prior.shape) for prior in fit.model.parts[1:])
    for w, h in ((W, H / 2), (W, 2 * H), (W / 2, H), (2 * W, H)):
        other = bn.fit(X, bn.Model(4, W=bn.Gamma(w), H=bn.Gamma(h)), init=fit)
        assert other.evidence < fit.evidence
    same = bn.fit(X, bn.Model(4, W=bn.Gamma(W), H=bn.Gamma(H)), init=fit)
    assert same.evidence == pytest.approx(fit.evidence, abs=0.5)
    np.testing.assert_allclose(same.H, fit.H, rtol=0.02)


def test_only_the_shape_that_is_learned_is_weighed() -> None:
    X, _, _ = dense(3)
    fit: Any = bn.fit(X, bn.Model(4, W=bn.Exponential()))
    assert fit.posterior.weighed == ("H",)
    assert fit.model.H.shape > 2 * by_bound(X, 4).model.H.shape  # type: ignore[union-attr]
    stated: Any = bn.fit(X, bn.Model(4, W=bn.Exponential(), H=bn.Gamma(0.7)))
    assert stated.posterior.weighed == ()


def test_it_is_said_saved_and_learned_anew(tmp_path: Path) -> None:
    X, _, _ = dense(1)
    fit = bn.fit(X, rank=4)
    text = repr(fit)
    assert "learned: shape of W (by the evidence), mean of W, shape of H (by the evidence)" in text
    fit.save(tmp_path / "fit.nc")
    loaded: Any = bn.load(tmp_path / "fit.nc")
    assert loaded.posterior.weighed == ("W", "H")
    np.testing.assert_array_equal(loaded.interval("H"), fit.interval("H"))
    exact: Any = refit(fit, bn.Gibbs(chains=2, warmup=10, draws=10), 0)
    assert {"shape_W", "shape_H"} <= set(exact.posterior.others)


@pytest.mark.parametrize("engine", [bn.CAVI(starts=1, tol=0, residual_tol=0, max_steps=50), bn.CAVI(starts=1)])
def test_it_is_left_out_where_it_is_too_much_work_or_steps_are_counted(
    engine: bn.CAVI, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine.tol:
        monkeypatch.setattr(_shapes, "LITTLE_WORK", 1.0)
    X, _, _ = dense(1)
    fit: Any = bn.fit(X, rank=4, engine=engine)
    assert fit.posterior.weighed == ()
    assert fit.elbo == fit_starts(read(X), bn.Model(4), engine, 0)[0].elbo


def test_without_any_evidence_the_fit_stays_as_it_is() -> None:
    bound = by_bound(dense(1)[0], 4)
    asked = []

    def nowhere(shapes: dict[Side, float], trial: bool) -> bn.Fit:
        asked.append((shapes, trial))
        return replace(bound, status="sampled")  # which has no bound

    assert _shapes.by_evidence(bound, nowhere) is bound
    assert 3 <= len(asked) <= _shapes.TRIALS
    assert all(trial for _, trial in asked)


def undefined(monkeypatch: pytest.MonkeyPatch, softly: bool) -> None:
    """Have no response be defined, or only softened ones."""
    real = Posterior._response_of

    def response(self: Posterior, W: Moved, H: Moved, of_columns: bool) -> Any:
        if softly and np.all(W.ee < self.moved[0].ee):
            return real(self, W, H, of_columns)
        raise bn.EngineError("not here")

    monkeypatch.setattr(Posterior, "_response_of", response)


def test_a_first_trial_without_evidence_is_no_place_to_begin() -> None:
    """The clipped shapes have one: the search is round them, though what the bound says comes first."""
    X, _, _ = dense(3)
    bound = by_bound(X, 4)
    learned = float(bound.model.parts[2].shape)  # type: ignore[arg-type]
    assert learned < _shapes.FIRST[0]
    asked = []

    def at(shapes: dict[Side, float], trial: bool) -> bn.Fit:
        asked.append(shapes["H"])
        if shapes["H"] < 0.4:
            return replace(bound, status="sampled")
        model = bn.Model(4, bn.Poisson(), W=bn.Gamma(shapes["W"]), H=bn.Gamma(shapes["H"]))
        return bn.fit(X, model, engine=bn.CAVI(starts=1), init=bound)

    found = _shapes.by_evidence(bound, at)
    assert asked[0] == pytest.approx(learned)
    assert np.median(asked) > 0.4
    assert found.model.parts[2].shape > 0.4  # type: ignore[operator]


def test_where_only_the_shapes_of_the_bound_lead_to_its_components_it_stays() -> None:
    bound = by_bound(dense(1)[0], 4)
    other = replace(bound, H=np.roll(bound.H, 7, 1) ** 2)
    first = {"W": bound.model.parts[1].shape, "H": bound.model.parts[2].shape}
    assert _shapes.by_evidence(bound, lambda shapes, trial: bound if shapes == pytest.approx(first) else other) is bound


def test_starts_agree_as_they_did_and_their_findings_stay() -> None:
    X, _, _ = dense(3)
    fit, bound = bn.fit(X, rank=8), by_bound(X, 8)
    assert np.any(bound.agreement.recurrence < 0.5)
    assert sorted(fit.agreement.recurrence) == sorted(bound.agreement.recurrence)
    np.testing.assert_array_equal(fit.agreement.objective, bound.agreement.objective)
    assert "components_not_recurring" in [finding.name for finding in fit.warnings]
    selected = bn.select_rank(X, ranks=[8], starts=5, likelihood=bn.Poisson()).fit
    assert "components_not_recurring" in [finding.name for finding in selected.warnings]


@pytest.mark.parametrize("engine", [bn.CAVI(starts=1), bn.Gibbs(chains=2, warmup=20, draws=20)])
def test_of_rows_that_are_known_no_shape_is_learned(engine: Any) -> None:
    X, _, H = dense(1)
    fit: Any = bn.fit(X, bn.Model(4, known=H), engine=engine)
    assert fit.posterior.learned == ("shape_W", "rate_W")
    assert np.isfinite(float(fit.model.H.shape))
    assert np.all(np.isfinite(fit.interval("W")))


def test_a_flat_optimum_is_named_and_has_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    X, _, _ = dense(1)
    own: Any = bn.fit(X, rank=4)
    widths = {name: np.subtract(*own.interval(name)[::-1]) for name in ("W", "H", "mean")}
    undefined(monkeypatch, softly=True)
    flat: Any = bn.fit(X, rank=4)
    assert [finding.name for finding in flat.warnings] == ["nearly_flat"]
    assert "0.2% less" in repr(flat)
    for name, width in widths.items():
        soft = np.subtract(*flat.interval(name)[::-1])
        np.testing.assert_allclose(soft, width, rtol=0.1)
        assert np.mean(soft) < np.mean(width)


def test_no_response_is_named_where_it_is_not_long(monkeypatch: pytest.MonkeyPatch) -> None:
    X, _, _ = dense(1)
    undefined(monkeypatch, softly=False)
    none: Any = bn.fit(X, rank=4)
    assert none.posterior.weighed == ()
    assert [finding.name for finding in none.warnings] == ["no_intervals"]
    with pytest.raises(bn.EngineError, match="not here"):
        none.interval("H")


def test_a_long_response_is_not_softened_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    undefined(monkeypatch, softly=True)
    for module in ("posterior", "_shapes", "_checks"):
        monkeypatch.setattr(f"bayesnmf.{module}.LITTLE_WORK", 1.0)
    found = bn.fit(dense(1)[0], rank=4)
    assert found.warnings == ()
    with pytest.raises(bn.EngineError, match="not here"):
        found.interval("H")
