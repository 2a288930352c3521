"""``co2net train matting`` and ``scripts/matting_train.py``: the moving U-Net, and the network of carried masks."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from co2net.cli.matting_data import add_common, add_motion, flow_of, recipe_of
from co2net.cli.options import device_name, run_script, words
from co2net.cli.training_options import add_time_limit, at_least, first_process, positive, report, spoken_by_first
from co2net.errors import InputError

if TYPE_CHECKING:
    from co2net.matting.training import MattingRecipe, MattingSamples, Pairs
    from co2net.training.loop import Summary
    from co2net.training.task import Task

DESCRIPTION = "Train the flow-based matting U-Net, then score it on the testing frames."
EXAMPLES = """\
examples:
  {command} --dummy -o runs/dummy              # a small drawn data set; Dice above 0.95 in a minute
  {command} --dataset dataset/ -o checkpoints/
  {command} --propagation --clips DAVIS/ --without camel,tennis --photos DUTS/ -b 8 -o runs/first
  {command} --propagation --clips DAVIS/ --without camel,tennis --photos DUTS/ -b 8 -l 1e-3 --seed 1 \
      -f runs/first/matting.safetensors -o runs/second  # with the first one's mistakes among the samples
  {command} --config config.py                 # entries of the published configuration
  {command} --clips DAVIS/ --without camel,tennis --photos DUTS/ --motion against_camera --batch-norm \
      --averaging 0.99 --wf 3 --depth 5 -b 8 -l 3e-4 -o runs/moving
"""
RATE = 1e-4
FUSION_RATE = 2e-3
DUMMY_RATE = 3e-4  # the published rate needs more frames than the drawn ones
WIDE = 16 / 9  # of the views that clips and photographs are seen in
_ENTRIES = {
    "dataset_path": "dataset",
    "wf": "wf",
    "depth": "depth",
    "img_scale": "scale",
    "batch_size": "batch_size",
    "epochs": "epochs",
    "lr": "learning_rate",
    "val_percent": "validation",
    "flow_threshold": "flow_threshold",
    "mask_threshold": "mask_threshold",
    "flow_order": "flow_order",
    "motion": "motion",
}
_OTHERS = ("class_name", "num_videos", "save_original_image_to", "save_cropped_image_to")


def add_options(p: argparse.ArgumentParser, command: str) -> None:
    """The trainer's options; short ones are the published ones."""
    p.description, p.epilog = DESCRIPTION, EXAMPLES.format(command=command)
    p.add_argument("--dataset", type=Path, default=Path("dataset"), help="folder in the published layout")
    p.add_argument("--dummy", action="store_true", help="train on a small drawn data set")
    p.add_argument("-o", "--output", type=Path, default=Path("checkpoints"), help="default: checkpoints")
    p.add_argument("--config", type=Path, help="config.py with the published entries; flags count more")
    p.add_argument("-e", "--epochs", type=int, default=10)
    p.add_argument("-b", "--batch-size", type=int, default=1)
    p.add_argument("-l", "--learning-rate", type=float, default=RATE)
    p.add_argument("-f", "--load", type=Path, help="start from this checkpoint")
    p.add_argument("-s", "--scale", type=float, default=1.0, help="of the frames, above 0 up to 1")
    p.add_argument("-v", "--validation", type=float, default=20.0, help="percent of the frames, as whole clips")
    p.add_argument("--wf", type=int, default=6, help="log2 of the first level's channels: less needs less memory")
    p.add_argument("--depth", type=int, default=3)
    p.add_argument("--batch-norm", action="store_true", help="normalize after every layer; not in the release")
    p.add_argument("--averaging", type=float, default=0.0, help="keep a running mean of the weights, such as 0.99")
    p.add_argument("--seed", type=int, default=0)
    add_motion(p)
    carried = p.add_argument_group("the network that weighs what is known of a carried mask")
    carried.add_argument("--propagation", action="store_true", help="train it, on --clips and --photos")
    carried.add_argument("--walks", type=int, default=400, help="masks to carry through clips (default 400)")
    carried.add_argument("--steps", type=int, default=1200, help="of training (default 1200)")
    carried.add_argument("--share", type=float, default=0.6, help="of its say that is kept in the end (default 0.6)")
    clips = p.add_argument_group("clips and photographs, in place of --dataset")
    clips.add_argument("--clips", type=Path, nargs="+", help="folders of <clip>/frames/* and <clip>/masks/*")
    clips.add_argument("--without", default="", metavar="NAMES", help="clips to leave out, joined by commas")
    clips.add_argument("--photos", type=Path, nargs="+", help="folders of images/* and masks/*: half of the samples")
    clips.add_argument("--lines", type=int, default=128, help="height of what the network sees (default 128)")
    add_common(p)
    add_time_limit(p.add_argument_group("time"))
    p.set_defaults(run=_train)


