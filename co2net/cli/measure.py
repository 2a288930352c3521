"""``co2net measure``: the tables of a model card."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from co2net.cli.options import add_device, add_prior, add_quiet, key_frames, picked, words

if TYPE_CHECKING:
    from torch import Generator, Tensor

DESCRIPTION = """\
Measure a model on real clips with masks. Every clip becomes several composites, one per LUT; the model,
classical color transfer and the composite itself are compared with the real frames.
"worse" counts those that came out worse by more than 1 %, of the composites with an fMSE above 100.
Clips: CLIPS/<clip>/frames/* with CLIPS/<clip>/masks/*.png of the same names.
Pairs: a data set whose composites are measured one by one, of any layout that `co2net dataset check` knows; single
ones are PAIRS/composite/<name>.*, PAIRS/mask/<name>.*, PAIRS/real/<name>.* (iHarmony4's names, or an index.csv with
the columns name and real). "95 %" is an interval over clips or pairs.
--task photographs makes composites of held-out photographs as training does, tells skin, foliage and sky, and whether
the errors that the network expects are those it makes.
--task matting scores masks that are carried through clips, or found by motion; --task keying keys photographs
(PHOTOS/images/*, PHOTOS/masks/*) that are composed over screens of several lights and grains.
"""
EXAMPLES = """\
examples:
  co2net measure --clips videos/ --names camel,tennis --luts luts/ --output measured.json
  co2net measure --pairs pairs/
  co2net measure --task photographs --photos photos/ --luts luts/ --count 200 --plot calibration.png
  co2net measure --task matting --clips DAVIS/ --names camel,tennis --frames 26     # docs/matting.md
  co2net measure --task keying --photos photos/ --count 20
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "measure",
        help="measure a model on clips that LUTs made wrong, or on pairs; masks, and keying",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    p.add_argument("--task", choices=tuple(TASKS), default="harmonization")
    p.add_argument("--clips", type=Path, nargs="+", help="folder of clips; needs --luts; with --task matting several")
    p.add_argument("--methods", help="with --task matting: what to score, joined by commas (default: all)")
    p.add_argument("--photos", type=Path, nargs="+", help="folders of photographs with masks, for the tasks of those")
    p.add_argument("--count", type=int, default=20, help="photographs (default 20)")
    p.add_argument("--plot", type=Path, help="with --task photographs: write a plot (PNG) of errors expected and made")
    p.add_argument("--pairs", type=Path, help="folder of composites and their real pictures")
    p.add_argument("--names", help="clips to measure, joined by commas (default: all)")
    p.add_argument("--luts", type=Path, help="folder of LUTs, with split.json for both splits")
    p.add_argument("--lut-count", type=int, default=5, help="LUTs per split, evenly spread over it (default 5)")
    p.add_argument("--graded", action="store_true", help="grade each clip as a whole by another LUT first")
    p.add_argument("--frames", type=int, default=20, help="first frames of each clip (default 20)")
    p.add_argument("--every", type=int, default=1, help="take each so-manieth frame of a clip (default 1)")
    p.add_argument("--sizes", default="256,own", help="frame sizes: a number (square) or `own` (default 256,own)")
    p.add_argument("--weights", default="default", help="weight file, or a name from `co2net models`")
    add_prior(p)
    p.add_argument("--mapping", choices=("paper", "smooth"), help="the LUT's form; default: as the weights ask")
    p.add_argument(
        "--key-frames", type=key_frames, metavar="K", help="measure with key frames too: every K-th, or auto"
    )
    add_device(p)
    p.add_argument("--output", type=Path, help="also write every single score as JSON")
    add_quiet(p, "no progress bar; the tables only")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Measure and print the tables."""
    from co2net.cli.progress import FrameBar
    from co2net.errors import InputError

    if options.plot is not None and options.task != "photographs":
        raise InputError(f"`plot` is drawn by the task photographs, not by {options.task}")
    with FrameBar(quiet=options.quiet, title="measure", unit="scene") as bar:
        listed = TASKS[options.task](options, bar.step)
    if options.output:
        import json

        from co2net.files import write_beside

        write_beside(options.output, json.dumps(listed, indent=1))


def _matting(options: argparse.Namespace, show: Callable[..., None]) -> dict[str, list[Any]]:
    import dataclasses

    from co2net.devices import choose_device
    from co2net.errors import InputError
    from co2net.matting.measure import masks_table, measure_masks
    from co2net.matting.training_samples import clip_folders

    if options.clips is None:
        raise InputError("`clips` is missing: name folders of clips with masks")
    scores = measure_masks(
        clip_folders(options.clips, words(options.names) or None),
        words(options.methods) or None,
        frames=options.frames,
        weights=None if options.weights == "default" else options.weights,
        device=choose_device(options.device),
        on_clip=show,
    )
    print(f"{len({s.clip for s in scores})} clips, {scores[0].frames} frames each at most\n\n{masks_table(scores)}")
    return {"masks": [dataclasses.asdict(s) for s in scores]}


def _keying(options: argparse.Namespace, show: Callable[..., None]) -> dict[str, list[Any]]:
    import dataclasses

    from co2net.errors import InputError
    from co2net.matting.measure_keying import keying_table, measure_keying

    if options.photos is None:
        raise InputError("`photos` is missing: name folders of photographs with masks")
    scores, left_out = measure_keying(options.photos, count=options.count, on_picture=show)
    print(keying_table(scores))
    if left_out:
        print(f"\nleft out: {left_out} pairs of photograph and screen whose subject has the screen's color")
    return {"keying": [dataclasses.asdict(s) for s in scores]}


def _photographs(options: argparse.Namespace, show: Callable[..., None]) -> dict[str, list[Any]]:
    import dataclasses

    from co2net.devices import choose_device
    from co2net.errors import InputError
    from co2net.evaluation.calibration import calibration_table, plot_calibration
    from co2net.evaluation.measure import table
    from co2net.evaluation.methods import baselines, picture_methods
    from co2net.evaluation.photographs import colors_table, measure_photographs
    from co2net.models.registry import load_model
    from co2net.training.color_changes import load_luts
    from co2net.training.composites import CompositeMix, make_composites

    for name in ("photos", "luts"):
        if getattr(options, name) is None:
            raise InputError(f"`{name}` is missing: composites are made of photographs by LUTs and other changes")
    model = load_model(options.weights, mapping=options.mapping, prior=options.prior).to(choose_device(options.device))
    if options.plot is not None and model.backbone.prior_name is None:
        raise InputError("`plot`: this network expects no errors")
    luts = load_luts(options.luts, "test" if (options.luts / "split.json").is_file() else None)
    methods = baselines() | picture_methods(model)
    mix = CompositeMix(untouched=0.0, weakened=0.0, borrowed=0.0, disturbed=0.0)

    def compose(real: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        made = make_composites(real, masks, luts, mix, generator)
        return made.composite, made.target

    scores = measure_photographs(options.photos, compose, methods, model, count=options.count, on_picture=show)
    without = ("TL (DIS)", "flicker")
    print(f"{len({s.clip for s in scores.right})} photographs\n\n{table(scores.composites, without)}")
    print(f"\nright already\n\n{table(scores.right)}")
    print(f"\nerror of hue and of chroma (in brackets: composites that show it)\n\n{colors_table(scores)}")
    if scores.guesses:
        print(f"\nerrors expected and made, 8-bit levels\n\n{calibration_table(scores.guesses)}")
    if options.plot is not None:
        plot_calibration(scores.guesses, options.plot)
    kinds = ("composites", "right", "guesses")
    return {kind: [dataclasses.asdict(each) for each in getattr(scores, kind)] for kind in kinds}


def _harmonization(options: argparse.Namespace, show: Callable[..., None]) -> dict[str, list[Any]]:
    import dataclasses

    from co2net.devices import choose_device
    from co2net.errors import InputError
    from co2net.evaluation.clips import Score
    from co2net.evaluation.measure import measure_clips, measure_pairs, table
    from co2net.evaluation.methods import baselines, picture_methods
    from co2net.models.registry import load_model
    from co2net.training.color_changes import load_luts

    if options.clips is None and options.pairs is None:
        raise InputError("`clips` or `pairs` is missing: name a folder to measure")
    if options.clips is not None and len(options.clips) > 1:
        raise InputError("`clips`: one folder of clips, unless it is for matting")
    if options.clips is not None and options.luts is None:
        raise InputError("`luts` is missing: the LUTs that make clips wrong")
    sizes = words(options.sizes)
    if not all(size == "own" or size.isdecimal() for size in sizes):
        raise InputError(f"`sizes` {options.sizes}: wanted numbers or own, joined by commas")
    device = choose_device(options.device)
    model = load_model(options.weights, mapping=options.mapping, prior=options.prior).to(device)
    scores: dict[str, list[Score]] = {}
    if options.pairs is not None:
        scores["pairs"] = measure_pairs(options.pairs, baselines() | picture_methods(model), show)
    if options.clips is not None:
        splits = ("test", "train") if (options.luts / "split.json").is_file() else (None,)
        scores |= measure_clips(
            options.clips[0],
            {split or "all": load_luts(options.luts, split) for split in splits},
            model,
            names=words(options.names) or None,
            sizes=[None if size == "own" else int(size) for size in sizes],
            **picked(options, "lut_count frames every key_frames graded"),
            on_clip=lambda size, name: show(f"size {size}", name),
        )
    for title, group in scores.items():
        if title == "pairs":
            print(f"\npairs: {len({s.clip for s in group})} composites\n\n{table(group, ('TL (DIS)', 'flicker'))}")
            continue
        composites = len({(s.clip, s.lut) for s in group})
        print(f"\n{title}: {len({s.clip for s in group})} clips, {composites} composites\n\n{table(group)}")
    return {title: [dataclasses.asdict(s) for s in group] for title, group in scores.items()}


TASKS: dict[str, Callable[[argparse.Namespace, Callable[..., None]], dict[str, list[Any]]]] = {
    "harmonization": _harmonization,
    "photographs": _photographs,
    "matting": _matting,
    "keying": _keying,
}
