"""Jumps of the accelerated sweep: exact where one mode is left, nothing lost where they lead down."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import planted

import bayesnmf as bn
from bayesnmf.engines._squarem import jump

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.99])
def test_a_single_geometric_mode_is_jumped_to_its_end(rate: float) -> None:
    """Values of both signs approach theirs in steps that shrink by `rate`; positive ones in logarithms."""
    rng = np.random.default_rng(0)
    end, way = rng.normal(size=(2, 5)), rng.normal(size=(2, 5))

    def point(t: int) -> tuple:
        logs, plain = end + way * rate**t
        return jnp.exp(logs), -jnp.exp(end[1]) - 1 - 0.1 * rate**t * jnp.abs(way[1])

    found, length = jump(point(0), point(1), point(2), jnp.asarray(1e6))
    assert float(length) == pytest.approx(1 / (1 - rate), rel=1e-9)
    np.testing.assert_allclose(found[0], np.exp(end[0]), rtol=1e-9)
    np.testing.assert_allclose(found[1], -np.exp(end[1]) - 1, rtol=1e-9)


def test_the_shortest_jump_is_no_jump() -> None:
    points = [jnp.array([1.0, -2.0]), jnp.array([1.5, -1.0]), jnp.array([3.0, -0.5])]
    found, length = jump(*points, jnp.asarray(1.0))
    assert float(length) == 1
    np.testing.assert_allclose(found, points[2], rtol=1e-12)


def test_jumps_save_sweeps_and_lead_to_the_same_optimum() -> None:
    """Between checks that are two sweeps apart there is no room to jump."""
    X, found = planted(40, 25, 3), {}
    for every in (2, 10):
        engine = bn.CAVI(starts=1, tol=1e-10, residual_tol=1e-3, check_every=every, precision="float64")
        prior = bn.Gamma(1.0)
        found[every] = bn.fit(X, bn.Model(3, W=prior, H=prior), engine=engine)
    plain, ahead = found[2], found[10]
    assert ahead.elbo == pytest.approx(plain.elbo, rel=1e-7)
    assert np.all(np.diff(ahead.trace) <= 1e-10 * abs(ahead.trace[-1]))
    assert ahead.steps < plain.steps / 2
