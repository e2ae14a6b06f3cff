"""What every test may use: a seeded generator, the development data when it is there, and a quiet machine."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")  # no test opens a window
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # here and in what tests start; the cores have enough to do

import pytest
import torch

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

torch.set_num_threads(min(torch.get_num_threads(), 4))  # tiny tensors: more threads only wait for each other


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    torch.manual_seed(0)


@pytest.fixture
def rng() -> torch.Generator:
    """One seeded source of randomness on the CPU."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder that holds setup.cfg."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data beside the checkout; a clone without it skips the test."""
    if not SHARED.is_dir():
        pytest.skip("needs the development data in ../shared, which is not part of the project")
    return SHARED
