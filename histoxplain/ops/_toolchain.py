"""Which compiler builds the native kernels, and with which flags."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

TORCH = Path(torch.__file__).parent
STABLE_ABI = "-DTORCH_TARGET_VERSION=0x020b000000000000"
"""Kernels see what torch 2.11 promises to keep."""
ANY = ("-O3", "-std=c++20", STABLE_ABI)
HOST = ("-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math")


class BuildError(RuntimeError):
    """Native kernels cannot be had here; the message is one line, `output` all that the compiler said."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


@dataclass(frozen=True)
class Toolchain:
    """A compiler and how to call it; `identity` changes whenever its libraries may."""

    compiler: tuple[str, ...]
    compile_flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    identity: str


def toolchain(kind: str) -> Toolchain:
    """The compiler of the kernels for one device type.

    Args:
        kind: "cpu", "cuda" or "memory".

    Raises:
        BuildError: if this machine has none that fits.
    """
    return cuda_toolchain(architectures()) if kind == "cuda" else cpu_toolchain()


def cpu_toolchain() -> Toolchain:
    """`$CXX`, g++ or clang++, for exactly the CPU at hand."""
    compiler = host_compiler()
    arm = platform.machine().lower() in ("arm64", "aarch64")
    flags = (*ANY, *HOST, "-mcpu=native" if arm else "-march=native", "-isystem", str(TORCH / "include"))
    libraries = ("-L", str(TORCH / "lib"), "-ltorch_cpu", "-lc10")
    link = ("-undefined", "dynamic_lookup") if sys.platform == "darwin" else libraries
    return Toolchain(compiler, flags, ("-shared", *link), f"{version(compiler)}\n{cpu_features()}")


def cuda_toolchain(capabilities: Sequence[tuple[int, int]]) -> Toolchain:
    """nvcc, for GPUs of the given compute capabilities."""
    compiler, host = nvcc(), host_compiler()
    said = version(compiler)
    found, wanted = re.search(r"release (\d+)", said), torch.version.cuda
    if wanted and (found is None or found[1] != wanted.partition(".")[0]):
        raise BuildError(f"torch was built for CUDA {wanted}, and {compiler[0]} is of another release")
    codes = [f"-gencode=arch=compute_{major}{minor},code=sm_{major}{minor}" for major, minor in capabilities]
    options = ("--expt-relaxed-constexpr", "-ccbin", host[-1], "-Xcompiler", ",".join(HOST), *codes)
    flags = (*ANY, *options, "-isystem", str(TORCH / "include"))
    link = ("-shared", "-ccbin", host[-1], "-L", str(TORCH / "lib"), "-ltorch_cpu", "-ltorch_cuda")
    return Toolchain(compiler, flags, link, f"{said}\n{version(host)}")


def architectures() -> list[tuple[int, int]]:
    """The compute capabilities of the GPUs at hand."""
    return sorted({torch.cuda.get_device_capability(device) for device in range(torch.cuda.device_count())})


def host_compiler() -> tuple[str, ...]:
    """The command of the C++ compiler, e.g. `("/usr/bin/g++",)` or `("ccache", "g++")`."""
    if sys.platform == "win32":
        raise BuildError("kernels are not built on Windows")
    if os.environ.get("CXX"):
        named = shlex.split(os.environ["CXX"])
        if all(shutil.which(word) for word in named[:1]):
            return tuple(named)
        raise BuildError(f"the C++ compiler named by CXX, {named[0]}, is not there")
    for name in ("g++", "clang++", "c++"):
        if path := shutil.which(name):
            return (path,)
    raise BuildError("there is no C++ compiler; install g++ or clang++")


def nvcc() -> tuple[str, ...]:
    """The command of the CUDA compiler: below `$CUDA_HOME`, on the path, or where its installer puts it."""
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")]
    folders = [*(f"{home}/bin" for home in homes if home), os.environ.get("PATH", ""), "/usr/local/cuda/bin"]
    if path := shutil.which("nvcc", path=os.pathsep.join(folders)):
        return (path,)
    raise BuildError("there is no nvcc; install the CUDA toolkit or set CUDA_HOME")


def version(compiler: Sequence[str]) -> str:
    """What the compiler says of itself."""
    try:
        return subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"{compiler[0]} does not run: {error}") from error


def cpu_features() -> str:
    """What `native` means here: homes are shared by machines with unlike CPUs."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    named = dict(line.partition("\t")[::2] for line in lines if line.startswith(("model name", "flags", "Features")))
    return "\n".join(sorted(named.values()))
