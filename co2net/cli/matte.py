"""``co2net matte``: where the mask comes from."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from co2net.cli.loading import load_torch
from co2net.cli.options import ENCODING, add_encoding, add_quiet, frame_rate, picked

EXAMPLES = """\
examples:
  co2net matte plate.mov --key green -o cutout.mov             # ProRes 4444 with alpha, the screen's light removed
  co2net matte plate.mov --key auto -o mask.mkv --give mask    # finds the screen; a gray video, lossless
  co2net matte clip.mp4 --from first_mask.png -o mask.mkv      # one painted mask, carried through the clip
  co2net matte clip.mp4 --from masks/ -o mask.mkv              # masks/00000.png, masks/00048.png, ...: by frame
  co2net matte call.mp4 --moving --background office.jpg -o out.mp4       # what moves, before a new background
  co2net matte call.mp4 --moving --weights CP_epoch7.pth -o mask.mkv      # by the published U-Net
  co2net matte clip.mp4 --from first_mask.png --refine -o cutout.webm --give cutout
  co2net matte clip.mp4 --model rembg:isnet-general-use -o mask.mkv       # needs pip install 'co2net[rembg]'
"""


_SAME = (
    "clip output frame_rate key given moving model weights threshold spill garbage refine give background light_wrap"
)
"""Options that are arguments of :func:`co2net.matting.job.matte_video` as they are."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "matte",
        help="make a mask: from a colored screen, a painted frame, or motion",
        description="Make the mask of a clip, a cut-out with alpha, or the subject before a new background.",
        epilog=EXAMPLES,
    )
    p.add_argument("clip", help="video, folder of frames or image")
    p.add_argument("--frame-rate", type=frame_rate, metavar="FPS", help="of a folder of frames")
    way = p.add_argument_group("where the mask comes from (one of these)").add_mutually_exclusive_group(required=True)
    way.add_argument(
        "--key", metavar="COLOR", help="a screen of this color: green, blue, auto, a name, #RRGGBB or R,G,B levels"
    )
    way.add_argument(
        "--from",
        dest="given",
        metavar="MASK",
        help="mask of the first frame, or a folder of masks whose names end in the numbers of their frames, from 0",
    )
    way.add_argument("--moving", action="store_true", help="what moves against the camera")
    way.add_argument(
        "--model",
        metavar="NAME",
        help="another network: rembg:NAME, or RobustVideoMatting's .torchscript or .onnx file",
    )
    how = p.add_argument_group("how")
    how.add_argument("--weights", metavar="FILE", help="with --moving: a file of the published U-Net; default: none")
    how.add_argument(
        "--threshold", type=float, help="with --moving: pixels per frame that count (default 0.5, or the weights' own)"
    )
    how.add_argument(
        "--spill", type=float, default=1.0, help="with --key: how much of its light goes, 0 to 1 (default)"
    )
    how.add_argument("--garbage", metavar="MASK", help="with --key: a still mask, white where the subject may be")
    how.add_argument(
        "--refine", action="store_true", help="turn hard edges into alpha; needs pip install 'co2net[matting]'"
    )
    result = p.add_argument_group("output")
    add_encoding(result, "CLIP.mask.mp4, CLIP.cutout.mov, ...")
    result.add_argument(
        "--give",
        choices=("mask", "cutout"),
        help="a gray mask, or colors with alpha; default: a cut-out with --key where the output can hold alpha",
    )
    result.add_argument("--background", help="video or image to put behind the subject")
    result.add_argument(
        "--light-wrap",
        type=float,
        default=0.0,
        metavar="W",
        help="light of --background over the edge, 0 (default) to 1",
    )
    add_quiet(p)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Make the mask, and say what was done."""
    load_torch()
    from co2net.cli.progress import FrameBar, tell
    from co2net.matting.job import matte_video

    with FrameBar(quiet=options.quiet, title="matte") as bar:
        report = matte_video(
            on_progress=bar.update,
            **picked(options, f"{_SAME} {ENCODING}"),
        )
    tell(report, options)


@contextmanager
def with_made_masks(options: argparse.Namespace) -> Iterator[None]:
    """Make the mask that ``co2net harmonize --key`` or ``--mask-from`` asks for, and put it into its options.

    It lies in a temporary folder, lossless, until the block ends.

    Raises:
        InputError: the options contradict each other, or no mask can be made.
    """
    from co2net.cli.progress import FrameBar, tell_words
    from co2net.errors import InputError
    from co2net.matting.job import matte_video

    if options.key is not None and options.mask_from is not None:
        raise InputError("give `key` or `mask_from`, not both")
    if options.mask is not None:
        raise InputError("`mask` is the whole mask; leave out `key` and `mask_from`")
    keyed = options.key is not None
    plate = options.foreground or options.composite
    if plate is None:
        raise InputError("give the clip whose mask is to be made")
    if keyed and options.background is None:
        raise InputError("`key` makes a cut-out to be composed: give its `background`")
    if keyed and options.foreground is not None and options.composite is not None:
        raise InputError("give the plate once, as `composite` or as `foreground`")
    with tempfile.TemporaryDirectory(prefix="co2net-") as folder:
        made = Path(folder) / ("cutout.mkv" if keyed else "mask.mkv")
        with FrameBar(quiet=options.quiet, title="matte") as bar:
            report = matte_video(
                plate,
                made,
                key=options.key,
                given=options.mask_from,
                frame_rate=options.frame_rate,
                on_progress=bar.update,
            )
        tell_words(options, report.notes)
        if not keyed:
            options.mask = str(made)
        else:
            options.output = options.output or _beside(plate)
            options.composite, options.foreground = None, str(made)
        yield


def _beside(plate: str) -> str:
    path = Path(plate)
    return str(path.with_name(f"{path.stem}.harmonized.mp4"))
