"""How close do the CUDA kernels come to the GPU's memory speed, and how fast is the whole job on a GPU?

Applying and building LUTs on batches of 4K frames, against copying the same batch on the same GPU; against the
definition in PyTorch and ``grid_sample`` on one 4K frame; video in, video out at three sizes. Before anything is timed,
the kernels' results are compared with the definition's. `make gpu-check` runs the tests first.

Usage: python benchmarks/bench_gpu.py [--batch 8] [--rounds 15] [--frames 24] [--check-only]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from bench_lut import DIM, grade, grid_sample, picture
from bench_pipeline import SIZES, WINDOWS, any_model, write_clip
from common import Timing, compare, save
from tables import gpu_tables
from torch import Tensor

import tridistribute
import trilinear
from co2net.models.co2net import CO2Net
from co2net.pipeline import harmonize_video
from tridistribute import reference as tridistribute_reference
from trilinear import reference as trilinear_reference

HEIGHT, WIDTH = SIZES["4K"]
REPEATS = 10  # calls per measurement: starting a kernel from Python takes as long as a small one runs


def no_gpu() -> str | None:
    """Return why nothing can be measured here, in one sentence; None if all is well."""
    if not torch.cuda.is_available():
        built = "is built without CUDA" if torch.version.cuda is None else "finds no NVIDIA GPU here"
        return f"PyTorch {torch.__version__} {built}; run this on a machine with one, with PyTorch's CUDA build"
    image = torch.zeros(1, 3, 2, 2, device="cuda")
    if trilinear.backend(image) != "cuda" or tridistribute.backend(image) != "cuda":
        return "the CUDA kernels do not load (the warning above says why), so there is nothing to measure"
    return None


def time_on_gpu(alternatives: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Timing]:
    """Time alternatives in turns; per call, over `REPEATS` calls that are queued together."""

    def repeated(function: Callable[[], Any]) -> Callable[[], None]:
        def call() -> None:
            for _ in range(REPEATS):
                function()

        return call

    found = compare({name: repeated(function) for name, function in alternatives.items()}, rounds, device="cuda")
    return {
        name: Timing(
            timing.median_seconds / REPEATS,
            timing.low_seconds / REPEATS,
            timing.high_seconds / REPEATS,
            timing.best_seconds / REPEATS,
            timing.calls * REPEATS,
        )
        for name, timing in found.items()
    }


def worst_differences(lut: Tensor, count: Tensor, image: Tensor, target: Tensor, mask: Tensor) -> dict[str, float]:
    """Return the largest difference of each result from the definition's, on one frame."""
    volume = tridistribute.accumulate(image, target, mask, DIM)
    wanted = tridistribute_reference.accumulate(image, target, mask, DIM)
    pairs = {
        "apply_lut": (trilinear.apply_lut(lut, image), trilinear_reference.apply_lut(lut, image)),
        "apply_lut with count": (
            trilinear.apply_lut(lut, image, count),
            trilinear_reference.apply_lut(lut, image, count),
        ),
        "unseen_map": (trilinear.unseen_map(count, image), trilinear_reference.unseen_map(count, image)),
        "accumulate, of the largest sum": (volume / wanted.abs().max(), wanted / wanted.abs().max()),
    }
    return {name: (mine - theirs).abs().max().item() for name, (mine, theirs) in pairs.items()}


def kernels(batch: int, rounds: int) -> list[dict[str, Any]]:
    """Measure the kernels on a batch of 4K frames, each beside a copy of the batch."""
    one = picture(HEIGHT, WIDTH, seed=0)
    image = one.cuda().repeat(batch, 1, 1, 1)
    target = picture(HEIGHT, WIDTH, seed=1).cuda().repeat(batch, 1, 1, 1)
    mask = torch.ones_like(image[:, :1])
    noise, flat = torch.rand_like(image), torch.full_like(image, 0.3)
    lut = grade().cuda().repeat(batch, 1, 1, 1, 1)
    _, count = tridistribute.build_lut(image, target, mask)
    copy = torch.empty_like(image)
    grad = torch.rand(batch, 4, DIM, DIM, DIM, device="cuda")
    planes = image.numel() / 3 * 4  # bytes of one channel
    # What must be moved at least: planes read and written.
    jobs: dict[str, tuple[int, Callable[[], Any]]] = {
        "copy": (6, lambda: copy.copy_(image)),
        "apply_lut": (6, lambda: trilinear.apply_lut(lut, image)),
        "apply_lut, noise": (6, lambda: trilinear.apply_lut(lut, noise)),
        "apply_lut with count": (6, lambda: trilinear.apply_lut(lut, image, count)),
        "unseen_map": (4, lambda: trilinear.unseen_map(count, image)),
        "build_lut": (7, lambda: tridistribute.build_lut(image, target, mask)),
        "build_lut, one color": (7, lambda: tridistribute.build_lut(flat, target, mask)),
        "build_lut, noise": (7, lambda: tridistribute.build_lut(noise, target, mask)),
        "gradient of apply_lut": (
            9,
            lambda: trilinear.ops.apply_lut_backward(target, lut, image, count, True, True),
        ),
        "gradient of accumulate": (
            13,
            lambda: tridistribute.ops.accumulate_backward(grad, image, target, mask, True, True),
        ),
    }
    timings = time_on_gpu({name: job for name, (_, job) in jobs.items()}, rounds)
    speeds = {name: moved * planes / timings[name].median_seconds for name, (moved, _) in jobs.items()}
    return [
        {
            "question": "kernels",
            "job": name,
            **asdict(timing),
            "bytes_per_second": speeds[name],
            "share_of_copy": speeds[name] / speeds["copy"],
            "times_apply": timing.median_seconds / timings["apply_lut"].median_seconds,
        }
        for name, timing in timings.items()
    ]


