"""Imports point downwards only."""

import ast
from pathlib import Path

import pytest

import bayesnmf

PACKAGE = Path(bayesnmf.__file__).parent
LAYERS = [
    {"_types", "_errors", "_numerics", "_random", "_runs", "_pytree", "align"},
    {"likelihoods", "priors"},
    {"model", "penalty", "data", "_input", "result"},
    {"program"},
    {"engines"},
    {"_linear", "posterior", "sampled"},
    {"_resolve", "_checks", "_shapes", "_fit", "_programs", "_sites", "_storage"},
    {"summaries", "io", "datasets", "models", "datatree", "diagnostics", "rank"},
    {"plotting", "report", "_places", "estimator", "demo", "cli"},
]
UPWARD = {
    ("result", "_fit"): "Fit.project",
    ("result", "summaries"): "Fit.summary and its repr",
    ("result", "datatree"): "Fit.to_datatree",
    ("result", "plotting"): "Fit.plot",
    ("result", "_storage"): "Fit.save",
    ("_fit", "rank"): 'rank="auto"',
    ("rank", "plotting"): "RankSelection.plot",
}
HEAVY = {"numpyro", "arviz", "matplotlib", "sklearn", "pandas", "xarray", "scipy", "typer", "rich", "pooch"}
"""Imported at the top of a module only in the last layer, and numpyro in `program`; elsewhere inside the function that
needs it."""


def level(name: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if name in layer)


def place(path: Path) -> str:
    """Return the module or folder of the package that a file belongs to."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path) -> list[tuple[str, bool]]:
    """Return what a file imports from the package, as its modules and folders, and whether inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    typing = {
        id(n)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and isinstance(test.test, ast.Name) and test.test.id == "TYPE_CHECKING"
        for n in ast.walk(test)
    }
    depth = len(path.relative_to(PACKAGE).parts)
    found = []
    for node in ast.walk(tree):
        if id(node) in typing:
            continue
        late = id(node) in inner
        if isinstance(node, ast.ImportFrom):
            if node.level == depth:
                names = [node.module.split(".")[0]] if node.module else [a.name for a in node.names]
                found += [(name, late) for name in names]
            elif node.level == 0 and node.module:
                found.append((node.module.split(".")[0] + ":", late))
        elif isinstance(node, ast.Import):
            found += [(alias.name.split(".")[0] + ":", late) for alias in node.names]
    return found


FILES = [p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py" and "_zoo" not in p.parts]


@pytest.mark.smoke
@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(PACKAGE)) for p in FILES])
def test_imports_point_downwards(path: Path) -> None:
    own = place(path)
    for name, late in imports(path):
        if name.endswith(":"):
            heavy = name[:-1] in HEAVY and (own, name) != ("program", "numpyro:")
            assert late or not heavy or level(own) == len(LAYERS) - 1, f"{own} imports {name[:-1]} at its top"
        elif level_of(name) is not None and name != own and level(name) > level(own):
            assert late, f"{own} imports {name} from a layer above, outside a function"
            assert (own, name) in UPWARD, f"{own} -> {name} is not among the imports that may go up"


def level_of(name: str) -> int | None:
    return next((i for i, layer in enumerate(LAYERS) if name in layer), None)


@pytest.mark.smoke
def test_every_module_has_a_layer_and_every_upward_import_is_used() -> None:
    known = set().union(*LAYERS)
    assert {place(p) for p in FILES} == known
    used = {(place(p), name) for p in FILES for name, late in imports(p) if late}
    assert set(UPWARD) <= used


def test_the_check_finds_a_planted_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "likelihoods").mkdir()
    wrong = tmp_path / "likelihoods" / "wrong.py"
    wrong.write_text("from ..engines import MAP\nimport matplotlib.pyplot\n", encoding="utf-8")
    assert imports(wrong) == [("engines", False), ("matplotlib:", False)]
    with pytest.raises(AssertionError, match="engines from a layer above"):
        test_imports_point_downwards(wrong)


@pytest.mark.smoke
def test_no_module_is_above_500_lines() -> None:
    sizes = {str(p.relative_to(PACKAGE)): len(p.read_text(encoding="utf-8").splitlines()) for p in FILES}
    assert max(sizes.values()) <= 500, sizes
