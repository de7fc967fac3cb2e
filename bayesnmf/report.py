"""A fit written into a folder: the fit itself, tables, a figure and a page."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .result import NEAR, Fit
from .summaries import feature_names

FILES = {
    "report.md": "this page",
    "fit.png": "the figure",
    "summary.csv": "one row for each component",
    "components.csv": "H: components x features, each row sums to 1",
    "activities.csv": "W: samples x components, in the unit of X",
    "fit.nc": "the whole fit; `bayesnmf.load` reads it back",
}


def write_report(fit: Fit, folder: str | PathLike[str], title: str = "A fit by bayesnmf") -> None:
    """Write a fit into a folder, for people and for other programs.

    Writes ``report.md``, ``fit.png``, ``summary.csv``, ``components.csv``, ``activities.csv`` and ``fit.nc``; files of
    these names are replaced. Not for very large W: ``activities.csv`` is text. Use `Fit.save` alone there.

    Parameters
    ----------
    fit : Fit
        Any fit.
    folder : str or path
        Made where it does not exist.
    title : str
        Heading of the page.

    Raises
    ------
    OSError
        Where the folder cannot be written.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, bayesnmf as bn
    >>> from bayesnmf.report import write_report
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(fit, folder)
    ...     sorted(path.name for path in pathlib.Path(folder).iterdir())
    ['activities.csv', 'components.csv', 'fit.nc', 'fit.png', 'report.md', 'summary.csv']
    """
    folder = Path(folder)
    write_tables(fit, folder)
    figure(fit).savefig(folder / "fit.png", dpi=200)
    (folder / "report.md").write_text(page(fit, title), encoding="utf-8")


def write_tables(fit: Fit, folder: Path) -> None:
    """Write ``fit.nc``, ``summary.csv``, ``components.csv`` and ``activities.csv``."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    components = pd.RangeIndex(fit.rank, name="component")
    samples = pd.RangeIndex(fit.W.shape[0]) if fit.samples is None else pd.Index(fit.samples)
    fit.save(folder / "fit.nc")
    fit.summary().to_csv(folder / "summary.csv")
    pd.DataFrame(fit.H, components, feature_names(fit)).to_csv(folder / "components.csv")
    pd.DataFrame(fit.W, samples.rename("sample"), [f"component {k}" for k in range(fit.rank)]).to_csv(
        folder / "activities.csv"
    )


def figure(fit: Fit) -> Figure:
    """Return a figure of components, activities, relevance and agreement of starts."""
    picture = Figure(figsize=(10, 8), layout="constrained")
    axes = picture.subplot_mosaic([["H", "H"], ["W", "W"], ["relevance", "agreement"]])
    fit.plot.components(axes["H"])
    fit.plot.activities(axes["W"])
    fit.plot.relevance(axes["relevance"])
    fit.plot.agreement(axes["agreement"])
    return picture


def page(
    fit: Fit,
    title: str,
    lead: Sequence[str] = (),
    found: Sequence[str] = (),
    cautions: Sequence[str] = (),
) -> str:
    """Return a page in Markdown: what was found, the findings, and what not to conclude.

    Parameters
    ----------
    fit : Fit
        Any fit.
    title : str
        Heading.
    lead, found, cautions : sequence of str
        Paragraphs of your own: below the heading, among what was found, and among what not to conclude.

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np, bayesnmf as bn
    >>> from bayesnmf.report import page
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2)
    >>> page(fit, "Two parts").splitlines()[0]
    '# Two parts'
    """
    lines = [f"# {title}", "", *_spaced(lead)]
    lines += ["![Components, and how sure they are](fit.png)", "", "## What was found", ""]
    lines += ["```", repr(fit), "```", "", *_table(fit), ""]
    lines += [*_spaced(found), "## Findings", ""]
    lines += [f"- **{finding.name}**: {finding.message}" for finding in fit.warnings] or ["The fit has no warnings."]
    lines += ["", _recurrence(fit), "", "## What not to conclude", ""]
    lines += [f"- {text}" for text in (*_cautions(fit), *cautions)]
    lines += ["", "## Files", "", *(f"- `{name}`: {what}" for name, what in FILES.items())]
    versions = ", ".join(f"{name} {version}" for name, version in fit.versions.items())
    seed = "a JAX key" if fit.seed is None else fit.seed
    return "\n".join([*lines, "", f"Seed: {seed}. Made with {versions}.", ""])


def _spaced(paragraphs: Sequence[str]) -> list[str]:
    return [line for text in paragraphs for line in (text, "")]


def _table(fit: Fit) -> list[str]:
    rows = ["| component | share of mass | found by starts | largest features |", "| --- | --- | --- | --- |"]
    for k, row in fit.summary(top=4).iterrows():
        recurrence = "" if np.isnan(row["recurrence"]) else f"{100 * row['recurrence']:.0f}%"
        features = str(row["top_features"]).replace("|", "\\|")
        rows.append(f"| {k} | {100 * row['share']:.1f}% | {recurrence} | {features} |")
    return rows


def _recurrence(fit: Fit) -> str:
    starts = len(fit.agreement.rank)
    if starts == 1:
        return "There was one start, so nothing says whether another would find the same components."
    if fit.rank == 0:
        return "No component was kept."
    rare = np.flatnonzero(fit.agreement.recurrence < 0.5)
    if rare.size == 0:
        return f"Every component comes back in at least half of the {starts} random starts (cosine {NEAR} or more)."
    names = ", ".join(map(str, rare))
    return (
        f"**{rare.size} of {fit.rank} components come back in fewer than half of the {starts} random starts** "
        f"(cosine {NEAR} or more): {names}. Other starts end at other parts: do not build "
        "on these."
    )


def _cautions(fit: Fit) -> list[str]:
    texts = [
        "How large the errors are. This is a MAP fit: one point, without intervals; they need a posterior engine. "
        "Agreement of starts says that the optimum is found again, not that the data determine it.",
        "That components are causes. They are parts that add up to X, under this model.",
    ]
    if fit.model.shrinkage is None:
        texts.append(f"That there are {fit.rank} components. The rank was stated, not found.")
    else:
        texts.append(
            f"That there are exactly {fit.rank} components. Shrinkage gives one number and no probability; it depends "
            "on the likelihood."
        )
    if fit.groups is None:
        texts.append("Anything that needs independent samples. No groups were given, so none were compared.")
    return texts
