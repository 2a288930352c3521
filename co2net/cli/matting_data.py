"""The published matting programs beside the trainer: prediction, moving masks, data extraction."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from co2net.cli.options import add_device, add_quiet, device_name, run_script
from co2net.errors import InputError

if TYPE_CHECKING:
    from co2net.matting.training import MattingRecipe


MOTIONS = ("magnitude", "horizontal", "against_camera")


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
        add_motion(p, mask_threshold=False)
        add_common(p)
        p.set_defaults(run=_predict)

    return run_script("matting_predict.py", add, argv)


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

    return run_script("matting_masks.py", add, argv)


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

    return run_script("data_extraction.py", add, argv)


def add_motion(p: argparse.ArgumentParser, mask_threshold: bool = True) -> None:
    """Options of what counts as moving."""
    p.add_argument("--flow-threshold", type=float, default=0.5, help="pixels per frame")
    if mask_threshold:
        p.add_argument("--mask-threshold", type=float, default=0.5)
    p.add_argument("--motion", choices=MOTIONS, default="magnitude", help="horizontal: as released")
    p.add_argument(
        "--flow-order",
        choices=("current_previous", "previous_current"),
        default="current_previous",
        help="previous_current: as released",
    )
    p.add_argument("--flow-weights", type=Path, help="PWC-Net's file; default: dense inverse search, which needs none")


def add_common(p: argparse.ArgumentParser) -> None:
    """Options of where it runs and what it says."""
    p.add_argument("-g", "--gpu", help="number of a GPU; `--device` has more choices")
    add_device(p)
    add_quiet(p, "no progress, no notes")


def recipe_of(options: argparse.Namespace) -> MattingRecipe:
    """The settings that the options give.

    Raises:
        InputError: the scale is out of range.
    """
    from co2net.matting.training import MattingRecipe

    given = {f.name: getattr(options, f.name) for f in dataclasses.fields(MattingRecipe) if hasattr(options, f.name)}
    recipe = MattingRecipe(**given)
    if not 0 < recipe.scale <= 1:
        raise InputError(f"`scale` must be above 0 and at most 1, got {recipe.scale}")
    return recipe


def flow_of(options: argparse.Namespace) -> Any:
    """The flow that the options choose."""
    from co2net.flow import create_flow

    return create_flow("dis") if options.flow_weights is None else create_flow("pwcnet", options.flow_weights)


def _predict(options: argparse.Namespace) -> None:
    import time

    import numpy as np
    import torch

    from co2net.data.pictures import encode_picture
    from co2net.devices import choose_device
    from co2net.files import make_folder, write_beside
    from co2net.matting.chroma import compose
    from co2net.matting.published_data import find_frames
    from co2net.matting.training import MattingSamples
    from co2net.matting.unet import create_network
    from co2net.metrics import dice

    recipe, network = recipe_of(options), create_network(options.model)
    frames = find_frames(options.img, None if options.no_eval else options.mask, need_masks=not options.no_eval)
    samples = MattingSamples(frames, flow_of(options), recipe)
    device = choose_device(device_name(options, or_cpu=True))
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
    from co2net.data.pictures import encode_picture, read_image, to_tensor
    from co2net.files import make_folder, write_beside
    from co2net.matting.moving_mask import fill_in, moving_mask
    from co2net.matting.published_data import find_frames

    part = "testing" if options.testing else "training"
    folder = options.dataset or Path(f"dataset/original_{part}")
    output = options.output or folder.parent / f"intermediate_mask_{part}"
    estimate = flow_of(options)
    frames = find_frames(folder, None, need_masks=False)
    make_folder(output)
    before = mask = None
    clip = -1
    for number, frame in enumerate(frames, 1):
        now = to_tensor(read_image(frame.image))[None]
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
