"""The pages of docs/: their code runs, and every public name has its reference.

``python tests/test_site.py`` makes the pictures of docs/howto anew, from the code of its pages.
"""

import os
import re
import shutil
import tempfile
import textwrap
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import typer

import bayesnmf
from bayesnmf.cli import app

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "```python" in path.read_text(encoding="utf-8"))
MODULES = ("bayesnmf", *(f"bayesnmf.{name}" for name in ("io", "plotting", "datasets", "diagnostics", "models")))

in_checkout = pytest.mark.skipif(not DOCS.exists(), reason="needs the checkout, not the wheel alone")


def blocks(page: Path) -> list[str]:
    found = re.finditer(r"^( *)```python\n(.*?)^\1```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block[2]) for block in found]


def pictures(page: Path) -> list[str]:
    return re.findall(r"!\[[^]]*\]\((.+?)\)", page.read_text(encoding="utf-8"))


def run(page: Path) -> None:
    from matplotlib import pyplot as plt

    names: dict[str, object] = {}
    for block in blocks(page):
        exec(compile(block, str(page), "exec"), names)
        plt.close("all")


def public(module: ModuleType) -> list[str]:
    names = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
    values = {name: getattr(module, name) for name in names}
    return [name for name, value in values.items() if callable(value) and value.__module__.startswith("bayesnmf")]


@in_checkout
@pytest.mark.pages
@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(DOCS).with_suffix("")) for page in PAGES])
def test_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, promoted: None) -> None:
    monkeypatch.chdir(tmp_path)
    run(page)
    if page.parent.name == "howto":
        assert pictures(page)
        for name in pictures(page):  # what a page shows is what its code draws
            assert (tmp_path / name).exists()
            assert (page.parent / name).exists()


@in_checkout
@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_reference(name: str) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    there = {entry.rpartition(".")[2] for entry in re.findall(r"^::: (\S+)", text, re.MULTILINE)}
    names = public(import_module(name))
    assert len(names) >= 5
    assert not set(names) - there


@in_checkout
def test_references_are_of_what_there_is() -> None:
    for page in (DOCS / "reference").glob("*.md"):
        for entry in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            module, _, name = entry.rpartition(".")
            assert hasattr(import_module(module), name), entry


@in_checkout
def test_every_command_and_option_is_described() -> None:
    text = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    waiting = [("bayesnmf", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        assert f"`{name}" in text, name
        waiting += [(f"{name} {own}", sub) for own, sub in getattr(command, "commands", {}).items()]
        for parameter in command.params:
            if parameter.name != "help":
                word = parameter.opts[0] if parameter.opts[0].startswith("--") else parameter.name.upper()
                assert word in text, (name, word)


def test_the_index_of_public_names_is_of_this_package() -> None:
    assert {"fit", "Fit", "CAVI", "BayesianNMF", "select_rank"} <= set(public(bayesnmf))


if __name__ == "__main__":
    for page in sorted((DOCS / "howto").glob("*.md")):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            run(page)
            for name in pictures(page):
                shutil.copy(name, page.parent / name)
            os.chdir(DOCS)
