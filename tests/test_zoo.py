"""The zoo: every folder keeps the contract, says what its built-in twin says, and its reference finds engines right."""

import ast
import json
import re
import shutil
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks import references
from judge import Judge, compared, planted, same_as
from numpyro import handlers
from numpyro.infer.util import log_density

import bayesnmf as bn
from bayesnmf._input import read
from bayesnmf._resolve import resolve
from bayesnmf.engines._sampler import Sampler
from bayesnmf.engines._walk import joint_of
from bayesnmf.models import FILES, ROOT

pytestmark = pytest.mark.usefixtures("promoted", "x64")
CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"
MODELS = bn.models.list()
NUTS = bn.NUTS(chains=2, warmup=300, draws=400, starts=1, precision="float64")
WORST = 4.5
"""Standard errors that no quantity is beyond: of 120 by chance in one run of a thousand."""


@pytest.mark.smoke
@pytest.mark.parametrize("name", MODELS)
def test_a_folder_keeps_the_contract(name: str) -> None:
    folder, card = ROOT / name, bn.models.card(name)
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == set(FILES)
    assert set(card) - {"same_as"} == set(bn.models.CARD)
    text = bn.models.source(name)
    assert len(text.splitlines()) <= 60
    tree = ast.parse(text)
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {(module or "").split(".")[0] for module in modules} <= {"jax", "numpyro"}
    reference = bn.models.reference(name)
    missed = {
        check for check, (low, high) in references.CRITERIA.items() if not low <= reference["checks"][check] < high
    }
    assert set(reference["fails"]) == missed
    for values in reference["quantities"].values():
        assert np.all(np.isfinite(values["mean"]))
        assert np.all(np.asarray(values["sd"]) > np.asarray(values["mcse"]))


@pytest.mark.parametrize("name", MODELS)
def test_a_program_draws_and_has_finite_gradients_at_its_draws(name: str) -> None:
    judge = Judge.of(name)
    n, m = judge.data["X"].shape
    trace = handlers.trace(handlers.seed(judge.own, 1)).get_trace(None)
    for site, shape in (("W", (n, judge.data["rank"])), ("H", (judge.data["rank"], m)), ("X", (n, m))):
        assert np.shape(trace[site]["value"]) == shape
        assert np.all(np.isfinite(trace[site]["value"]))
    assert np.all(trace["W"]["value"] >= 0)
    assert np.all(trace["H"]["value"] >= 0)
    free = {site: a["value"] for site, a in trace.items() if a["type"] == "sample" and site != "X"}

    @jax.jit
    def slope(X: Any, values: Any) -> Any:
        return jax.grad(lambda values: log_density(judge.own, (X,), {}, values)[0])(values)

    found = slope(jnp.asarray(judge.data["X"]), free)
    assert all(np.all(np.isfinite(a)) for a in jax.tree.leaves(found))


TWINS = [name for name in MODELS if "same_as" in bn.models.card(name)]
NOISE = {"dispersion", "variance", "jump", "shape"}


@pytest.mark.parametrize("name", TWINS)
def test_a_built_in_model_has_the_same_log_joint(name: str) -> None:
    """Up to a constant, to 1e-8 of its size, at draws of the program."""
    judge = Judge.of(name)
    X, table = judge.data["X"], read(judge.data["X"], observed=judge.data["observed"])
    engine = bn.NUTS(precision="float64")
    model = resolve(same_as(bn.models.card(name), judge.data), table, engine)
    task = Sampler(engine, model, table)
    ready, joint = task.prepared, joint_of(task.prepared, task.size, task.learned)
    assert not task.learned, "all priors are fixed, as they are in the program"
    units = {"W": ready.unit_W, "H": ready.unit_H, "new_H": ready.unit_H, "rate": 1 / ready.unit_W}
    units |= {"variance": ready.unit**2, "jump": ready.unit}
    own, twin = [], []
    for seed in range(5):
        trace = handlers.trace(handlers.seed(judge.own, seed)).get_trace(None)
        free = {site: a["value"] for site, a in trace.items() if a["type"] == "sample" and site != "X"}
        free |= {site: jnp.asarray(1.0 + 0.1 * seed) for site in NOISE & set(free)}
        own.append(float(log_density(judge.own, (jnp.asarray(X),), {}, free)[0]))
        z = joint.coordinates({site: a / units.get(site, 1.0) for site, a in free.items()})
        twin.append(float(joint.density(z)[0] - volume(joint, z)))
    assert np.ptp(own) > 10
    assert np.ptp(np.subtract(own, twin)) < 1e-8 * np.max(np.abs(own))


