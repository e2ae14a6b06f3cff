"""What it takes to read somebody else's network: seconds and memory for a pickle of some 100 MB, in NVIDIA's container.

Two files are made in a temporary folder: one with the averaged generator alone (512 px), one with all three networks
(256 px), as training writes them. Every figure is measured in a process of its own, after the imports: seconds until
the network is ready, and the peak of the resident memory above that of the imports. Beside our reader stand reading
the bytes, and `torch.load` of the same weights as plain state dicts, which do less. Prints a table and writes
outputs/bench/foreign.json.
"""

import json
import pickle
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import torch

from histoxplain.models import (
    Discriminator,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
    load_discriminator,
    load_generator,
    save_generator,
)

TURNS = 5
CASES = {"G_ema, 512 px": (512, 16384, 512), "G, D and G_ema, 256 px": (256, 16384, 208)}
STATUS = Path("/proc/self/status")


class Stored:
    """Pickles itself as NVIDIA's modules do, with some source code of the usual length, which nobody runs."""

    def __init__(self, module):
        state = {"_parameters": dict(module._parameters), "_buffers": dict(module._buffers), "training": False}
        state["_modules"] = {name: Stored(child) for name, child in module.named_children()}
        source = "raise RuntimeError('never to be executed')\n" + 900 * "# the source of networks.py would stand here\n"
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": "Network", "state": state}

    def __reduce__(self):
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


def write_pickle(path, networks):
    """Write networks as NVIDIA's training does; the names in the file need not exist where it is read."""

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("never to be called")

    stand_in = types.ModuleType("torch_utils.persistence")
    _reconstruct_persistent_obj.__module__ = stand_in.__name__
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    stand_in._reconstruct_persistent_obj = _reconstruct_persistent_obj
    sys.modules |= {"torch_utils": types.ModuleType("torch_utils"), "torch_utils.persistence": stand_in}
    contents = {name: Stored(network) for name, network in networks.items()}
    with path.open("wb") as file:
        pickle.dump({"training_set_kwargs": None, "augment_pipe": None, **contents}, file, protocol=4)


def make(folder, resolution, base, most):
    """The files of one case: as NVIDIA's pickle, as plain state dicts, and as ours."""
    shape = {"resolution": resolution, "channel_base": base, "channel_max": most}
    networks = {"G_ema": Generator(GeneratorConfig(**shape))}
    if resolution == 256:
        networks = {
            "G": Generator(GeneratorConfig(**shape)),
            "D": Discriminator(DiscriminatorConfig(**shape)),
        } | networks
    write_pickle(folder / "network.pkl", networks)
    torch.save({name: network.state_dict() for name, network in networks.items()}, folder / "plain.pt")
    save_generator(folder / "ours.safetensors", networks["G_ema"])
    return list(networks)


WAYS = {
    "the bytes": lambda folder: (folder / "network.pkl").read_bytes(),
    "torch.load of plain state": lambda folder: torch.load(folder / "plain.pt", weights_only=True),
    "load_generator of our safetensors": lambda folder: load_generator(folder / "ours.safetensors", "cpu"),
    "load_generator of the pickle": lambda folder: load_generator(folder / "network.pkl", "cpu"),
    "load_discriminator of the pickle": lambda folder: load_discriminator(folder / "network.pkl", "cpu"),
}


def resident(field):
    """Resident memory of this process in bytes, "VmRSS" now or "VmHWM" at most."""
    if not STATUS.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(field)) * 1024


def measure(way, folder):
    """Seconds, and bytes of memory at most and at the end, above what was there before."""
    before, began = resident("VmRSS"), time.perf_counter()
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    kept = WAYS[way](folder)  # noqa: F841 (held while memory is measured)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak": resident("VmHWM") - before, "left": resident("VmRSS") - before}


def main():
    """Measure every way in alternating processes, and take the medians."""
    from _plain import write  # here, as the processes that are measured do without

    rows = []
    for case, shape in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            networks = make(Path(folder), *shape)
            size = (Path(folder) / "network.pkl").stat().st_size
            print(f"{case}: {size / 1e6:.0f} MB")
            ways = [way for way in WAYS if "D" in networks or "discriminator" not in way]
            found = {way: [] for way in ways}
            for _ in range(TURNS):
                for way in ways:
                    command = [sys.executable, __file__, way, folder]
                    found[way].append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
        for way, turns in found.items():
            row = {name: sorted(turn[name] for turn in turns)[TURNS // 2] for name in turns[0]}
            rows.append({"case": case, "file": size, "way": way} | row)
            peak = f"peak {row['peak'] / 1e6:4.0f} MB ({row['peak'] / size:.2f} of the file)"
            print(f"  {way:34} {row['seconds']:6.3f} s, {peak}, left {row['left'] / 1e6:4.0f} MB")
    write("foreign", rows)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
    else:
        main()
