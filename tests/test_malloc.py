"""Memory that tensors free serves again, and only once it is free."""

import subprocess
import sys

import pytest

from histoxplain._malloc import keep_freed_memory
from histoxplain.ops import _native

BEGIN = """
import os, random, resource, sys, threading
import torch
from histoxplain._malloc import keep_freed_memory

torch.set_num_threads(1)
if sys.argv[1] == "keep":
    keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
"""

SAME = """
x = torch.ones(9, 2**20)  # 36 MiB
for _ in range(30):
    x * 2  # the heap finds its shape
before = faults()
for _ in range(10):
    x * 2
print(faults() - before)
"""

JOINED = """
pieces = [torch.ones(2**18) for _ in range(64)]  # 1 MiB each
random.seed(0)
random.shuffle(pieces)
pieces.clear()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
torch.ones(2**24)  # as large as all of them
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""

VARIED = """
def work(seed):
    rng, kept = random.Random(seed), {}
    for turn in range(2000):
        x = torch.empty(rng.choice([1, 3000, rng.randrange(4096, 2**18)]), dtype=torch.int32)
        assert x.data_ptr() % 64 == 0
        x.fill_(mark := seed * 10**6 + turn)
        # nobody but a view, an array or a graph holds it from here on
        if turn % 3 == 1:
            x = x[len(x) // 2 :]
        elif turn % 3 == 2:
            x = x.numpy()
        kept[mark] = x
        if len(kept) > 40:
            mark = rng.choice(list(kept))
            gone = kept.pop(mark)
            assert (gone == mark).all(), mark
    assert all((x == mark).all() for mark, x in kept.items())

threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 5)]
failed = []
threading.excepthook = failed.append
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failed, failed
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

SAVED = """
w = torch.full((2**18,), 3.0, requires_grad=True)
y = (w * 2).exp()  # holds its result
for _ in range(20):
    torch.full((2**18,), 7.0)
(y * 1).sum().backward()
torch.testing.assert_close(w.grad, 2 * torch.full((2**18,), 6.0).exp())
x = torch.arange(2**16)
child = os.fork()
if not child:
    y = x + torch.ones_like(x)
    os._exit(not torch.equal(y - 1, x))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
x.resize_(2**20)
assert torch.equal(x[: 2**16], torch.arange(2**16))
print(0)
"""

LEARNED = """
import hashlib
from histoxplain.models import Generator, GeneratorConfig

torch.manual_seed(0)
G = Generator(GeneratorConfig(resolution=32, channel_base=1024, channel_max=64, mapping_layers=2))
G.set_precision("auto")
ws = torch.randn(4, G.num_ws, G.w_dim)
for _ in range(3):
    images = G.synthesis(ws, noise_mode="const")
    G.zero_grad()
    images.square().mean().backward()
found = [images, *(p.grad for p in G.parameters() if p.grad is not None)]
print(int(hashlib.sha256(b"".join(x.detach().numpy().tobytes() for x in found)).hexdigest()[:12], 16))
"""


def said(script, how):
    done = subprocess.run([sys.executable, "-c", BEGIN + script, how], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.fixture
def heap():
    """Only where tensors have a heap of their own; each test fills one in a process of its own."""
    if not (keep_freed_memory() and _native.load("memory")):
        pytest.skip("tensors have no heap of their own here")


def test_large_tensors_are_served_from_memory_already_held():
    if not keep_freed_memory():
        pytest.skip("this C library has no mallopt")
    assert said(SAME, "keep") < 0.5 * said(SAME, "leave")


def test_a_tensor_of_the_same_size_costs_no_pages(heap):
    assert said(SAME, "keep") < 10


def test_freed_neighbours_serve_one_that_is_larger(heap):
    assert said(JOINED, "keep") < 10_000  # KiB


def test_memory_in_use_is_never_given_to_another(heap):
    peak_with, peak_without = said(VARIED, "keep"), said(VARIED, "leave")
    assert peak_with < peak_without + 100_000  # KiB; up to 160 tensors of up to 1 MiB live at a time


def test_graphs_forks_and_resizing_keep_what_they_hold(heap):
    assert said(SAVED, "keep") == 0


def test_results_are_the_same_to_the_bit(heap):
    assert said(LEARNED, "keep") == said(LEARNED, "leave")
