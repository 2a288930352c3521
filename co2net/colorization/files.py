"""Strokes and official weight sets on disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from co2net.colorization.cpnet import CPNet
from co2net.colorization.networks import create_cpnet, create_ssnet
from co2net.colorization.scribbles import diverse, random_points, widen
from co2net.colorization.ssnet import SSNet
from co2net.errors import InputError, WeightsError
from co2net.files import PathLike, write_beside
from co2net.flow import FlowEstimator, create_flow
from co2net.pipeline.frames import as_bytes
from co2net.video import open_video
from co2net.video.picture_clips import list_pictures
from co2net.video.pictures import read_picture
from co2net.weight_files import read_weights

# What the files of the published set are called, wherever they lie in the folder.
_CPNET, _SSNET, _FLOW = (
    r"cpnet.*\.(pth|safetensors)",
    r"ssnet.*\.(pth|safetensors)",
    r"pwcnet.*\.(pytorch|pth|safetensors)",
)


def read_strokes(path: PathLike) -> dict[int, np.ndarray]:
    """Strokes by frame number.

    Args:
        path: a picture, whose strokes belong to frame 0; or a folder of pictures named by frame number (``12.png``,
            ``strokes_0012.png``).

    Returns:
        ``{number: (H, W, 3 or 4) uint8}``.

    Raises:
        InputError: nothing is there, a name has no number, or two have the same.
    """
    path = Path(path)
    if not path.is_dir():
        return {0: _read(path)}
    found: dict[int, Path] = {}
    for file in list_pictures(path):
        numbers = re.findall(r"\d+", file.stem)
        if not numbers:
            raise InputError(f"{file}: the name has no frame number; name strokes by frame, from 0: 0.png, 24.png")
        number = int(numbers[-1])
        if number in found:
            raise InputError(f"{file} and {found[number].name} are both strokes for frame {number}; leave one away")
        found[number] = file
    return {number: _read(file) for number, file in sorted(found.items())}


def _read(path: Path) -> np.ndarray:
    image, alpha, _ = read_picture(path)
    if image.dtype != np.uint8:
        image = (image >> 8).astype(np.uint8)
        alpha = None if alpha is None else (alpha >> 8).astype(np.uint8)
    return image if alpha is None else np.dstack([image, alpha])


def make_strokes(
    clip: PathLike,
    output: PathLike,
    frames: str = "0",
    *,
    points: int = 40,
    width: int = 5,
    seed: int = 0,
    mapping: int | None = None,
) -> list[Path]:
    """Strokes of a colored clip, in its own colors on black, for tests and comparisons.

    Args:
        clip: colored video, folder of frames or picture.
        output: a ``.png``, or a folder that gets one per frame, named by its number.
        frames: numbers from 0, separated by commas.
        points: how many per frame.
        width: see :func:`~.scribbles.widen`.
        seed: which places.
        mapping: see :func:`~.scribbles.diverse`.

    Returns:
        The files that were written.

    Raises:
        InputError: a number is none, or the clip is shorter.
    """
    if not re.fullmatch(r"\d+(,\d+)*", frames.replace(" ", "")):
        raise InputError(f"`frames` {frames}: write numbers from 0 with commas between them, such as 0,48")
    if points < 1 or width < 3:
        raise InputError(f"`points` must be 1 or more and `width` 3 or more, got {points} and {width}")
    wanted, output = sorted({int(number) for number in frames.split(",")}), Path(output)
    one = output.suffix.lower() == ".png"
    if one and len(wanted) > 1:
        raise InputError(f"{output} holds the strokes of one frame; give a folder for {len(wanted)}")
    written: list[Path] = []
    with open_video(clip) as reader:
        for number, frame in enumerate(reader):
            if number in wanted:
                sparse = random_points(as_bytes(frame.image), points, np.random.default_rng([seed, number]))
                strokes = widen(sparse if mapping is None else diverse(sparse, mapping), width)
                written.append(output if one else output / f"{number}.png")
                written[-1].parent.mkdir(parents=True, exist_ok=True)
                write_beside(written[-1], cv2.imencode(".png", strokes[..., ::-1])[1].tobytes())
            if number >= wanted[-1]:
                break
    if len(written) < len(wanted):
        raise InputError(f"{clip} has no frame {wanted[len(written)]}; frames are counted from 0")
    return written


@dataclass
class Networks:
    """What colorizes; all None: the way without weights."""

    cpnet: CPNet | None = None
    ssnet: SSNet | None = None
    flow: FlowEstimator | None = None


def read_networks(path: PathLike | None) -> Networks:
    """The networks of a file or of a folder with the published files.

    Args:
        path: a CPNet file (single frames are colored, strokes are carried by DIS flow; what "CPNet_plain" paints is
            carried itself); a folder that holds ``cpnet*.pth``, perhaps ``ssnet*.pth`` and ``pwcNet*.pytorch``, at any
            depth; None: no networks.

    Raises:
        WeightsError: a file is missing, there are several, or one does not fit.
    """
    if path is None:
        return Networks()
    path = Path(path)
    if not path.is_dir():
        return Networks(_cpnet(path))
    cpnet, ssnet, flow = (_one(path, pattern) for pattern in (_CPNET, _SSNET, _FLOW))
    if cpnet is None:
        raise WeightsError(
            f"{path}: there is no CPNet file (cpnet*.pth) in this folder; give the file, or the whole set"
        )
    if ssnet is not None and flow is None:
        raise WeightsError(
            f"{path}: {ssnet.name} is there, the flow's file (pwcNet*.pytorch) is not; SSNet was trained with it"
        )
    return Networks(
        _cpnet(cpnet),
        None if ssnet is None else create_ssnet(weights=ssnet),
        None if flow is None else create_flow("pwcnet", flow),
    )


def _cpnet(path: Path) -> CPNet:
    """CPNet of the variant that the file's names tell."""
    names = read_weights(path).state
    if not any(name.startswith(("conv5_3_gray.", "vgg.")) for name in names):
        variant = "CPNet_plain"
    else:
        variant = "CPNet_VGG16_Seg" if any(name.startswith("seg_decoder.") for name in names) else "CPNet_VGG16"
    return create_cpnet(variant, weights=path)


def _one(folder: Path, pattern: str) -> Path | None:
    found = sorted(file for file in folder.rglob("*") if re.fullmatch(pattern, file.name, re.IGNORECASE))
    if len(found) > 1:
        shown = ", ".join(str(file.relative_to(folder)) for file in found[:3])
        raise WeightsError(f"{folder}: {len(found)} files could be meant ({shown}); leave one of them")
    return found[0] if found else None
