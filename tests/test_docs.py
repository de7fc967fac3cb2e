"""What is written runs: README code, docstring examples, notebooks."""

import doctest
import importlib
import pkgutil
import re
import sys
from pathlib import Path

import pytest

import bayesnmf

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONG = ("ca1_places", "how_many", "intervals", "own_model", "which_model")
"""Notebooks that are left out unless asked for with -m exhaustive: those of two minutes, and the two oldest."""
MODULES = [m.name for m in pkgutil.walk_packages(bayesnmf.__path__, "bayesnmf.")]

in_checkout = pytest.mark.skipif(not README.exists(), reason="needs the checkout, not the wheel alone")


@in_checkout
@pytest.mark.pages
@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
def test_readme_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, promoted: None) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 5
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)


@in_checkout
def test_readme_names_files_and_tests_that_exist() -> None:
    text = README.read_text(encoding="utf-8")
    for path in re.findall(r"(?:tests|docs|engines)/[\w/]+\.\w+", text):
        assert (ROOT / path).exists() or (ROOT / "bayesnmf" / path).exists(), path
    assert 'pip install -e ".[test]" && pytest' in text
    assert "pip install . && bayesnmf demo" in text


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    assert failed == 0


@in_checkout
def test_every_public_name_has_an_example() -> None:
    returned = {"Fit", "Finding", "DataError", "ModelError", "EngineError"}  # shown by what returns and raises them
    public = {name: own for name, own in vars(bayesnmf).items() if name[0] != "_" and callable(own)}
    assert len(public) > 25
    for name in public.keys() - returned | {"BayesianNMF"}:
        assert ">>>" in (getattr(bayesnmf, name).__doc__ or ""), name


@in_checkout
def test_every_finding_is_explained() -> None:
    """The page has the names that the code can say, and no others."""
    source = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "bayesnmf").rglob("*.py")))
    said = set(re.findall(r'\b(?:Finding|say)\(\s*"(\w+)"', source)) | {"max_steps", "nonfinite"}
    page = (ROOT / "docs/explain/findings.md").read_text(encoding="utf-8")
    told = {name for row in re.findall(r"^\| (`.*?) \|", page, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert len(said) > 20
    assert told == said


@in_checkout
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, id=p.stem, marks=pytest.mark.exhaustive if p.stem in LONG else pytest.mark.pages)
        for p in NOTEBOOKS
    ],
)
def test_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XLA_FLAGS")  # compiled as users have it: some notebooks compute more than they compile
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    assert any(cell.get("outputs") for cell in notebook.cells), "outputs are kept, for reading on the web"
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
