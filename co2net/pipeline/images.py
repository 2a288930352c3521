"""Single pictures: no window over time, networks that paint pictures of any size paint them whole; folders of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch

from co2net.errors import InputError
from co2net.files import PathLike
from co2net.models.co2net import CO2Net
from co2net.models.precision import Precision
from co2net.pipeline.harmonize import harmonize_video
from co2net.pipeline.job import OnProgress
from co2net.pipeline.stream import Strength
from co2net.threads import cores
from co2net.video import natural_key
from co2net.video.float_pictures import Transfer
from co2net.video.pictures import PICTURE_ENDINGS

JPEG = (".jpg", ".jpeg")


@dataclass
class ImagesReport:
    """What was done with a folder of pictures.

    Attributes:
        output: the folder.
        written: pictures that were harmonized.
        kept: pictures whose results were there already.
        failed: sentences about pictures that could not be.
        notes: sentences about what could not be kept as it was, each once.
    """

    output: Path
    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def harmonize_images(
    images: PathLike,
    masks: PathLike | None = None,
    output: PathLike | None = None,
    model: CO2Net | None = None,
    *,
    strength: Strength = 1.0,
    device: str | torch.device | None = None,
    quality: float | None = None,
    mask_fit: str = "error",
    mask_channel: str = "auto",
    overwrite: bool = True,
    precision: Precision = "auto",
    transfer: Transfer = "auto",
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> ImagesReport:
    """Harmonize a folder of unrelated pictures, several at a time.

    Args:
        images: the folder.
        masks: a folder: the mask of ``a_b_c.jpg`` is ``a_b_c.png`` or, as in iHarmony4, ``a_b.png``, of any picture
            ending. None: the pictures' own alpha channels.
        output: a folder; None: ``<images>.harmonized``. Each result has its picture's name; JPEG stays JPEG, all else
            becomes PNG.
        model: None takes the weights that ship.
        strength: as of :func:`~co2net.pipeline.harmonize.harmonize_video`.
        device: None leaves the model where it is.
        quality: of JPEG.
        mask_fit: "resize" accepts masks of another size.
        mask_channel: "luma" or "alpha" of the masks; "auto" takes an alpha channel that is not opaque.
        overwrite: False leaves results that are there.
        precision: of the network.
        transfer: as of :func:`~co2net.pipeline.harmonize.harmonize_video`.
        workers: pictures at a time; None: one per processor core, on a GPU two.
        on_progress: called with the pictures done and the number of all.

    Returns:
        Which were written, and why others were not.

    Raises:
        InputError: the folder holds no pictures, two results would have one name, or `output` is the folder itself.
    """
    folder = Path(images)
    if not folder.is_dir():
        raise InputError(f"`images` {folder} is not a folder; one picture goes in without it")
    pictures = pictures_in(folder)
    target = Path(output) if output is not None else folder.with_name(f"{folder.name}.harmonized")
    if target.exists() and not target.is_dir():
        raise InputError(f"`output` {target} is a file; a folder is wanted")
    if model is None:
        from co2net.models.registry import load_model

        model = load_model("default")
    model = model if device is None else model.to(device)
    results = result_paths(pictures, target, lambda ending: ending if ending.lower() in JPEG else ".png")
    report, known = ImagesReport(target), masks_in(Path(masks)) if masks is not None else None
    target.mkdir(parents=True, exist_ok=True)

    def one(picture: Path, result: Path) -> tuple[Path, list[str] | None, str]:
        if result.exists() and not overwrite:
            return result, None, ""
        try:
            mask = None if known is None else mask_of(picture, known, Path(masks or ""))
            done = harmonize_video(
                picture,
                mask,
                result,
                model=model,
                strength=strength,
                quality=quality if result.suffix.lower() in JPEG else None,
                mask_fit=mask_fit,
                mask_channel=mask_channel,
                precision=precision,
                transfer=transfer,
            )
        except InputError as error:
            return result, None, str(error)
        return result, done.notes, ""

    on_cpu = next(model.backbone.parameters()).device.type == "cpu"
    count = workers or (cores() if on_cpu else 2)
    threads = torch.get_num_threads()
    if count > 1 and on_cpu:
        torch.set_num_threads(1)  # each picture on a core of its own
    try:
        with ThreadPoolExecutor(min(count, len(pictures)), "co2net-picture") as pool:
            for number, (result, notes, error) in enumerate(pool.map(one, pictures, results), start=1):
                if error:
                    report.failed.append(error)
                elif notes is None:
                    report.kept.append(result)
                else:
                    report.written.append(result)
                    report.notes += [note for note in notes if note not in report.notes]
                if on_progress is not None:
                    on_progress(number, len(pictures))
    finally:
        torch.set_num_threads(threads)
    return report


def pictures_in(folder: Path) -> list[Path]:
    """Pictures of any kind, in natural order; unlike those of a clip they need not be alike.

    Raises:
        InputError: there are none.
    """
    found = (p for p in folder.iterdir() if p.suffix.lower() in PICTURE_ENDINGS and not p.name.startswith("."))
    pictures = sorted((path for path in found if path.is_file()), key=lambda path: natural_key(path.name))
    if not pictures:
        raise InputError(f"{folder}: no pictures in the folder")
    return pictures


def result_paths(pictures: Sequence[Path], output: Path, ending: Callable[[str], str]) -> list[Path]:
    """Where the results of a folder's pictures go: into `output`, under the pictures' names.

    Args:
        pictures: of one folder.
        output: a folder.
        ending: from a picture's ending to its result's.

    Raises:
        InputError: `output` is the pictures' own folder, or two results would have one name.
    """
    folder = pictures[0].parent
    if output.resolve() == folder.resolve():
        raise InputError(f"`output` {output} is the folder of the pictures; choose another one")
    results = [output / f"{picture.stem}{ending(picture.suffix)}" for picture in pictures]
    if len(set(results)) < len(results):
        twice = next(result for result in results if results.count(result) > 1)
        raise InputError(f"`images` {folder}: two pictures would become {twice.name}; rename one of them")
    return results


def masks_in(folder: Path) -> dict[str, Path]:
    """The masks of a folder by their names without endings.

    Raises:
        InputError: it is no folder, or holds no pictures.
    """
    if not folder.is_dir():
        raise InputError(f"`mask` {folder} is not a folder; a folder of pictures wants a folder of masks")
    return {path.stem: path for path in pictures_in(folder)}


def mask_of(picture: Path, masks: dict[str, Path], folder: Path) -> Path:
    """The mask of ``a_b_c.jpg``: ``a_b_c.*`` or ``a_b.*`` of those in `folder`.

    Raises:
        InputError: there is none; says which names were looked for.
    """
    names = [picture.stem, picture.stem.rpartition("_")[0]]
    for name in names:
        if name in masks:
            return masks[name]
    wanted = " or ".join(f"{name}.png" for name in dict.fromkeys(names) if name)
    raise InputError(f"{picture}: no mask in {folder}, looked for {wanted}")
