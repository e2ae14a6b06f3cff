"""Compile the kernels of csrc into a cache that processes share, whatever dies on the way."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import torch

from histoxplain import __version__
from histoxplain._atomic import replacing
from histoxplain._cache import cache_folder
from histoxplain.ops._toolchain import BuildError, Toolchain, toolchain

CSRC = Path(__file__).parent / "csrc"
SUFFIXES = {"cpu": ".cpp", "cuda": ".cu", "memory": ".cpp"}


def sources(kind: str) -> list[Path]:
    """The files to compile for one device type, or for `memory`; none for a type that has no kernels."""
    return sorted((CSRC / kind).glob(f"*{SUFFIXES[kind]}")) if kind in SUFFIXES else []


def library(kind: str) -> Path:
    """The compiled kernels of one device type, built now unless the cache has them.

    Processes that need the same library wait for one builder. The lock is the kernel's: it ends with its process.
    A library counts once the checksum beside it agrees, so that a damaged one is built again. Where the cache cannot
    be written, a folder of this user under the system's temporary one takes its place.

    Args:
        kind: "cpu", "cuda" or "memory".

    Raises:
        BuildError: if there is no compiler, or it fails.
    """
    tools = toolchain(kind)
    name = f"{kind}-{fingerprint(kind, tools)}.so"
    for place in _places():
        try:
            return built(place / name, tools, sources(kind))
        except OSError as error:
            reason = error
    raise BuildError(f"there is no folder to build in: {reason}")


def fingerprint(kind: str, tools: Toolchain) -> str:
    """Of everything that the library depends on."""
    files = sorted(path for path in [*(CSRC / kind).iterdir(), *CSRC.glob("*.h")] if path.is_file())
    compiled = [path.name for path in sources(kind)]
    parts = [__version__, torch.__version__, str(torch.version.git_version), repr(tools), *compiled]
    digest = hashlib.sha256("\0".join(parts).encode())
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:20]


def built(target: Path, tools: Toolchain, files: Sequence[Path]) -> Path:
    """Build `target`, unless it is there or another process builds it while this one waits for the lock."""
    if is_intact(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_suffix(".lock")):
        if is_intact(target):
            return target
        for left_behind in target.parent.glob(f"{target.stem}.build-*"):
            shutil.rmtree(left_behind, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f"{target.stem}.build-", dir=target.parent) as folder:
            product = compile_with_ninja(Path(folder), tools, files)
            checksum = _checksum(product)
            product.replace(target)
        with replacing(_seal(target)) as part:
            part.write_text(checksum)
    return target


def is_intact(target: Path) -> bool:
    """Whether the library is there, and is the one that was built."""
    try:
        return _seal(target).read_text() == _checksum(target)
    except OSError:
        return False


def compile_with_ninja(folder: Path, tools: Toolchain, files: Sequence[Path]) -> Path:
    """Compile `files` side by side and link them, quietly; returns the library in `folder`.

    Raises:
        BuildError: with the first error in one line, and everything the compiler said in `output`.
    """
    (folder / "build.ninja").write_text(_recipe(tools, files))
    command = [_ninja(), "-C", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", env=os.environ | {"LC_ALL": "C"})
    if run.returncode:
        output = run.stdout + run.stderr
        said = [line for line in output.splitlines() if "error" in line.lower()] or output.splitlines()[-1:]
        raise BuildError(" ".join(["the compiler failed:", *said[:1]]), output)
    return folder / "kernels.so"


def _places() -> Iterator[Path]:
    """Where libraries may lie, best first: the cache, then a temporary folder that nobody else can write to."""
    yield cache_folder() / "native"
    own = Path(tempfile.gettempdir()) / f"histoxplain-{os.getuid()}"
    with suppress(OSError):
        own.mkdir(mode=0o700, exist_ok=True)
        status = own.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077:
            yield own
    yield Path(tempfile.mkdtemp(prefix="histoxplain-"))


def _recipe(tools: Toolchain, files: Sequence[Path]) -> str:
    """The text of build.ninja."""
    objects = [f"{number}.o" for number in range(len(files))]
    compiler, compile_flags, link_flags = map(_words, (tools.compiler, tools.compile_flags, tools.link_flags))
    return "\n".join(
        [
            f"rule compile\n  command = {compiler} {compile_flags} -c $in -o $out",
            f"rule link\n  command = {compiler} $in {link_flags} -o $out",
            *(f"build {name}: compile {_path(path)}" for name, path in zip(objects, files, strict=True)),
            f"build kernels.so: link {' '.join(objects)}\n",
        ]
    )


def _words(words: Sequence[str]) -> str:
    return shlex.join(words).replace("$", "$$")


def _path(path: Path) -> str:
    return str(path).replace("$", "$$").replace(" ", "$ ").replace(":", "$:")


def _ninja() -> str:
    """The ninja of this environment, else of the system."""
    beside = Path(sys.executable).parent / "ninja"
    try:
        packaged = Path(import_module("ninja").BIN_DIR) / "ninja"
    except (ImportError, AttributeError):
        packaged = beside
    for candidate in (packaged, beside, "ninja"):
        if found := shutil.which(candidate):
            return found
    raise BuildError("there is no ninja; install it with `pip install ninja`")


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _seal(target: Path) -> Path:
    return target.with_suffix(".sha256")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the operating system's lock on `path`, which it takes back when this process ends, however it ends."""
    import fcntl  # not on Windows

    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
