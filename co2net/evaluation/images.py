"""Single pictures: networks scored on iHarmony4's sub-sets by the published protocol.

Composite, real picture, mask and further planes of the full-size composite are resized first (8 bit, bilinear, no
antialiasing), the network's whole output is compared, clamped and not rounded. A sub-set is a "clip" of the results
file; means over all pictures weigh the sub-sets by their pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from co2net.checks import check_choice
from co2net.data.clips import read_parts
from co2net.data.pictures import resize_image, resize_mask, resize_plane, to_picture, to_tensor
from co2net.data.samples import Sample
from co2net.evaluation.records import read_record, write_record
from co2net.evaluation.report.text import aligned
from co2net.evaluation.scores import mean_of, score_frames
from co2net.files import make_folder, write_beside
from co2net.metrics.registry import number_text
from co2net.models.backbones import Backbone
from co2net.threads import read_ahead

TASK, RESULT = "images", "network"
STRATEGIES = ("None", "LimitLongest1024", "Fixed256", "Fixed512", "Fixed1024", "Fixed2048")
INTERVALS = ((0.0, 0.05), (0.05, 0.15), (0.15, 1.0), (0.0, 1.0))
"""Shares of foreground in the published table, both ends included."""
JPEG_QUALITY = 100


@dataclass(frozen=True)
class Protocol:
    """How pictures are evaluated.

    Attributes:
        shape: height and width; None: as `strategy` says.
        strategy: one of :data:`STRATEGIES`, without a shape.
        use_flip: average with the result for the mirrored picture.
    """

    shape: tuple[int, int] | None = None
    strategy: str = "Fixed256"
    use_flip: bool = False

    def __post_init__(self) -> None:
        check_choice("resize_strategy", self.strategy, STRATEGIES)

    def shape_of(self, height: int, width: int) -> tuple[int, int]:
        """The size at which a picture is evaluated."""
        if self.shape is not None:
            return self.shape
        if self.strategy == "None":
            return height, width
        if self.strategy == "LimitLongest1024":
            scale = min(1.0, 1024 / max(height, width))
            return round(height * scale), round(width * scale)
        side = int(self.strategy.removeprefix("Fixed"))
        return side, side

    @property
    def square(self) -> int | None:
        """Height and width, if all pictures have the same one."""
        height, width = self.shape_of(1, 2)
        fixed = self.shape is not None or self.strategy.startswith("Fixed")
        return height if fixed and height == width else None

    def sentences(self) -> dict[str, str]:
        """The rules, for a report."""
        if self.shape is not None:
            size = f"{self.shape[0]} x {self.shape[1]} (height x width), aspect ratio not kept"
        else:
            size = {
                "None": "their own size",
                "LimitLongest1024": "their own size, the longer side at most 1024",
            }.get(self.strategy, f"{self.strategy.removeprefix('Fixed')} pixels square, aspect ratio not kept")
        return {
            "size": f"Pictures are evaluated at {size}.",
            "resize": "Composite, real picture and what is made of the full-size composite in 8-bit bilinear without "
            "antialiasing, masks in float; soft masks stay soft.",
            "result": "The network's whole output, not blended by the mask; clamped to 0..255, not rounded.",
            **({"mirrored": "Averaged with the result for the mirrored picture."} if self.use_flip else {}),
            "scores": "fMSE weighs squared errors by the soft mask; PSNR has the truth's largest value as its peak; "
            "SSIM has a 7 x 7 window and constants from the prediction's range.",
            "means": "Plain means over pictures; over all sub-sets each picture counts once.",
        }


@dataclass
class ImagesRun:
    """What an evaluation found: a record per sub-set, as in ``results.json``."""

    records: list[dict[str, Any]] = field(default_factory=list)
    protocol: Protocol = field(default_factory=Protocol)

    def table(self, method: str = RESULT) -> list[dict[str, Any]]:
        """A row per sub-set, and one over all if there are several: ``data``, ``pictures``, means, ``milliseconds``."""
        sets = [(record["clip"], record["frames"]) for record in self.records]
        if len(sets) > 1:
            sets.append(("all", [frame for _, frames in sets for frame in frames]))
        return [_row(name, frames, method) for name, frames in sets]

    def ratio_table(self) -> list[dict[str, Any]]:
        """As :meth:`table`, per interval of the foreground's share."""
        rows = []
        for low, high in INTERVALS:
            part = [
                {**record, "frames": [f for f in record["frames"] if low <= f["foreground"] <= high]}
                for record in self.records
            ]
            name = f"({100 * low:.0f}-{100 * high:.0f})"
            rows += [{**row, "data": f"{row['data']} {name}"} for row in ImagesRun(part, self.protocol).table()]
        return rows


def _row(name: str, frames: Sequence[Mapping[str, Any]], method: str) -> dict[str, Any]:
    keys = ("mse", "fmse", "psnr_iharmony4", "ssim_iharmony4")
    means = {key: mean_of(frame["scores"][method][key] for frame in frames) for key in keys}
    spent = mean_of(frame["milliseconds"] for frame in frames)
    return {"data": name, "pictures": len(frames), **means, "milliseconds": spent}


