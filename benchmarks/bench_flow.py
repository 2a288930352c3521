"""What does an optical flow estimator cost: seconds for a pair of frames, memory, and what its cost volume takes?

The estimators run in turns on one pair of frames at 480p and 1080p, each memory in a process of its own. RAFT is left
out where torchvision cannot be imported. The networks have random weights: neither figure depends on them. The cost
volume of both networks (products of small matrices) is compared with one product per displacement, 480p, at the level
where it is largest.

Usage: python benchmarks/bench_flow.py [--rounds 5] [--threads N]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import torch
from common import Timing, compare, rows_of, save
from tables import flow_tables
from torch import Tensor
from torch.nn import functional as F

from co2net.flow import FlowEstimator, correlation, create_flow
from co2net.flow.estimators import NetworkEstimator
from co2net.flow.flownet2 import FlowNet2
from co2net.flow.pwcnet import PWCNet

SIZES = {"480p": (480, 854), "1080p": (1080, 1920)}
VOLUMES = {"FlowNet2": (256, 64, 112, 20, 2), "PWC-Net": (32, 128, 224, 4, 1)}  # C, H, W, reach, step at 480p


def raft() -> FlowEstimator:
    """RAFT, large, without trained weights."""
    from torchvision.models.optical_flow import raft_large

    from co2net.flow.raft import RAFT

    return NetworkEstimator(RAFT(raft_large(weights=None, progress=False)))


MAKERS: dict[str, Callable[[], FlowEstimator]] = {
    "dis": create_flow,
    "pwcnet": lambda: NetworkEstimator(PWCNet()),
    "flownet2": lambda: NetworkEstimator(FlowNet2()),
    "raft": raft,
}


def estimators() -> list[str]:
    """Names of those that run here."""
    try:
        raft()
    except (ImportError, RuntimeError):
        return [name for name in MAKERS if name != "raft"]
    return list(MAKERS)


def pair(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return a texture ``(1, 3, H, W)`` and the same three pixels to the right and two down."""
    torch.manual_seed(0)
    frame = F.interpolate(torch.rand(1, 3, height // 8, width // 8), (height, width), mode="bicubic").clamp(0, 1)
    return frame, frame.roll((2, 3), (2, 3))


@torch.inference_mode()
def time_pairs(names: list[str], size: str, rounds: int) -> dict[str, Timing]:
    """Time one pair with every estimator, in turns."""
    frames = pair(*SIZES[size])
    made = {name: MAKERS[name]() for name in names}
    return compare({name: lambda run=run: run(*frames) for name, run in made.items()}, rounds=rounds, warmup=1)


def displacement_by_displacement(first: Tensor, second: Tensor, reach: int, step: int) -> Tensor:
    """Compute the cost volume as its formula says."""
    height, width = first.shape[2:]
    padded = F.pad(second, (reach,) * 4)
    places = range(0, 2 * reach + 1, step)
    volume = first.new_empty(len(first), len(places) ** 2, height, width)
    for k, (dy, dx) in enumerate((dy, dx) for dy in places for dx in places):
        volume[:, k] = (first * padded[:, :, dy : dy + height, dx : dx + width]).mean(1)
    return volume


@torch.inference_mode()
def time_volumes(rounds: int) -> list[dict[str, Any]]:
    """Time both ways to the cost volumes of both networks, in turns."""
    rows: list[dict[str, Any]] = []
    for network, (channels, height, width, reach, step) in VOLUMES.items():
        first, second = torch.randn(2, 1, channels, height, width)
        ways = {"products of matrices": correlation, "one product per displacement": displacement_by_displacement}
        calls = {name: partial(way, first, second, reach, step) for name, way in ways.items()}
        timings = compare(calls, rounds=rounds)
        rows += rows_of(timings, "products of matrices", {"question": "volume", "network": network})
    return rows


def peak_memory(name: str, size: str, threads: int) -> float:
    """MiB that a process of its own needs to estimate one pair."""
    command = [sys.executable, __file__, "--threads", str(threads), "--only-memory-of", name, size]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


@torch.inference_mode()
def memory_child(name: str, size: str) -> None:
    """Estimate one pair and print the process's peak memory in MiB (Linux)."""
    if name in MAKERS:
        MAKERS[name]()(*pair(*SIZES[size]))
    # Not getrusage: its maximum is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def main() -> None:
    """Run, print the tables, write results/flow.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="pairs per estimator at 480p; at 1080p half as many")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch; OpenCV takes as many")
    parser.add_argument("--only-memory-of", nargs=2, metavar=("NAME", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    limit_threads(options.threads)
    if options.only_memory_of is not None:
        memory_child(*options.only_memory_of)
        return
    names = estimators()
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        rounds = options.rounds if size == "480p" else max(1, options.rounds // 2)
        memory = {}
        if sys.platform == "linux":
            memory = {name: peak_memory(name, size, options.threads) for name in names}
        found = rows_of(time_pairs(names, size, rounds), groups={"question": "pair", "size": size})
        rows += [{**row, "mib": memory.get(row["alternative"])} for row in found]
    rows += time_volumes(options.rounds)
    idle = peak_memory("nothing", "480p", options.threads) if sys.platform == "linux" else None
    settings = {"threads": options.threads, "idle_mib": idle}
    print(flow_tables(rows, settings))
    print(f"written: {save('flow', rows, **settings).name}")


def limit_threads(threads: int) -> None:
    """Give PyTorch and OpenCV the same number of threads."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


if __name__ == "__main__":
    main()
