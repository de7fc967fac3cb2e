"""Where the upstream files are, and how they are fetched and checked."""

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
    """One file of a public repository, pinned by commit and content.

    Attributes
    ----------
    repository : str
        Owner and repository.
    commit : str
        The commit, 40 hexadecimal digits.
    path : str
        The file's path in the repository.
    sha256 : str
        The SHA-256 of its content.

    Examples
    --------
    >>> from bayesnmf.datasets._registry import UPSTREAM
    >>> UPSTREAM["spikes.mat"].path
    'linear-track/spikes.mat'
    """

    repository: str
    commit: str
    path: str
    sha256: str

    @property
    def url(self) -> str:
        """The address of the raw file."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.path}"


_NELPY = ("nelpy/example-data", "099548c0608ffaa92933c66346c0d96f05a18622")

UPSTREAM: dict[str, Upstream] = {
    "MackeviciusData.mat": Upstream(
        "FeeLab/seqNMF",
        "229b9b19ac3a34b8378945ec7f9e331e004bb777",
        "MackeviciusData.mat",
        "6d37559649f5ea03e23c4a8b80ce8edeb55fe8b559c586b06785bfde2a7ee112",
    ),
    "spikes.mat": Upstream(
        *_NELPY,
        "linear-track/spikes.mat",
        "615b05a9228a5eaea7f99d5fc5b11848a4d94fc154104612410c887875b65bc7",
    ),
    "trajectory.videoPositionTracking": Upstream(
        *_NELPY,
        "linear-track/trajectory.videoPositionTracking",
        "10a883302c50e26d5f659ac4ee08d8901f7881c71f6800cd56d999a620b31cb5",
    ),
    "pcawg_breast_sbs.csv": Upstream(
        "parklab/salamander",
        "cb890938eed153776cca0c0c37e47d9685e703be",
        "data/pcawg_breast_sbs.csv",
        "94fc6238c6b61f145f71be05f5e64a14de55e20714c8753485bd0da70e4003ce",
    ),
}


def fetch(filename: str) -> Path:
    """Give the path of an upstream file, fetching it where it is not yet in the cache folder.

    The cache folder is the one named by ``BAYESNMF_DATA``, or else the user's own.

    Parameters
    ----------
    filename : str
        A key of ``UPSTREAM``.

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

    upstream = UPSTREAM[filename]
    folder = Path(os.environ.get("BAYESNMF_DATA") or pooch.os_cache("bayesnmf"))
    path = folder / filename
    if path.exists():
        found = pooch.file_hash(str(path), alg="sha256")
        if found != upstream.sha256:
            raise DatasetError(
                f"{path} is not the expected file: SHA-256 {found}, expected {upstream.sha256}. "
                "Remove it to fetch it again, or set BAYESNMF_DATA to another folder."
            )
        return path
    try:
        pooch.retrieve(upstream.url, f"sha256:{upstream.sha256}", fname=filename, path=folder)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{filename} is not in {folder} and could not be fetched from {upstream.url}: {error}. "
            "Without a network, put it in a folder and set BAYESNMF_DATA to that folder."
        ) from error
    return path
