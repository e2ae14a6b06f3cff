import subprocess
import sys

import pytest

from histoxplain._malloc import keep_freed_memory

FAULTS = """
import resource, sys
import torch
from histoxplain._malloc import keep_freed_memory

torch.set_num_threads(1)
if sys.argv[1] == "keep":
    keep_freed_memory()
x = torch.ones(9, 2**20)  # 36 MiB
for _ in range(30):
    x * 2  # the heap finds its shape
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    x * 2
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_large_tensors_are_served_from_memory_already_held():
    if not keep_freed_memory():
        pytest.skip("this C library has no mallopt")
    assert faults("keep") < 0.5 * faults("leave")
