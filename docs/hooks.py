"""What the site takes from outside docs/, without copies: notebooks, and two pages of the repository.

Names of the library in code, such as `bn.fit` or `Fit.interval`, become links to their reference.
"""

import json
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md")

NAME = r"(?:bn|bayesnmf|fit|selection)\.[\w.]+|[A-Z]\w+(?:\.\w+)*|\w+_\w+"
CODE = re.compile(rf"(?<!</span>)<code>({NAME})(\([^<]*\))?</code>")
INSTANCES = {"fit": "Fit", "selection": "RankSelection"}
documented: dict[str, str] = {}
"""Where each name has its reference: by all ends of its path, the shorter path first."""


def on_config(config: MkDocsConfig) -> None:
    """List the notebooks, and read which names have a reference."""
    for section in config.nav:
        if "Notebooks" in section:
            section["Notebooks"] += [f"notebooks/{path.name}" for path in NOTEBOOKS]
    text = "".join(path.read_text("utf-8") for path in Path(config.docs_dir, "reference").glob("*.md"))
    for name in sorted(re.findall(r"^::: (\S+)", text, re.MULTILINE), key=lambda name: name.count(".")):
        parts = name.split(".")[1:]
        for i in range(len(parts)):
            documented.setdefault(".".join(parts[i:]), name)


@event_priority(50)
def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add what lies outside, before mkdocs-jupyter looks for notebooks."""
    for name in (*(f"notebooks/{path.name}" for path in NOTEBOOKS), *PAGES):
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Say what the notebooks ask: all of them, or those that a page names, as in ``<!-- notebooks eeg_alpha -->``."""
    up = "../" * page.file.src_uri.count("/")

    def listed(comment: re.Match[str]) -> str:
        names = comment[1].split()
        return "\n\n".join(_lead(path, up) for path in NOTEBOOKS if not names or path.stem in names)

    return re.sub(r"<!-- notebooks(.*?) -->", listed, markdown)


def on_page_content(html: str, **_: object) -> str:
    """Link names in code to their reference."""
    return CODE.sub(_link, html)


def _lead(path: Path, up: str) -> str:
    cells = json.loads(path.read_text("utf-8"))["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    title, about = text.split("\n\n")[:2]
    return f"[**{title.removeprefix('# ')}**]({up}notebooks/{path.name})\n\n:   {about}"


def _link(code: re.Match[str]) -> str:
    parts = code[1].removeprefix("bn.").removeprefix("bayesnmf.").split(".")
    parts[0] = INSTANCES.get(parts[0], parts[0]) if len(parts) > 1 else parts[0]
    for end in range(len(parts), 0, -1):
        found = documented.get(".".join(parts[:end]))
        if found:
            member = ".".join([found, *parts[end:]])
            return f'<autoref identifier="{member}" slug="{found}" optional>{code[0]}</autoref>'
    return code[0]
