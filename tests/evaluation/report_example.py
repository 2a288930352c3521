"""Folders as an evaluation leaves them: from the sample data set, or large and made up."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from co2net import data, metrics

ROOT = Path(__file__).parents[2]
METHODS = ["composite", "backbone", "lut", "final"]
METRICS = ["mse", "fmse", "fmse_paper", "psnr", "psnr_paper", "fssim", "fssim_paper", "ssim"]
MASKED = {"fmse", "fmse_paper", "fssim", "fssim_paper"}
CORRECTION = {"composite": 0.0, "backbone": 0.7, "lut": 0.75, "final": 0.8}  # how far towards the truth


def skeleton(**changes):
    """Everything of ``results.json`` but scores."""
    return {
        "format": "co2net-evaluation",
        "version": 1,
        "title": "co2net.issam on the sample data set",
        "created": "2026-03-01T12:30:00+00:00",
        "protocol": {
            "size": "Frames and masks are resized to 256 × 256 before the networks.",
            "means": "Plain means over frames.",
        },
        "settings": {"list": "all_frames.txt", "previous": 8, "following": 8, "use_feature": True},
        "environment": {
            "co2net": "0.1.0",
            "torch": "2.13.0",
            "python": "3.11.2",
            "platform": "Linux x86_64",
            "device": "cpu",
            "git": {"commit": "8de79a0", "dirty": True},
        },
        "weights": [{"role": "model", "name": "co2net.safetensors", "sha256": "ab" * 32}],
        "methods": METHODS,
        "metrics": METRICS,
        "extra": {"mapping_error": 3.2, "invalid_paper": 0.03, "invalid_fraction": 0.01},
        "pictures": [],
        **changes,
    }


def summary(clips, methods, names):
    """Means as the evaluation writes them."""
    frames = [frame for clip in clips for frame in clip["frames"]]
    rows = {}
    for method in methods:
        rows[method] = {}
        for name in names:
            values = [frame["scores"][method][name] for frame in frames]
            there = [value for value in values if value is not None]
            mean = sum(there) / len(there) if there else None
            rows[method][name] = {"mean": mean, "frames": len(there), "skipped": len(values) - len(there)}
    return rows


def write(folder: Path, content) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def sample_results(folder: Path, frames_per_clip: int = 20, pictures: int = 12, size: int = 256) -> Path:
    """Scores and pictures of the sample data set; the methods are the composite moved towards the truth."""
    entries = data.read_frame_list(ROOT / "all_frames.txt", ROOT / "sample_data")
    clips: dict[str, list] = {}
    stored = []
    for entry in entries:
        name = "/".join(entry.composite.parts[-3:-1])
        frames = clips.setdefault(name, [])
        if len(frames) == frames_per_clip:
            continue
        truth, composite = (_resized(path, "RGB", size) for path in (entry.real, entry.composite))
        mask = _resized(entry.mask, "L", size)
        flicker = 1 + 0.1 * math.sin(len(frames))
        results = {
            m: composite + c * flicker * (truth - composite) * mask + 0.01 * mask * (c > 0)
            for m, c in CORRECTION.items()
        }
        scores = {}
        for method, result in results.items():
            scores[method] = {}
            for metric in METRICS:
                arguments = (result, truth, mask) if metric in MASKED else (result, truth)
                value = getattr(metrics, metric)(*arguments).item()
                scores[method][metric] = value if math.isfinite(value) else None
        frames.append(
            {"number": entry.number, "name": entry.result_name, "scores": scores, "foreground": mask.mean().item()}
        )
        if len(stored) < pictures and len(frames) % max(1, 3 * frames_per_clip // max(pictures, 1)) == 0:
            stored.append({"name": entry.result_name, "folder": f"pictures/{entry.result_name}"})
            place = folder / "pictures" / entry.result_name
            place.mkdir(parents=True)
            for kind, image in {**results, "truth": truth, "mask": mask}.items():
                _save(place / f"{kind}.png", image)
    listed = [{"clip": name, "frames": frames} for name, frames in clips.items()]
    return write(folder, skeleton(clips=listed, summary=summary(listed, METHODS, METRICS), pictures=stored))


def large_results(folder: Path, clips: int = 636, frames: int = 20, pictures: int = 24) -> Path:
    """The size of the HYouTube test set, with made-up scores of a realistic spread and noisy pictures."""
    random = np.random.default_rng(5)
    listed, stored = [], []
    for c in range(clips):
        level = 10 ** random.normal(2.6, 0.45)
        rows = []
        for f in range(frames):
            scores = {}
            for m, method in enumerate(METHODS):
                error = level * (1, 0.35, 0.33, 0.3)[m] * 10 ** random.normal(0, 0.08 if m else 0.04)
                mse = error * 0.15
                scores[method] = {
                    "mse": mse,
                    "fmse": error,
                    "fmse_paper": error * 1.2 if random.random() > 0.001 else None,
                    "psnr": 10 * math.log10(65025 / mse),
                    "psnr_paper": 10 * math.log10(65025 / mse) - 0.4,
                    "fssim": 1 - error / 20000,
                    "fssim_paper": 0.9 - error / 20000,
                    "ssim": 1 - mse / 20000,
                }
            name = f"{c:010x}_object_0_{5 * f:05d}"
            rows.append({"number": 5 * f, "name": name, "scores": scores, "foreground": float(random.random() * 0.4)})
            if len(stored) < pictures and f == c % frames:
                stored.append({"name": name, "folder": f"pictures/{name}"})
                place = folder / "pictures" / name
                place.mkdir(parents=True)
                base = F.interpolate(torch.rand(1, 3, 20, 20), (256, 256), mode="bicubic").clamp(0, 1)
                for kind in (*METHODS, "truth", "mask"):
                    image = (base + 0.01 * torch.randn(1, 3, 256, 256)).clamp(0, 1)
                    _save(place / f"{kind}.png", image[:, :1] if kind == "mask" else image)
        listed.append({"clip": f"{c:010x}/object_0", "frames": rows})
    return write(
        folder,
        skeleton(
            title="Made-up scores as many as HYouTube's", clips=listed, summary=summary(listed, METHODS, METRICS),
            pictures=stored,
        ),
    )  # fmt: skip


def small_results(folder: Path, scores=None, **changes) -> Path:
    """Two clips of three frames without pictures; `scores(method, clip, frame)` gives every metric's value."""
    scores = scores or (lambda method, clip, frame: 100.0 * (1 - CORRECTION[method]) + clip + frame)
    content = skeleton(**changes)
    methods, names = content["methods"], content["metrics"]
    listed = [
        {
            "clip": f"video{c}/object_0",
            "frames": [
                {
                    "number": 5 * f,
                    "name": f"video{c}_object_0_{5 * f:05d}",
                    "foreground": 0.25,
                    "scores": {method: dict.fromkeys(names, scores(method, c, f)) for method in methods},
                }
                for f in range(3)
            ],
        }
        for c in range(2)
    ]
    content.setdefault("clips", listed)
    content.setdefault("summary", summary(listed, methods, names))
    return write(folder, content)


def remove(*path):
    """A change of results: without the value at a path."""

    def change(content):
        *way, last = path
        for step in way:
            content = content[step]
        del content[last]

    return change


def put(value, *path):
    """A change of results: another value at a path."""

    def change(content):
        *way, last = path
        for step in way:
            content = content[step]
        content[last] = value

    return change


def _resized(path, mode, size) -> torch.Tensor:
    with Image.open(path) as picture:
        if mode == "L":
            picture = picture.convert("L").point(lambda level: 255 if level else 0)
        array = np.asarray(picture.convert(mode).resize((size, size), Image.Resampling.BILINEAR), np.float32) / 255
    return torch.from_numpy(array).view(size, size, -1).permute(2, 0, 1)[None]


def _save(path, image):
    array = (image[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(path)
