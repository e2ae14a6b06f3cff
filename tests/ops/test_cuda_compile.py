"""The CUDA sources through the compiler and with the flags of the loader, which takes nvcc but no GPU."""

import subprocess
import sys
from dataclasses import replace

import pytest

from histoxplain.ops import _build, _toolchain


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    try:
        tools = _toolchain.cuda_toolchain([(9, 0)])
    except _toolchain.BuildError as missing:
        pytest.skip(str(missing))
    link = tuple(flag for flag in tools.link_flags if flag != "-ltorch_cuda")  # CPU builds of torch do not have it
    return _build.compile_with_ninja(
        tmp_path_factory.mktemp("cuda"), replace(tools, link_flags=link), _build.sources("cuda")
    )


def test_loading_registers_every_kernel(library):
    """In a process of its own, as what is registered stays; CUDA's own functions are bound when they are called."""
    script = f"""if True:
        import ctypes, os
        from histoxplain.ops import _library, bias_act, epilogue, upfirdn2d
        ctypes.CDLL({str(library)!r}, mode=os.RTLD_LAZY)
        print(*(name for name in _library._references if _library.has_kernel(name, "cuda")))
    """
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert set(run.stdout.split()) == {"bias_act", "bias_act_backward", "upfirdn2d", "epilogue", "epilogue_backward"}


def test_only_the_stable_interface_of_torch_is_used(library):
    names = subprocess.run(
        ["nm", "-DC", "--undefined-only", library], capture_output=True, text=True, check=True
    ).stdout
    used = {line.split(maxsplit=1)[1] for line in names.splitlines()}
    assert any(name.startswith("aoti_torch_") for name in used)
    assert not [name for name in used if name.startswith(("at::", "c10::", "torch::", "caffe2::"))]
