"""Seconds a training step of StyleGAN2 at 64 px, regularisers included, against the textbook formulation in one run.

All train the same networks on the same images, each in a process of its own, one step each in turns. A step is what
`train gan` does: generator, discriminator, exponential average, path length every fourth step and R1 every sixteenth,
whose share the mean has. Ours is what it is after the first minutes, when what a step repeats is recorded: it records
before the first step measured. The textbook formulation has nothing native (HISTOXPLAIN_NATIVE=0) and runs three times:
as `train gan` then sets its process up, which is what the others are compared with; with memory as PyTorch serves it;
and with our native heap of tensors after all.

Prints a table and writes outputs/bench/training.json.
"""

import os
import time
from contextlib import ExitStack, contextmanager, nullcontext
from multiprocessing import get_context
from statistics import median

import torch
from _plain import plain, write

from histoxplain._malloc import keep_freed_memory
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.gan import GANTraining
from histoxplain.train.recorded import Recorded

SHAPE = {"batch": 16, "channel_base": 4096, "channel_max": 128, "mapping_layers": 2, "device": "cpu"}
AUGMENT = {"none": {"augment": "none"}, "bgc, p = 0.3": {"augment": "fixed", "augpipe": "bgc", "augment_p": 0.3}}
ROUNDS = 2
PERIOD = 16  # steps after which the regularisers repeat
NEVER = 10**9
BASELINE = "plain float32"
WAYS = {
    "plain float32, PyTorch's memory": {"plain": True, "native": "0", "precision": "float32", "memory": "PyTorch's"},
    BASELINE: {"plain": True, "native": "0", "precision": "float32", "memory": "kept"},
    "plain float32, native heap": {"plain": True, "native": "1", "precision": "float32", "memory": "kept"},
    "float32": {"plain": False, "native": "1", "precision": "float32", "memory": "kept"},
    "auto": {"plain": False, "native": "1", "precision": "auto", "memory": "kept"},
}


def training(precision, augment, patience):
    """A training at its first step, of images whose content does not matter here."""
    torch.manual_seed(0)
    pixels = torch.randint(256, (256, 3, 64, 64), dtype=torch.uint8)
    config = GANConfig(precision=precision, **SHAPE, **augment)
    made = GANTraining(pixels, torch.arange(256) % 3, ("a", "b", "c"), config)
    for part in vars(made).values():
        if isinstance(part, Recorded):
            part.patience = patience
    return made


def kind(step):
    """What a step does beside the two networks' losses."""
    return "path length, R1" if step % PERIOD == 0 else "path length" if step % 4 == 0 else "losses"


def work(pipe, how, augment):
    """Train in this process: for each step asked for, do it and say how long it took."""
    os.environ["HISTOXPLAIN_NATIVE"] = how["native"]
    if how["memory"] == "kept":
        keep_freed_memory()
    trained = training(how["precision"], augment, NEVER if how["plain"] else 1)
    for step in iter(pipe.recv, None):
        trained.steps = step
        with plain() if how["plain"] else nullcontext():
            began = time.perf_counter()
            trained.step()
            pipe.send(time.perf_counter() - began)


@contextmanager
def at_work(how, augment):
    """A function that does a step in a process of its own and returns its seconds."""
    context = get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=work, args=(other, how, augment), daemon=True)
    process.start()

    def step(number):
        pipe.send(number)
        while not pipe.poll(1):
            if not process.is_alive():
                raise SystemExit("a training ended")
        return pipe.recv()

    yield step
    pipe.send(None)
    process.join()


def compare(augment):
    """Seconds of a step of each kind and on average, as a row for each way to train."""
    times = {name: {} for name in WAYS}
    with ExitStack() as stack:
        steps = {name: stack.enter_context(at_work(how, augment)) for name, how in WAYS.items()}
        for number in (*[-PERIOD] * 2, *range(-2, ROUNDS * PERIOD)):
            for name, step in steps.items():
                seconds = step(number % PERIOD)
                if number >= 0:
                    times[name].setdefault(kind(number), []).append(seconds)
    found = {name: {which: median(seconds) for which, seconds in kinds.items()} for name, kinds in times.items()}
    for kinds in found.values():
        kinds["mean"] = sum(kinds[kind(step)] for step in range(PERIOD)) / PERIOD
    base = found[BASELINE]["mean"]
    return [{"training": name, "seconds": kinds, "times_plain": base / kinds["mean"]} for name, kinds in found.items()]


def main():
    """Measure without and with augmentation."""
    rows = []
    print(f"{'64 px, batch 16':<60}{'losses':>9}{'+ path length':>15}{'+ R1':>9}{'mean':>9}{'x plain':>9}")
    for name, augment in AUGMENT.items():
        for row in compare(augment):
            s = [row["seconds"][which] for which in ("losses", "path length", "path length, R1", "mean")]
            what = f"augment {name}: {row['training']}"
            print(
                f"{what:<60}{s[0]:>8.3f}s{s[1]:>14.3f}s{s[2]:>8.3f}s{s[3]:>8.3f}s{row['times_plain']:>9.1f}", flush=True
            )
            rows.append({"augment": name, **row})
    write("training", rows)


if __name__ == "__main__":
    main()
