"""``co2net harmonize``: the main job."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Literal

from co2net.cli.loading import give_back_memory, load_torch
from co2net.cli.options import ENCODING, add_device, add_encoding, add_prior, add_quiet, frame_rate, key_frames, picked

if TYPE_CHECKING:
    from co2net.models.co2net import CO2Net
    from co2net.pipeline.harmonize import HarmonizeReport
    from co2net.pipeline.review import Review

EXAMPLES = """\
examples:
  co2net harmonize composite.mp4 --mask mask.mp4                     # writes composite.harmonized.mp4
  co2net harmonize composite.mov --mask mattes/ -o out.mov           # ProRes; mattes is a folder of pictures
  co2net harmonize shot.mov -o frames/                               # the input's alpha channel is the mask; PNG frames
  co2net harmonize photo.jpg --mask matte.png -o photo.harmonized.png
  co2net harmonize photos/ --images --mask mattes/ -o harmonized/    # unrelated pictures, each by itself
  co2net harmonize --foreground greenscreen.mov --background street.mp4 -o out.mkv   # composes first; lossless
  co2net harmonize plate.mov --key green --background street.mp4 -o out.mp4          # keys and composes first
  co2net harmonize clip.mp4 --mask-from first_mask.png -o out.mp4    # one painted mask, carried through the clip
  co2net harmonize composite.mp4 --mask mask.mp4 --strength 0.7 --cube look.cube     # the mapping for a grading program
  co2net harmonize shot.####.exr --mask mattes/ --frames 1001-1100 -o out/shot.####.exr   # a part of a sequence
  co2net harmonize composite.mp4 --mask mask.mp4 --key-frames auto   # faster: the network looks at some frames only

