"""The command line: ``bayesnmf fit``, ``rank``, ``demo``, ``models``, ``datasets``, ``info``."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Bayesian non-negative matrix factorization: the parts of a matrix, how many there are, and how sure that is.",
)

zoo = typer.Typer(help="Generative models that come with the library, as NumPyro programs.")
app.add_typer(zoo, name="models")


FORMATS = "Samples x features, in any format of bayesnmf.io: .csv, .npy, .h5ad, .nwb, .set, .nii.gz, .mat and others."

READ = "An option of the format's reader, once for each: layer=counts, variable=spikes, bin_s=0.1, events=left,right."


class DemoName(StrEnum):
    """Recordings that have a demonstration."""

    ca1 = "ca1"
    songbird = "songbird"
    breast = "breast"


class LikelihoodName(StrEnum):
    """Likelihoods by name; auto leaves it to what the entries are."""

    auto = "auto"
    poisson = "poisson"
    negative_binomial = "negative_binomial"
    compound_poisson = "compound_poisson"
    gaussian = "gaussian"
    gamma = "gamma"


class EngineName(StrEnum):
    """Engines by name: a posterior in seconds, exact draws from it, or its mode."""

    cavi = "cavi"
    gibbs = "gibbs"
    nuts = "nuts"
    svi = "svi"
    map = "map"


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bayesnmf {version('bayesnmf')}")
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Take what goes before a command."""


@app.command()
def fit(
    file: Annotated[Path, typer.Argument(help=FORMATS)],
    rank: Annotated[str, typer.Option(help='Number of components, or "auto".')] = "auto",
    likelihood: Annotated[LikelihoodName, typer.Option(help="What the entries are.")] = LikelihoodName.auto,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="cavi: a posterior, with intervals. gibbs, nuts: exact draws, slower. svi: by stochastic gradients. "
            "map: its mode, plain NMF."
        ),
    ] = EngineName.cavi,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("bayesnmf-fit"),
    transpose: Annotated[bool, typer.Option("--transpose", help="The file is features x samples.")] = False,
    read: Annotated[list[str] | None, typer.Option(help=READ)] = None,
) -> None:
    """Fit a matrix and write the fit, its tables, a figure and a page."""
    number = _rank(rank)
    with _plain_errors():
        import bayesnmf as bn

        from .report import write_report

        engines: dict[EngineName, bn.CAVI | bn.Gibbs | bn.NUTS | bn.SVI | bn.MAP] = {
            EngineName.cavi: bn.CAVI(), EngineName.gibbs: bn.Gibbs(), EngineName.map: bn.MAP(),
            EngineName.nuts: bn.NUTS(), EngineName.svi: bn.SVI(),
        }  # fmt: skip
        with _status(f"Reading {file.name}"):
            recording = _read(file, transpose, read or [])
        typer.echo(str(recording))
        with _status(f"Fitting, rank {rank}"):
            result = bn.fit(
                recording, rank=number, likelihood=_likelihoods().get(likelihood), engine=engines[engine], seed=seed
            )
        with _status("Writing"):
            write_report(result, out, f"Parts of {file.name}")
        typer.echo(repr(result))
        typer.echo(f"Wrote {out / 'report.md'}, fit.png, fit.nc and the tables.")


