"""How much more than the codec alone does the command take?

The command's default settings, ``--strength 0``, and composing three inputs, each beside what only decodes the same
inputs and encodes the first of them unchanged. All ways in turns within one process; the least processor time (of all
threads) of each counts, so that a machine that is shared with others still gives ratios. Peak memory is that of the
command in a process of its own, and so is the time to its first written frame.

Usage: python benchmarks/bench_overhead.py [--frames 48] [--rounds 3] [--sizes 1080p,4K] [--clip COMPOSITE MASK
FOREGROUND BACKGROUND]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does, before PyTorch loads

import av
import torch
from bench_pipeline import SIZES, write_clip
from common import save
from tables import overhead_tables

from co2net.models.registry import load_model
from co2net.pipeline import harmonize_video
from co2net.video.codecs import CODECS, quality_options

CHILD = (
    "import sys; from co2net.cli import main; code = main(sys.argv[1:]); "
    "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]); sys.exit(code)"
)
SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"
STARTED = (
    "import sys, time; from co2net.cli import main, progress; "
    "progress.FrameBar.update = lambda *_: (print(time.time(), flush=True), sys.exit(0)); sys.exit(main(sys.argv[1:]))"
)
"""Ends the command at its first written frame, with the time."""
Ways = dict[str, Callable[[Path], int]]


def codec_alone(inputs: list[Path], output: Path) -> int:
    """Decode all inputs and encode the first as it was decoded, with the command's settings."""
    codec, count = CODECS["h264"], 0
    opened: list[Any] = [av.open(str(path)) for path in inputs]
    for container in opened:
        container.streams.video[0].thread_type = "AUTO"
    first = opened[0].streams.video[0]
    with av.open(str(output), "w") as target:
        made: Any = target
        options = quality_options(codec, None)
        video = made.add_stream(codec.encoder, rate=25, width=first.width, height=first.height, options=options)
        video.pix_fmt = "yuv420p"
        for frames in zip(*(container.decode(video=0) for container in opened), strict=True):
            frames[0].pict_type = 0
            target.mux(video.encode(frames[0]))
            count += 1
        target.mux(video.encode(None))
    for container in opened:
        container.close()
    return count


def ways_of(composite: Path, mask: Path, foreground: Path, background: Path) -> Ways:
    """What is compared, by the names of the table."""
    model = load_model("default")

    def ours(output: Path, **settings: Any) -> int:
        return harmonize_video(composite, mask, output, model, **settings).frames

    def composed(output: Path) -> int:
        return harmonize_video(None, mask, output, model, foreground=foreground, background=background).frames

    return {
        "codec alone": partial(codec_alone, [composite, mask]),
        "default": ours,
        "--strength 0": partial(ours, strength=0),
        "codec alone, three inputs": partial(codec_alone, [background, foreground, mask]),
        "composing three inputs": composed,
    }


def least_times(ways: Ways, rounds: int) -> dict[str, float]:
    """Least processor time of each way, seconds per frame; the first round warms up."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for name, way in ways.items():
                began = time.process_time()
                frames = way(Path(folder) / "out.mp4")
                if number:
                    found[name].append((time.process_time() - began) / frames)
    return {name: min(times) for name, times in found.items()}


def run_command(*arguments: str | Path) -> tuple[float, float, float]:
    """Seconds, processor seconds and MiB that the command needs in a process of its own (Linux)."""
    began, before = time.perf_counter(), os.times()
    command = [sys.executable, "-c", CHILD, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = os.times()
    busy = sum(after[2:4]) - sum(before[2:4])
    return time.perf_counter() - began, busy, float(done.stdout.split()[-1]) / 1024


def peak_memory(*arguments: str | Path) -> float:
    """MiB that harmonizing needs in a process of its own (Linux)."""
    with tempfile.TemporaryDirectory() as folder:
        return run_command("harmonize", "-q", *arguments, "-o", f"{folder}/out.mp4")[2]


def start_times(composite: Path, mask: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds and processor seconds until the first frame is written, beside importing PyTorch, in turns."""
    found: dict[str, list[tuple[float, float]]] = {"first written frame": [], "`import torch` alone": []}
    codes = dict(zip(found, (STARTED, "import time, torch; print(time.time())"), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["harmonize", str(composite), "--mask", str(mask), "-o", f"{folder}/out.mp4"]
        # Modules are compiled once, as an installed package's are; the first round does so.
        surroundings = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{folder}/compiled"}
        for number in range(rounds + 1):
            for name, code in codes.items():
                began, before = time.time(), os.times()
                command = [sys.executable, "-c", code, *arguments]
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=surroundings)
                after = os.times()
                busy = sum(after[2:4]) - sum(before[2:4])
                if number:
                    found[name].append((float(done.stdout.split()[0]) - began, busy))
    return {name: (median(wall for wall, _ in pairs), median(cpu for _, cpu in pairs)) for name, pairs in found.items()}


def main() -> None:
    """Run, print the table, write results/overhead.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=48, help="frames of the made clips; at 4K half as many")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way; the least processor time counts")
    parser.add_argument("--sizes", default="1080p,4K", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--clip", nargs=4, type=Path, help="composite, mask, foreground and background of your own")
    options = parser.parse_args()
    if unknown := {*options.sizes.split(",")} - {*SIZES}:
        parser.error(f"unknown size {', '.join(sorted(unknown))}; choose from {', '.join(SIZES)}")
    frames = {"1080p": options.frames, "4K": max(3, options.frames // 2)}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        clips: dict[str, tuple[Path, ...]] = {} if options.clip is None else {"own clip": tuple(options.clip)}
        for size in () if options.clip else options.sizes.split(","):
            composite, mask = write_clip(Path(folder), frames.get(size, options.frames), *SIZES[size])
            clips[size] = composite, mask, composite, composite  # composing costs the same whatever is in the clips
        for size, (composite, mask, foreground, background) in clips.items():
            times = least_times(ways_of(composite, mask, foreground, background), options.rounds)
            memory: dict[str, float] = {}
            if sys.platform == "linux":
                memory["default"] = peak_memory(composite, "--mask", mask)
                layers = ("--foreground", foreground, "--background", background)
                memory["composing three inputs"] = peak_memory(*layers, "--mask", mask)
            for name, seconds in times.items():
                alone = times["codec alone, three inputs" if "three" in name else "codec alone"]
                row = {"size": size, "way": name, "processor_seconds_per_frame": seconds}
                rows.append({**row, "share_of_codec": alone / seconds, "mib": memory.get(name)})
    starts = start_times(SAMPLE / "composite.mp4", SAMPLE / "mask.mp4", 3 * options.rounds)
    settings = {
        "threads": torch.get_num_threads(),
        "frames": options.frames,
        "frames_4k": frames["4K"],
        "rounds": options.rounds,
        "starts": starts,
    }
    print(overhead_tables(rows, settings))
    print(f"written: {save('overhead', rows, **settings).name}")


if __name__ == "__main__":
    main()
