"""Fetching published data sets into a cache: checked, resumed where interrupted, with their terms beside them."""

from __future__ import annotations

import logging
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from urllib.parse import urlsplit

import pooch
import requests
from tqdm import tqdm

from histoxplain._cache import cache_folder
from histoxplain._checks import InputError
from histoxplain.data.published import Published, find
from histoxplain.data.terms import read_terms, write_terms

CHUNK = 1 << 16
"""Bytes that are written at a time; of a broken connection less than this is lost."""
ATTEMPTS = 5
"""How often a connection that breaks is taken up again without any progress in between."""
TIMEOUT = 30
"""Seconds to wait for an answer."""


def download(name: str | Published, cache: str | Path | None = None, progress: bool = True) -> Path:
    """Fetch a published data set, unless it is there already, and check it.

    What was begun is resumed, also by a later call. The terms are recorded in `SOURCE.json` beside the file, with its
    SHA-256: where the publisher gives no checksum, later calls are held against that.

    Args:
        name: such as "crc-val-he-7k" or "medmnist:pathmnist_64"; `histoxplain.data.published` lists them.
        cache: folder to keep it in, `cache_folder()` by default; the data set has a folder of its own there.
        progress: whether to show a progress bar on stderr.

    Returns:
        what `prepare` reads: the file, or the folder into which it was unpacked.

    Raises:
        InputError: if there is no such data set, the file has another checksum, or it cannot be fetched; the message
            then says what to fetch by hand and where to put it.
    """
    entry = find(name) if isinstance(name, str) else name
    folder = Path(cache or cache_folder()) / entry.name.replace(":", "-")
    known = entry.checksum or recorded_checksum(folder, entry.file)
    with explained(entry, folder):
        fetched = pooch.retrieve(
            entry.url, known, entry.file, folder, downloader=Resuming(folder / entry.file, progress)
        )
    file = Path(fetched)
    facts = {key: value for key, value in asdict(entry).items() if value}
    write_terms(folder, facts | {"sha256": pooch.file_hash(str(file)), "bytes": file.stat().st_size})
    return unpack(file) if entry.unpack else file


def recorded_checksum(folder: Path, file: str) -> str | None:
    """The SHA-256 that an earlier download of the same file had; None if there was none."""
    terms = read_terms(folder)
    return f"sha256:{terms['sha256']}" if terms.get("file") == file and terms.get("sha256") else None


@contextmanager
def explained(entry: Published, folder: Path) -> Iterator[None]:
    """Turn what can go wrong with a download into one line that says what to do."""
    logger = pooch.get_logger()
    level, by_hand = logger.level, f"fetch {entry.page} by hand, put {entry.file} into {folder}, and try again"
    logger.setLevel(logging.WARNING)  # the progress bar says it all
    try:
        yield
    except requests.RequestException as error:
        host = urlsplit(entry.url).netloc
        raise InputError(f"`{entry.name}` must be reachable, got {reason(error)} from {host}; {by_hand}.") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"`{entry.file}` must have checksum {entry.checksum}, got another; {by_hand}.") from error
    finally:
        logger.setLevel(level)


def reason(error: requests.RequestException) -> str:
    """Why there was no file, in a few words."""
    if error.response is not None:
        return f"status {error.response.status_code}"
    return "no answer in time" if isinstance(error, requests.Timeout) else "no answer"


class Resuming:
    """A downloader for pooch that goes on where it, or an earlier one, was interrupted.

    What has arrived lies in `<file>.part`, and what the server called it (its ETag) in `<file>.part.tag`: a file that
    has changed meanwhile is fetched from the start.

    Args:
        file: where the file will be.
        progress: whether to show a progress bar on stderr.
    """

    def __init__(self, file: Path, progress: bool = True) -> None:
        self.part = file.with_name(file.name + ".part")
        self.tag = file.with_name(file.name + ".part.tag")
        self.progress = progress

    def __call__(self, url: str, output_file: str, pooch: object = None) -> None:
        """Fetch `url` and move it to `output_file`.

        Raises:
            requests.RequestException: if the server does not answer, refuses, or hangs up again and again.
        """
        with tqdm(desc=self.part.stem, unit="B", unit_scale=True, disable=not self.progress) as bar:
            idle, arrived = 0, self._arrived()
            while not self._try(url, bar):
                idle = idle + 1 if self._arrived() <= arrived else 0
                arrived = self._arrived()
                if idle >= ATTEMPTS:
                    raise requests.ConnectionError(f"{url} hung up {idle} times")
        self.part.replace(output_file)
        self.tag.unlink(missing_ok=True)

    def _arrived(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _headers(self) -> dict[str, str]:
        """Ask for the rest, if the file is still the same."""
        headers = {"Accept-Encoding": "identity"}
        if self._arrived() and self.tag.exists():
            headers |= {"Range": f"bytes={self._arrived()}-", "If-Range": self.tag.read_text(encoding="utf-8")}
        return headers

    def _try(self, url: str, bar: tqdm) -> bool:
        """One request; whether the file is complete now. A broken connection is no reason to give up yet."""
        with requests.get(url, headers=self._headers(), stream=True, timeout=TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()
                return False
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            self._remember(response.headers.get("ETag"))
            start = self._arrived() if resumed else 0
            length = response.headers.get("Content-Length")
            bar.total, bar.n = start + int(length) if length else None, start
            with (
                suppress(requests.ConnectionError, requests.exceptions.ChunkedEncodingError),
                self.part.open("ab" if resumed else "wb") as file,
            ):
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
                return bar.total is None or file.tell() >= bar.total
        return False

    def _remember(self, tag: str | None) -> None:
        """Only a strong ETag promises the same bytes."""
        if tag and not tag.startswith("W/"):
            self.tag.write_text(tag, encoding="utf-8")
        else:
            self.tag.unlink(missing_ok=True)


def unpack(file: Path) -> Path:
    """Unpack a tar file beside itself, once, refusing names and links that lead elsewhere.

    Returns:
        the folder that holds what was in it.

    Raises:
        InputError: if it is damaged.
    """
    folder = file.with_name(file.name.partition(".")[0])
    if folder.is_dir():
        return folder
    draft = Path(mkdtemp(prefix=f".{folder.name}.", dir=file.parent))
    try:
        with tarfile.open(file) as archive:
            archive.extractall(draft, filter="data")
        inner = [path for path in draft.iterdir() if path.is_dir() and path.name == folder.name]
        (inner[0] if inner else draft).replace(folder)
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise InputError(f"`{file.name}` must be a readable archive, got {error}; delete {file} and retry.") from error
    finally:
        rmtree(draft, ignore_errors=True)
    return folder
