"""Demonstrations on recordings: a fit, its tables, one figure and a page that says what was found and what was not."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from .. import datasets
from ..engines import CAVI, MAP
from ..report import component_table, page, write_tables
from ..result import Fit
from . import breast, ca1, songbird
from ._story import Stage

DEMOS = {"ca1": ca1.tell, "songbird": songbird.tell, "breast": breast.tell}


def run_demo(
    name: str,
    out: str | PathLike[str],
    console: Console,
    mode: MAP | None = None,
    posterior: CAVI | None = None,
) -> Fit:
    """Fit a recording and write its files, figure and page into a folder.

    Parameters
    ----------
    name : {"ca1", "songbird", "breast"}
        The recording. The first two come with the package; "breast" is fetched once.
    out : str or path
        Folder for ``report.md``, ``fit.png``, the tables and ``fit.nc``. Made where it does not exist.
    console : rich.console.Console
        Where progress and the table are printed.
    mode, posterior : MAP and CAVI, optional
        The engines. Left out: ``MAP()`` and ``CAVI()``.

    Returns
    -------
    Fit
        The fit that was written.

    Examples
    --------
    >>> from rich.console import Console
    >>> from bayesnmf.demo import run_demo
    >>> run_demo("ca1", "bayesnmf-demo", Console())  # doctest: +SKIP
    """
    recording, out = datasets.load(name), Path(out)
    console.print(recording.description)
    story = DEMOS[name](Stage(recording, mode or MAP(), posterior or CAVI(), console))
    fit = story.fit
    source = f"Data: {recording.citation} Licence: {recording.licence}."
    lead = [recording.description, *story.lead, source]
    write_tables(fit, out)
    story.figure.savefig(out / "fit.png", dpi=200)
    (out / "report.md").write_text(page(fit, story.title, lead, story.found, story.cautions), encoding="utf-8")
    head, rows = component_table(fit)
    shown = Table(*head)
    for row in rows:
        shown.add_row(*map(escape, row))
    console.print(shown)
    for text in story.found:
        console.print(Markdown(text))
    console.print(f"Wrote {out / 'report.md'}, the figure fit.png, the tables and fit.nc.")
    return fit
