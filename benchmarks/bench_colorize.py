"""How long does coloring a gray clip from strokes take, and does its memory grow with the clip?

`co2net colorize` without weights, forty strokes on the first frame, in a process of its own, its start included; beside
it what only decodes the clip and encodes it again. The clip is gray, moves back and forth without a cut, and has grain.

Usage: python benchmarks/bench_colorize.py [--size 480p] [--frames 50,500] [--rounds 3]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bench_overhead import codec_alone, run_command
from bench_pipeline import SIZES, texture, write_clip
from common import save
from PIL import Image
from tables import colorize_tables

from co2net.colorization.methods import points_of


def main() -> None:
    """Run, print the table, write results/colorize.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="480p", choices=SIZES)
    parser.add_argument("--frames", default="50,500", help="lengths of clips")
    parser.add_argument("--rounds", type=int, default=3, help="of the first length, in turns; the others run once")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("peak memory is read from Linux's /proc; measure there")
    rows: list[dict[str, Any]] = []
    height, width = SIZES[options.size]
    with tempfile.TemporaryDirectory() as folder:
        strokes, output = Path(folder) / "strokes.png", Path(folder) / "out.mp4"
        Image.fromarray(points_of(texture(height, width, 0))).save(strokes)
        for number, frames in enumerate(map(int, options.frames.split(","))):
            clip, _ = write_clip(Path(folder), frames, height, width, gray=True)
            found, codec = [], []
            for _ in range(1 if number else options.rounds):
                found.append(run_command("colorize", clip, "--scribbles", strokes, "-q", "-o", output))
                began = time.perf_counter()
                codec_alone([clip], output)
                codec.append(time.perf_counter() - began)
            wall, busy, mib = (median(values) for values in zip(*found, strict=True))
            row = {"frames": frames, "seconds": wall, "processor_seconds": busy, "mib": mib}
            rows.append({**row, "codec_seconds": median(codec)})
    settings = {"size": options.size, "threads": torch.get_num_threads(), "rounds": options.rounds}
    print(colorize_tables(rows, settings))
    print(f"written: {save('colorize', rows, **settings).name}")


if __name__ == "__main__":
    main()
