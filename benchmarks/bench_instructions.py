"""How fast is a LUT applied with each instruction set, beside OpenColorIO and a plain copy of the picture?

One thread, all in turns within one process; the least processor time of each counts. A kernel that may only use older
instructions is what older processors run (``CO2NET_INSTRUCTIONS``, docs/performance.md). Processors with AVX-512 have
results of their own.

Usage: python benchmarks/bench_instructions.py [--height 1080] [--width 1920] [--rounds 25]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from bench_lut import grade, ocio, opencolorio, picture
from common import save
from tables import instructions_tables

import trilinear
from trilinear import _native

ONE_COLOR = "co2net on one color"
"""Whose corners stay in the first-level cache: what the LUT's other points cost is the difference."""


def main() -> None:
    """Run, print the table, write results/instructions.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    torch.set_num_threads(1)
    library = _native.library("trilinear")
    if library is None:
        raise SystemExit("the C++ kernels do not run here; install a compiler, or unset CO2NET_NATIVE")
    image, lut = picture(options.height, options.width, seed=0), grade()
    copied = torch.empty_like(image)

    def limited(newest: int, picture: torch.Tensor = image) -> Callable[[], Any]:
        def call() -> Any:
            library.co2net_limit_instructions(newest)
            return trilinear.apply_lut(lut, picture)

        return call

    best = torch.backends.cpu.get_cpu_capability().lower()
    known = _native.INSTRUCTIONS[: 3 if "avx512" in best else 2 if "avx2" in best else 1]
    ways: dict[str, Callable[[], Any]] = {f"co2net, {name}": limited(number) for number, name in enumerate(known)}
    ways[f"{ONE_COLOR}, {known[-1]}"] = limited(len(known) - 1, torch.full_like(image, 0.4))
    ways["OpenColorIO tetrahedral"] = opencolorio(lut, image, ocio.INTERP_TETRAHEDRAL)
    ways["OpenColorIO trilinear"] = opencolorio(lut, image, ocio.INTERP_LINEAR)
    ways["copying the picture"] = lambda: copied.copy_(image)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.rounds + 2):
        for name, way in ways.items():
            began = time.process_time()
            way()
            if number > 1:
                found[name].append(time.process_time() - began)
    rows = [{"way": name, "processor_seconds": min(times)} for name, times in found.items()]
    settings = {"height": options.height, "width": options.width, "instructions": best}
    print(instructions_tables(rows, settings))
    name = "instructions_avx512" if "avx512" in best else "instructions"
    print(f"written: {save(name, rows, **settings).name}")


if __name__ == "__main__":
    main()