def volume(joint: Any, z: Any) -> jax.Array:
    """Return the logarithm of the volume that coordinates make of values."""
    sites, total = joint.trace(joint.density(z)[1]), 0.0
    for key, site in sites.items():
        if key in z:
            total += joint._value(site, z)[1]
    return total


SLOW = ("gap", "time-smooth", "hierarchical-groups")


def slow(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.exhaustive)


@pytest.mark.parametrize("name", [slow(name) if name in SLOW else name for name in MODELS if name not in TWINS])
def test_nuts_agrees_with_references_of_programs(name: str) -> None:
    found = judged(Judge.of(name))
    assert max(np.abs(a.z).max() for a in found.values()) < WORST


@pytest.mark.parametrize("name", ["poisson-gamma", "gaussian-ard", slow("negative-binomial"), slow("fixed-plus-new")])
def test_gibbs_agrees_with_references_of_models(name: str) -> None:
    judge = Judge.of(name)
    engine = bn.Gibbs(chains=2, warmup=500, draws=3000, starts=1, precision="float64")
    draws = judge.of_draws(engine, same_as(bn.models.card(name), judge.data))
    found = compared(draws, bn.models.reference(name)["quantities"])
    assert max(np.abs(a.z).max() for a in found.values()) < WORST


def judged(judge: Judge, **given: Any) -> Any:
    fit = judge.fit(NUTS, **given)
    return compared(judge.of_fit(fit), bn.models.reference(judge.program.__name__)["quantities"])


@pytest.mark.parametrize(
    ("name", "fault"),
    [pytest.param("fixed-plus-new", "rate", marks=pytest.mark.exhaustive), ("compressive", "transposed")],
)
def test_a_planted_fault_is_seen(name: str, fault: str, tmp_path: Path) -> None:
    found = judged(planted(name, fault, tmp_path))
    assert max(np.abs(a.z).max() for a in found.values()) > WORST


def test_a_dropped_mask_is_seen() -> None:
    found = judged(Judge.of("gamma-noise"), observed=np.ones((10, 8), bool))
    assert np.abs(found["held_out"].z) > WORST


def test_sites_come_back_with_the_names_of_their_dimensions(tmp_path: Path) -> None:
    """And components change places in all of them at once, also through a file."""
    judge = Judge.of("convolutive")
    program = partial(judge.program, lags=3)
    fit = bn.fit(judge.data["X"], program, rank=2, engine=bn.NUTS(chains=2, warmup=50, draws=50, starts=1))
    assert "program convolutive" in repr(fit)
    tree = fit.to_datatree()
    assert tree.posterior["sequences"].dims == ("chain", "draw", "lag", "component", "feature")
    np.testing.assert_allclose(tree.posterior["sequences"].sum("lag"), tree.posterior["H"], rtol=1e-5)
    assert tree.posterior["flat"].dims[:3] == ("chain", "draw", "component")
    assert np.all(np.diff(fit.mass) <= 0)
    fit.save(tmp_path / "fit.nc")
    again = bn.load(tmp_path / "fit.nc", program=program).to_datatree()
    assert again.posterior["sequences"].dims == tree.posterior["sequences"].dims
    named = next(finding for finding in fit.warnings if finding.name == "mean_is_not_WH")
    assert "not scaled" in named.message


@pytest.mark.exhaustive
def test_svi_begins_where_rates_go_with_what_they_are_the_rates_of() -> None:
    """The prior of compressive says 1/1000 of a count: from there its rates took W along, and nothing came back."""
    judge = Judge.of("compressive")
    found = compared(
        judge.of_fit(judge.fit(bn.SVI(starts=1, max_steps=5000))), bn.models.reference("compressive")["quantities"]
    )
    assert np.abs(found["entries"].away).max() < 1


