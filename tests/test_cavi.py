"""CAVI: the theorems of coordinate ascent, of its bound, and of what it converges to."""

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import BELIEFS, Ascent, observations, posterior_likelihoods, supported

import bayesnmf as bn
from bayesnmf._input import read
from bayesnmf._resolve import resolve

pytestmark = pytest.mark.usefixtures("x64")

LIKELIHOODS = posterior_likelihoods()


def offered() -> list[tuple[str, str]]:
    """Return the pairs of likelihood and beliefs that the door lets through.

    Updates under Gaussian noise take seconds to compile: where its variance is known, or one for each feature, it comes
    with one prior.
    """
    pairs = []
    for name, make in LIKELIHOODS.items():
        table = read(supported(make()))
        for beliefs, parts in BELIEFS.items():
            try:
                resolve(bn.Model(4, make(), **parts()), table, bn.CAVI())
            except bn.ModelError:
                continue
            if name == "gaussian" or not name.startswith("gaussian") or beliefs == "half-normal":
                pairs.append((name, beliefs))
    return pairs


PAIRS = offered()
IDS = ["-".join(pair) for pair in PAIRS]


def test_all_gamma_beliefs_go_with_counts() -> None:
    """What the door refuses is not tested below, so this says what it must not refuse."""
    for name in LIKELIHOODS:
        if LIKELIHOODS[name]().support == "counts":
            assert {beliefs for other, beliefs in PAIRS if other == name} == set(BELIEFS) - {"half-normal"}


@pytest.mark.parametrize(("likelihood", "beliefs"), PAIRS, ids=IDS)
def test_no_block_lowers_the_elbo(likelihood: str, beliefs: str) -> None:
    """q(W), q(H), the priors and the noise, each from a state that is far from the optimum.

    Poisson with all entries alike, and dense and sparse with weights, missing entries and offsets; the others with one
    of the latter two, since the sums of all are compared dense and sparse elsewhere.
    """
    made = LIKELIHOODS[likelihood]()
    model, X = bn.Model(4, made, **BELIEFS[beliefs]()), supported(made)
    layouts = [(np.asarray, observations()), (sp.csr_array, observations()), (np.asarray, {})]
    which = list(LIKELIHOODS).index(likelihood) % 2
    finals = []
    for hold, beside in layouts if likelihood == "poisson" else layouts[which : which + 1]:
        ascent = Ascent(hold(X), model, **beside)
        before = first = ascent.elbo
        for sweep in range(6):
            for block in (lambda: ascent.update("W"), lambda: ascent.update("H"), ascent.learn, ascent.learn_noise):  # noqa: B023
                block()
                after = ascent.elbo
                assert after >= before - 1e-10 * abs(before), f"fell by {before - after} in sweep {sweep}"
                before = after
        assert np.isfinite(before)
        assert before > first + 1
        finals.append(before)
    assert finals[:2] == pytest.approx(finals[:1] * len(finals[:2]), rel=1e-12)
