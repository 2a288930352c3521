"""``co2net scribbles``: test strokes from a colored clip or picture."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  co2net scribbles colored.mp4 -o strokes.png                       # forty points of the first frame
  co2net scribbles colored.mp4 -o strokes/ --frames 0,48 --points 60
  co2net scribbles still.png -o strokes.png --mapping 1             # the same points in other colors
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    about = "Make strokes for tests: points of a colored clip in its own colors, on black."
    p = verbs.add_parser("scribbles", help="make test strokes of a colored clip", description=about, epilog=EXAMPLES)
    p.add_argument("clip", help="colored video, folder of frames or picture")
    p.add_argument("-o", "--output", required=True, type=Path, help="a picture, or a folder for several frames")
    p.add_argument("--frames", default="0", help="numbers of frames from 0, separated by commas (default 0)")
    p.add_argument("--points", type=int, default=40, help="points per frame (default 40)")
    p.add_argument("--width", type=int, default=5, help="of a point; 5 are 4 pixels, as published (default)")
    p.add_argument("--seed", type=int, default=0, help="which places")
    p.add_argument("--mapping", type=int, choices=(1, 2, 3, 4), help="other colors: one of the published mappings")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the strokes and name them."""
    from co2net.colorization.files import make_strokes

    for path in make_strokes(
        options.clip,
        options.output,
        options.frames,
        points=options.points,
        width=options.width,
        seed=options.seed,
        mapping=options.mapping,
    ):
        print(path)
