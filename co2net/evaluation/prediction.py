"""Predict a folder of pictures as the published scripts of CDTNet and DucoNet do.

What is written is the network's whole output, at the size at which it worked; :func:`co2net.pipeline.images.
harmonize_images` keeps sizes, backgrounds, metadata and bit depths instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from co2net.data.pictures import check_fits, read_image, read_mask, resize_image, resize_mask, resize_plane, to_picture
from co2net.errors import InputError
from co2net.evaluation.images import predict, to_batch
from co2net.files import make_folder, write_beside
from co2net.models.backbones import Backbone
from co2net.pipeline.images import ImagesReport, mask_of, masks_in, pictures_in, result_paths


@dataclass(frozen=True)
class Prediction:
    """How a folder is predicted.

    Attributes:
        shape: height and width; None: each picture's own.
        original_size: resize results back.
        threshold: masks above it become 1, all else 0, of 255; None: they stay soft.
        quality: of the JPEG files.
    """

    shape: tuple[int, int] | None = None
    original_size: bool = False
    threshold: int | None = None
    quality: int = 100


def predict_folder(
    network: Backbone,
    images: Path,
    masks: Path,
    output: Path,
    how: Prediction,
    *,
    device: torch.device,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImagesReport:
    """Predict every picture of a folder.

    Args:
        network: of :func:`co2net.create_backbone`, with its weights.
        images: pictures of any kinds and sizes.
        masks: for ``a_b_c.jpg`` ``a_b_c.png`` or ``a_b.png``.
        output: a folder; each result has its picture's name, as JPEG in whatever form the picture was.
        how: sizes and so on.
        device: where to compute.
        on_progress: called with the pictures done and the number of all.

    Returns:
        Which were written, and why others were not.

    Raises:
        InputError: a folder is missing or holds no pictures, or two results would have one name.
        OutputError: something cannot be written.
    """
    if not images.is_dir():
        raise InputError(f"`images` {images} is not a folder")
    pictures, known = pictures_in(images), masks_in(masks)
    results = result_paths(pictures, output, lambda ending: ending if ending.lower() == ".jpeg" else ".jpg")
    network = network.eval().to(device)
    make_folder(output)
    report = ImagesReport(output)
    for done, (path, result) in enumerate(zip(pictures, results, strict=True), start=1):
        try:
            picture = _predict(network, path, mask_of(path, known, masks), how, device)
        except InputError as error:
            report.failed.append(str(error))
        else:
            _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, how.quality])
            write_beside(result, jpeg.tobytes())
            report.written.append(result)
        if on_progress is not None:
            on_progress(done, len(pictures))
    return report


def _predict(network: Backbone, path: Path, mask_path: Path, how: Prediction, device: torch.device) -> np.ndarray:
    """The result ``(H, W, 3)`` uint8."""
    composite, mask = read_image(path), read_mask(mask_path)
    check_fits(mask, mask_path, composite, "its picture")
    shape = how.shape or mask.shape
    if how.threshold is not None:
        mask = (mask * 255 > how.threshold).astype(np.float32)
    planes = {name: to_batch(resize_plane(plane, shape)) for name, plane in network.prepare(composite).items()}
    image = predict(
        network,
        to_batch(resize_image(composite, shape)).to(device),
        torch.from_numpy(resize_mask(mask, shape))[None, None].to(device),
        {name: plane.to(device) for name, plane in planes.items()},
    )
    picture = to_picture(image[0])
    return resize_image(picture, composite.shape[:2]) if how.original_size else picture
