"""A tiny data set in HYouTube's layout, and a run of the command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

CLIPS, FRAMES, SIDE = ("aaa", "bbb"), 5, 32
ROOT = Path(__file__).parents[2]


def make_set(root: Path) -> Path:
    """Two clips of five frames, 32 x 32: smooth pictures, a disc that moves and is too dark."""
    rng = np.random.default_rng(5)
    lines = {}
    for clip in CLIPS:
        scene = cv2.resize(rng.integers(40, 255, (5, 5, 3), np.uint8), (SIDE + 8, SIDE), interpolation=cv2.INTER_CUBIC)
        folders = [f"real_videos/{clip}", f"foreground_mask/{clip}/object_0"]
        folders += [f"synthetic_composite_videos/{clip}/object_0"]
        lines[clip] = " ".join(folders) + "\n"
        for folder in folders:
            (root / folder).mkdir(parents=True)
        for number in range(FRAMES):
            real = np.ascontiguousarray(scene[:, number : number + SIDE])
            mask = np.zeros((SIDE, SIDE), np.uint8)
            cv2.circle(mask, (10 + 3 * number, 16), 8, 255, -1)
            composite = np.where(mask[..., None] > 0, (real * 0.6).astype(np.uint8), real)
            pictures = zip(folders, (".png", ".png", ".png"), (real, mask, composite), strict=True)
            for folder, ending, picture in pictures:
                assert cv2.imwrite(str(root / folder / f"{5 * number:05d}{ending}"), picture)
    (root / "clips_train.txt").write_text("".join(lines.values()))
    (root / "clips_test.txt").write_text(lines["bbb"])
    return root


def arguments(root: Path, folder: Path, *more: str) -> list[str]:
    """The command's arguments for a short run: 4 epochs of 4 steps, the last with one frame."""
    base = ["--dataset_path", str(root), "--train_list", "clips_train.txt", "--val_list", "clips_test.txt"]
    base += ["--exp_name", str(folder), "--size", str(SIDE), "--batch_size", "3", "--epochs", "4", "--device", "cpu"]
    return [*base, "--learning_rate", "1e-3", "--log_every", "1", "--checkpoint_every", "3", *more]


def environment(**more: str) -> dict[str, str]:
    """One thread, no terminal, this checkout."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **more}


def start(command: list[str], *, launcher: tuple[str, ...] = (), **more: str) -> subprocess.Popen[str]:
    """Start ``scripts/my_train.py`` (perhaps under a launcher) as a process."""
    return subprocess.Popen(
        [sys.executable, *launcher, str(ROOT / "scripts" / "my_train.py"), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
    )
