"""What does a shot cost a worker of ``co2net batch``, and what do a thousand hours take?

Processor time, which other programs on the machine disturb little: of starting a worker, of a shot however short, of a
minute of 1080p and of 4K (H.264 in and out, default settings, grain, a fifth of the frame in the mask). The second
table is arithmetic: cores are busy all the time, and machines share nothing but a disk.

Usage: python benchmarks/bench_batch.py [--frames 48] [--cores 32]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_pipeline import write_clip
from tables import markdown

from co2net.batch import Shot
from co2net.cli.batch import harmonize_shot
from co2net.workers import try_jobs

RATE = 25  # frames per second
HOURS = 1000


def cost(job: tuple[Shot, Path]) -> tuple[float, float, int, int]:
    """Do a shot in a worker: processor seconds of the worker before it, of the shot, and its frames and bytes."""
    began = time.process_time()
    record = harmonize_shot(*job)
    moved = sum(Path(path).stat().st_size for path in (*job[0].inputs, record["output"]))
    return began, time.process_time() - began, record["frames"], moved


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=48, help="of the clips")
    parser.add_argument("--cores", type=int, default=32, help="of a machine, in the arithmetic")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, jobs = Path(name), []
        for label, frames, size in (
            ("first", 3, (64, 96)),
            ("short", 3, (64, 96)),
            ("1080p", options.frames, (1080, 1920)),
            ("4K", max(12, options.frames // 2), (2160, 3840)),
        ):
            composite, mask = write_clip(folder, frames, *size)
            words = {"composite": str(composite), "mask": str(mask), "output": str(folder / f"{label}.mp4")}
            jobs.append((Shot(label, words), folder))
        # One worker, one job after the other: the first pays for libraries and weights.
        found = {o.index: o.result for o in try_jobs(cost, jobs, 1) if o.result is not None}
    (start, first, *_), (_, short, *_), full, uhd = (found[index] for index in range(4))
    print(
        f"worker: {start:.1f} s of processor time to start, {first:.1f} s for its first shot of 3 small frames, "
        f"{short:.2f} s for the next"
    )
    costs, needed = [], []
    for label, (_, seconds, frames, moved) in (("1080p", full), ("4K", uhd)):
        frame = (seconds - short) / frames
        minute = frame * 60 * RATE
        costs.append([label, f"{1000 * frame:.0f} ms", f"{minute:.0f} s", f"{moved / frames * 60 * RATE / 1e6:.0f} MB"])
        hours = HOURS * 60 * minute / 3600
        machine = hours / options.cores
        disk = moved / frames / frame * options.cores / 1e6
        needed.append([label, f"{hours:,.0f}", *(f"{machine / n:,.0f} h" for n in (1, 10, 100)), f"{disk:.0f} MB/s"])
    print(markdown(("frames", "processor time per frame", "per minute", "read and written per minute"), costs))
    machines = (f"{n} machines of {options.cores} cores" for n in (1, 10, 100))
    print(markdown((f"{HOURS:,} hours of", "core hours", *machines, "disk, each machine"), needed))


if __name__ == "__main__":
    main()