def test_known_components_stay_first_and_groups_are_asked_for() -> None:
    judge = Judge.of("fixed-plus-new")
    fit = judge.fit(bn.SVI(max_steps=200, draws=50))
    known = judge.data["arguments"]["known"]
    np.testing.assert_allclose(fit.H[: len(known)], known, rtol=1e-5)
    with pytest.raises(bn.ModelError, match="takes groups"):
        bn.fit(judge.data["X"], bn.models.load("hierarchical-groups"), rank=2, engine=bn.SVI(max_steps=50))
    with pytest.raises(bn.ModelError, match="required keyword-only argument: 'known'"):
        bn.fit(judge.data["X"], judge.program, rank=3, engine=bn.SVI(max_steps=50))


def test_a_folder_of_ones_own_is_loaded_by_its_path(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(ROOT / "poisson-gamma", mine)
    assert bn.models.load(mine) is bn.models.load(str(mine))
    assert bn.models.load(mine) is not bn.models.load("poisson-gamma")
    assert bn.models.load(mine).__name__ == "mine"
    assert bn.models.card(mine) == bn.models.card("poisson-gamma")
    np.testing.assert_array_equal(bn.models.data(mine)["X"], bn.models.data("poisson-gamma")["X"])
    for text, message in (
        ("1 / 0", "could not be run: ZeroDivisionError"),
        ("def modell(X): pass", r"to define program.*it defines modell"),
        ("def program(X", "could not be run: SyntaxError"),
    ):
        (mine / "model.py").write_text(text, encoding="utf-8")
        with pytest.raises(bn.ModelError, match=message):
            bn.models.load(mine)
    (mine / "card.toml").write_text("title = ", encoding="utf-8")
    with pytest.raises(bn.ModelError, match="is not TOML"):
        bn.models.card(mine)
    (mine / "reference.json").write_text("{", encoding="utf-8")
    with pytest.raises(bn.ModelError, match="is not JSON"):
        bn.models.reference(mine)
    (mine / "reference.json").unlink()
    with pytest.raises(bn.ModelError, match=r"there is no reference\.json"):
        bn.models.data(mine)
    with pytest.raises(bn.ModelError, match="no model 'mine'"):
        bn.models.load("mine")
    with pytest.raises(bn.ModelError, match=r"a file model\.py"):
        bn.models.load(tmp_path)


@pytest.mark.pages
@pytest.mark.skipif(not CONTRIBUTING.exists(), reason="needs the checkout, not the wheel alone")
def test_the_worked_example_is_found_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of CONTRIBUTING: nothing but its folder is needed for the registry, the reference and the referee."""
    text = CONTRIBUTING.read_text(encoding="utf-8")
    folder = tmp_path / "shared-gain"
    folder.mkdir()
    for kind, files in (("python", ["model.py"]), ("toml", ["card.toml", "data.toml"])):
        blocks = re.findall(rf"   ```{kind}\n(.*?)   ```", text, re.DOTALL)
        for file, block in zip(files, blocks, strict=True):
            (folder / file).write_text(textwrap.dedent(block), encoding="utf-8")
    monkeypatch.setattr(bn.models, "ROOT", tmp_path)
    assert bn.models.list() == ("shared-gain",)
    for constant, value in (("CHAINS", 2), ("WARMUP", 300), ("DRAWS", 300), ("THIN", 1)):
        monkeypatch.setattr(references, constant, value)
    made = references.make("shared-gain")
    assert "ess_tail" in made["fails"], "600 draws are too few"
    (folder / "reference.json").write_text(json.dumps(made), encoding="utf-8")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    test_a_folder_keeps_the_contract("shared-gain")
    test_a_program_draws_and_has_finite_gradients_at_its_draws("shared-gain")
    assert max(np.abs(a.z).max() for a in judged(Judge.of("shared-gain")).values()) < WORST


@pytest.mark.smoke
def test_the_zoo_is_small_and_no_package() -> None:
    files = [path for path in ROOT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2**20
    assert not [path for path in files if path.name == "__init__.py"]
    assert len(MODELS) >= 12
