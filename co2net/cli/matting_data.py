"""The published matting programs: training (``main.py``), prediction, moving masks, data extraction."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from co2net.cli.errors import exit_code
from co2net.cli.options import OptionParser, add_device, add_quiet
from co2net.cli.training_options import add_time_limit, at_least, positive, report, spoken_by_first
from co2net.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from co2net.matting.training import MattingRecipe, MattingSamples

DESCRIPTION = "Train the flow-based matting U-Net, then score it on the testing frames."
EXAMPLES = """\
examples:
  {command} --dummy -o runs/dummy              # a small drawn data set; Dice above 0.95 in a minute
  {command} --dataset dataset/ -o checkpoints/
  {command} --config config.py                 # entries of the published configuration
"""
RATE = 1e-4
DUMMY_RATE = 3e-4  # the published rate needs more frames than the drawn ones
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
    p.add_argument("--seed", type=int, default=0)
    _motion(p)
    _common(p)
    add_time_limit(p.add_argument_group("time"))
    p.set_defaults(run=lambda options: spoken_by_first(lambda _: _train(options)))


def train_main(argv: list[str] | None = None) -> int:
    """``scripts/matting_train.py``."""
    return _run("matting_train.py", add_options, argv)


def predict_main(argv: list[str] | None = None) -> int:
    """``scripts/matting_predict.py``."""

    def add(p: argparse.ArgumentParser, command: str) -> None:
        p.description = "Masks and composites of frames, with their Dice scores."
        p.add_argument("-m", "--model", type=Path, default=Path("checkpoints/CP_epoch7.pth"))
        p.add_argument("-img", "--img", type=Path, default=Path("dataset/original_testing"))
        p.add_argument("-mask", "--mask", type=Path, default=Path("dataset/ground_truth_testing"))
        p.add_argument("-o", "--output", type=Path, default=Path("dataset/mask_output"))
        p.add_argument("-v", "--no-viz", action="store_true", help="nothing: no window is ever opened")
        p.add_argument("-n", "--no-save", action="store_true")
        p.add_argument("-e", "--no-eval", action="store_true", help="true masks are not needed")
        p.add_argument("-t", "--mask-threshold", type=float, default=0.5)
        p.add_argument("-s", "--scale", type=float, default=1.0)
        p.add_argument("--background", help="picture, or the number of one in dataset/background/")
        _motion(p, mask_threshold=False)
        _common(p)
        p.set_defaults(run=_predict)

    return _run("matting_predict.py", add, argv)


def masks_main(argv: list[str] | None = None) -> int:
    """``scripts/matting_masks.py``."""

    def add(p: argparse.ArgumentParser, command: str) -> None:
        p.description = "Moving masks of the frames, as intmask_<i>.png, filled in over time."
        p.add_argument("-d", "--dataset", type=Path, help="folder of frames; default: the training or testing folder")
        p.add_argument("-th", "--threshold", type=float, default=0.5)
        p.add_argument("-t", "--testing", action="store_true", help="the testing folder")
        p.add_argument("-o", "--output", type=Path, help="default: dataset/intermediate_mask_training (or _testing)")
        p.add_argument("--published-fill-in", action="store_true", help="the release's importance, which fills little")
        p.add_argument("--flow-weights", type=Path, help="PWC-Net's file; default: dense inverse search")
        add_quiet(p)
        p.set_defaults(run=_masks)

    return _run("matting_masks.py", add, argv)


def extract_main(argv: list[str] | None = None) -> int:
    """``scripts/data_extraction.py``."""

    def add(p: argparse.ArgumentParser, command: str) -> None:
        p.description = "Data in the published layout from clips 1.mp4, 2.mp4, ... before a screen."
        p.add_argument("clips", type=Path, help="folder of the clips")
        p.add_argument("-o", "--dataset", type=Path, default=Path("dataset"))
        p.add_argument("--num-videos", type=int, help="clips 1 to this; default: all")
        p.add_argument("--seq", type=int, nargs="*", help="these clips")
        p.add_argument("--testing", type=int, nargs="*", default=[], help="clips for the testing part")
        p.add_argument("--backgrounds", type=Path, help="folder of pictures; default: frames stay as they are")
        p.add_argument("--key", default="50,150,40", help="R,G,B of the screen")
        p.add_argument("--tolerance", type=float, default=60)
        p.add_argument("--save-cropped-image-to", type=Path, help="also the subject on white")
        add_quiet(p)
        p.set_defaults(run=_extract)

    return _run("data_extraction.py", add, argv)


def _run(name: str, add: Callable[[argparse.ArgumentParser, str], None], argv: list[str] | None) -> int:
    p = OptionParser(prog=name)
    add(p, f"python scripts/{name}")
    options = p.parse_args(argv)
    return exit_code(lambda: options.run(options), options.flags)


def _motion(p: argparse.ArgumentParser, mask_threshold: bool = True) -> None:
    p.add_argument("--flow-threshold", type=float, default=0.5, help="pixels per frame")
    if mask_threshold:
        p.add_argument("--mask-threshold", type=float, default=0.5)
    p.add_argument("--motion", choices=("magnitude", "horizontal"), default="magnitude", help="horizontal: as released")
    p.add_argument(
        "--flow-order",
        choices=("current_previous", "previous_current"),
        default="current_previous",
        help="previous_current: as released",
    )
    p.add_argument("--flow-weights", type=Path, help="PWC-Net's file; default: dense inverse search, which needs none")


def _common(p: argparse.ArgumentParser) -> None:
    p.add_argument("-g", "--gpu", help="number of a GPU; `--device` has more choices")
    add_device(p)
    add_quiet(p, "no progress, no notes")


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


def _recipe(options: argparse.Namespace) -> MattingRecipe:
    from co2net.matting.training import MattingRecipe

    names = ("epochs", "batch_size", "learning_rate", "scale", "flow_threshold", "mask_threshold", "motion", "seed")
    given = {name: getattr(options, name) for name in (*names, "flow_order") if hasattr(options, name)}
    recipe = MattingRecipe(**given)
    if not 0 < recipe.scale <= 1:
        raise InputError(f"`scale` must be above 0 and at most 1, got {recipe.scale}")
    return recipe


def _flow(options: argparse.Namespace) -> Any:
    from co2net.flow import create_flow

    return create_flow("dis") if options.flow_weights is None else create_flow("pwcnet", options.flow_weights)


def _device(options: argparse.Namespace) -> Any:
    import torch

    from co2net.devices import choose_device

    if getattr(options, "gpu", None) is not None and torch.cuda.is_available():
        return choose_device(f"cuda:{str(options.gpu).split(',')[0]}")
    return choose_device(options.device)  # a GPU that is asked for and absent: the processor, as published


def _train(options: argparse.Namespace) -> None:
    import torch

    from co2net.matting.published_data import FOLDERS, find_frames, make_dummy, split_clips
    from co2net.matting.training import MattingSamples, TrainMatting
    from co2net.matting.unet import create_network
    from co2net.processes import process_group
    from co2net.training.loop import LoopSettings, train

    _configured(options)
    at_least(options, 1, "epochs", "batch_size", "depth")
    at_least(options, 0, "seed", "wf")
    positive(options, "learning_rate")
    if not 0 <= options.validation < 100:
        raise InputError(f"`validation` must be at least 0 and below 100 percent, got {options.validation:g}")
    root = options.dataset
    if options.dummy:
        root = options.output / "dummy"
        if not root.is_dir():
            make_dummy(root)
        options.wf = min(options.wf, 4)
        if options.learning_rate == RATE:
            options.learning_rate = DUMMY_RATE
    recipe, estimate = _recipe(options), _flow(options)
    frames = find_frames(*(root / name for name in FOLDERS["training"]))
    learned, held = split_clips(frames, options.validation)
    torch.manual_seed(options.seed)
    network = create_network(options.load, wf=options.wf, depth=options.depth)
    samples = MattingSamples(learned, estimate, recipe)
    validation = MattingSamples(held, estimate, recipe, samples.size) if held else None
    with process_group(_device(options)) as processes:
        task = TrainMatting(network, samples, validation, recipe)
        settings = LoopSettings(time_limit=options.time_limit, quiet=options.quiet)
        summary = train(task, settings, options.output, processes)
        if not processes.first:
            return
        if not options.quiet:
            report(summary, options.output)
        if summary.finished and (root / FOLDERS["testing"][0]).is_dir():
            best = create_network(options.output / TrainMatting.result)
            tests = find_frames(*(root / name for name in FOLDERS["testing"]))
            _scored(best, MattingSamples(tests, estimate, recipe, samples.size), recipe)


def _scored(network: Any, samples: MattingSamples, recipe: MattingRecipe) -> None:
    import numpy as np

    from co2net.matting.training import measure

    scores = {name: float(np.nanmean(values)) for name, values in measure(network, samples, recipe).items()}
    print(f"{len(samples)} testing frames: Dice {scores['dice']:.4f}, AUROC {scores['auroc']:.4f}")


def _predict(options: argparse.Namespace) -> None:
    import time

    import numpy as np
    import torch

    from co2net.data.pictures import encode_picture
    from co2net.files import make_folder, write_beside
    from co2net.matting.chroma import compose
    from co2net.matting.published_data import find_frames
    from co2net.matting.training import MattingSamples
    from co2net.matting.unet import create_network
    from co2net.metrics import dice

    recipe, network = _recipe(options), create_network(options.model)
    frames = find_frames(options.img, None if options.no_eval else options.mask, need_masks=not options.no_eval)
    samples = MattingSamples(frames, _flow(options), recipe)
    device = _device(options)
    network.to(device)
    back = _background(options)
    scores: list[float] = []
    began = time.monotonic()
    if not options.no_save:
        make_folder(options.output)
    for number, frame in enumerate(frames):
        started = time.monotonic()
        picture = samples.picture(number)
        with torch.no_grad():
            found = network.probability(samples.planes(number).to(device), (picture.shape[0], picture.shape[1]))
        mask = (found[:, :1].cpu() > options.mask_threshold).float()
        said = f"{frame.name}: {time.monotonic() - started:.2f} s"
        if not options.no_eval:
            scores.append(float(dice(mask, samples.truth(number))))
            said += f", Dice {scores[-1]:.4f}"
        if not options.no_save:
            levels = (255 * mask[0, 0].numpy()).astype(np.uint8)
            plate = np.full_like(picture, 255) if back is None else back
            stem = frame.image.stem
            write_beside(options.output / f"output_{stem}.png", encode_picture(levels))
            write_beside(options.output / f"new_{stem}.png", encode_picture(compose(picture, levels, plate)))
        if not options.quiet:
            print(said)
    mean = f", mean Dice {np.mean(scores):.4f}" if scores else ""
    print(f"{len(frames)} frames in {time.monotonic() - began:.1f} s{mean}")


def _background(options: argparse.Namespace) -> Any:
    from co2net.data.pictures import read_image

    if options.background is None:
        return None
    path = Path(options.background)
    if options.background.isdecimal():
        folder = options.img.parent / "background"
        named = [p for p in sorted(folder.glob("*")) if p.stem == options.background] if folder.is_dir() else []
        if not named:
            raise InputError(f"there is no background {options.background} in {folder}; give a picture's path")
        path = named[0]
    return read_image(path)


def _masks(options: argparse.Namespace) -> None:
    import torch

    from co2net.data.pictures import encode_picture, read_image
    from co2net.files import make_folder, write_beside
    from co2net.matting.moving_mask import fill_in, moving_mask
    from co2net.matting.published_data import find_frames

    part = "testing" if options.testing else "training"
    folder = options.dataset or Path(f"dataset/original_{part}")
    output = options.output or folder.parent / f"intermediate_mask_{part}"
    estimate = _flow(options)
    frames = find_frames(folder, None, need_masks=False)
    make_folder(output)
    before = mask = None
    clip = -1
    for number, frame in enumerate(frames, 1):
        now = torch.from_numpy(read_image(frame.image)).permute(2, 0, 1)[None].float() / 255
        fresh = before is None or frame.clip != clip or before.shape != now.shape
        last = now if fresh or before is None else before
        flow = estimate(last, now)
        moving = moving_mask(flow, options.threshold)
        if not fresh and mask is not None:
            moving = fill_in(moving, mask, flow, None if options.published_fill_in else (last, now))
        before, mask, clip = now, moving, frame.clip
        write_beside(output / f"intmask_{number}.png", encode_picture((255 * moving[0, 0]).round().byte().numpy()))
    if not options.quiet:
        print(f"{len(frames)} masks in {output}")


def _extract(options: argparse.Namespace) -> None:
    from co2net.matting.published_data import extract_clips
    from co2net.matting.screen import parse_color

    color = parse_color(options.key)
    if color is None:
        raise InputError("`key` auto: name the screen's color here, as 50,150,40")
    numbers = options.seq if options.seq else None
    if numbers is None and options.num_videos is not None:
        numbers = range(1, options.num_videos + 1)
    count = extract_clips(
        options.clips,
        options.dataset,
        numbers=numbers,
        backgrounds=options.backgrounds,
        testing=options.testing,
        key=(round(color[0]), round(color[1]), round(color[2])),
        tolerance=options.tolerance,
        cut_outs=options.save_cropped_image_to,
    )
    if not options.quiet:
        print(f"{count} frames in {options.dataset}")
