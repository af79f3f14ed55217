"""How much CPU time the commands take that people give again and again: those that have nothing to compute.

    python benchmarks/startup.py            # in a new atlas, against the Neuropixels recording where there is one

``results`` and ``score`` of a finished sweep must not import PyTorch and take under 1 s and 2 s; SqueezeNet at 64 px
against the Neuropixels recording, as the second network of a machine that has scored once, under 6 s. CPU seconds are
of the command and of all processes that it starts; the least of three runs where nothing is computed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "trained_networks.py"


def cpu_seconds(*arguments: str) -> float:
    """Run a command; CPU seconds of it and its processes, user and system."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "murine", *arguments], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def imports_torch(*arguments: str) -> bool:
    """Whether the process of a command imports PyTorch."""
    code = "import sys, murine.cli\ntry: murine.cli.main()\nfinally: print('torch' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    return done.stderr.endswith("True\n")


def main() -> None:
    rows: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        atlas = ("--atlas", str(Path(folder) / "atlas"))
        finished = ("score", "pixels", "resnet18@random:0", "--input-size", "64", "--no-controls", *atlas, "--quiet")
        print(f"the sweep itself: {cpu_seconds(*finished):.1f} s")
        results = ("results", *atlas)
        rows.append(("results", min(cpu_seconds(*results) for _ in range(3)), 1.0))
        rows.append(("score, all done", min(cpu_seconds(*finished) for _ in range(3)), 2.0))
        for name, arguments in (("results", results), ("score, all done", finished)):
            print(f"{name} imports PyTorch: {imports_torch(*arguments)}")
        try:
            options = ("--against", "allen-neuropixels", "--input-size", "64", "--no-controls", *atlas, "--quiet")
            print(f"first network against Neuropixels: {cpu_seconds('score', 'pixels', *options):.1f} s")
            second = cpu_seconds("score", f"{EXAMPLES}:squeezenet", *options)
            rows.append(("score squeezenet, second network", second, 6.0))
        except subprocess.CalledProcessError:
            print("the Neuropixels recording or SqueezeNet's weights are not there; left out", file=sys.stderr)
    for name, seconds, target in rows:
        print(f"{name}: {seconds:.2f} s of CPU, target {target:.0f} s, ratio {seconds / target:.2f}")


if __name__ == "__main__":
    main()
