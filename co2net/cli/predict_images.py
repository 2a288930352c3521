"""``scripts/predict_for_dir.py NETWORK FILE``: a folder of pictures, with the published command lines."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from co2net.cli.errors import exit_code
from co2net.cli.evaluate_images import add_network, create_network, device_of
from co2net.cli.options import OptionParser, add_device, add_quiet

if TYPE_CHECKING:
    from co2net.evaluation.prediction import Prediction

DESCRIPTION = """\
Predict every picture of a folder as the published scripts of CDTNet and DucoNet do: the whole output, as JPEG.
`co2net harmonize FOLDER --images` keeps sizes, backgrounds, metadata and bit depths.
"""
EXAMPLES = """\
examples:
  python scripts/predict_for_dir.py DucoNet DucoNet256.pth --images composites/ --masks masks/ --results-path results/
  python scripts/predict_for_dir.py CDTNet HAdobe5k_2048.pth --images composites/ --masks masks/ --lr 512 \\
      --hr_h 2048 --hr_w 2048 --original-size
"""
HARD = 100  # of 255: DucoNet's masks above it are foreground, all else background
QUALITY = 85  # of DucoNet's results


def parser() -> argparse.ArgumentParser:
    """Options of the script."""
    p = OptionParser(prog="predict_for_dir.py", description=DESCRIPTION, epilog=EXAMPLES)
    known = add_network(p)
    known.add_argument("--images", type=Path, required=True, help="folder of composites")
    known.add_argument("--masks", type=Path, required=True, help="folder of masks: a_b_c.png or a_b.png for a_b_c.jpg")
    known.add_argument(
        "--resize", type=int, help="height and width (default 256 but for CDTNet); -1: the picture's own"
    )
    known.add_argument("--original-size", action="store_true", help="resize the results back")
    known.add_argument("--results-path", default="", help="folder of the results (default EXPS_PATH/predictions)")
    known.add_argument("--save-dir", default="", help="ignored, as in the original")
    new = p.add_argument_group("new")
    add_device(new)
    add_quiet(new)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; returns the exit code."""
    options = parser().parse_args(argv)
    return exit_code(lambda: _run(options), options.flags)


def _run(options: argparse.Namespace) -> None:
    from co2net.cli.progress import FrameBar, tell_words
    from co2net.errors import InputError
    from co2net.evaluation.prediction import predict_folder

    name, network, _, config = create_network(options)
    output = Path(options.results_path or Path(str(config.get("EXPS_PATH") or "experiments")) / "predictions")
    device = device_of(options)
    with FrameBar(quiet=options.quiet, title="predict", device=str(device)) as bar:
        report = predict_folder(
            network, options.images, options.masks, output, _how(options, name), device=device, on_progress=bar.update
        )
    tell_words(options, report.notes, f"{len(report.written)} pictures predicted", report.output)
    if report.failed:
        more = f"; and {len(report.failed) - 3} more" if len(report.failed) > 3 else ""
        raise InputError(f"{len(report.failed)} pictures left out: {'; '.join(report.failed[:3])}{more}")


def _how(options: argparse.Namespace, name: str) -> Prediction:
    from co2net.errors import InputError
    from co2net.evaluation.prediction import Prediction

    sized = options.hr_h or options.hr_w
    if sized and options.resize:
        raise InputError("--resize and --hr_h with --hr_w both choose the size; give one of them")
    if options.resize is not None and options.resize != -1 and options.resize < 1:
        raise InputError(f"--resize {options.resize}: write a number of pixels, or -1 for the pictures' own sizes")
    if sized or (name == "cdtnet" and options.resize is None):
        shape = options.hr_h or options.hr_w or 1024, options.hr_w or options.hr_h or 1024
    else:
        side = options.resize or 256
        shape = None if side == -1 else (side, side)
    if name == "cdtnet":
        return Prediction(shape, options.original_size)
    return Prediction(shape, options.original_size, HARD, QUALITY)