The mask is white on the foreground. Sound, frame times, size, rotation, color tags and all outside the mask stay.
"""


_SAME = (
    "composite mask output foreground background mask_fit mask_retime mask_channel frames keep_partial frame_rate "
    "previous future strength key_frames precision per_shot cube cube_size cube_type cube_range "
    "cube_per_shot look transfer hardware"
)
"""Options that are arguments of :func:`co2net.harmonize_video` as they are."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "harmonize",
        help="harmonize the foreground of a video, a folder of frames or an image",
        description="Harmonize the foreground of a video, a folder of frames or an image.",
        epilog=EXAMPLES,
    )
    p.add_argument("composite", nargs="?", help="video, folder of frames, sequence (shot.%%04d.exr) or image")
    p.add_argument(
        "--images",
        action="store_true",
        help="the folder holds unrelated pictures: each is harmonized by itself, several at a time",
    )
    source = p.add_argument_group("input")
    source.add_argument("--mask", help="video, folder, or one still image; default: the alpha channel of the input")
    source.add_argument("--foreground", help="compose first: this, with alpha or --mask, over --background")
    source.add_argument("--background", help="the plate to compose over")
    source.add_argument(
        "--mask-fit", choices=("error", "resize"), default="error", help="what to do with a mask of another size"
    )
    source.add_argument(
        "--mask-retime",
        choices=("error", "nearest", "index"),
        default="error",
        help="what to do with a mask of another frame rate: nearest in time, or paired by number",
    )
    source.add_argument(
        "--mask-channel",
        choices=("auto", "luma", "alpha"),
        default="auto",
        help="what of the mask file counts; auto: its alpha channel if that is not opaque",
    )
    source.add_argument("--mask-invert", action="store_true", help="the mask is black on the foreground")
    source.add_argument(
        "--mask-threshold",
        type=_levels,
        metavar="LOW,HIGH",
        help="levels of 255 of the mask that become 0 and 1, with a ramp between; cuts off noise in its black",
    )
    source.add_argument(
        "--mask-object", type=int, metavar="N", help="only this object number of the mask is the foreground"
    )
    source.add_argument(
        "--sound",
        choices=("auto", "foreground", "background", "none"),
        default="auto",
        help="whose sound goes along in composing; auto: the background's, or the foreground's where it has none",
    )
    source.add_argument("--background-loop", action="store_true", help="a background that ends too early begins again")
    source.add_argument(
        "--background-fit",
        choices=("error", "cover", "contain", "stretch"),
        default="error",
        help="what to do with a background of another size",
    )
    source.add_argument(
        "--alpha",
        choices=("auto", "straight", "premultiplied"),
        default="auto",
        help="whether the foreground's colors are multiplied by its alpha; auto: if none is above it",
    )
    source.add_argument(
        "--frames", type=_frames, metavar="A-B", help="of a numbered sequence these only, with neighbors read around"
    )
    source.add_argument(
        "--keep-partial", action="store_true", help="of a damaged or cut-off video keep what is before that"
    )
    source.add_argument(
        "--hardware",
        choices=("auto", "off"),
        default="off",
        help="auto: videos are decoded by a graphics processor where there is one; masks are not",
    )
    source.add_argument(
        "--frame-rate", type=frame_rate, metavar="FPS", help="of a folder of frames, for example 24 or 30000/1001"
    )
    source.add_argument(
        "--transfer",
        choices=("auto", "linear", "display"),
        default="auto",
        help="what floating-point pictures hold: linear light, or colors coded for display; auto: linear in OpenEXR, "
        "display in TIFF",
    )
    source.add_argument(
        "--key",
        metavar="COLOR",
        help="the composite is a plate before a screen of this color (green, blue, auto, #RRGGBB): key it and compose "
        "it over --background first; `co2net matte` has more to set",
    )
    source.add_argument(
        "--mask-from",
        metavar="MASK",
        help="mask of the first frame, or a folder of masks by frame number (00012.png): carried through the clip",
    )
    result = p.add_argument_group("output")
    add_encoding(result, "INPUT.harmonized.mp4")
    result.add_argument("--cube", metavar="FILE.cube", help="also write the clip's color mapping as a 3D LUT")
    result.add_argument("--cube-size", type=int, default=33, metavar="N", help="its points per axis, 17, 33 or 65")
    result.add_argument(
        "--cube-type",
        choices=("3d", "1d"),
        default="3d",
        help="1d: three curves in its place, for programs without 3D LUTs",
    )
    result.add_argument(
        "--cube-range",
        choices=("full", "video"),
        default="full",
        help="video: for programs that feed LUTs codes of 16 to 235",
    )
    result.add_argument("--look", metavar="FILE.cube", help="grade the whole result with this LUT, 3D or 1D")
    result.add_argument("--cube-per-shot", metavar="FOLDER", help="also write a 3D LUT for each shot")
    how = p.add_argument_group("harmonization")
    how.add_argument(
        "--strength",
        type=_strength,
        default=1.0,
        metavar="S",
        help="0 changes nothing, 1 is all (default), up to 1.5 exaggerates; `auto`: less where the network is unsure",
    )
    how.add_argument(
        "--per-shot",
        action="store_true",
        help="one LUT for each shot, in two passes: nothing flickers, nothing follows the light",
    )
    how.add_argument("--weights", default="default", help="weight file, or a name from `co2net models`")
    add_prior(how)
    how.add_argument("--backbone", help="network of the weight file, where the file does not say")
    how.add_argument("--previous", type=int, default=8, metavar="N", help="neighbor frames before each (default 8)")
    how.add_argument("--future", type=int, default=8, metavar="N", help="neighbor frames after each (default 8)")
    how.add_argument(
        "--key-frames",
        type=key_frames,
        metavar="K",
        help="run the network on every K-th frame only, and at cuts; `auto`: as often as the colors change "
        "(default: what the weights want, every frame or, tonenet, every twelfth)",
    )
    how.add_argument(
        "--precision",
        choices=("auto", "full"),
        default="auto",
        help="auto computes networks that paint in bfloat16 where the processor is faster at it",
    )
    add_device(how)
    add_quiet(p)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Harmonize and say what was done."""
    from co2net.cli.progress import tell

    if options.images:
        _run_images(options)
    else:
        tell(harmonize(options), options)


def harmonize(
    options: argparse.Namespace, *, model: CO2Net | None = None, review: Review | None = None
) -> HarmonizeReport:
    """Harmonize one clip or picture.

    Args:
        options: of the verb.
        model: loaded already; None: what the options name.
        review: looks on.

    Raises:
        InputError: as of :func:`co2net.harmonize_video`, and if no mask can be made.
    """
    if options.key is None and options.mask_from is None:
        return _harmonize(options, model, review)
    from co2net.cli.matte import with_made_masks

    with with_made_masks(options):
        return _harmonize(options, model, review)


def _harmonize(options: argparse.Namespace, model: CO2Net | None, review: Review | None) -> HarmonizeReport:
    load_torch()
    from co2net.cli.progress import FrameBar
    from co2net.devices import choose_device
    from co2net.models.registry import load_model
    from co2net.pipeline.harmonize import harmonize_video
    from co2net.video import Composing, MaskOptions

    device = choose_device(options.device)
    if model is None:
        model = load_model(options.weights, options.backbone, prior=options.prior)
        give_back_memory()
    with FrameBar(quiet=options.quiet, device=device) as bar:
        return harmonize_video(
            model=model,
            device=device,
            on_progress=bar.update,
            mask_options=MaskOptions(
                invert=options.mask_invert, threshold=options.mask_threshold, number=options.mask_object
            ),
            composing=Composing(options.sound, options.background_loop, options.background_fit, options.alpha),
            review=review,
            **picked(options, f"{_SAME} {ENCODING}"),
        )


def _run_images(options: argparse.Namespace) -> None:
    """A folder of unrelated pictures; ends with 2 if one of them could not be harmonized."""
    load_torch()
    from co2net.cli.progress import FrameBar, refuse_left_out, tell_words
    from co2net.devices import choose_device
    from co2net.errors import InputError
    from co2net.models.registry import load_model
    from co2net.pipeline.images import harmonize_images

    if options.composite is None:
        raise InputError("`images` wants a folder of pictures in the first place")
    device = choose_device(options.device)
    model = load_model(options.weights, options.backbone, prior=options.prior)
    with FrameBar(quiet=options.quiet, device=device) as bar:
        report = harmonize_images(
            options.composite,
            options.mask,
            options.output,
            model,
            device=device,
            on_progress=bar.update,
            **picked(options, "strength quality mask_fit mask_channel overwrite precision transfer"),
        )
    kept = f", {len(report.kept)} were there already" if report.kept else ""
    tell_words(options, report.notes, f"{len(report.written)} pictures harmonized{kept}", report.output)
    refuse_left_out(report.failed)


def _levels(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no pair of levels; write 13,255") from None
    return low, high


def _frames(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise argparse.ArgumentTypeError(f"{text} is no part of a sequence; write 1001-1100")
    return int(first), int(last)


def _strength(text: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no strength; write auto, or a number from 0 to 1.5") from None
