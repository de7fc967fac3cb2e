"""The command line: what it writes, and how it says no."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp
from typer.testing import CliRunner, Result

import bayesnmf as bn
from bayesnmf import demo, io
from bayesnmf.cli import _option, app

FILES = {"report.md", "fit.png", "fit.nc", "summary.csv", "components.csv", "activities.csv"}
INTERVALS = {"components_interval.csv", "activities_interval.csv"}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def counts() -> np.ndarray:
    return np.random.default_rng(0).poisson(4.0, (14, 6)) + 1


def assert_refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("bayesnmf: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


# reading


def read(tmp_path: Path, text: str, name: str = "x.csv", transpose: bool = False) -> tuple[pd.DataFrame, str]:
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = io.read(tmp_path / name, transpose=transpose)
    return pd.DataFrame(found.X, found.samples.index, found.features.index), str(found)


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [
        ("1,2,3\n4,5,6\n", None, None),
        ("a,b,c\n1,2,3\n4,5,6\n", None, ["a", "b", "c"]),
        ("s,1,2,3\nt,4,5,6\n", ["s", "t"], None),
        (",a,b,c\ns,1,2,3\nt,4,5,6\n", ["s", "t"], ["a", "b", "c"]),
        ("name,a,b,c\ns,1,2,3\nt,4,5,6\n", ["s", "t"], ["a", "b", "c"]),
        ("a,b,c\ns,1,2,3\nt,4,5,6\n", ["s", "t"], ["a", "b", "c"]),
        (",a,b,c\n7,1,2,3\n8,4,5,6\n", ["7", "8"], ["a", "b", "c"]),
        (",0,1,2\n0,1,2,3\n1,4,5,6\n", ["0", "1"], ["0", "1", "2"]),
        ('"a, first",b,c\n1,2,3\n\n4,5,6\n', None, ["a, first", "b", "c"]),
        ("\ufeffa,b,c\r\n1,2,3\r\n4,5,6\r\n", None, ["a", "b", "c"]),
        ("a;b;c\n1;2;3\n4;5;6\n", None, ["a", "b", "c"]),
        ("a\tb\tc\n1\t2\t3\n4\t5\t6\n", None, ["a", "b", "c"]),
    ],
)
def test_names_of_a_text_table_are_detected(
    tmp_path: Path, text: str, rows: list[str] | None, columns: list[str] | None
) -> None:
    frame, said = read(tmp_path, text)
    assert frame.to_numpy().tolist() == [[1, 2, 3], [4, 5, 6]]
    assert frame.index.tolist() == (rows or [0, 1])
    assert frame.columns.tolist() == (columns or [0, 1, 2])
    assert ("sample" in said.split(":")[0]) == (rows is not None)
    assert ("feature" in said.split(":")[0]) == (columns is not None)


def test_pandas_tables_come_back(tmp_path: Path) -> None:
    for frame in (pd.DataFrame(counts()), pd.DataFrame(counts(), columns=list("abcdef"))):
        frame.to_csv(tmp_path / "x.csv")
        np.testing.assert_array_equal(io.read(tmp_path / "x.csv").X, frame)
        frame.to_csv(tmp_path / "x.csv", index=False, header=not isinstance(frame.columns, pd.RangeIndex))
        np.testing.assert_array_equal(io.read(tmp_path / "x.csv").X, frame)


@pytest.mark.parametrize("columns", [[1, 2, 3], [2.5, 5, 10], [0, 1, 3], [7157, 672, 675]])
@pytest.mark.parametrize("index", [None, list("abcd"), [4, 1, 9, 2], [0.0, 0.5, 1.0, 1.5]])
def test_headers_of_numbers_come_back(columns: list[float], index: list[Any] | None, tmp_path: Path) -> None:
    """As pandas writes frequencies, gene numbers or what is left of some columns: with an empty corner."""
    frame = pd.DataFrame(counts()[:4, :3], index=index, columns=columns)
    frame.to_csv(tmp_path / "x.csv")
    found = io.read(tmp_path / "x.csv")
    np.testing.assert_array_equal(found.X, frame)
    assert found.samples.index.tolist() == [str(name) for name in frame.index]
    assert found.features.index.tolist() == [str(name) for name in frame.columns]
    for written, samples in ((frame.rename_axis("cell"), found.samples.index.tolist()), (frame, None)):
        if samples is None or index is None or isinstance(index[0], str):  # numbers in no order may be a feature
            written.to_csv(tmp_path / "x.csv", index=samples is not None)
            said = io.read_text(tmp_path / "x.csv", header=True)
            np.testing.assert_array_equal(said.X, frame)
            assert said.features.index.tolist() == found.features.index.tolist()
            assert samples is None or said.samples.index.tolist() == samples


def test_a_first_cell_that_is_missing_is_no_corner(tmp_path: Path) -> None:
    for text in (",1,1\n4,5,6\n4,8,9\n", ",1,2\n4.5,5,6\n0.25,8,9\n", ",1,2\n4,5,6\n,8,9\n"):
        frame, said = read(tmp_path, text)
        assert frame.shape == (3, 3)
        assert np.isnan(frame.iloc[0, 0])
        assert "without names" in said
    assert io.read_text(tmp_path / "x.csv", header=True).X.shape == (2, 2)


def test_names_with_an_underscore_are_no_numbers(tmp_path: Path) -> None:
    for text in ("sample,g1,g2\n1_1,3,4\n2_1,5,6\n", "1_1,3,4\n2_1,5,6\n", "r1,3,4\n1_1,5,6\n"):
        assert read(tmp_path, text)[0].to_numpy().tolist() == [[3, 4], [5, 6]]
    assert read(tmp_path, "1_1,1_2\n3,4\n5,6\n")[0].columns.tolist() == ["1_1", "1_2"]
    with pytest.raises(bn.DataError, match="line 3, cell 2: expected a number; got '1_0'"):
        read(tmp_path, "a,b\n1,2\n3,1_0\n")


def test_one_column(tmp_path: Path) -> None:
    frame, _ = read(tmp_path, "rate\n1\n2\n")
    assert frame.columns.tolist() == ["rate"]
    assert frame["rate"].tolist() == [1, 2]
    assert read(tmp_path, "1\n2\n3\n")[0].shape == (3, 1)


def test_missing_cells_are_missing(tmp_path: Path) -> None:
    frame, _ = read(tmp_path, "1,,3\nNA,5,nan\n7,8,9\n")
    np.testing.assert_array_equal(frame, [[1, np.nan, 3], [np.nan, 5, np.nan], [7, 8, 9]])


def test_transposed_file_is_turned_with_its_names(tmp_path: Path) -> None:
    frame, said = read(tmp_path, ",t0,t1,t2\nunit1,1,2,3\nunit2,4,5,6\n", transpose=True)
    assert frame.shape == (3, 2)
    assert frame.columns.tolist() == ["unit1", "unit2"]
    assert frame.index.tolist() == ["t0", "t1", "t2"]
    assert "Turned" in said
    assert "3 samples x 2 features" in said


def test_numpy_files(tmp_path: Path) -> None:
    X = counts()
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "one.npz", anything=X)
    sp.save_npz(tmp_path / "sparse.npz", sp.csr_array(X))
    for name in ("x.npy", "one.npz"):
        np.testing.assert_array_equal(io.read(tmp_path / name).X, X)
    sparse = io.read(tmp_path / "sparse.npz", transpose=True).X
    assert sp.issparse(sparse)
    np.testing.assert_array_equal(sparse.toarray(), X.T)


def test_an_index_with_a_name_is_no_feature(tmp_path: Path) -> None:
    """Whole numbers that count up by one under a header, as pandas writes an index that has a name."""
    frame = pd.DataFrame(counts(), columns=list("abcdef"), index=pd.RangeIndex(101, 115, name="cell"))
    frame.to_csv(tmp_path / "x.csv")
    found = io.read(tmp_path / "x.csv")
    np.testing.assert_array_equal(found.X, frame)
    assert found.samples.index.tolist() == [str(i) for i in frame.index]
    assert "sample and feature names" in str(found)
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "x.csv")  # in another order it may be anything
    assert io.read(tmp_path / "x.csv").features.index.tolist() == ["cell", *"abcdef"]


def test_lines_before_a_table_may_be_empty(tmp_path: Path) -> None:
    assert read(tmp_path, "\n\na;b\n1;2\n")[0].to_dict() == {"a": {0: 1.0}, "b": {0: 2.0}}


def test_a_library_that_is_missing_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ImportError('This needs pynwb: pip install "bayesnmf[spikes]"')

    (tmp_path / "x.nwb").touch()
    monkeypatch.setattr("bayesnmf.io.read", missing)
    assert_refused(run("fit", tmp_path / "x.nwb", "--rank", 1), "bayesnmf[spikes]")


MALFORMED = {
    "spaces": ("x.csv", b"a b\n1 2\n", "parted by commas, semicolons or tabs; line 1 is 'a b'"),
    "word": ("x.csv", b"a,b\n1,2\n3,x\n", "line 3, cell 2: expected a number; got 'x'"),
    "comma": ("x.csv", b'a,b\n1,2\n"3,5",1\n', "got '3,5'"),
    "short": ("x.csv", b"1,2,3\n4,5\n6,7,8\n9,8,7\n", "expected 2 cells"),
    "shorter later": ("x.csv", b"1,2,3\n4,5,6\n7,8\n", "line 3: expected 3 cells as in the lines above; got 2"),
    "longer": ("x.csv", b"1,2,3\n4,5,6\n7,8,9,10\n", "got 4"),
    "empty": ("x.csv", b"", "at least two lines"),
    "header only": ("x.csv", b"a,b\n", "at least two lines"),
    "latin": ("x.csv", "é,b\n1,2\n".encode("latin-1"), "not a text table in UTF-8"),
    "infinite": ("x.csv", b"1,inf\n2,3\n", "infinity"),
    "not npy": ("x.npy", b"hello", "not a NumPy array"),
    "empty npy": ("x.npy", b"", "not a NumPy array"),
    "not npz": ("x.npz", b"hello", "not an archive"),
    "cut npz": ("x.npz", b"PK\x03\x04hello", "not an archive"),
    "excel": ("x.xlsx", b"", "Expected a file ending in .csv, .tsv, .npy, .npz"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_file_is_one_line_and_exit_code_2(case: str, tmp_path: Path) -> None:
    name, content, words = MALFORMED[case]
    (tmp_path / name).write_bytes(content)
    result = run("fit", tmp_path / name, "--rank", 1, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[1, "a"], [2, None]], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", np.array([[1, "a"]], dtype=object), allow_pickle=True)
    for name in ("x.npy", "x.npz"):
        assert_refused(run("fit", tmp_path / name, "--rank", 1), "pickle")


def test_archives_of_the_wrong_content_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=counts(), b=counts())
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    assert_refused(run("fit", tmp_path / "two.npz", "--rank", 1), "it holds a, b")
    assert_refused(run("fit", tmp_path / "cube.npy", "--rank", 1), "matrix of numbers", "(2, 2, 2)")
    assert_refused(run("fit", tmp_path / "text.npy", "--rank", 1), "matrix of numbers")


# fitting


@pytest.mark.parametrize("engine", ["cavi", "map"])
def test_fit_writes_what_the_library_finds(engine: str, tmp_path: Path) -> None:
    frame = pd.DataFrame(counts(), columns=[f"g{j}" for j in range(6)])
    frame.to_csv(tmp_path / "x.csv", index=False)
    options = () if engine == "cavi" else ("--engine", engine)
    result = run("fit", tmp_path / "x.csv", "--rank", 2, "--seed", 3, "--out", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    written = {file.name for file in (tmp_path / "out").iterdir()}
    assert written == (FILES | INTERVALS if engine == "cavi" else FILES)
    made = {"cavi": bn.CAVI(), "map": bn.MAP()}[engine]
    found, expected = bn.load(tmp_path / "out" / "fit.nc"), bn.fit(frame, rank=2, seed=3, engine=made)
    np.testing.assert_array_equal(found.H, expected.H)
    assert found.features == tuple(frame.columns)
    assert "14 samples x 6 features" in result.stdout
    assert repr(expected) in result.stdout


def test_fit_takes_transposed_files_likelihood_and_rank_auto(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", counts().T - 3.0)
    result = run(
        "fit", tmp_path / "x.npy", "--transpose", "--likelihood", "gaussian", "--engine", "map",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    fit = bn.load(tmp_path / "out" / "fit.nc")
    assert fit.W.shape[0] == 14
    assert isinstance(fit.model.likelihood, bn.Gaussian)
    assert "  rank       " in result.stdout


def test_rank_says_what_the_library_says_and_a_second_run_reads_what_is_there(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", counts().T)
    given = "--max-rank", 2, "--likelihood", "poisson", "--transpose"
    options = "rank", tmp_path / "x.npy", *given, "--out", tmp_path / "out"
    results = [run(*options) for _ in range(2)]
    assert results[0].exit_code == 0, results[0].output
    expected = bn.select_rank(counts(), max_rank=2, likelihood=bn.Poisson())
    for result in results:
        assert repr(expected) in result.stdout
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"fits", "rank.csv", "rank.png"} | FILES | INTERVALS
    np.testing.assert_array_equal(bn.load(tmp_path / "out" / "fit.nc").W, expected.fit.W)
    assert pd.read_csv(tmp_path / "out" / "rank.csv")["rank"].tolist() == [1, 2]
    refused = run(*options, "--seed", 1)
    assert refused.exit_code == 2
    assert "another run left" in refused.stderr


@pytest.mark.parametrize(
    ("option", "made"),
    [
        ("--likelihood poisson", bn.Poisson()),
        ("--likelihood negative_binomial", bn.NegativeBinomial()),
        ("--likelihood compound_poisson", bn.CompoundPoisson()),
        ("--likelihood gaussian", bn.Gaussian()),
        ("--likelihood gamma", bn.GammaNoise()),
        ("--engine cavi", bn.CAVI()),
        ("--engine gibbs", bn.Gibbs()),
        ("--engine map", bn.MAP()),
        ("--engine nuts", bn.NUTS()),
        ("--engine svi", bn.SVI()),
        ("--read header=true", None),
    ],
)
def test_names_of_likelihoods_and_engines(
    option: str, made: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def caught(recording: io.Recording, **options: object) -> None:
        asked.extend([recording, options])
        raise bn.DataError("caught")

    monkeypatch.setattr(bn, "fit", caught)
    pd.DataFrame(counts()).to_csv(tmp_path / "x.csv", index=False)
    assert run("fit", tmp_path / "x.csv", *option.split()).exit_code == 2
    recording, options = asked
    assert len(recording.X) == (14 if "header" in option else 15)
    given = {"likelihood": None, "engine": bn.CAVI()}
    if made is not None:
        given["engine" if "engine" in option else "likelihood"] = made
    assert {name: repr(options[name]) for name in given} == {name: repr(own) for name, own in given.items()}


def test_errors_of_the_library_are_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", counts() - 3.0)
    refused = run("fit", tmp_path / "x.npy", "--rank", 2, "--likelihood", "poisson", "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "Gaussian()" in refused.stderr
    assert "Traceback" not in refused.output
    zero = run("fit", tmp_path / "x.npy", "--rank", 0)
    assert zero.exit_code == 2
    assert "at least 1" in zero.stderr


def test_missing_file(tmp_path: Path) -> None:
    assert_refused(run("fit", tmp_path / "none.csv", "--rank", 2), "There is no file")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", counts())
    result = run("fit", tmp_path / "x.npy", "--rank", 1, "--out", tmp_path / "x.npy")
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("fit", "Missing argument"),
        ("fit x.csv --rank many", "expected a whole number or \"auto\"; got 'many'"),
        ("fit x.csv --likelihood student", "'student' is not one of"),
        ("fit x.csv --engine mcmc", "'mcmc' is not one of"),
        ("demo mouse", "'mouse' is not one of"),
        ("unknown", "No such command 'unknown'"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.csv").write_text("1,2\n3,4\n", encoding="utf-8")
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("\u2502", " ").split())


def test_bug_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(demo, "run_demo", broken)
    result = run("demo")
    assert result.exit_code == 1
    assert isinstance(result.exception, RuntimeError)


def test_recording_that_cannot_be_fetched_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*arguments: object) -> None:
        raise bn.datasets.DatasetError("breast could not be fetched.\nSet BAYESNMF_DATA.")

    monkeypatch.setattr(bn.datasets, "load", offline)
    assert_refused(run("demo", "breast", "--out", tmp_path), "fetched. Set BAYESNMF_DATA")


def test_demo_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(demo, "run_demo", lambda name, out, console: asked.append((name, out)))
    assert run("demo").exit_code == 0
    assert run("demo", "songbird", "--out", "there").exit_code == 0
    assert asked == [("ca1", Path("bayesnmf-demo")), ("songbird", Path("there"))]


# the small commands


def test_version_info_and_datasets() -> None:
    assert run("--version").stdout == f"bayesnmf {bn.__version__}\n"
    info = run("info").stdout
    assert "jax" in info
    assert f"devices    {jax.devices()[0]}" in info
    for name in bn.datasets.names():
        assert name in run("datasets").stdout


def test_models_are_listed_and_shown() -> None:
    listed = run("models").stdout
    assert all(name in listed for name in bn.models.list())
    shown = run("models", "show", "hpf").stdout
    card = bn.models.card("hpf")
    assert all(card[key] in shown for key in ("title", "use", "avoid"))
    assert bn.models.source("hpf").rstrip() in shown
    assert_refused(run("models", "show", "hfp"), "no model 'hfp'. There are compound-poisson")


@pytest.mark.parametrize(
    ("file", "text", "option"),
    [
        ("x.h5ad", "layer=1", ("layer", "1")),
        ("x.nwb", "bin_s=0.5", ("bin_s", 0.5)),
        ("x.edf", "events=769", ("events", ["769"])),
        ("x.edf", "frequencies=4,40", ("frequencies", [4.0, 40.0])),
        ("x.parquet", "features=first", ("features", ["first"])),
        ("x.mat", "variable=a,b", ("variable", "a,b")),
    ],
)
def test_options_are_of_the_kind_that_readers_take(tmp_path: Path, file: str, text: str, option: Any) -> None:
    assert _option(tmp_path / file, text) == option


def test_an_option_that_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "x.nwb").touch()
    result = run("fit", tmp_path / "x.nwb", "--read", "bin_s=wide")
    assert result.exit_code == 2
    assert "expected a number for bin_s" in result.stderr


def test_options_of_readers(tmp_path: Path) -> None:
    first, second = np.arange(6.0).reshape(3, 2) + 1, np.arange(8.0).reshape(4, 2) + 1
    scipy.io.savemat(tmp_path / "x.mat", {"spikes": first, "other": second})
    out = ("--out", tmp_path / "out", "--rank", "1", "--engine", "map")
    assert_refused(run("fit", tmp_path / "x.mat", *out), "variable= to choose")
    result = run("fit", tmp_path / "x.mat", "--read", "variable=spikes", *out)
    assert "variable spikes" in result.stdout, result.output
    assert "3 samples x 2 features" in result.stdout


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("layer=counts", "read_text, which has no option 'layer'; it has header."),
        ("header=perhaps", "expected true or false for header; got 'perhaps'"),
        ("transpose=1", "no option 'transpose'"),
        ("counts", "expected name=value"),
    ],
)
def test_an_option_that_a_reader_does_not_have_is_one_line(tmp_path: Path, option: str, said: str) -> None:
    (tmp_path / "x.csv").write_text("1,2\n3,4\n", encoding="utf-8")
    for command in ("fit", "rank"):
        result = run(command, tmp_path / "x.csv", "--read", option, "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.split())
