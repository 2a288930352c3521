"""``scripts/before_after.py``: sheets to look at."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from co2net.cli.errors import exit_code
from co2net.cli.options import OptionParser, add_device
from co2net.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from co2net.models.co2net import CO2Net

DESCRIPTION = """\
Put composites and what models make of them side by side, one row each: composite, its mask, then one column per model.
Composites are pictures (masks of the same names in another folder), or videos, of which the middle frame is shown.
"""
EXAMPLES = """\
examples:
  python scripts/before_after.py composites/ --masks masks/ -o sheet.png
  python scripts/before_after.py shot.mp4 --masks matte.mp4 --weights lutnet,co2net_issam -o sheet.png
"""


def parser() -> argparse.ArgumentParser:
    """Options of the script."""
    p = OptionParser(prog="before_after.py", description=DESCRIPTION, epilog=EXAMPLES)
    p.add_argument("composites", type=Path, help="a folder of pictures, a picture, or a video")
    p.add_argument("--masks", required=True, type=Path, help="their masks: a folder, a picture, or a video")
    p.add_argument("--weights", default="default", help="weight files or names from `co2net models`, joined by commas")
    p.add_argument("--width", type=int, default=400, help="of a column in pixels (default 400)")
    add_device(p)
    p.add_argument("-o", "--output", required=True, type=Path, help="picture to write, .png or .jpg")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the script; returns the exit code."""
    return exit_code(lambda: _run(parser().parse_args(argv)))


def _run(options: argparse.Namespace) -> None:
    import io

    from co2net.devices import choose_device
    from co2net.files import write_beside
    from co2net.models.registry import load_model

    if options.output.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"{options.output}: the sheet is a picture; give a name that ends in .png or .jpg")
    if options.width < 16:
        raise InputError(f"--width {options.width}: a column needs 16 pixels or more")
    device = choose_device(options.device)
    names = [name.strip() for name in options.weights.split(",")]
    models = {name: load_model(name).to(device) for name in names}
    rows = [_row(*pair, models, options.width) for pair in _pairs(options.composites, options.masks)]
    sheet = _sheet(rows, ["composite", "mask", *names], options.width)
    buffer = io.BytesIO()
    sheet.save(buffer, format="png" if options.output.suffix.lower() == ".png" else "jpeg", quality=92)
    write_beside(options.output, buffer.getvalue())
    print(f"{options.output}: {len(rows)} composites, {', '.join(names)}")


def _pairs(composites: Path, masks: Path) -> list[tuple[Path, Path]]:
    if not composites.is_dir():
        return [(composites, masks)]
    from co2net.data.frame_lists import PICTURES

    found = {path.stem: path for path in sorted(masks.iterdir())} if masks.is_dir() else {}
    pictures = [path for path in sorted(composites.iterdir()) if path.suffix.lower() in PICTURES]
    if not pictures:
        raise InputError(f"{composites} holds no pictures")
    for path in pictures:
        if path.stem not in found:
            raise InputError(f"{masks} holds no mask named {path.stem} for {path}")
    return [(path, found[path.stem]) for path in pictures]


def _row(composite: Path, mask: Path, models: dict[str, CO2Net], width: int) -> list[Image.Image]:
    """The columns of one composite."""
    import numpy as np

    from co2net.pipeline.stream import harmonize_frames
    from co2net.video import open_mask, open_video, pair

    with open_video(composite) as reader, open_mask(mask, like=reader.info) as masks:
        middle = (reader.info.frame_count or 1) // 2
        frames = []
        for number, (frame, frame_mask) in enumerate(pair(reader, masks)):
            if number >= middle - 8:
                frames.append((frame.image, frame_mask))
            if number >= middle + 8:
                break
    place = min(8, middle, len(frames) - 1)
    columns = [_thumbnail(frames[place][0], width), _thumbnail(frames[place][1], width)]
    for model in models.values():
        done = list(harmonize_frames((f for f, _ in frames), (m for _, m in frames), model))
        columns.append(_thumbnail(np.asarray(done[place]), width))
    return columns


def _thumbnail(picture: np.ndarray, width: int) -> Image.Image:
    import numpy as np
    from PIL import Image

    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    if picture.dtype != np.uint8:
        picture = (picture * 255).round().astype(np.uint8)
    height = round(picture.shape[0] * width / picture.shape[1])
    return Image.fromarray(picture).convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def _sheet(rows: list[list[Image.Image]], titles: list[str], width: int) -> Image.Image:
    from PIL import Image, ImageDraw

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
