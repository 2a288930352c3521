"""``co2net dataset``: check a data set, build one from videos, make clips of photographs."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from co2net.cli.options import add_place, add_quiet, picked, workers_on
from co2net.errors import InputError, listed

EXAMPLES = """\
examples:
  co2net dataset check HYouTube --list test_list.txt
  co2net dataset build --real videos --masks masks --luts luts --output runs/my_set --train-share 0.8
  co2net dataset stills photographs --output runs/my_set

`co2net dataset build --help` and so on tell more; docs/dataset.md is the whole way from footage to training.
"""
CHECK_EXAMPLES = """\
examples:
  co2net dataset check HYouTube --list train_list.txt     # a list of clips or of frames
  co2net dataset check HYouTube                           # every clip on disk
  co2net dataset check iHarmony4 --split test

Prints a line per problem; exit code 0 if there is none, 2 otherwise.
"""
BUILD_EXAMPLES = """\
examples:
  # every clip gets a LUT drawn from a folder; a fifth of the videos is for testing
  co2net dataset build --real real_videos --masks foreground_mask --luts luts --output runs/my_set --train-share 0.8

  # the data set's own way: LUT_list.txt says which LUT makes which clip (LUTs beside the list)
  co2net dataset build --real HYouTube/real_videos --masks HYouTube/foreground_mask --luts luts/LUT_list.txt \\
      --output runs/hyoutube

  # three composites per clip, without loss, LUTs changed as in the data set's example
  co2net dataset build --real clips --masks clip_masks --luts luts --output runs/set --luts-per-clip 3 \\
      --format png --contrast 0.1 --vibrance 0.5 --exposure 0.2 --gamma 1.3

REAL holds a folder of numbered frames or a video file per video; MASKS holds <video>/<object>/<frame>.png,
<video>/<frame>.png, or mask videos <video>.mp4. A run that was stopped goes on when it is given again.
"""
STILLS_EXAMPLES = """\
examples:
  co2net dataset stills photographs --output runs/stills --split train
  co2net dataset build --real runs/stills/real_videos --masks runs/stills/foreground_mask --luts luts \\
      --output runs/stills --train-share 0.9

FOLDER holds images/<id>.jpg and masks/<id>_<k>.png, perhaps with index.csv (columns id, masks, split).
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "dataset",
        help="check a data set, or build one from videos, masks and LUTs",
        description="Check a data set, or build one in HYouTube's layout.",
        epilog=EXAMPLES,
    )
    jobs = p.add_subparsers(dest="job", metavar="JOB", required=True)
    _add_check(jobs)
    add_build_options(_job(jobs, "build", "make composites of real videos", BUILD_EXAMPLES))
    _add_stills(jobs)


def _job(jobs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, examples: str):
    return jobs.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=examples,
    )