@app.command()
def rank(
    file: Annotated[Path, typer.Argument(help=FORMATS)],
    max_rank: Annotated[int, typer.Option(help="Most components.")] = 25,
    likelihood: Annotated[LikelihoodName, typer.Option(help="What the entries are.")] = LikelihoodName.auto,
    seed: Annotated[int, typer.Option(help="Same seed, same answer.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("bayesnmf-rank"),
    transpose: Annotated[bool, typer.Option("--transpose", help="The file is features x samples.")] = False,
    read: Annotated[list[str] | None, typer.Option(help=READ)] = None,
) -> None:
    """Say how many components a matrix has, and why, and write their fit. A run that was stopped goes on."""
    with _plain_errors():
        import bayesnmf as bn

        from .report import write_report, write_selection

        with _status(f"Reading {file.name}"):
            recording = _read(file, transpose, read or [])
        typer.echo(str(recording))
        found = bn.select_rank(
            recording, max_rank=max_rank, likelihood=_likelihoods().get(likelihood), seed=seed,
            checkpoint=str(out / "fits"), progress=True,
        )  # fmt: skip
        write_selection(found, out)
        write_report(found.fit, out, f"Parts of {file.name}")
        typer.echo(repr(found))
        typer.echo(f"Wrote {out / 'rank.csv'}, rank.png, and its fit: report.md, fit.png, fit.nc and the tables.")


@app.command()
def demo(
    name: Annotated[DemoName, typer.Argument(help="The recording.")] = DemoName.ca1,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("bayesnmf-demo"),
) -> None:
    """Fit a real recording and write a figure and a page about it. ca1 and songbird need no network."""
    with _plain_errors():
        from .demo import run_demo

        run_demo(name.value, out, Console())


@app.command()
def datasets() -> None:
    """List the recordings that come with the library or can be fetched."""
    with _plain_errors():
        from . import datasets as recordings

        for name in recordings.names():
            about = (getattr(recordings, name).__doc__ or "").splitlines()[0].removeprefix("Load ")
            typer.echo(f"{name:10} {about}")
        typer.echo("ca1 and songbird come with the library, the others are fetched once.")
        typer.echo('In Python: print(bayesnmf.datasets.load("ca1"))')


@zoo.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the models."""
    if context.invoked_subcommand is None:
        from . import models

        for name in models.list():
            typer.echo(f"{name:20} {models.card(name)['title']}")
        typer.echo('One of them: bayesnmf models show hpf. In Python: bayesnmf.models.load("hpf")')


@zoo.command()
def show(name: Annotated[str, typer.Argument(help="Name of a model, or the path of a folder of your own.")]) -> None:
    """Print what a model is for, its formula, and its program."""
    with _plain_errors():
        from . import models

        about, text = models.card(name), models.source(name)
        typer.echo(f"{name}: {about['title']}\n\n{about['formula'].strip()}\n")
        for key in ("use", "avoid", "identifiable"):
            typer.echo(f"{key:13} {about[key]}")
        for entry in about["references"]:
            typer.echo(f"{'from':13} {entry}")
        typer.echo(f"{'licence':13} {about['licence']}\n\n{text.rstrip()}")


@app.command()
def info() -> None:
    """Print versions and devices: what to put into a bug report."""
    import jax

    for package in ("bayesnmf", "jax", "jaxlib", "numpyro", "numpy", "scipy", "xarray", "h5netcdf", "matplotlib"):
        typer.echo(f"{package:10} {version(package)}")
    typer.echo(f"{'python':10} {platform.python_version()}")
    typer.echo(f"{'devices':10} {', '.join(str(device) for device in jax.devices())}")


def _read(file: Path, transpose: bool, given: list[str]) -> Any:
    from .io import read

    options = dict(_option(file, text) for text in given if file.exists())
    return read(file, transpose=transpose, **options)


def _option(file: Path, text: str) -> tuple[str, Any]:
    """Return an option of the file's reader, of the kind that the reader takes."""
    from .io._read import kind_of_option

    name, _, value = text.partition("=")
    if not (name and value):
        raise typer.BadParameter(f"expected name=value; got {text!r}", param_hint="--read")
    kind = kind_of_option(file, name)
    if "bool" in kind:
        if value.lower() not in ("true", "false"):
            raise typer.BadParameter(f"expected true or false for {name}; got {value!r}", param_hint="--read")
        return name, value.lower() == "true"
    try:
        values = [float(part) if "float" in kind else part for part in value.split(",")]
    except ValueError:
        raise typer.BadParameter(f"expected a number for {name}; got {value!r}", param_hint="--read") from None
    several = "Sequence" in kind or "tuple" in kind
    return name, values if several else values[0] if "float" in kind else value


def _rank(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f'expected a whole number or "auto"; got {text!r}', param_hint="--rank") from None


def _likelihoods() -> dict[LikelihoodName, Any]:
    import bayesnmf as bn

    return {
        LikelihoodName.poisson: bn.Poisson(), LikelihoodName.negative_binomial: bn.NegativeBinomial(),
        LikelihoodName.compound_poisson: bn.CompoundPoisson(), LikelihoodName.gaussian: bn.Gaussian(),
        LikelihoodName.gamma: bn.GammaNoise(),
    }  # fmt: skip


@contextmanager
def _status(text: str) -> Iterator[None]:
    with Console(stderr=True).status(text):
        yield


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn what the user can mend into one line on stderr and exit code 2; a bug keeps traceback and exit code 1."""
    from ._errors import DataError, EngineError, ModelError

    try:
        yield
    except (DataError, ModelError, EngineError, ImportError, OSError) as error:
        typer.echo(f"bayesnmf: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
