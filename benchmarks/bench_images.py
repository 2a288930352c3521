"""What does a single picture cost with each network: processor time, and peak memory of the process?

Measured is what `co2net harmonize` does with one picture in memory: most networks see it at their training size, and
what they found is carried to the picture's own; CDTNet paints it whole. Every measurement runs in a process of its own,
one after another, with fresh weights (they cost what trained ones do): one pass to warm up, then the median of the
others. Memory is the process's peak beyond what it held before.

Usage: python benchmarks/bench_images.py [--rounds 3] [--threads 1] [--device cpu]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from common import save
from tables import images_tables

import co2net
from co2net.models.co2net import CO2Net

SIZES = {"256": (256, 256), "1024": (1024, 1024), "2048": (2048, 2048), "4K": (2160, 3840)}
WAYS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "ToneNet": ("tonenet", {}, tuple(SIZES)),
    "LUTNet": ("lutnet", {}, tuple(SIZES)),
    "iSSAM": ("issam", {}, tuple(SIZES)),
    "RainNet": ("rain", {}, tuple(SIZES)),
    "DucoNet": ("duconet", {}, tuple(SIZES)),
    "CDTNet-256, the LUT alone": ("cdtnet", {"base_size": 256, "simplified": True}, tuple(SIZES)),
    "CDTNet-256": ("cdtnet", {"base_size": 256}, ("256", "1024")),
    "CDTNet-512": ("cdtnet", {"base_size": 512}, ("2048", "4K")),
}
"""Title to registered name, settings and sizes."""


def measure(way: str, size: str, rounds: int, device: str) -> dict[str, Any]:
    """Seconds of a picture and MiB at its peak, in this process."""
    name, settings, _ = WAYS[way]
    network = co2net.create_backbone(name, **settings).to(device)
    mapping = "predicted" if network.predicts_mapping else "smooth"
    model = CO2Net(network, refinement=False, mapping=mapping).eval()
    if not settings.get("simplified"):
        model = model.for_pictures()
    height, width = SIZES[size]
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = 255
    on_gpu = device.startswith("cuda")
    before = torch.cuda.memory_allocated() if on_gpu else _peak()
    seconds = []
    for _ in range(rounds + 1):
        # Processor time: such long passes always share a machine with something.
        clock = time.perf_counter if on_gpu else time.process_time
        began = clock()
        list(co2net.harmonize_frames([picture], [mask], model, 0, 0, precision="auto"))
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(clock() - began)
    after = torch.cuda.max_memory_allocated() if on_gpu else _peak()
    median = statistics.median(seconds[1:] or seconds)
    return {"way": way, "size": size, "median_seconds": median, "peak_mib": (after - before) / 2**20}


def _peak() -> int:
    """Peak memory of the process so far, in bytes."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else 1024 * kilobytes


def main() -> None:
    """Measure all, print and save the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "SIZE"), help="this one only, as JSON; used by itself")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        way, size = options.one
        print(json.dumps(measure(way, size, options.rounds, options.device)))
        return
    rows = []
    for way, (_, _, sizes) in WAYS.items():
        for size in sizes:
            shared = ["--rounds", str(options.rounds), "--threads", str(options.threads), "--device", options.device]
            done = subprocess.run(
                [sys.executable, __file__, "--one", way, size, *shared], capture_output=True, text=True, check=True
            )
            rows.append(json.loads(done.stdout))
            print(rows[-1], file=sys.stderr)
    settings = {"rounds": options.rounds, "threads": options.threads, "device": options.device}
    save("images", rows, **settings)
    print(images_tables(rows, settings))


if __name__ == "__main__":
    main()