def _add_check(jobs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    p = _job(jobs, "check", "open every picture of a data set and say what is wrong", CHECK_EXAMPLES)
    p.add_argument("root", metavar="ROOT", type=Path, help="HYouTube, iHarmony4, or folders composite/, mask/, real/")
    p.add_argument("--list", help="only these clips or frames; a bare name is the data set's own list")
    p.add_argument("--split", choices=("train", "test", "val"), help="the data set's own list of that split")
    p.add_argument("--workers", type=int, help="pictures read side by side (default: one per core)")
    add_quiet(p, "no progress bar")
    p.set_defaults(run=run_check)


def add_build_options(p: argparse.ArgumentParser) -> None:
    """Options of ``co2net dataset build``."""
    inputs = p.add_argument_group("inputs")
    inputs.add_argument("--real", type=Path, required=True, help="folder of real videos")
    inputs.add_argument("--masks", type=Path, required=True, help="folder of masks")
    inputs.add_argument(
        "--luts", type=Path, required=True, help="folder of .cube files, one .cube file, or a list like LUT_list.txt"
    )
    inputs.add_argument(
        "--clip",
        dest="clips",
        action="append",
        default=[],
        metavar="VIDEO[/OBJECT]",
        help="only this clip; may be repeated",
    )
    inputs.add_argument(
        "--step", type=int, help="take every STEP-th frame (default: all of a folder, every fifth of a video file)"
    )
    composites = p.add_argument_group("composites")
    composites.add_argument("--luts-per-clip", type=int, default=1, metavar="K", help="composites per clip")
    composites.add_argument("--seed", type=int, default=0, help="which LUTs are drawn, which videos are for testing")
    composites.add_argument("--format", choices=("jpg", "png"), default="jpg", help="png is without loss")
    composites.add_argument("--quality", type=int, default=75, help="of JPEG (default 75, as the data set)")
    composites.add_argument("--contrast", type=float, default=0.0, help="change of the LUTs (default 0)")
    composites.add_argument("--vibrance", type=float, default=0.0, help="change of the LUTs (default 0)")
    composites.add_argument("--exposure", type=float, default=0.0, help="change of the LUTs, in stops (default 0)")
    composites.add_argument("--gamma", type=float, default=1.0, help="change of the LUTs (default 1)")
    output = p.add_argument_group("output")
    output.add_argument("-o", "--output", type=Path, required=True, help="folder of the data set")
    output.add_argument(
        "--layout",
        choices=("lists", "description"),
        default="lists",
        help="real_videos/, foreground_mask/, synthetic_composite_videos/; or Ground-truth/, Mask/, Composite/",
    )
    output.add_argument("--train-share", type=float, help="also write a train and a test list; videos are never split")
    output.add_argument("--overwrite", action="store_true", help="make clips again that were made in another way")
    output.add_argument("--workers", type=int, help="processes, 0: one per core (default 1, on Ray 0)")
    add_place(output)
    add_quiet(output, "no progress bar")
    p.set_defaults(run=run_build)


def _add_stills(jobs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    p = _job(jobs, "stills", "make clips of photographs: a camera moves slowly over each", STILLS_EXAMPLES)
    p.add_argument("root", metavar="FOLDER", type=Path, help="photographs with masks")
    p.add_argument("-o", "--output", type=Path, required=True, help="folder of the data set")
    p.add_argument("--split", choices=("train", "val"), help="only the pictures of this split")
    p.add_argument("--frames", type=int, default=8, help="per clip (default 8), numbered in steps of 5")
    p.add_argument("--size", default="keep", help="shorter side of the frames in pixels, or keep (default)")
    p.add_argument("--per-picture", type=int, default=1, metavar="N", help="clips per picture; its masks take turns")
    p.add_argument("--seed", type=int, default=0, help="which moves are drawn")
    p.add_argument("--format", choices=("jpg", "png"), default="jpg", help="jpg has quality 95 (default)")
    p.add_argument("--overwrite", action="store_true", help="make clips again that were made in another way")
    p.add_argument("--workers", type=int, help="processes, 0: one per core (default 1, on Ray 0)")
    add_place(p)
    add_quiet(p, "no progress bar")
    p.set_defaults(run=run_stills)


def run_check(options: argparse.Namespace) -> None:
    """Print the problems of a data set."""
    from co2net.cli.progress import FrameBar
    from co2net.data import check_pictures, read_dataset

    problems: list[str] = []
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        entries = read_dataset(
            options.root, options.list, options.split, on_problem=lambda error: problems.append(str(error))
        )
    with FrameBar(quiet=options.quiet, title="check") as bar:
        problems += check_pictures(entries, options.workers, bar.update)
    for problem in problems:
        print(problem)
    for note in notes:
        print(f"note: {note.message}")
    clips = len({entry.composite.parent for entry in entries})
    summary = f"{options.root}: {len(entries)} frames in {clips} folder(s) of composites"
    if problems:
        raise InputError(f"{summary}, {len(problems)} problem(s)")
    print(f"{summary}, no problems")


def run_build(options: argparse.Namespace) -> None:
    """Build a data set."""
    from co2net.cli.progress import FrameBar
    from co2net.dataset_building import BuildSettings, LutChanges, build_dataset

    settings = BuildSettings(
        changes=LutChanges(options.contrast, options.vibrance, options.exposure, options.gamma),
        **picked(options, "luts_per_clip seed step format quality layout"),
    )
    with FrameBar(quiet=options.quiet, title="build") as bar:
        summary = build_dataset(
            options.real,
            options.masks,
            options.luts,
            options.output,
            settings,
            workers=workers_on(options.workers, options.on),
            on_progress=bar.update,
            **picked(options, "clips train_share overwrite on"),
        )
    print(f"{options.output}: {summary.built} clip(s) made ({summary.frames} frames), {summary.skipped} there before")
    if summary.empty_masks:
        print(f"note: {summary.empty_masks} frame(s) without foreground; metrics leave them out")
    print(f"lists: {', '.join(path.name for path in summary.lists)}")


def run_stills(options: argparse.Namespace) -> None:
    """Make clips of photographs."""
    from co2net.cli.progress import FrameBar
    from co2net.dataset_building import StillsSettings, make_stills

    if options.size != "keep" and not options.size.isdecimal():
        raise InputError(f"--size {options.size}: give a number of pixels, or keep")
    settings = StillsSettings(
        size=None if options.size == "keep" else int(options.size),
        **picked(options, "frames per_picture seed format"),
    )
    with FrameBar(quiet=options.quiet, title="stills") as bar:
        summary = make_stills(
            options.root,
            options.output,
            settings,
            **picked(options, "split overwrite on"),
            workers=workers_on(options.workers, options.on),
            on_progress=lambda done, total: bar.update(done * settings.frames, total and total * settings.frames),
        )
    print(f"{options.output}: {summary.built} clip(s) made, {summary.skipped} there before")
    if summary.left_out:
        names = listed(summary.left_out, 5)
        print(f"left out, their foreground is too small or fills the picture: {len(summary.left_out)} ({names})")
