"""Tiny shots and weights for the tests of batches."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from video import clips

from co2net.models.registry import create_backbone
from co2net.weight_files import save_weights

SIZE = (32, 24)


def models(folder: Path) -> Path:
    """Weights of a small network that changes a little, as the release `tonenet` is found."""
    torch.manual_seed(5)
    network = create_backbone("lutnet", width=4, hidden=8)
    for member in network.members:  # type: ignore[union-attr]
        torch.nn.init.constant_(member.affine.bias, 0.2)
    facts = {"format": "co2net", "backbone": "lutnet", "refinement": "false", "training_size": "64"}
    folder.mkdir(exist_ok=True)
    save_weights(folder / "lutnet.safetensors", network.state_dict(), {**facts, "mapping": "predicted"})
    return folder


def make_shots(folder: Path, count: int, damaged: tuple[int, ...] = ()) -> Path:
    """A table of `count` shots of three frames; of the damaged ones a file is cut, empty or missing, in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    clips.make_video(folder / "whole.mkv", 3, SIZE, codec="ffv1", pixel_format="bgr0")
    clips.make_folder(folder / "mask", [clips.disc(*SIZE)] * 3)
    data = (folder / "whole.mkv").read_bytes()
    with (folder / "shots.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "composite", "mask", "output"])
        for number in range(count):
            clip = folder / f"s{number:03}.mkv"
            if number not in damaged:
                clip.write_bytes(data)
            elif damaged.index(number) % 3 < 2:
                clip.write_bytes(data[: len(data) // 2] if damaged.index(number) % 3 == 0 else b"")
            table.writerow([f"s{number:03}", clip.name, "mask", f"{clip.stem}.mkv"])
    return folder / "shots.csv"
