"""SVCNet's GCS programs under their published names and flags, and its mIoU; ``scripts/`` has one file for each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from co2net.cli.errors import exit_code
from co2net.cli.options import OptionParser
from co2net.cli.training_options import at_least
from co2net.errors import InputError

if TYPE_CHECKING:
    from co2net.colorization.scribble_sheets import Points
    from co2net.flow import FlowEstimator

_PWCNET = Path("pwcNet-default.pytorch")
_FRAMES = Path("./data/DAVIS_Videvo/val")
_SHEETS = Path("./color_point40_color_width5_256p")


def images_main(argv: list[str] | None = None) -> int:
    """``generate_color_scribbles_ImageNet.py``."""
    p = _parser("generate_color_scribbles_ImageNet.py", "Random points of every picture below --baseroot.")
    _roots(p, Path("./data/ILSVRC2012/ILSVRC2012_val_256"), Path("./color_point40_color_width5_ImageNet"))
    p.add_argument("--tag", help=argparse.SUPPRESS)
    _point_flags(p, 256)

    def job(options: argparse.Namespace) -> Iterator[Path]:
        from co2net.colorization.scribble_sheets import picture_scribbles
        from co2net.colorization.training_samples import find_pictures

        points = _points(options)
        return picture_scribbles(find_pictures(options.baseroot), options.baseroot, options.saveroot, points)

    return _run(p, job, argv)


def lists_main(argv: list[str] | None = None) -> int:
    """``generate_color_scribbles_DAVIS_videvo.py``."""
    p = _parser(
        "generate_color_scribbles_DAVIS_videvo.py",
        "Points of every listed clip's first frame, carried through the clip: <baseroot>/<tag>/<clip>/<frame>.",
    )
    _roots(p, _FRAMES, _SHEETS)
    p.add_argument("--tag", default="DAVIS", help="DAVIS or videvo, as in <tag>_test_class.txt (default DAVIS)")
    p.add_argument("--txt_path", type=Path, default=Path("./txt"), help="folder of the lists")
    _point_flags(p, 448)
    _flow_flags(p)

    def job(options: argparse.Namespace) -> Iterator[Path]:
        from co2net.colorization.scribble_sheets import clip_scribbles, listed_clips

        points, estimate, published = _points(options), *_flow(options)
        classes, images = (options.txt_path / f"{options.tag}_test_{name}.txt" for name in ("class", "imagelist"))
        clips = listed_clips(classes, images, options.baseroot / options.tag)
        for number, (clip, frames) in enumerate(clips.items()):
            output = options.saveroot / options.tag / clip
            yield from clip_scribbles(frames, output, points, estimate, published=published, number=number)

    return _run(p, job, argv)


def video_main(argv: list[str] | None = None) -> int:
    """``generate_color_scribbles_video.py``."""
    p = _parser("generate_color_scribbles_video.py", "Points of a folder's first frame, carried through its frames.")
    _roots(p, Path("./test_data/input"), Path("./test_data/color_point40_color_width5_256p"))
    p.add_argument("--tag", help=argparse.SUPPRESS)
    p.add_argument(
        "--scribbleroot",
        default="00000_256p_not_widen.png",
        help="scribble picture of the first frame, single pixels on black; '' draws random points",
    )
    _point_flags(p, 448)
    _flow_flags(p)

    def job(options: argparse.Namespace) -> Iterator[Path]:
        from co2net.colorization.scribble_sheets import clip_scribbles
        from co2net.data.samples import pictures_in

        points, estimate, published = _points(options), *_flow(options)
        frames = pictures_in(options.baseroot)
        if not frames:
            raise InputError(f"--baseroot {options.baseroot} holds no pictures")
        first = Path(options.scribbleroot) if options.scribbleroot else None
        if first is not None and not first.is_file():
            raise InputError(f"--scribbleroot {first} is no file; give '' for random points")
        return clip_scribbles(frames, options.saveroot, points, estimate, first=first, published=published)

    return _run(p, job, argv)


def mapping_main(argv: list[str] | None = None) -> int:
    """``mapping_diverse_color_scribbles.py``."""
    p = _parser("mapping_diverse_color_scribbles.py", "Scribble files in four other sets of colors.")
    _roots(p, _SHEETS, Path(f"{_SHEETS}_diverse"))
    p.add_argument("--keyword", default="_256p.png", help="part of the names (default _256p.png)")

    def job(options: argparse.Namespace) -> Iterator[Path]:
        from co2net.colorization.scribble_sheets import map_scribbles

        return map_scribbles(options.baseroot, options.keyword, options.saveroot)

    return _run(p, job, argv)


def widen_main(argv: list[str] | None = None) -> int:
    """``widen_color_scribbles_for_better_vis.py``."""
    p = _parser("widen_color_scribbles_for_better_vis.py", "Scribble files with squares that are easy to see.")
    _roots(p, _SHEETS, Path(f"{_SHEETS}_vis"))
    p.add_argument("--keyword", default="_256p.png", help="part of the names (default _256p.png)")

    def job(options: argparse.Namespace) -> Iterator[Path]:
        from co2net.colorization.scribble_sheets import widen_scribbles

        return widen_scribbles(options.baseroot, options.keyword, options.saveroot)

    return _run(p, job, argv)


def sheet_main(argv: list[str] | None = None) -> int:
    """``color_sheet.py``."""
    p = _parser(
        "color_sheet.py", "A sheet of colored clips turned gray and colored again from points of their first frame."
    )
    p.add_argument("clips", nargs="+", type=Path, help="colored videos, folders of frames, or pictures")
    p.add_argument("-o", "--output", required=True, type=Path, help=".png or .jpg")
    p.add_argument("--frames", type=int, nargs="+", default=[0], help="numbers to show, from 0 (default 0)")
    p.add_argument("--points", type=int, default=40, help="on the first frame (default 40)")
    p.add_argument("--weights", help="as for co2net colorize; default: no network")
    p.add_argument("--width", type=int, default=400, help="of a column in pixels (default 400)")
    options = p.parse_args(argv)

    def job() -> None:
        from co2net.colorization.files import read_networks
        from co2net.colorization.sheets import write_color_sheet

        at_least(options, 1, "points")
        if min(options.frames) < 0:
            raise InputError(f"--frames {options.frames}: numbers begin at 0")
        rows = write_color_sheet(
            options.clips,
            options.output,
            read_networks(options.weights),
            frames=options.frames,
            points=options.points,
            width=options.width,
        )
        print(f"{options.output}: {rows} rows")

    return exit_code(job, options.flags)


def miou_main(argv: list[str] | None = None) -> int:
    """``evaluate_miou.py``."""
    p = _parser(
        "evaluate_miou.py",
        "mIoU of a segmenter's masks of colored clips against annotations: one confusion matrix over all frames.",
    )
    p.add_argument("--gt_path", required=True, type=Path, help="annotations, <clip>/<frame>.png; foreground is 255")
    p.add_argument("--pred_path", required=True, type=Path, help="the segmenter's masks, likewise")
    p.add_argument("--list", required=True, type=Path, help="one <clip>/<frame>.png a line")
    options = p.parse_args(argv)

    def job() -> None:
        from co2net.evaluation.published_colors import MIOU
        from co2net.evaluation.segmentation import mean_iou

        found = mean_iou(options.gt_path, options.pred_path, options.list)
        print(f"mIoU {found.mean:.4f}  (foreground {found.foreground:.4f}, background {found.background:.4f})")
        print(f"{found.frames} frames, one confusion matrix over all their pixels")
        print("published, DAVIS validation, HRNetV2-W48 + OCR as segmenter:")
        print(*(f"  {value:.4f}  {name}" for name, value in MIOU.items()), sep="\n")

    return exit_code(job, options.flags)


def _parser(name: str, about: str) -> OptionParser:
    return OptionParser(prog=name, description=about)


def _roots(p: argparse.ArgumentParser, base: Path, save: Path) -> None:
    p.add_argument("--baseroot", type=Path, default=base, help=f"what to read (default {base})")
    p.add_argument("--saveroot", type=Path, default=save, help=f"where to write (default {save})")


def _point_flags(p: argparse.ArgumentParser, width: int) -> None:
    p.add_argument("--crop_size_h", type=int, default=256, help="working height (default 256)")
    p.add_argument("--crop_size_w", type=int, default=width, help=f"working width (default {width})")
    p.add_argument("--color_point", type=int, default=40, help="points (default 40)")
    p.add_argument("--color_width", type=int, default=5, help="of a point; 5 are 4 pixels, as published (default)")
    p.add_argument("--seed", type=int, default=0, help="which places")
    for unused in ("color_blur_width", "show"):
        p.add_argument(f"--{unused}", help=argparse.SUPPRESS)


def _flow_flags(p: argparse.ArgumentParser) -> None:
    p.add_argument("--pwcnet_path", type=Path, help=f"PWC-Net's file; default {_PWCNET} if it is there, else DIS flow")
    p.add_argument(
        "--flow_from",
        choices=("current", "neighbour"),
        default="current",
        help="neighbour: the published direction, which moves points against the motion",
    )


def _points(options: argparse.Namespace) -> Points:
    from co2net.colorization.scribble_sheets import Points

    at_least(options, 1, "color_point")
    at_least(options, 3, "color_width", "crop_size_h", "crop_size_w")
    at_least(options, 0, "seed")
    size = options.crop_size_h, options.crop_size_w
    return Points(size, options.color_point, options.color_width, options.seed)


def _flow(options: argparse.Namespace) -> tuple[FlowEstimator, bool]:
    from co2net.flow import create_flow

    path = options.pwcnet_path or (_PWCNET if _PWCNET.is_file() else None)
    if path is None:
        print(f"note: {_PWCNET} is not here, points are carried by DIS flow", file=sys.stderr)
    published = options.flow_from == "neighbour"
    return (create_flow("dis") if path is None else create_flow("pwcnet", path)), published


def _run(p: OptionParser, job: Callable[[argparse.Namespace], Iterator[Path]], argv: list[str] | None) -> int:
    options = p.parse_args(argv)

    def work() -> None:
        count = sum(1 for _ in job(options))
        print(f"{options.saveroot}: {count} files")

    return exit_code(work, options.flags)
