"""What runs on this machine, and why not what does not: one look for people and for bug reports."""

from __future__ import annotations

import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import av
import torch

import tridistribute
import trilinear
from co2net.devices import choose_device, describe_device, has_bfloat16
from co2net.models.releases import list_releases, releases_folder
from co2net.provenance import file_sha256, version
from co2net.video.codecs import CODECS
from co2net.video.hardware import encoder_fails

_LIBRARIES = ("torch", "numpy", "av", "pillow", "opencv-python-headless", "safetensors")
Report = dict[str, Any]


def examine(folder: Path | None = None) -> Report:
    """Look around.

    Args:
        folder: whose disk is looked at; None: the current one.

    Returns:
        Plain values by section: "versions", "devices", "kernels", "codecs", "extras", "weights", "disk", "problems".
        The last holds a sentence, with the mend, for everything that is slower or missing without need.
    """
    problems: list[str] = []
    return {
        "versions": _versions(),
        "devices": _devices(),
        "kernels": _kernels(problems),
        "codecs": _codecs(problems),
        "extras": _extras(),
        "weights": _weights(problems),
        "disk": _disk(folder or Path.cwd(), problems),
        "problems": problems,
    }


def _versions() -> Report:
    found = {"co2net": version(), "python": platform.python_version(), "system": platform.platform()}
    return found | {name: _installed(name) or "missing" for name in _LIBRARIES}


def _devices() -> Report:
    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    chosen = choose_device()
    return {
        "there": [describe_device(torch.device(name)) for name in devices],
        "chosen": str(chosen),
        "bfloat16": has_bfloat16() if chosen.type == "cpu" else torch.cuda.is_available(),
    }


def _kernels(problems: list[str]) -> Report:
    found = {}
    probe = torch.zeros(1, 3, 1, 1, device=choose_device() if torch.cuda.is_available() else "cpu")
    for package in (trilinear, tridistribute):
        found[package.__name__] = backend = package.backend(probe)
        if backend == "torch":
            problems.append(
                f"{package.__name__} runs in PyTorch, which is slower: install a C++ compiler and install co2net again"
            )
    return found


def _codecs(problems: list[str]) -> Report:
    found = {name: codec.encoder in av.codecs_available for name, codec in CODECS.items()}
    missing = [name for name, there in found.items() if not there and not CODECS[name].needs]
    for name, codec in CODECS.items():
        if found[name] and codec.needs:
            found[name] = not encoder_fails(codec.encoder)
    if missing:
        names = ", ".join(missing)
        problems.append(f"PyAV's FFmpeg lacks encoders for {names}: install PyAV's own wheel (pip install av)")
    return found


def _extras() -> Report:
    """For every extra, the packages of it that are missing."""
    try:
        requirements = metadata.requires("co2net") or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, list[str]] = {}
    for text in requirements:
        wanted, _, condition = text.partition(";")
        if 'extra == "' not in condition or "platform" in condition:
            continue
        extra = condition.split('extra == "')[1].split('"')[0]
        name = wanted.split("[")[0].split(">")[0].split("=")[0].split("<")[0].split("~")[0].strip()
        found.setdefault(extra, [])
        if _installed(name) is None:
            found[extra].append(name)
    return found


def _weights(problems: list[str]) -> list[Report]:
    releases = list_releases()
    if not releases:
        problems.append(f"no weights are in {releases_folder()}: install co2net again, or give a file of weights")
    return [
        {"name": r.name, "sha256": file_sha256(r.path), "megabytes": r.path.stat().st_size / 1e6, "card": bool(r.card)}
        for r in releases
    ]


def _disk(folder: Path, problems: list[str]) -> Report:
    free = shutil.disk_usage(folder).free / 1e9
    if free < 1:
        problems.append(f"only {free:.1f} GB are free in {folder}: results and training runs need more")
    return {"folder": str(folder), "free_gigabytes": round(free, 1)}


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def as_text(report: Report) -> str:
    """One screen for people."""
    versions, devices = report["versions"], report["devices"]
    libraries = ", ".join(f"{name} {versions[name]}" for name in _LIBRARIES)
    yes = {True: "yes", False: "no"}
    lines = [
        f"co2net {versions['co2net']}, Python {versions['python']}, {versions['system']}",
        f"libraries  {libraries}",
        f"devices    {', '.join(devices['there'])}; chosen: {devices['chosen']}; bfloat16: {yes[devices['bfloat16']]}",
        f"kernels    {', '.join(f'{name}: {kind}' for name, kind in report['kernels'].items())}",
        f"encoders   {', '.join(name if there else f'{name} (missing)' for name, there in report['codecs'].items())}",
    ]
    for extra, missing in report["extras"].items():
        lines.append(f"extra      {extra}: " + (f"missing {', '.join(missing)}" if missing else "complete"))
    for w in report["weights"]:
        card = "" if w["card"] else ", no card"
        lines.append(f"weights    {w['name']}: {w['megabytes']:.1f} MB, sha256 {w['sha256'][:16]}{card}")
    lines.append(f"disk       {report['disk']['free_gigabytes']} GB free in {report['disk']['folder']}")
    lines += [f"problem    {problem}" for problem in report["problems"]] or ["no problems found"]
    return "\n".join(lines)
