"""On a GPU: the fused kernels against torch's operations, and training beside what was published for one V100.

Ops are those of a 256 px generator and its discriminator, forward and with gradients; GB/s counts the images that a
forward pass reads and writes. Training is the published configuration "auto" with augmentation, all regularisers
included, in three ways: by the textbook in float32, in bfloat16 with torch's operations, and in bfloat16 with the
kernels. Prints tables and writes outputs/bench/gpu.json; without a GPU it says so and does nothing.
"""

import time
from functools import partial
from statistics import median

import torch
from _plain import plain, write

from histoxplain import ops
from histoxplain.ops._library import is_native
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.gan import GANTraining
from histoxplain.train.presets import preset

PUBLISHED = {128: 12.8, 256: 21.6}
"""Seconds for 1,000 images on one V100, by the resolution, as the authors of StyleGAN2-ADA give them."""
SHAPES = ((16, 64, 256, 256), (16, 256, 64, 64), (16, 512, 16, 16))
DTYPES = (torch.float32, torch.bfloat16)
MEMORY = (torch.contiguous_format, torch.channels_last)
PERIOD = 16  # steps after which the regularisers repeat
DEVICE = "cuda"


def synchronized():
    """Seconds, on a clock that waits for the GPU."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds(run, turns=20, calls=10):
    """Of one call: the median of several timings, after two to warm up."""
    times = []
    for _ in range(turns + 2):
        began = synchronized()
        for _ in range(calls):
            run()
        times.append((synchronized() - began) / calls)
    return median(times[2:])


def layers(shape):
    """What layers do to images of a shape, and their parameters."""
    n, c, height, width = shape
    scale, noise, b = (torch.randn(size, device=DEVICE) for size in ((n, c), (1, 1, height, width), (c,)))
    f = ops.setup_filter([1, 3, 3, 1]).to(DEVICE)
    return {
        "epilogue": (lambda *t: ops.epilogue(*t, "lrelu", clamp=256), [scale, noise, b]),
        "bias_act": (lambda x, b: ops.bias_act(x, b, act="lrelu", clamp=256), [b]),
        "filter2d": (lambda x: ops.filter2d(x, f), []),
        "upsample2d": (lambda x: ops.upsample2d(x, f), []),
        "downsample2d": (lambda x: ops.downsample2d(x, f), []),
    }


def both_ways(run):
    """Seconds of one call with the kernels, and how many times as long it takes torch's operations."""
    fused = seconds(run)
    with ops.reference_only():
        return fused, seconds(run) / fused


def with_gradients(f, inputs):
    """Runs a forward and a backward pass."""
    inputs = [x.detach().requires_grad_() for x in inputs]
    dy = torch.randn_like(f(*inputs))
    return lambda: torch.autograd.grad(f(*inputs), inputs, dy)


def compare_op(f, inputs):
    """What the first table says of one op."""
    x = inputs[0]
    with torch.no_grad():
        moved = (x.numel() + f(*inputs).numel()) * x.element_size()
        forward, times = both_ways(partial(f, *inputs))
    gradients, gradient_times = both_ways(with_gradients(f, inputs))
    return {
        "milliseconds": 1e3 * forward,
        "gigabytes_per_second": moved / forward / 1e9,
        "times_reference": times,
        "milliseconds_with_gradients": 1e3 * gradients,
        "times_reference_with_gradients": gradient_times,
    }


def compare_ops():
    """The first table."""
    print(f"{'':<54}{'forward':>22}{'with gradients':>18}")
    for shape in SHAPES:
        for name, (f, parameters) in layers(shape).items():
            for dtype, memory in ((dtype, memory) for dtype in DTYPES for memory in MEMORY):
                x = torch.randn(shape, device=DEVICE, dtype=dtype).contiguous(memory_format=memory)
                what = {"op": name, "shape": shape, "type": str(dtype)[6:], "memory": str(memory)[6:]}
                row = what | compare_op(f, [x, *parameters])
                ms, rate, times, ms_gradients, times_gradients = list(row.values())[4:]
                print(f"{name:<13}{'x'.join(map(str, shape)):<14} {row['type']:<9}{row['memory']:<17}", end="")
                print(f"{ms:>7.3f} ms{rate:>6.0f} GB/s{times:>6.1f}x{ms_gradients:>8.3f} ms{times_gradients:>6.1f}x")
                yield row


def training(resolution, precision):
    """A training at its first step, of images whose content does not matter here."""
    torch.manual_seed(0)
    pixels = torch.randint(256, (256, 3, resolution, resolution), dtype=torch.uint8)
    augmented = {"augment": "fixed", "augpipe": "bgc", "augment_p": 0.3}
    config = GANConfig(**preset("auto", resolution), **augmented, precision=precision, device=DEVICE)
    return GANTraining(pixels, torch.zeros(256, dtype=torch.long), ("tissue",), config)


def seconds_per_kimg(resolution, precision, rounds=3):
    """Of training: the median over whole periods of the regularisers, after one to warm up."""
    trained, times = training(resolution, precision), []
    for _ in range(rounds + 1):
        began = synchronized()
        for _ in range(PERIOD):
            trained.step()
        times.append(synchronized() - began)
    return median(times[1:]) / (PERIOD * trained.config.batch) * 1000


def compare_training():
    """The second table."""
    print(f"\n{'seconds for 1,000 images':<26}{'textbook float32':>17}{'torch bfloat16':>16}", end="")
    print(f"{'kernels bfloat16':>18}{'V100, published':>17}")
    for resolution in (64, 128, 256):
        with plain():
            row = {"resolution": resolution, "textbook_float32": seconds_per_kimg(resolution, "float32")}
        with ops.reference_only():
            row["reference_bfloat16"] = seconds_per_kimg(resolution, "bfloat16")
        row["fused_bfloat16"] = seconds_per_kimg(resolution, "bfloat16")
        row["published_v100"] = PUBLISHED.get(resolution)
        _, textbook, reference, fused, published = row.values()
        print(f"{resolution:>4} px {textbook:>36.1f}{reference:>16.1f}{fused:>18.1f}{published or '-':>17}", flush=True)
        yield row


def main():
    """Measure ops, then training."""
    if not torch.cuda.is_available():
        print("There is no GPU here: nothing to measure.")
        return
    print(torch.cuda.get_device_name(), "with kernels" if is_native("epilogue", "cuda") else "WITHOUT native kernels")
    rows = [*compare_ops(), *compare_training()]
    write("gpu", [{"gpu": torch.cuda.get_device_name(), **row} for row in rows])


if __name__ == "__main__":
    main()
