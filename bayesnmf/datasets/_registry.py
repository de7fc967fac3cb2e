"""Where the upstream files are, and how they are fetched and checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


class DatasetError(OSError):
    """A recording's file is neither at hand nor can be fetched, or is not the expected one.

    Examples
    --------
    >>> from bayesnmf.datasets import DatasetError
    >>> issubclass(DatasetError, OSError)
    True
    """


@dataclass(frozen=True)
class Upstream:
    """The files of one recording: a folder of a public repository, pinned by commit and content.

    Attributes
    ----------
    repository : str
        Owner and repository.
    commit : str
        The commit, 40 hexadecimal digits.
    folder : str
        Where the files are in the repository; ends in a slash, or is empty.
    sha256 : dict of str to str
        The SHA-256 of each file's content, by its name.

    Examples
    --------
    >>> from bayesnmf.datasets._registry import UPSTREAM
    >>> list(UPSTREAM["haxby"].sha256)
    ['bold.nii.gz', 'mask.nii.gz', 'attributes_literal.txt']
    """

    repository: str
    commit: str
    folder: str
    sha256: dict[str, str]

    def url(self, filename: str) -> str:
        """Return the address of the raw file."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.folder}{filename}"


UPSTREAM: dict[str, Upstream] = {
    "ca1": Upstream(
        "nelpy/example-data",
        "099548c0608ffaa92933c66346c0d96f05a18622",
        "linear-track/",
        {
            "spikes.mat": "615b05a9228a5eaea7f99d5fc5b11848a4d94fc154104612410c887875b65bc7",
            "trajectory.videoPositionTracking": "10a883302c50e26d5f659ac4ee08d8901f7881c71f6800cd56d999a620b31cb5",
        },
    ),
    "songbird": Upstream(
        "FeeLab/seqNMF",
        "229b9b19ac3a34b8378945ec7f9e331e004bb777",
        "",
        {"MackeviciusData.mat": "6d37559649f5ea03e23c4a8b80ce8edeb55fe8b559c586b06785bfde2a7ee112"},
    ),
    "breast": Upstream(
        "parklab/salamander",
        "cb890938eed153776cca0c0c37e47d9685e703be",
        "data/",
        {"pcawg_breast_sbs.csv": "94fc6238c6b61f145f71be05f5e64a14de55e20714c8753485bd0da70e4003ce"},
    ),
    "eeg": Upstream(
        "sccn/eeglab",
        "94b8557aa27484c4e2cb4775315802d420b93f32",
        "sample_data/",
        {
            "eeglab_data.set": "27594dc378685d25d5f5f762f4f8332e7a3d988b6d5d41832bb2252d93988718",
            "eeglab_data.fdt": "3ec388b9a080c723c00cd380403d64cc754929d828375bbd53bd83b468136759",
        },
    ),
    "haxby": Upstream(
        "PyMVPA/PyMVPA",
        "20f0335f98bbb59a0e11bc0b7a469edf8681a9a1",
        "mvpa2/data/",
        {
            "bold.nii.gz": "cbbd4d07803caaa9f77381af24e790cf77058664a128bd514a4c1668eefb92d7",
            "mask.nii.gz": "8d879d35aaeee3afddfb69a7e1b8dd2b3be446671452d7e841dc6588845f2877",
            "attributes_literal.txt": "7769f235e93d3157ef7bd1102abfaf3bc058ad9ca28e89dc60b8e47f473207c3",
        },
    ),
    "mouse": Upstream(
        "ETHZ-INS/DLCAnalyzer",
        "cfdc34a85b6ce961bbddd8905a1a62b714dbc11a",
        "data/EPM/Output_DLC/",
        {
            "EPM_15DeepCut_resnet50_epmMay17shuffle1_1030000.csv": (
                "5e403bad49f3a5c949768c0f26213b59b7b15c4e3aa9447e6d4450edfc3cb727"
            )
        },
    ),
    "pbmc": Upstream(
        "scverse/scanpy",
        "cf8b46dea735c35a629abfaa2e1bab9047281e34",
        "src/scanpy/datasets/",
        {"10x_pbmc68k_reduced.h5ad": "e71d41e737c941559b7c57c9243bdb3d2c889c2adfdf00e3422ac6b46783676f"},
    ),
}


def fetch(filename: str) -> Path:
    """Give the path of an upstream file, fetching it where it is not yet in the cache folder.

    The cache folder is the one named by ``BAYESNMF_DATA``, or else the user's own.

    Parameters
    ----------
    filename : str
        The name of a file of ``UPSTREAM``.

    Returns
    -------
    pathlib.Path
        A file whose SHA-256 is the expected one.

    Raises
    ------
    DatasetError
        If the file cannot be fetched, or the one at hand has another SHA-256.

    Examples
    --------
    >>> from bayesnmf.datasets._registry import fetch
    >>> fetch("pcawg_breast_sbs.csv").name  # doctest: +SKIP
    'pcawg_breast_sbs.csv'
    """
    import pooch

    upstream = next(source for source in UPSTREAM.values() if filename in source.sha256)
    expected, url = upstream.sha256[filename], upstream.url(filename)
    folder = Path(os.environ.get("BAYESNMF_DATA") or pooch.os_cache("bayesnmf"))
    path = folder / filename
    if path.exists():
        found = pooch.file_hash(str(path), alg="sha256")
        if found != expected:
            raise DatasetError(
                f"{path} is not the expected file: SHA-256 {found}, expected {expected}. "
                "Remove it to fetch it again, or set BAYESNMF_DATA to another folder."
            )
        return path
    try:
        pooch.retrieve(url, f"sha256:{expected}", fname=filename, path=folder)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{filename} is not in {folder} and could not be fetched from {url}: {error}. "
            "Without a network, put it in a folder and set BAYESNMF_DATA to that folder."
        ) from error
    return path