def train_main(argv: list[str] | None = None) -> int:
    """``scripts/matting_train.py``."""
    return run_script("matting_train.py", add_options, argv)


def _configured(options: argparse.Namespace) -> None:
    """Take what ``config.py`` says for flags that were left at their defaults."""
    if options.config is None:
        return
    if not options.config.is_file():
        raise InputError(f"{options.config}: no such file")
    spec = importlib.util.spec_from_file_location("co2net_matting_config", options.config)
    if spec is None or spec.loader is None:
        raise InputError(f"{options.config}: not a Python file; name it config.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # the user's own file, as with the published programs
    p = argparse.ArgumentParser()
    add_options(p, "")
    for name, value in vars(module).items():
        if name.startswith("_") or callable(value) or type(value).__name__ == "module":
            continue
        if name in _ENTRIES:
            flag = _ENTRIES[name]
            if getattr(options, flag) == p.get_default(flag):
                setattr(options, flag, Path(value) if flag == "dataset" else value)
        elif name not in _OTHERS:
            print(f"co2net: note: {options.config}: the entry {name} is not used", file=sys.stderr)
    name = getattr(module, "class_name", "")
    if name and (options.dataset / name).is_dir():
        options.dataset = options.dataset / name


@spoken_by_first
def _train(options: argparse.Namespace, quiet: bool) -> None:
    import torch

    from co2net.matting.published_data import FOLDERS, find_frames, make_dummy
    from co2net.matting.training import MattingSamples, TrainMatting
    from co2net.matting.unet import create_network

    _configured(options)
    at_least(options, 1, "epochs", "batch_size", "depth")
    at_least(options, 0, "seed", "wf")
    positive(options, "learning_rate")
    if not 0 <= options.averaging < 1:
        raise InputError(f"`averaging` must be at least 0 and below 1, got {options.averaging:g}")
    if not 0 <= options.validation < 100:
        raise InputError(f"`validation` must be at least 0 and below 100 percent, got {options.validation:g}")
    if options.propagation:
        _train_fusion(options, quiet)
        return
    root = options.dataset
    if options.dummy:
        root = options.output / "dummy"
        if not root.is_dir():
            make_dummy(root)
        options.wf = min(options.wf, 4)
        if options.learning_rate == RATE:
            options.learning_rate = DUMMY_RATE
    recipe, estimate = recipe_of(options), flow_of(options)
    if options.clips is not None:
        recipe = dataclasses.replace(recipe, validations=1)  # views differ from pass to pass, and a pass is short
    samples, validation = _samples(options, root, recipe, estimate)
    torch.manual_seed(options.seed)
    network = create_network(options.load, wf=options.wf, depth=options.depth, batch_norm=options.batch_norm)
    summary = _run(TrainMatting(network, samples, validation, recipe), options, quiet)
    tests = root / FOLDERS["testing"][0]
    if summary.finished and first_process() and options.clips is None and tests.is_dir():
        best = create_network(options.output / TrainMatting.result)
        frames = find_frames(*(root / name for name in FOLDERS["testing"]))
        _scored(best, MattingSamples(frames, estimate, recipe, samples.size), recipe)


def _run(task: Task, options: argparse.Namespace, quiet: bool) -> Summary:
    from co2net.devices import choose_device
    from co2net.training.jobs import train_on
    from co2net.training.loop import LoopSettings

    device = choose_device(device_name(options, or_cpu=True))
    settings = LoopSettings(time_limit=options.time_limit, quiet=options.quiet)
    summary = train_on(device, task, settings, options.output)
    if not quiet:
        report(summary, options.output)
    return summary


def _train_fusion(options: argparse.Namespace, quiet: bool) -> None:
    import torch

    from co2net.data.stills import find_stills
    from co2net.matting.fusion import create_fusion, fuse_by
    from co2net.matting.fusion_samples import Walks
    from co2net.matting.fusion_training import FusionRecipe, TrainFusion
    from co2net.matting.published_data import split_clips
    from co2net.matting.training_samples import find_clips
    from co2net.provenance import file_sha256

    if options.clips is None:
        raise InputError("`clips` is missing: name folders of clips with masks")
    at_least(options, 1, "walks", "steps")
    recipe = FusionRecipe(
        walks=options.walks,
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=FUSION_RATE if options.learning_rate == RATE else options.learning_rate,
        share=options.share,
        seed=options.seed,
    )
    learned, held = split_clips(find_clips(options.clips, without=words(options.without)), options.validation)
    photos = [sample for root in options.photos or () for sample in find_stills(root, "train")]
    torch.manual_seed(options.seed)
    network = create_fusion(options.load)
    fuse = None if options.load is None else fuse_by(create_fusion(options.load))
    clips = sorted({f"{frame.image.parent.parent.name} {frame.clip}" for frame in learned})
    facts = {
        "clips": clips,
        "photos": len(photos),
        "start": None if options.load is None else file_sha256(options.load),
    }
    walks = Walks(learned, photos, options.seed, fuse)
    held_out = Walks(held, (), options.seed, fuse) if held else None
    summary = _run(TrainFusion(network, walks, held_out, recipe, facts), options, quiet)
    scores = summary.progress.last_scores
    if scores and not quiet:
        print(f"IoU {scores['iou']:.4f}, without the network {scores['iou_weightless']:.4f}")


def _samples(
    options: argparse.Namespace, root: Path, recipe: MattingRecipe, estimate: Any
) -> tuple[Pairs, MattingSamples | None]:
    """What to train on, and what to validate on: whole clips of their own."""
    from co2net.matting.published_data import FOLDERS, find_frames, split_clips
    from co2net.matting.training import MattingSamples
    from co2net.matting.training_samples import ClipPairs, JoinedPairs, PhotoPairs, find_clips, training_photos

    if options.clips is None:
        if options.photos or options.without:
            raise InputError("`photos` and `without` go with `clips`: name the folders of clips")
        learned, held = split_clips(find_frames(*(root / name for name in FOLDERS["training"])), options.validation)
        samples: Pairs = MattingSamples(learned, estimate, recipe)
    else:
        at_least(options, 16, "lines")
        learned, held = split_clips(find_clips(options.clips, without=words(options.without)), options.validation)
        size = options.lines, max(16, round(options.lines * WIDE / 16) * 16)
        samples = ClipPairs(learned, estimate, recipe, size)
        if options.photos:
            samples = JoinedPairs(samples, PhotoPairs(training_photos(options.photos), estimate, recipe, size))
    return samples, MattingSamples(held, estimate, recipe, samples.size) if held else None


def _scored(network: Any, samples: MattingSamples, recipe: MattingRecipe) -> None:
    import numpy as np

    from co2net.matting.training import measure

    scores = {name: float(np.nanmean(values)) for name, values in measure(network, samples, recipe).items()}
    print(f"{len(samples)} testing frames: Dice {scores['dice']:.4f}, AUROC {scores['auroc']:.4f}")
