"""What NeuRN costs, against the way that is written first: unfold the windows, take their standard deviation.

Claims, each measured side by side in this run, CPU times on one thread, the least of several rounds, images of
256 x 3 x 32 x 32 and 64 x 64 x 56 x 56, windows of 3 px:

1. Forward, at least 8 x faster as it is and 30 x compiled.
2. Forward and backward, at least 3 x faster as it is and 7 x compiled.
3. Memory above what was there before, output included: less than 4 tensors of the size of the images.

Before that: what becomes of bright images in the two-moment form, sqrt(E[x^2] - E[x]^2), and in ours. On a machine with
a GPU: what a forward pass takes there, and what a copy on the device does. The ratio to a copy is printed last.

Run: python benchmarks/neurn.py
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from murine import neurn

ROUNDS = 7
SHAPES = ((256, 3, 32, 32), (64, 64, 56, 56))


def unfolded(x: Tensor, k: int = 3) -> Tensor:
    """The definition, window by window; for k = 3 ``replicate`` is the mirror with the edge repeated."""
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    deviation = padded.unfold(2, k, 1).unfold(3, k, 1).std(dim=(-2, -1), correction=0)
    return deviation / deviation.amax(dim=(-3, -2, -1), keepdim=True)


def two_moments(x: Tensor, k: int = 3) -> Tensor:
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    mean = functional.avg_pool2d(padded, k, 1)
    variance = functional.avg_pool2d(padded.square(), k, 1) - mean.square()
    deviation = variance.clamp_min(0).sqrt()
    return deviation / (deviation.amax(dim=(-3, -2, -1), keepdim=True) + 1e-12)


def cpu_times(works: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Least CPU time of each, taken in turns, so that a disturbance strikes all of them."""
    best = dict.fromkeys(works, float("inf"))
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            start = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - start)
    return best


def extra_memory(work: Callable[[], object]) -> int:
    """Bytes that a call takes at most, above what was taken before (Linux)."""
    work()
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = status("VmRSS")
    result = work()
    peak = status("VmHWM") - before
    del result
    return peak


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])


def slope(function: Callable[[Tensor], Tensor], x: Tensor, weights: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    return torch.autograd.grad(function(x), x, weights)[0]


def bright() -> None:
    values = torch.linspace(9990, 10010, 201)
    flat = values[:, None, None, None].expand(-1, 1, 32, 32)
    lost = two_moments(flat).amax(dim=(1, 2, 3))
    print(
        f"flat float32 images of 9,990 to 10,010: {int((lost > 0).sum())} of {len(values)} are not zero by two", end=" "
    )
    print(f"moments (up to {lost.max():.2f}); ours: {int((neurn(flat) != 0).any(dim=(1, 2, 3)).sum())}")
    noise = torch.randn(16, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    for level in (0, 10, 100, 1000, 10000):
        image = level + 0.1 * noise
        truth = unfolded(image.double())
        errors = [(way(image) - truth).abs().max() for way in (two_moments, neurn)]
        print(f"{level:6d} + noise of 0.1: largest error by two moments {errors[0]:.0e}, ours {errors[1]:.0e}")


def on_a_gpu(shape: tuple[int, ...]) -> str:
    x = torch.rand(shape, device="cuda")
    compiled = torch.compile(neurn, dynamic=False)
    works = {
        "copy": partial(torch.empty_like(x).copy_, x),
        "as it is": partial(neurn, x),
        "compiled": partial(compiled, x),
    }
    times = {}
    for name, work in works.items():
        for _ in range(3):
            work()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(20):
            work()
        end.record()
        torch.cuda.synchronize()
        times[name] = start.elapsed_time(end) / 20
    ratios = ", ".join(f"{name} {times[name] / times['copy']:.1f}" for name in ("as it is", "compiled"))
    return f"{' x '.join(map(str, shape))} on {torch.cuda.get_device_name()}: {ratios} copies of {times['copy']:.3f} ms"


def measure(shape: tuple[int, ...]) -> str:
    """Print times and memory for one shape of images; return how many copies of them a forward pass takes."""
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    size = x.numel() * x.element_size()
    rounds = ROUNDS if x.numel() < 1e7 else ROUNDS // 2
    title = " x ".join(map(str, shape))

    torch.compiler.reset()
    compiled = torch.compile(neurn, dynamic=False)
    start = time.perf_counter()
    with torch.no_grad():
        result = compiled(x)
    took = time.perf_counter() - start
    exact = unfolded(x.double())
    errors = [(found - exact).abs().max() for found in (neurn(x), result)]
    print(f"{title}: largest error {errors[0]:.0e}, compiled {errors[1]:.0e} (in {took:.0f} s)", flush=True)
    del exact, result

    target = torch.empty_like(x)
    ways = {"unfold": unfolded, "as it is": neurn, "compiled": compiled}
    forward: dict[str, Callable[[], object]] = {name: partial(way, x) for name, way in ways.items()}
    both = {name: partial(slope, way, x, weights) for name, way in ways.items()}
    with torch.no_grad():
        times = cpu_times(forward | {"copy": partial(target.copy_, x), "copy to new memory": x.clone}, rounds)
        taken = [extra_memory(work) / size for work in forward.values()]
    for what, found in (("forward", times), ("forward and backward", cpu_times(both, rounds))):
        print(f"  {what}: unfold {1e3 * found['unfold']:.1f} ms", end="")
        for name in ("as it is", "compiled"):
            print(f", {name} {1e3 * found[name]:.1f} ms ({found['unfold'] / found[name]:.1f} x)", end="")
        print()
    expected = both["unfold"]()
    wrong = [(both[name]() - expected).abs().max() / expected.abs().max() for name in ("as it is", "compiled")]
    print(f"  slopes differ from those by unfold by {wrong[0]:.0e}, compiled {wrong[1]:.0e} of the largest")
    taken += [extra_memory(work) / size for work in both.values()]
    print("  memory, in tensors: unfold {:.1f}, as it is {:.1f}, compiled {:.1f};".format(*taken[:3]), end=" ")
    print("with backward {:.1f}, {:.1f}, {:.1f}".format(*taken[3:]), flush=True)
    told = (
        f"{title}, copied in {1e3 * times['copy']:.2f} ms, to new memory in {1e3 * times['copy to new memory']:.2f} ms:"
    )
    for name in ("as it is", "compiled"):
        told += f" {name} {times[name] / times['copy']:.1f} and {times[name] / times['copy to new memory']:.1f};"
    return told.rstrip(";")


def main() -> None:
    torch.set_num_threads(1)
    bright()
    endings = [measure(shape) for shape in SHAPES]
    print("GPU:", *(map(on_a_gpu, SHAPES) if torch.cuda.is_available() else ["none here, not measured"]), sep="\n  ")
    print("forward, in copies of the tensor:", *endings, sep="\n  ")


if __name__ == "__main__":
    main()
