"""What importing and compiling may cost."""

import logging
import subprocess
import sys

import jax
import numpy as np
import pytest
import scipy.sparse as sp
from helpers import planted

import bayesnmf as bn


@pytest.mark.smoke
def test_import_loads_no_heavy_library() -> None:
    heavy = ["numpyro", "arviz", "arviz_base", "matplotlib", "sklearn", "pandas", "xarray", "scipy", "typer", "rich"]
    code = (
        "import sys, jax; before = set(sys.modules); import bayesnmf; "
        f"print(*sorted({{m.split('.')[0] for m in set(sys.modules) - before}} & set({heavy!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.smoke
def test_import_changes_no_jax_setting() -> None:
    code = (
        "import jax; before = dict(jax.config.values); import bayesnmf; "
        "print({k for k, v in jax.config.values.items() if before.get(k) != v})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


class Compilations(logging.Handler):
    """Counts what JAX compiles while it is open."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.names: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "Finished XLA compilation" in message:
            self.names.append(message)

    def __enter__(self) -> "Compilations":
        self.logger = logging.getLogger("jax._src.dispatch")
        self.propagate, self.level_before = self.logger.propagate, self.logger.level
        self.logger.addHandler(self)
        self.logger.setLevel(logging.DEBUG)
        self.logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        self.logger.removeHandler(self)
        self.logger.setLevel(self.level_before)
        self.logger.propagate = self.propagate


@pytest.mark.parametrize(
    "case",
    [
        lambda X, k, a: bn.fit(X, rank=k, engine=bn.MAP(starts=2, max_steps=50, tol=a)),
        lambda X, k, a: bn.fit(X, bn.Model(k, shrinkage=bn.ARD(a=2 + 1e6 * a)), engine=bn.MAP(starts=2, max_steps=50)),
        lambda X, k, a: bn.fit(X, rank=k, likelihood=bn.Gaussian(), engine=bn.MAP(starts=2, max_steps=50, tol=a)),
        lambda X, k, a: bn.fit(
            X, bn.Model(k, W=bn.Gamma(1 + 1e6 * a), H=bn.Exponential(mean=1e6 * a)),
            engine=bn.MAP(starts=2, max_steps=50, precision="float64"),
        ),
        lambda X, k, a: bn.fit(X, bn.Model(k, W=bn.Gamma(1 + 1e6 * a)), engine=bn.CAVI(starts=2, max_steps=50)),
    ],
    ids=["poisson", "ard", "gaussian", "priors", "posterior"],
)  # fmt: skip
def test_a_second_fit_of_the_same_shapes_compiles_nothing(case) -> None:  # noqa: ANN001
    """Other values, other hyper-parameters, another seed, and another rank with the same padding."""
    jax.clear_caches()
    with Compilations() as first:
        case(planted(seed=0), 5, 1e-6)
    assert first.names
    with Compilations() as second:
        case(planted(seed=1), 5, 2e-6)
        case(planted(seed=2), 7, 3e-6)
    assert second.names == []


SMALL = {"warmup": 50, "draws": 50, "starts": 1, "chains": 2}


@pytest.mark.parametrize(
    "engine",
    [
        bn.Gibbs(**SMALL),
        bn.NUTS(**SMALL),
        pytest.param(bn.SVI(max_steps=100, draws=50, starts=1), marks=pytest.mark.exhaustive),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_second_run_of_draws_compiles_nothing(engine) -> None:  # noqa: ANN001
    """Other values and another seed; chains of the same shapes."""
    model = bn.Model(3, bn.NegativeBinomial())
    jax.clear_caches()
    with Compilations() as first:
        bn.fit(planted(seed=0), model, engine=engine)
    assert first.names
    with Compilations() as second:
        bn.fit(planted(seed=1), model, engine=engine, seed=1)
    assert second.names == []


@pytest.mark.smoke
def test_no_two_classes_look_alike_to_the_compiler() -> None:
    """Programs are found by tree structure: two that are equal would run one class with the program of another."""
    made = [
        bn.Exponential(), bn.HalfNormal(), bn.Flat(), bn.Gamma(), bn.Dirichlet(), bn.ARD(), bn.Compressive(),
        bn.Poisson(), bn.Gaussian(), bn.NegativeBinomial(), bn.GammaNoise(), bn.CompoundPoisson(),
    ]  # fmt: skip
    structures = [jax.tree.structure(one) for one in made]
    for i, structure in enumerate(structures):
        assert [j for j, other in enumerate(structures) if structure == other] == [i]
        assert jax.tree.structure(jax.tree.map(lambda a: a, made[i])) == structure


def test_sparse_data_are_held_by_their_nonzeros() -> None:
    from bayesnmf._input import read
    from bayesnmf.data import Entries
    from bayesnmf.engines._prepare import make_data

    X = sp.random_array((3000, 4000), density=0.01, rng=np.random.default_rng(0), format="csr")
    data = make_data(read(X), bn.Poisson(), 1.0, 1.0, np.dtype("float32"))
    assert isinstance(data.x, Entries)
    held = data.x.place.nbytes + data.x.value.nbytes
    assert held < 3 * 8 * X.nnz


def test_dense_intensities_that_are_mostly_zero_are_held_by_the_others_in_steps() -> None:
    """A part of X, or its rows drawn again, have the shapes of X and run its program; more would be dense again."""
    from bayesnmf._input import read
    from bayesnmf.data import Entries
    from bayesnmf.engines._prepare import make_data

    rng = np.random.default_rng(0)
    X = np.where(rng.random((40, 30)) < 0.1, rng.gamma(2.0, 1.0, (40, 30)), 0.0)
    part = np.where(rng.random(X.shape) < 0.75, X, 0.0)
    many = np.where(rng.random(X.shape) < 0.5, 1.5, 0.0)
    whole, some, dense = (
        make_data(read(x), bn.CompoundPoisson(), 1.0, 1.0, np.dtype("float32")).x for x in (X, part, many)
    )
    assert isinstance(whole, Entries)
    assert isinstance(some, Entries)
    assert whole.value.shape == some.value.shape == (1, 150)
    own = jax.tree.map(lambda a: a[0], whole)
    np.testing.assert_allclose(own.fill(own.value, X.shape), X, rtol=1e-6)
    assert not isinstance(dense, Entries)
