"""Sheets to look at: composites and what models make of them, side by side."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from co2net.data.frame_lists import PICTURES
from co2net.errors import InputError
from co2net.files import write_beside
from co2net.models.co2net import CO2Net
from co2net.pipeline.arrays import harmonize_frames
from co2net.video import open_mask, open_video, pair

ENDINGS = (".png", ".jpg", ".jpeg")
AROUND = 8  # frames before and after the shown one that a model sees


def write_sheet(composites: Path, masks: Path, models: Mapping[str, CO2Net], output: Path, width: int = 400) -> int:
    """Write a picture with a row per composite: composite, its mask, then one column per model.

    Args:
        composites: a folder of pictures, a picture, or a video, of which the middle frame is shown.
        masks: of the same names in another folder; or a picture, or a video.
        models: title of the column to model.
        output: picture to write, ``.png`` or ``.jpg``.
        width: of a column in pixels.

    Returns:
        The number of rows.

    Raises:
        InputError: a file is missing or cannot be read, or a setting is out of range.
        OutputError: the picture cannot be written.
    """
    if output.suffix.lower() not in ENDINGS:
        raise InputError(f"{output}: the sheet is a picture; give a name that ends in .png or .jpg")
    if width < 16:
        raise InputError(f"`width` {width}: a column needs 16 pixels or more")
    rows = [_row(*pair, models, width) for pair in _pairs(composites, masks)]
    save_sheet(rows, ["composite", "mask", *models], output, width)
    return len(rows)


def save_sheet(rows: list[list[Image.Image]], titles: list[str], output: Path, width: int) -> None:
    """Write rows of :func:`thumbnail` columns under their titles.

    Raises:
        InputError: `output` is no ``.png`` or ``.jpg``.
        OutputError: it cannot be written.
    """
    if output.suffix.lower() not in ENDINGS:
        raise InputError(f"{output}: the sheet is a picture; give a name that ends in .png or .jpg")
    buffer = io.BytesIO()
    sheet = _sheet(rows, titles, width)
    sheet.save(buffer, format="png" if output.suffix.lower() == ".png" else "jpeg", quality=92)
    write_beside(output, buffer.getvalue())


def _pairs(composites: Path, masks: Path) -> list[tuple[Path, Path]]:
    if not composites.is_dir():
        return [(composites, masks)]
    found = {path.stem: path for path in sorted(masks.iterdir())} if masks.is_dir() else {}
    pictures = [path for path in sorted(composites.iterdir()) if path.suffix.lower() in PICTURES]
    if not pictures:
        raise InputError(f"{composites} holds no pictures")
    for path in pictures:
        if path.stem not in found:
            raise InputError(f"{masks} holds no mask named {path.stem} for {path}")
    return [(path, found[path.stem]) for path in pictures]


def _row(composite: Path, mask: Path, models: Mapping[str, CO2Net], width: int) -> list[Image.Image]:
    """The columns of one composite."""
    with open_video(composite) as reader, open_mask(mask, like=reader.info) as masks:
        middle = (reader.info.frame_count or 1) // 2
        frames = []
        for number, (frame, frame_mask) in enumerate(pair(reader, masks)):
            if number >= middle - AROUND:
                frames.append((frame.image, frame_mask))
            if number >= middle + AROUND:
                break
    place = min(AROUND, middle, len(frames) - 1)
    columns = [thumbnail(frames[place][0], width), thumbnail(frames[place][1], width)]
    for model in models.values():
        done = list(harmonize_frames((f for f, _ in frames), (m for _, m in frames), model))
        columns.append(thumbnail(np.asarray(done[place]), width))
    return columns


def thumbnail(picture: np.ndarray, width: int) -> Image.Image:
    """A column of a sheet: ``(H, W, 3)`` or ``(H, W)``, uint8, uint16 or float in [0, 1], `width` pixels wide."""
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    if picture.dtype != np.uint8:
        picture = (picture * 255).round().astype(np.uint8)
    height = round(picture.shape[0] * width / picture.shape[1])
    return Image.fromarray(picture).convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def _sheet(rows: list[list[Image.Image]], titles: list[str], width: int) -> Image.Image:
    gap, head = 6, 22
    heights = [max(column.height for column in row) for row in rows]
    sheet = Image.new("RGB", (len(titles) * (width + gap) - gap, head + sum(heights) + gap * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, title in enumerate(titles):
        draw.text((i * (width + gap) + 4, 4), title, fill="black")
    top = head
    for row, height in zip(rows, heights, strict=True):
        for i, column in enumerate(row):
            sheet.paste(column, (i * (width + gap), top))
        top += height + gap
    return sheet
