"""What every benchmark shares: fair timing, the conditions it ran under, a table and a JSON file.

Alternatives are timed in turns within one run, so that a change of the machine's speed hits all of them. Every script
``bench_<question>.py`` writes ``results/<question>.json``; the tables in README and docs are made from these files.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("torch", "numpy", "pillow", "opencolorio", "opencv-python-headless", "av", "scikit-image")


@dataclass(frozen=True)
class Timing:
    """Wall-clock time of one call, over several calls."""

    median_seconds: float
    low_seconds: float
    """First quartile."""
    high_seconds: float
    """Third quartile; the spread is high - low."""
    best_seconds: float
    calls: int


def compare(
    alternatives: Mapping[str, Callable[[], Any]], rounds: int = 15, warmup: int = 2, device: str = "cpu"
) -> dict[str, Timing]:
    """Time each alternative once per round, after `warmup` calls each; waits for the GPU inside the timing."""
    synchronize = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    for function in alternatives.values():
        for _ in range(warmup):
            function()
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(rounds):
        for name, function in alternatives.items():
            synchronize()
            start = time.perf_counter()
            function()
            synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: _summary(values) for name, values in seconds.items()}


def _summary(seconds: list[float]) -> Timing:
    quartiles = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [seconds[0]] * 3
    return Timing(statistics.median(seconds), quartiles[0], quartiles[2], min(seconds), len(seconds))


def conditions() -> dict[str, Any]:
    """Return where and on what a benchmark runs: machine, load, versions, commit and command."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.system(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": versions,
        "commit": _git("rev-parse", "--short", "HEAD"),
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _git(*arguments: str) -> str | None:
    try:
        folder = Path(__file__).parent
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def rows_of(
    timings: Mapping[str, Timing], ours: str | None = None, groups: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return one row per alternative, headed by `groups`; with `ours`, each row says how often it takes our time."""
    return [
        {
            **(groups or {}),
            "alternative": name,
            **asdict(timing),
            **({"times_ours": timing.median_seconds / timings[ours].median_seconds} if ours else {}),
        }
        for name, timing in timings.items()
    ]


def save(name: str, rows: Sequence[Mapping[str, Any]], **settings: Any) -> Path:
    """Write ``results/<name>.json``: conditions, settings and rows; beside its place, then renamed."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps({"conditions": conditions(), "settings": settings, "rows": list(rows)}, indent=1)
    partial = path.with_suffix(".partial")
    partial.write_text(text + "\n")
    partial.replace(path)
    return path


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows with times in milliseconds, as a Markdown table."""
    timed = {field for field in Timing.__dataclass_fields__ if field.endswith("_seconds")}
    heads = [key for key in rows[0] if key not in timed and key not in ("times_ours", "calls")]
    cells = [[*heads, "median ms", "quartiles ms", "× ours"]]
    for row in rows:
        median, low, high = (1e3 * row[f"{key}_seconds"] for key in ("median", "low", "high"))
        ratio = f"{row['times_ours']:.1f}" if "times_ours" in row else ""
        cells.append([*(str(row[key]) for key in heads), f"{median:.1f}", f"{low:.1f}-{high:.1f}", ratio])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for number, line in enumerate(cells):
        print("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
