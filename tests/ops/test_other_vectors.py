"""The CPU's kernels as other processors compile them: narrower vectors, bfloat16 without an instruction of its own."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from histoxplain.ops import packed

RUN = """
import sys
from dataclasses import replace
import pytest
from histoxplain.ops import _build, _toolchain

NAMES = ("synthesis_layer", "synthesis_rgb", "convolution", "weight_gradient", "pointwise", "upfirdn2d", "bias_act")
native = _toolchain.cpu_toolchain()
flags = [sys.argv[1] if flag == "-march=native" else flag for flag in native.compile_flags]
_build.sources = lambda kind: [_build.CSRC / kind / f"{name}.cpp" for name in NAMES]
_build.toolchain = lambda kind: replace(native, compile_flags=(*flags,))
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="these are levels of x86")
@pytest.mark.parametrize("level", ["x86-64-v3"])
def test_kernels_of_narrower_vectors_pass_the_same_tests(level):
    flags = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
    if not {"avx2", "fma"} <= set(flags) or not packed.load():
        pytest.skip("this CPU cannot run them, or there is no compiler")
    here = Path(__file__).parent
    tests = [
        str(here / "test_packed.py"),
        str(here / "test_convolution.py"),
        str(here / "test_pointwise.py"),
        str(here / "test_native_cpu.py"),
        "-k",
        "layer_computes or exact_as or colours_are or four_taps",
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUN, f"-march={level}", *tests],
        cwd=here.parents[1],
        env=os.environ | {"HISTOXPLAIN_NATIVE": "require"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
