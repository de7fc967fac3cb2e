"""A fit written into a folder: the fit itself, tables, a figure and a page."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ._errors import EngineError
from .priors import Inclusion
from .rank import RankSelection
from .result import NEAR, Fit
from .summaries import feature_names, intervals, kind_of_intervals, noise_name

FILES = {
    "report.md": "this page",
    "fit.png": "the figure",
    "summary.csv": "one row for each component",
    "components.csv": "H: components x features, each row sums to 1",
    "activities.csv": "W: samples x components, in the unit of X",
    "fit.nc": "the whole fit; `bayesnmf.load` reads it back",
}

INTERVALS = {
    "components_interval.csv": "H again with the ends of 90% intervals, one row for each component and feature",
    "activities_interval.csv": "W again with the ends of 90% intervals, one row for each sample and component",
}
"""Tables that a fit with intervals has too: long, as plotting and joining want them."""


def write_report(fit: Fit, folder: str | PathLike[str], title: str = "A fit by bayesnmf") -> None:
    """Write a fit into a folder, for people and for other programs.

    Writes ``report.md``, ``fit.png``, ``summary.csv``, ``components.csv``, ``activities.csv`` and ``fit.nc``; files of
    these names are replaced. A fit with a posterior gets ``components_interval.csv`` and ``activities_interval.csv``
    beside them, and its ``fit.nc`` holds X. Not for very large W: ``activities.csv`` is text. Use `Fit.save` alone
    there.

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
    >>> fit = bn.fit(np.random.default_rng(0).poisson(3.0, (20, 10)), rank=2, engine=bn.MAP())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(fit, folder)
    ...     sorted(path.name for path in pathlib.Path(folder).iterdir())
    ['activities.csv', 'components.csv', 'fit.nc', 'fit.png', 'report.md', 'summary.csv']
    """
    folder = Path(folder)
    write_tables(fit, folder)
    figure(fit).savefig(folder / "fit.png", dpi=200)
    (folder / "report.md").write_text(page(fit, title), encoding="utf-8")


def write_selection(found: RankSelection, folder: str | PathLike[str]) -> None:
    """Write ``rank.csv``, the evidence for each number of components, and ``rank.png``, its picture, into a folder.

    >>> import tempfile, pathlib, numpy as np, bayesnmf as bn
    >>> from bayesnmf.report import write_selection
    >>> X = np.random.default_rng(0).poisson(np.outer(np.arange(1, 21), np.ones(10)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_selection(bn.select_rank(X, ranks=[1, 2], starts=2), folder)
    ...     sorted(path.name for path in pathlib.Path(folder).iterdir())
    ['rank.csv', 'rank.png']
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found.table.to_csv(folder / "rank.csv")
    picture = Figure(figsize=(6, 3.5), layout="constrained")
    found.plot(picture.subplots())
    picture.savefig(folder / "rank.png", dpi=200)


def write_tables(fit: Fit, folder: Path) -> None:
    """Write ``fit.nc``, ``summary.csv``, ``components.csv``, ``activities.csv``, and the tables of `INTERVALS`."""
    folder.mkdir(parents=True, exist_ok=True)
    components = pd.RangeIndex(fit.rank, name="component")
    samples = pd.RangeIndex(fit.W.shape[0]) if fit.samples is None else pd.Index(fit.samples)
    fit.save(folder / "fit.nc")
    fit.summary().to_csv(folder / "summary.csv")
    pd.DataFrame(fit.H, components, feature_names(fit)).to_csv(folder / "components.csv")
    pd.DataFrame(fit.W, samples.rename("sample"), [f"component {k}" for k in range(fit.rank)]).to_csv(
        folder / "activities.csv"
    )
    features = pd.Index(feature_names(fit), name="feature")
    _write_intervals(folder / "components_interval.csv", fit.H, intervals(fit, "H"), [components, features])
    _write_intervals(
        folder / "activities_interval.csv", fit.W, intervals(fit, "W"), [samples.rename("sample"), components]
    )


def _write_intervals(
    file: Path, mean: np.ndarray, ends: tuple[np.ndarray, np.ndarray] | None, axes: list[pd.Index]
) -> None:
    """Write a long table of means and intervals; where there are none, remove what an earlier fit left."""
    if ends is None:
        file.unlink(missing_ok=True)
        return
    columns = {name: a.ravel() for name, a in (("mean", mean), ("low", ends[0]), ("high", ends[1]))}
    pd.DataFrame(columns, pd.MultiIndex.from_product(axes)).to_csv(file)


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
    lines += ["```", repr(fit), "```", "", _table(fit), ""]
    lines += [*_spaced(_intervals(fit)), *_spaced(found), "## Findings", ""]
    lines += [f"- **{finding.name}**: {finding.message}" for finding in fit.warnings] or ["The fit has no warnings."]
    lines += ["", _recurrence(fit), "", "## What not to conclude", ""]
    lines += [f"- {text}" for text in (*_cautions(fit), *cautions)]
    files = FILES if intervals(fit, "H") is None else FILES | INTERVALS
    lines += ["", "## Files", "", *(f"- `{name}`: {what}" for name, what in files.items())]
    versions = ", ".join(f"{name} {version}" for name, version in fit.versions.items())
    seed = "a JAX key" if fit.seed is None else fit.seed
    return "\n".join([*lines, "", f"Seed: {seed}. Made with {versions}.", ""])


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


def _spaced(paragraphs: Sequence[str]) -> list[str]:
    return [line for text in paragraphs for line in (text, "")]


def component_table(fit: Fit) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table of components, with what the fit has: intervals, and other starts."""
    table = fit.summary(top=4)
    sure = "share_low" in table and bool(table["share_low"].notna().all())
    compared = bool(table["recurrence"].notna().any())
    head = ["component", f"share of mass{', 90% interval' if sure else ''}"]
    head += ["found by starts"] * compared + ["largest features"]
    rows = []
    for k, row in table.iterrows():
        share = f"{100 * row['share']:.1f}%"
        if sure:
            share += f" ({100 * row['share_low']:.1f} to {100 * row['share_high']:.1f})"
        recurrence = [f"{100 * row['recurrence']:.0f}%"] if compared else []
        rows.append([str(k), share, *recurrence, str(row["top_features"])])
    return head, rows


def _table(fit: Fit) -> str:
    head, rows = component_table(fit)
    return markdown_table(head, [[text.replace("|", "\\|") for text in row] for row in rows])


def _intervals(fit: Fit) -> list[str]:
    """Return what the intervals are, where there are any."""
    if intervals(fit, "share") is None or fit.rank == 0:
        return []
    return [
        f"Values are posterior means. Intervals are equal-tailed and hold 90%, by {kind_of_intervals(fit)}. "
        "One that begins next to 0 is an upper bound."
    ]


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


def _of_errors(fit: Fit) -> str:
    if fit.posterior is None:
        return (
            "How large the errors are. This is a MAP fit: one point, without intervals; they need a posterior engine. "
            "Agreement of starts says that the optimum is found again, not that the data determine it."
        )
    try:
        fit.interval("share")
    except EngineError as error:
        return f"How large the errors are. There are no intervals: {error}"
    text = (
        f"That the intervals hold all that is uncertain. They are those of {fit.rank} components and of "
        f"{noise_name(fit)} noise. Too few components is the dangerous side: what is left out "
        "shifts the others, and the intervals do not know. Nor do they know of other parts at which other starts "
        "ended, as said above."
    )
    if fit.posterior.has_response or fit.status == "sampled":
        return text
    return text + (
        " And they are of the mean field, which ignores how W and H move together: they are too narrow, and hold the "
        "truth less often than they say."
    )


def _cautions(fit: Fit) -> list[str]:
    texts = [
        _of_errors(fit),
        "That components are causes. They are parts that add up to X, under this model.",
    ]
    if fit.model.shrinkage is None:
        texts.append(f"That there are {fit.rank} components. The rank was stated, not found.")
    elif isinstance(fit.model.shrinkage, Inclusion):
        texts.append(
            f"That there are exactly {fit.rank} components. These are the ones with a probability above "
            f"{fit.model.shrinkage.threshold:g}, which is that of the likelihood and its priors (fit.inclusion)."
        )
    else:
        texts.append(
            f"That there are exactly {fit.rank} components. Shrinkage gives one number and no probability; it depends "
            "on the likelihood."
        )
    if fit.groups is None:
        texts.append("Anything that needs independent samples. No groups were given, so none were compared.")
    return texts