def rivals(rounds: int) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Measure against PyTorch on one 4K frame; also the worst differences from the definition."""
    image, target = picture(HEIGHT, WIDTH, seed=0).cuda(), picture(HEIGHT, WIDTH, seed=1).cuda()
    mask, lut = torch.ones_like(image[:, :1]), grade().cuda()
    _, count = tridistribute.build_lut(image, target, mask)
    jobs: dict[str, dict[str, Callable[[], Any]]] = {
        "apply_lut": {
            "co2net": lambda: trilinear.apply_lut(lut, image),
            "PyTorch definition": lambda: trilinear_reference.apply_lut(lut, image),
            "PyTorch grid_sample": lambda: grid_sample(lut, image),
        },
        "build_lut": {
            "co2net": lambda: tridistribute.build_lut(image, target, mask),
            "PyTorch definition": lambda: tridistribute.normalize(
                tridistribute_reference.accumulate(image, target, mask, DIM)
            ),
        },
    }
    rows = []
    for job, alternatives in jobs.items():
        timings = time_on_gpu(alternatives, rounds)
        ours = timings["co2net"].median_seconds
        rows += [
            {"question": "rivals", "job": job, "alternative": name, **asdict(timing)}
            | {"times_ours": timing.median_seconds / ours}
            for name, timing in timings.items()
        ]
    return rows, worst_differences(lut, count, image, target, mask)


def time_video(clip: tuple[Path, Path], output: Path, model: CO2Net) -> dict[str, Any]:
    """Harmonize a clip: frames per second from start to end, and the median time between frames."""
    ends: list[float] = []
    torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    report = harmonize_video(
        *clip, output, model, *WINDOWS[16], device="cuda", on_progress=lambda *_: ends.append(time.perf_counter())
    )
    seconds = time.perf_counter() - started
    return {
        "frames": report.frames,
        "frames_per_second": report.frames / seconds,
        "median_frame_seconds": statistics.median(later - earlier for earlier, later in pairwise(ends)),
        "peak_mib": torch.cuda.max_memory_allocated() / 2**20,
    }


def videos(frames: int) -> list[dict[str, Any]]:
    """Measure the whole job, H.264 in and out, 16 neighbors; the second of two runs, since the first one loads."""
    model, weights = any_model()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size, (height, width) in SIZES.items():
            clip = write_clip(folder, max(2, frames // 2) if size == "4K" else frames, height, width)
            time_video(clip, folder / "warm_up.mp4", model)
            found = time_video(clip, folder / "measured.mp4", model)
            rows.append({"question": "videos", "size": size, "weights": weights, **found})
    return rows


def main() -> None:
    """Run, print the tables, write results/gpu.json; without a GPU one sentence and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8, help="4K frames per batch; 1.5 GB of GPU memory each")
    parser.add_argument("--rounds", type=int, default=15, help="measurements per alternative")
    parser.add_argument("--frames", type=int, default=24, help="frames per clip; half as many in 4K")
    parser.add_argument("--check-only", action="store_true", help="only tell whether the kernels run here")
    options = parser.parse_args()
    if reason := no_gpu():
        print(f"bench_gpu: {reason}", file=sys.stderr)
        sys.exit(2)
    if options.check_only:
        print(f"The CUDA kernels run on {torch.cuda.get_device_name()}.")
        return
    compared, differences = rivals(max(3, options.rounds // 3))
    if (worst := max(differences.values())) > 1e-4:
        print(f"bench_gpu: a kernel computes something else than its definition: {differences}", file=sys.stderr)
        sys.exit(1)
    rows = kernels(options.batch, options.rounds) + compared
    torch.cuda.empty_cache()
    rows += videos(options.frames)
    settings = {
        "batch": options.batch, "dim": DIM, "size": "4K", "cuda": torch.version.cuda,
        "capability": list(torch.cuda.get_device_capability()), "worst_differences": differences, "worst": worst,
        "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip
    print(gpu_tables(rows, settings))
    print(f"written: {save('gpu', rows, **settings).name}")


if __name__ == "__main__":
    main()