@dataclass
class _Picture:
    entry: Sample
    composite: Tensor
    real: Tensor
    mask: Tensor
    planes: dict[str, Tensor]


def _read(entries: Iterable[Sample], protocol: Protocol, network: Backbone) -> Iterator[_Picture]:
    for entry in entries:
        composite, mask, real = read_parts(entry)
        shape = protocol.shape_of(*composite.shape[:2])
        planes = network.prepare(composite)
        yield _Picture(
            entry,
            to_batch(resize_image(composite, shape)),
            to_batch(resize_image(real, shape)),
            torch.from_numpy(resize_mask(mask, shape))[None, None],
            {name: to_batch(resize_plane(plane, shape)) for name, plane in planes.items()},
        )


def to_batch(picture: np.ndarray) -> Tensor:
    """``(H, W, C)`` uint8 to ``(1, C, H, W)`` in [0, 1]."""
    return to_tensor(picture)[None]


@torch.inference_mode()
def predict(
    network: Backbone, composite: Tensor, mask: Tensor, planes: Mapping[str, Tensor], *, use_flip: bool = False
) -> Tensor:
    """The network's whole output ``(B, 3, H, W)`` in [0, 1] space, not clamped.

    Args:
        network: in eval mode.
        composite: ``(B, 3, H, W)`` in [0, 1].
        mask: ``(B, 1, H, W)``.
        planes: of :meth:`Backbone.prepare`, resized.
        use_flip: average with the result for the mirrored picture.
    """
    image = network.denormalize(network(composite, mask, **planes).raw.float())
    if not use_flip:
        return image
    mirrored = network(composite.flip(3), mask.flip(3), **{name: plane.flip(3) for name, plane in planes.items()})
    return (image + network.denormalize(mirrored.raw.float()).flip(3)) / 2


def evaluate_images(
    network: Backbone,
    sets: Mapping[str, Sequence[Sample]],
    protocol: Protocol,
    *,
    device: torch.device,
    conditions: Mapping[str, Any],
    output: Path | None = None,
    save_dir: Path | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImagesRun:
    """Score a network on sub-sets of iHarmony4.

    Args:
        network: of :func:`co2net.create_backbone`, with its weights.
        sets: name to pictures, of :func:`co2net.data.config_file.read_sub_sets`.
        protocol: sizes and so on.
        device: where to compute.
        conditions: what decides the values beside the protocol, such as the weights' hash; records made under others
            are refused.
        output: folder of a record per sub-set; finished sub-sets are not done again.
        save_dir: results are written there as JPEG under their composites' names.
        overwrite: do all anew.
        on_progress: called with the pictures done and the number of all.

    Raises:
        InputError: a picture cannot be read, or a record was made otherwise.
        OutputError: something cannot be written.
    """
    network = network.eval().to(device)
    under = {**conditions, "protocol": " ".join(protocol.sentences().values())}
    total, done = sum(map(len, sets.values())), 0
    run = ImagesRun(protocol=protocol)
    if save_dir is not None:
        make_folder(save_dir)
    for name, entries in sets.items():
        names = [entry.composite.stem for entry in entries]
        record = None if output is None or overwrite or save_dir else read_record(output, name, names, under)
        if record is None:
            frames = []
            with read_ahead(_read(entries, protocol, network)) as ahead:
                for picture in ahead:
                    frames.append(_score(network, picture, len(frames), protocol, device, save_dir))
                    done += 1
                    if on_progress is not None:
                        on_progress(done, total)
            record = {"clip": name, "frames": frames, "pictures": []}
            if output is not None:
                write_record(output, under, record)
        else:
            done += len(entries)
            if on_progress is not None:
                on_progress(done, total)
        run.records.append(record)
    return run


def _score(
    network: Backbone, picture: _Picture, number: int, protocol: Protocol, device: torch.device, save_dir: Path | None
) -> dict[str, Any]:
    composite, real, mask = (tensor.to(device) for tensor in (picture.composite, picture.real, picture.mask))
    planes = {name: plane.to(device) for name, plane in picture.planes.items()}
    began = time.perf_counter()
    image = predict(network, composite, mask, planes, use_flip=protocol.use_flip).clamp(0, 1)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    spent = 1000 * (time.perf_counter() - began)
    if save_dir is not None:
        rgb = to_picture(image[0])
        _, jpeg = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        write_beside(save_dir / f"{picture.entry.composite.stem}.jpg", jpeg.tobytes())
    (scores,) = score_frames({"composite": composite, RESULT: image}, real, mask, TASK)
    return {
        "number": number,
        "name": picture.entry.composite.stem,
        "foreground": float((mask > 0.5).double().mean()),
        "scores": scores,
        "milliseconds": spent,
        "invalid": None,
        "mapping_error": None,
    }


def table_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of :meth:`ImagesRun.table` as people read them."""
    digits = {"mse": 4, "fmse": 4, "psnr_iharmony4": 4, "ssim_iharmony4": 4, "milliseconds": 1}
    lines = [["data", "N", "MSE", "fMSE", "PSNR", "SSIM", "ms"]]
    for row in rows:
        texts = [number_text(row[key], count) for key, count in digits.items()]
        lines.append([row["data"], str(row["pictures"]), *texts])
    return aligned(lines)
