"""Seconds a training step of StyleGAN2 at 64 px, regularisers included, against the textbook formulation in one run.

Both train the same networks on the same images, one step each in turns. A step is what `train gan` does: generator,
discriminator, exponential average, path length every fourth step and R1 every sixteenth, whose share the mean has. Ours
is what it is after the first minutes, when what a step repeats is recorded: it records before the first step measured.
Prints a table and writes outputs/bench/training.json.
"""

import time
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


def timed(run, times, step):
    """Run one step and note its seconds by kind."""
    began = time.perf_counter()
    run()
    times.setdefault(kind(step), []).append(time.perf_counter() - began)


def by_the_book(run):
    """One step in the textbook formulation."""

    def step():
        with plain():
            run()

    return step


def compare(augment):
    """Seconds of a step of each kind and on average, as a row for each way to train."""
    trainings = {"plain float32": training("float32", augment, patience=NEVER)}
    trainings |= {precision: training(precision, augment, patience=1) for precision in ("float32", "auto")}
    runs = {name: by_the_book(t.step) if name.startswith("plain") else t.step for name, t in trainings.items()}
    times = {name: {} for name in runs}
    for step in (*[-PERIOD] * 2, *range(-2, ROUNDS * PERIOD)):
        for name, run in runs.items():
            trainings[name].steps = step % PERIOD
            timed(run, times[name] if step >= 0 else {}, step)
    found = {name: {which: median(seconds) for which, seconds in kinds.items()} for name, kinds in times.items()}
    for kinds in found.values():
        kinds["mean"] = sum(kinds[kind(step)] for step in range(PERIOD)) / PERIOD
    base = found["plain float32"]["mean"]
    return [{"training": name, "seconds": kinds, "times_plain": base / kinds["mean"]} for name, kinds in found.items()]


def main():
    """Measure without and with augmentation."""
    keep_freed_memory()
    rows = []
    print(f"{'64 px, batch 16':<34}{'losses':>9}{'+ path length':>15}{'+ R1':>9}{'mean':>9}{'x plain':>9}")
    for name, augment in AUGMENT.items():
        for row in compare(augment):
            s = [row["seconds"][which] for which in ("losses", "path length", "path length, R1", "mean")]
            what = f"augment {name}: {row['training']}"
            print(
                f"{what:<34}{s[0]:>8.3f}s{s[1]:>14.3f}s{s[2]:>8.3f}s{s[3]:>8.3f}s{row['times_plain']:>9.1f}", flush=True
            )
            rows.append({"augment": name, **row})
    write("training", rows)


if __name__ == "__main__":
    main()
