"""``scripts/predict_for_dir.py NETWORK FILE``: a folder of pictures, with the published command lines."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from co2net.cli.evaluate_images import add_network, asked_shape, create_network
from co2net.cli.options import add_device, add_quiet, device_name, run_script

if TYPE_CHECKING:
    from co2net.evaluation.prediction import Prediction

DESCRIPTION = """\
Predict every picture of a folder as the published scripts of CDTNet and DucoNet do: the whole output, as JPEG.
`co2net harmonize FOLDER --images` keeps sizes, backgrounds, metadata and bit depths.
"""
EXAMPLES = """\
examples:
  {command} DucoNet DucoNet256.pth --images composites/ --masks masks/ --results-path results/
  {command} CDTNet HAdobe5k_2048.pth --images composites/ --masks masks/ --lr 512 \\
      --hr_h 2048 --hr_w 2048 --original-size
"""
HARD = 100  # of 255: DucoNet's masks above it are foreground, all else background
QUALITY = 85  # of DucoNet's results


def _add_options(p: argparse.ArgumentParser, command: str) -> None:
    p.description, p.epilog = DESCRIPTION, EXAMPLES.format(command=command)
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
    p.set_defaults(run=_run)


main = partial(run_script, "predict_for_dir.py", _add_options)


def _run(options: argparse.Namespace) -> None:
    from co2net.cli.progress import FrameBar, refuse_left_out, tell_words
    from co2net.devices import choose_device
    from co2net.evaluation.prediction import predict_folder

    name, network, _, config = create_network(options)
    output = Path(options.results_path or Path(str(config.get("EXPS_PATH") or "experiments")) / "predictions")
    device = choose_device(device_name(options, or_cpu=True))
    with FrameBar(quiet=options.quiet, title="predict", device=device) as bar:
        report = predict_folder(
            network, options.images, options.masks, output, _how(options, name), device=device, on_progress=bar.update
        )
    tell_words(options, report.notes, f"{len(report.written)} pictures predicted", report.output)
    refuse_left_out(report.failed)


def _how(options: argparse.Namespace, name: str) -> Prediction:
    from co2net.errors import InputError
    from co2net.evaluation.prediction import Prediction

    if options.resize is not None and options.resize != -1 and options.resize < 1:
        raise InputError(f"--resize {options.resize}: write a number of pixels, or -1 for the pictures' own sizes")
    side = options.resize or 256
    shape = asked_shape(options, name, "resize") or (None if side == -1 else (side, side))
    if name == "cdtnet":
        return Prediction(shape, options.original_size)
    return Prediction(shape, options.original_size, HARD, QUALITY)
