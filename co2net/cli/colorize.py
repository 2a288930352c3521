"""``co2net colorize``: strokes of color on a gray clip."""

from __future__ import annotations

import argparse

from co2net.cli.loading import load_torch
from co2net.cli.options import ENCODING, add_encoding, add_quiet, picked

EXAMPLES = """\
examples:
  co2net colorize old.mp4 --scribbles strokes.png -o colored.mp4              # strokes on the first frame
  co2net colorize old.mp4 --scribbles strokes/ -o colored.mkv                 # strokes/0.png, strokes/48.png, ...
  co2net colorize old.mp4 --scribbles strokes/ --weights svcnet/ -o out.mkv   # SVCNet's official files
  co2net colorize still.jpg --scribbles strokes.png -o still.png

Strokes are painted at the frame's size: on a transparent or black picture, or over the gray frame. A few in each region
are enough. The brightness of the original stays; strokes change its color only.
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    about = "Color a gray clip or picture from a few strokes."
    p = verbs.add_parser(
        "colorize", help="color a gray clip or picture from strokes", description=about, epilog=EXAMPLES
    )
    p.add_argument("clip", help="video, folder of frames or picture")
    p.add_argument(
        "--scribbles", required=True, help="strokes for the first frame, or a folder of strokes by frame number"
    )
    add_encoding(p, "CLIP.colorized.mp4")
    p.add_argument(
        "--weights",
        help="a CPNet file, or a folder with SVCNet's official files; default: none",
    )
    p.add_argument("--flow", help="dis, or a flow of co2net.flow whose file --weights holds (default)")
    p.add_argument(
        "--arrangement",
        choices=("sound", "published"),
        default="sound",
        help="published: flow and warps as in SVCNet's own programs, as its weights were trained",
    )
    add_quiet(p)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Color, and say what was done."""
    load_torch()
    from co2net.cli.progress import FrameBar, tell
    from co2net.colorization.files import read_networks
    from co2net.colorization.video import colorize_video

    networks = read_networks(options.weights)
    with FrameBar(quiet=options.quiet, title="colorize") as bar:
        report = colorize_video(
            networks=networks,
            on_progress=bar.update,
            **picked(options, f"clip scribbles output flow arrangement {ENCODING}"),
        )
    tell(report, options)
