"""``co2net before-after``: sheets to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

from co2net.cli.options import add_device, words

DESCRIPTION = """\
Put composites and what models make of them side by side, one row each: composite, its mask, then one column per model.
Composites are pictures (masks of the same names in another folder), or videos, of which the middle frame is shown.
"""
EXAMPLES = """\
examples:
  co2net before-after composites/ --masks masks/ -o sheet.png
  co2net before-after shot.mp4 --masks matte.mp4 --weights lutnet,co2net_issam -o sheet.png
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "before-after",
        help="a picture of composites and what models make of them",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    p.add_argument("composites", type=Path, metavar="COMPOSITES", help="a folder of pictures, a picture, or a video")
    p.add_argument("--masks", required=True, type=Path, help="their masks: a folder, a picture, or a video")
    p.add_argument("--weights", default="default", help="weight files or names from `co2net models`, joined by commas")
    p.add_argument("--width", type=int, default=400, help="of a column in pixels (default 400)")
    add_device(p)
    p.add_argument("-o", "--output", required=True, type=Path, help="picture to write, .png or .jpg")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the sheet."""
    from co2net.devices import choose_device
    from co2net.evaluation.sheets import write_sheet
    from co2net.models.registry import load_model

    device = choose_device(options.device)
    models = {name: load_model(name).to(device) for name in words(options.weights)}
    rows = write_sheet(options.composites, options.masks, models, options.output, options.width)
    print(f"{options.output}: {rows} composites, {', '.join(models)}")
