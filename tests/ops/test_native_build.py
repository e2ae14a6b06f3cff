"""Native kernels are built once, whoever asks and whatever happens, and ops work without them."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from shutil import which

import pytest
import torch

from histoxplain import InputError
from histoxplain.ops import _build, _library, _native, _toolchain

COMPILER = which("g++") or which("clang++") or which("c++")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kernels are not built on Windows")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")

ANSWER = '#include "answer.h"\nextern "C" __attribute__((visibility("default"))) int answer() { return ANSWER; }\n'
TWICE = """
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

torch::stable::Tensor thrice(const torch::stable::Tensor& x) {
  auto y = torch::stable::empty_like(x);
  auto in = static_cast<const float*>(x.const_data_ptr());
  auto out = static_cast<float*>(y.mutable_data_ptr());
  for (int64_t i = 0; i < x.numel(); ++i) out[i] = 3 * in[i];
  return y;
}
STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) { m.impl("twice_or_thrice", TORCH_BOX(&thrice)); }
"""


@pytest.fixture
def csrc(tmp_path, monkeypatch):
    """A small library's sources, an empty cache, and a process that has tried nothing; blanks in every path."""
    folder = tmp_path / "the sources"
    (folder / "cpu").mkdir(parents=True)
    (folder / "cpu" / "some answer.cpp").write_text(ANSWER)
    (folder / "cpu" / "answer.h").write_text("#define ANSWER 42\n")
    monkeypatch.setattr(_build, "CSRC", folder)
    monkeypatch.setattr(_native, "_outcomes", {})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HISTOXPLAIN_CACHE", str(tmp_path / "the cache"))
    monkeypatch.delenv("HISTOXPLAIN_NATIVE", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    return folder


@pytest.fixture
def never_again(csrc, monkeypatch):
    """Built once; compiling a second time fails."""
    path = _build.library("cpu")
    monkeypatch.setattr(_build, "compile_with_ninja", lambda *_: pytest.fail("compiled again"))
    return path


@pytest.fixture
def slow_compiler(tmp_path, monkeypatch):
    """A compiler that writes down its runs, and hangs in them while there is a file `hang`."""
    log, hang, script = tmp_path / "log", tmp_path / "hang", tmp_path / "slow c++"
    script.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec {COMPILER} --version\necho $$ >> "{log}"\n'
        f'[ -e "{hang}" ] && exec sleep 600\nsleep 0.2\nexec {COMPILER} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("CXX", f"'{script}'")
    return log, hang


def answer(path):
    return ctypes.CDLL(str(path)).answer()


def leftovers(path):
    return [p.name for p in path.parent.iterdir() if p.stem != path.stem]


def build_elsewhere():
    """The same build, in a process of its own; the queue gets the path."""
    context = multiprocessing.get_context("fork")
    paths = context.Queue()
    process = context.Process(target=lambda: paths.put(str(_build.library("cpu"))))
    process.start()
    return process, paths


@needs_compiler
def test_builds_once_and_quietly(never_again, tmp_path, capfd):
    assert answer(never_again) == 42
    assert never_again.is_relative_to(tmp_path / "the cache")
    assert _build.library("cpu") == never_again
    assert leftovers(never_again) == []
    assert capfd.readouterr() == ("", "")


@needs_compiler
@pytest.mark.parametrize("file", ["some answer.cpp", "answer.h", "another.cpp"])
def test_other_sources_are_another_library(file, csrc):
    first = _build.library("cpu")
    with (csrc / "cpu" / file).open("a") as source:
        source.write("// changed\n")
    assert _build.library("cpu") != first


@needs_compiler
@pytest.mark.parametrize("owner", ["histoxplain.ops._build.__version__", "torch.__version__"])
def test_other_versions_are_another_library(owner, csrc, monkeypatch):
    tools = _toolchain.toolchain("cpu")
    first = _build.fingerprint("cpu", tools)
    monkeypatch.setattr(owner, "9.9.9")
    assert _build.fingerprint("cpu", tools) != first


@needs_compiler
def test_other_files_are_another_library(csrc, monkeypatch):
    tools = _toolchain.toolchain("cpu")
    first = _build.fingerprint("cpu", tools)
    monkeypatch.setattr(_build, "sources", lambda kind: [])
    assert _build.fingerprint("cpu", tools) != first


@needs_compiler
@pytest.mark.parametrize("damage", ["half", "no seal", "garbage"])
def test_a_damaged_library_is_built_again(damage, csrc):
    path = _build.library("cpu")
    whole = path.read_bytes()
    if damage == "no seal":
        path.with_suffix(".sha256").unlink()
    path.unlink()
    path.write_bytes({"half": whole[: len(whole) // 2], "no seal": whole, "garbage": b"no library"}[damage])
    assert not _build.is_intact(path)
    assert _build.library("cpu") == path
    assert _build.is_intact(path)
    assert answer(path) == 42


@needs_compiler
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_two_processes_build_once(csrc, slow_compiler):
    log, _ = slow_compiler
    builders = [build_elsewhere() for _ in range(2)]
    paths = {queue.get(timeout=60) for _, queue in builders}
    for process, _ in builders:
        process.join()
    assert len(paths) == 1
    assert answer(paths.pop()) == 42
    assert len(log.read_text().splitlines()) == 2  # one file compiled, one library linked


@needs_compiler
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_killed_builder_holds_nobody_up(csrc, slow_compiler):
    log, hang = slow_compiler
    hang.touch()
    builder, _ = build_elsewhere()
    while not (log.exists() and log.read_text().endswith("\n")):
        assert builder.is_alive()
        time.sleep(0.02)
    builder.kill()
    builder.join()
    hang.unlink()
    path = _build.library("cpu")
    os.kill(int(log.read_text().split()[0]), signal.SIGKILL)  # the orphan that still hangs
    assert answer(path) == 42
    assert leftovers(path) == []


@needs_compiler
def test_without_a_writable_cache_a_folder_of_ones_own_serves(csrc, tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("HISTOXPLAIN_CACHE", str(tmp_path / "a file"))
    path = _build.library("cpu")
    assert path.parent == tmp_path / f"histoxplain-{os.getuid()}"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert _build.library("cpu") == path


@needs_compiler
def test_a_folder_that_others_can_write_to_is_not_trusted(csrc, tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("HISTOXPLAIN_CACHE", str(tmp_path / "a file"))
    shared = tmp_path / f"histoxplain-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    assert _build.library("cpu").parent != shared
    assert list(shared.iterdir()) == []


@needs_compiler
def test_a_compiler_that_fails_is_told_in_one_line(csrc, capfd):
    (csrc / "cpu" / "wrong.cpp").write_text("int f() { return nonsense; }\n")
    with pytest.warns(
        RuntimeWarning, match=r"^Native cpu kernels are off.*error.*nonsense.*HISTOXPLAIN_NATIVE=0"
    ) as told:
        assert not _native.load("cpu")
    assert len(told) == 1
    assert "\n" not in str(told[0].message)
    assert capfd.readouterr() == ("", "")


@needs_compiler
def test_required_kernels_fail_with_all_that_the_compiler_said(csrc, monkeypatch):
    monkeypatch.setenv("HISTOXPLAIN_NATIVE", "require")
    (csrc / "cpu" / "wrong.cpp").write_text("int f() { return nonsense; }\nint g() { return rubbish; }\n")
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"(?s)are required.*nonsense.*rubbish"):
            _native.load("cpu")


@needs_compiler
def test_loads_once(csrc, monkeypatch):
    assert _native.load("cpu")
    monkeypatch.setattr(_build, "library", lambda kind: pytest.fail("tried again"))
    assert _native.load("cpu")


def test_a_failure_is_told_once_and_not_tried_again(csrc, monkeypatch):
    monkeypatch.setenv("PATH", str(csrc))
    with warnings.catch_warnings(action="error"):
        assert not _native.load("memory")  # is left to the kernels to tell
    with pytest.warns(RuntimeWarning, match="there is no C\\+\\+ compiler"):
        assert not _native.load("cpu")
    assert not _native.load("cpu")  # warnings are errors in tests


def test_a_compiler_that_is_not_there(csrc, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(_toolchain.BuildError, match="named by CXX, no-such-compiler, is not there"):
        _toolchain.cpu_toolchain()


def test_native_kernels_can_be_forbidden(csrc, monkeypatch):
    monkeypatch.setenv("HISTOXPLAIN_NATIVE", "0")
    monkeypatch.setattr(_build, "library", lambda kind: pytest.fail("tried"))
    assert not _native.load("cpu")


def test_another_value_is_refused(csrc, monkeypatch):
    monkeypatch.setenv("HISTOXPLAIN_NATIVE", "requires")
    with pytest.raises(InputError, match="nearest valid is 'require'"):
        _native.load("cpu")


def test_a_device_without_kernels_has_nothing_to_load(csrc, monkeypatch):
    monkeypatch.setenv("HISTOXPLAIN_NATIVE", "require")
    assert not _native.load("mps")


@needs_compiler
def test_the_first_call_brings_the_kernel(csrc, monkeypatch):
    (csrc / "cpu" / "twice.cpp").write_text(TWICE)
    schema = "twice_or_thrice(Tensor x) -> Tensor"
    monkeypatch.setattr(_library, "_references", dict(_library._references))
    call = _library.define(schema, lambda x: 2 * x, torch.empty_like)
    x = torch.ones(2)
    with _library.reference_only():
        assert call(x).tolist() == [2, 2]
    assert not _native.settled("cpu")
    assert call(x).tolist() == [3, 3]
    assert _library.is_native("twice_or_thrice")
    with _library.reference_only():
        assert call(x).tolist() == [2, 2]
    assert call(x).tolist() == [3, 3]


def test_ops_work_without_a_compiler(tmp_path):
    """In a process of its own: importing tries nothing, the first op warns, and all of them compute."""
    code = """
import torch, warnings
from histoxplain import ops
from histoxplain.ops import _native
assert not _native.settled("cpu")
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    y = ops.upsample2d(ops.epilogue(ops.bias_act(x, act="relu", gain=1)), ops.setup_filter([1, 1]))
    y.sum().backward()
print(len(told), y.sum().item(), x.grad.sum().item())
"""
    environment = {"PATH": str(tmp_path), "HISTOXPLAIN_CACHE": str(tmp_path), "HISTOXPLAIN_NATIVE": "1"}
    kept = {name: os.environ[name] for name in ("HOME", "LD_LIBRARY_PATH", "PYTHONPATH") if name in os.environ}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, env=kept | environment, cwd=Path(__file__).parents[2])
    assert (run.stdout, run.stderr) == ("1 16.0 16.0\n", "")
