"""SVI: its bound is that of its guide, batches lead to the same one, and it is resumed."""

from typing import Any

import numpy as np
import pytest
from helpers import observations
from scipy import stats
from test_gibbs import planted

import bayesnmf as bn

MODEL = bn.Model(3, bn.Poisson(), W=bn.Gamma(1.0, mean=2.0), H=bn.Gamma(1.0, mean=2.0))


def counts(n: int = 30, m: int = 20) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.poisson(rng.gamma(1.0, 2.0, (n, 3)) @ rng.gamma(1.0, 2.0, (3, m)))


def test_the_bound_is_below_the_evidence_and_above_that_of_the_mean_field() -> None:
    """With one component and H known the evidence is a product of negative multinomials, in closed form.

    A log-normal guide of one gamma variable each is near: within 0.02 a sample. Elsewhere the guide, in the coordinates
    of unit rows, is closer to the posterior than CAVI's mean field.
    """
    h = np.array([[0.1, 0.2, 0.3, 0.4]])
    X = np.random.default_rng(1).poisson(np.outer(np.arange(2.0, 12.0), h[0]) * 3)
    model = bn.Model(1, bn.Poisson(), W=bn.Gamma(2.0, mean=18.0), H=bn.Gamma(1.0, mean=1.0), known=h)
    fit = bn.fit(X, model, engine=bn.SVI(precision="float64", draws=2000))
    unit = fit.rate_W  # of rows that sum to 1, as the prior of W had it
    total = X.sum(1)
    log_evidence = stats.nbinom(2.0, unit / (unit + 1)).logpmf(total).sum()
    log_evidence += stats.multinomial(total, np.tile(h, (len(X), 1))).logpmf(X).sum()
    assert log_evidence - 0.02 * len(X) - 3 * fit.residual < fit.elbo < log_evidence + 3 * fit.residual
    assert fit.status == "converged"
    cavi = bn.fit(counts(), MODEL, engine=bn.CAVI(starts=2))
    assert bn.fit(counts(), MODEL, engine=bn.SVI(starts=2)).elbo > cavi.elbo


@pytest.mark.parametrize("options", [{"batch": 10}, {"guide": "component"}], ids=str)
def test_batches_and_joint_rows_lead_to_the_bound_of_the_mean_field_or_above(options: dict[str, Any]) -> None:
    """Within 1 part in 1000, and Monte Carlo errors."""
    beside = observations(n=30, m=20)
    plain = bn.fit(counts(), MODEL, engine=bn.SVI(starts=1), **beside)
    other = bn.fit(counts(), MODEL, engine=bn.SVI(starts=1, **options), **beside)
    assert other.elbo > plain.elbo - 1e-3 * abs(plain.elbo) - 4 * np.hypot(plain.residual, other.residual)
    np.testing.assert_allclose(other.H, plain.H, atol=0.03)


def test_a_run_that_was_stopped_goes_on_to_the_same_draws(tmp_path: Any) -> None:
    folder, options = tmp_path / "run", {"max_steps": 300, "starts": 1}
    whole = bn.fit(planted(), rank=2, engine=bn.SVI(**options))
    first = bn.fit(planted(), rank=2, engine=bn.SVI(**options, checkpoint=str(folder)))
    blocks = sorted(folder.glob("*.npz"))
    assert len(blocks) == 6
    blocks[-1].unlink()
    blocks[-2].unlink()
    again = bn.fit(planted(), rank=2, engine=bn.SVI(**options, checkpoint=str(folder)))
    for fit in (first, again):
        np.testing.assert_array_equal(fit.posterior.W, whole.posterior.W)
    assert whole.status == "max_steps"


def test_options_are_checked_and_schedules_are_taken(tmp_path: Any) -> None:
    X = planted()
    for options, message in (({"guide": "full"}, "component"), ({"rate": -1.0}, "rate"), ({"batch": 0}, "batch")):
        with pytest.raises(bn.EngineError, match=message):
            bn.fit(X, rank=2, engine=bn.SVI(**options))
    fit = bn.fit(X, rank=2, engine=bn.SVI(rate=lambda step: 0.02 / (1 + step / 100), max_steps=100, starts=1))
    with pytest.raises(bn.DataError, match="Cannot save engine.rate"):
        fit.save(tmp_path / "fit.nc")
    wide = np.ones((3, 6000))
    with pytest.raises(bn.EngineError, match="too many parameters"):
        bn.fit(wide, rank=2, engine=bn.SVI(guide="component"))
