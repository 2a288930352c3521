"""Write a clip frame by frame: :func:`open_writer` chooses by the output's name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

import numpy as np
from av.error import FFmpegError

from co2net.errors import OutputError, ShapeError
from co2net.files import clear_abandoned, partial_path, put_in_place, remove
from co2net.video import output_paths
from co2net.video.codecs import CONTAINERS, PICTURES, choose_codec, endings
from co2net.video.encoding import VideoEncoder
from co2net.video.lazy_colors import LazyColors, Patch, PlanesPatch
from co2net.video.metadata import Frame, VideoInfo
from co2net.video.picture_clips import frame_number, is_pattern, pattern_name
from co2net.video.picture_writing import write_frame


def open_writer(
    output: str | os.PathLike[str],
    info: VideoInfo,
    codec: str | None = None,
    quality: float | None = None,
    overwrite: bool = True,
    protect: Iterable[str | os.PathLike[str]] = (),
    preset: str | None = None,
) -> Writer:
    """Open the output of a clip.

    Args:
        output: ``.mp4`` H.264, ``.mkv`` lossless FFV1, ``.mov`` ProRes, ``.webm`` VP9; ``.png``, ``.jpg``, ``.tif``,
            ``.webp`` or ``.exr`` for a single picture; no ending, a slash at the end or an existing folder: a folder of
            PNG frames (OpenEXR for sources of floating-point samples); ``out/shot.%04d.tif``: a sequence.
        info: ``info`` of the reader the frames come from: sound, times and tags are copied from there.
        codec: "h264", "h265", "ffv1", "prores", "vp9" or "av1" in place of the ending's own.
        quality: Constant rate factor of H.264, H.265, VP9 and AV1 (0 best), 1..100 of JPEG (100 best).
        overwrite: Replace an existing output.
        protect: Further paths that must not be written over, the mask's above all; ``info.sources`` are already.
        preset: The encoder's speed against the size of the file, for H.264 and H.265 "ultrafast" to "veryslow", for AV1
            "13" to "0".

    Returns:
        A context manager with ``write(frame, image, mask=None)``, ``notes`` and ``output``.

    Raises:
        OutputError: unknown ending or codec, no such folder, no permission, an input lies there.
    """
    place = Path(output)
    output_paths.check_name(place)
    if place.is_symlink():  # what it names is written, the link stays
        place = output_paths.followed(place)
    ending = place.suffix.lower()
    sequence = is_pattern(place)
    is_folder = not sequence and (str(output).endswith(("/", os.sep)) or place.is_dir() or not ending)
    if not is_folder and ending not in CONTAINERS and ending not in PICTURES:
        raise OutputError(f"{place}: unknown ending {ending}; use {endings()}")
    if sequence and ending not in PICTURES:
        raise OutputError(f"{place}: a numbered name is for pictures, {ending} files hold a whole clip")
    target = place.parent if sequence else place
    inputs = [*info.sources, *map(Path, protect)]
    if sequence:
        # Among other files; only its own names must be free of inputs.
        names = [pattern_name(place, frame_number(name) or 0) for name in info.names] or [pattern_name(place, 1)]
        files = {p for source in inputs for p in (source.iterdir() if source.is_dir() else [source])}
        taken = next((name for name in names if target / name in files), None)
        if taken is not None:
            raise OutputError(f"{target / taken}: is an input; choose another name for the output")
        output_paths.check_output_path(target / names[0], [], overwrite or info.part is not None)
    else:
        output_paths.check_output_path(target, inputs, overwrite or info.part is not None)
    if is_folder or sequence or ending in PICTURES:
        has_quality = not is_folder and ending in (".jpg", ".jpeg", ".webp")
        _refuse_settings(place, codec, None if has_quality else quality, preset)
        if quality is not None and not 1 <= quality <= 100:
            raise OutputError(f"quality {quality}: JPEG and WebP take 1 to 100 (best)")
        if is_folder or sequence:
            return FolderWriter(target, info, place if sequence else None, quality)
        return PictureWriter(place, info, quality)
    return VideoWriter(place, info, codec, quality, preset)


def _refuse_settings(path: Path, codec: str | None, quality: float | None, preset: str | None) -> None:
    if preset is not None:
        raise OutputError(f"preset {preset}: {path.name} is written as pictures, which have none; leave it out")
    if codec is not None:
        raise OutputError(
            f"codec {codec}: {path.name} is written as pictures; leave the codec out or name a video file"
        )
    if quality is not None:
        raise OutputError(
            f"quality {quality}: {path.suffix[1:].upper() or 'PNG'} is lossless and has no quality; leave it out"
        )


class Writer:
    """Base of the writers: checks each frame, finishes or cleans up, and says why something failed."""

    def __init__(self, output: Path, info: VideoInfo) -> None:
        self.output, self.info = output, info
        self.notes: list[str] = []
        """What could not be kept as it was, in sentences."""
        self._partial = partial_path(output)
        clear_abandoned(output)
        self._count = 0
        self._done = False

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    @property
    def takes_planes(self) -> bool:
        """Whether new samples of YUV planes can be written as they are."""
        return False

    def write(
        self, frame: Frame, image: np.ndarray | Patch | PlanesPatch | LazyColors, mask: np.ndarray | None = None
    ) -> None:
        """Write one frame.

        Args:
            frame: As the reader gave it; frames in order, each once. Its decoded planes are changed in place.
            image: ``(H, W, 3)`` RGB of the type of ``frame.image``, or float32 in [0, 1]; or the patch where it differs
                from the frame's own colors, or samples; or these themselves, where nothing does.
            mask: ``(H, W)``, any type; where it is 0 the frame's own samples stay. None: all of `image` counts.

        Raises:
            ShapeError: image or mask do not fit the frame.
            OutputError: no space, no permission.
        """
        if frame.is_context:
            return  # only a neighbor of the part that is asked for
        if isinstance(image, Patch | LazyColors) and not self._takes_patches(frame):
            image = image.whole(frame.image) if isinstance(image, Patch) else frame.image
        if not isinstance(image, np.ndarray):
            patch = None if isinstance(image, LazyColors) else image
            return self._counted(lambda: self._write_patch(frame, patch))
        if image.shape != frame.image.shape:
            raise ShapeError(f"image must be {frame.image.shape} as its frame, got {image.shape}")
        if image.dtype not in (frame.image.dtype, np.float32):
            raise ShapeError(f"image must be {frame.image.dtype} as its frame, or float32 in [0, 1], got {image.dtype}")
        if mask is not None and mask.shape != image.shape[:2]:
            raise ShapeError(f"mask must be {image.shape[:2]} as its frame, got {mask.shape}")
        self._counted(lambda: self._write(frame, image, mask))

    def _counted(self, write: Callable[[], None]) -> None:
        try:
            write()
        except (FFmpegError, OSError) as error:
            raise output_paths.write_error(self.output, error) from error
        self._count += 1

    def _write_patch(self, frame: Frame, patch: Patch | PlanesPatch | None) -> None:
        raise NotImplementedError

    def _takes_patches(self, frame: Frame) -> bool:
        return False

    def close(self) -> None:
        """Finish the output and put it in its place; closing twice is allowed.

        Raises:
            OutputError: nothing was written, no space, no permission.
        """
        if self._done:
            return
        try:
            if not self._count:
                raise OutputError(f"{self.output}: no frame was written to it")
            try:
                self._finish()
            except (FFmpegError, OSError) as error:
                raise output_paths.write_error(self.output, error) from error
        except BaseException:
            self.abort()
            raise
        self._done = True

    def abort(self) -> None:
        """Remove what was written so far; what stood at the output's place before is untouched."""
        if not self._done:
            self._done = True
            try:
                self._cancel()
            finally:
                remove(self._partial)

    def _write(self, frame: Frame, image: np.ndarray, mask: np.ndarray | None) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _cancel(self) -> None:
        """Let go of open files; must not raise."""


class FolderWriter(Writer):
    """A folder of frames, or a numbered sequence; 16 bits per channel for sources above 8."""

    def __init__(
        self, output: Path, info: VideoInfo, pattern: Path | None = None, quality: float | None = None
    ) -> None:
        super().__init__(output, info)
        self._pattern, self._quality, self._ending = pattern, quality, ".exr" if info.has_float else ".png"
        self._adds = pattern is not None or info.part is not None
        if output.is_dir() and not self._adds:
            output_paths.check_old_folder(output, info, self._ending)
        elif output.exists() and not output.is_dir():
            raise OutputError(f"{output}: is a file, a folder of frames cannot take its place; choose another name")
        if pattern is not None:
            self._ending = pattern.suffix.lower()
            self.output = pattern
        self.notes += picture_losses(self._ending, info)
        self._folder = output
        self._partial = partial_path(output.absolute())
        remove(self._partial)
        try:
            self._partial.mkdir()
        except OSError as error:
            raise output_paths.write_error(output, error) from error
        if info.has_audio:
            self.notes.append("a folder of frames has no sound; write a video file to keep it")

    def _write(self, frame: Frame, image: np.ndarray, mask: np.ndarray | None) -> None:
        if self._pattern is not None:
            number = frame_number(frame.name) if frame.name else None
            name = pattern_name(self._pattern, frame.number + 1 if number is None else number)
        elif frame.name:
            name = f"{Path(frame.name).stem}{self._ending}"
        else:
            name = f"{output_paths.FOLDER_FRAME.format(frame.number + 1)}{self._ending}"
        if not self._count:
            self.notes += kept_losses(self._ending, frame)
        write_frame(self._partial / name, frame, image, mask, self._quality)

    def _finish(self) -> None:
        """A part of a sequence joins what other machines have rendered."""
        if not self._adds:
            put_in_place(self._partial, self._folder)
            return
        self._folder.mkdir(exist_ok=True)
        for file in sorted(self._partial.iterdir()):
            file.replace(self._folder / file.name)
        remove(self._partial)


def kept_losses(ending: str, frame: Frame) -> list[str]:
    """What a kind of picture does not hold of what a frame's file carries besides its pixels."""
    lost = []
    if ending in (".exr", ".tif", ".tiff") and frame.keep.get("exif"):
        lost.append("EXIF")
    if ending == ".exr" and frame.keep.get("icc_profile"):
        lost.append("color profile")
    if ending != ".png" and frame.keep.get("chunks"):
        lost.append("PNG's words about its colors")
    notes = [f"{ending[1:]} files here hold no {' and '.join(lost)}: left out; .png keeps it"] if lost else []
    if frame.keep.get("header"):
        notes.append(f"what the {frame.keep['header']} header tells besides the picture is left out")
    if frame.keep.get("curve"):
        notes.append(f"the source holds {frame.keep['curve']}, not display colors: they are compared as they stand")
    return notes


def picture_losses(ending: str, info: VideoInfo) -> list[str]:
    """What a kind of picture does not hold of a source, in sentences."""
    notes = []
    if info.has_alpha and ending in (".jpg", ".jpeg"):
        notes.append("JPEG has no alpha channel: dropped; .png keeps it")
    if info.bit_depth > 8 and ending in (".jpg", ".jpeg", ".webp"):
        kind = "WebP" if ending == ".webp" else "JPEG"
        notes.append(f"{kind} has 8 bits per channel, the source {info.bit_depth}: rounded; .png keeps them")
    if info.has_float and ending not in (".exr", ".tif", ".tiff"):
        notes.append(
            f"{ending[1:]} files hold no floating-point samples: 0 to 1 is kept, coded for display; .exr keeps all"
        )
    if ending == ".exr" and not info.has_float:
        notes.append("OpenEXR holds linear light: display-coded colors were decoded by the sRGB curve")
    return notes


class PictureWriter(Writer):
    """A single picture."""

    def __init__(self, output: Path, info: VideoInfo, quality: float | None) -> None:
        super().__init__(output, info)
        self._quality = quality
        if info.kind != "image" and info.frame_count not in (1, None):
            raise OutputError(f"{output}: one picture cannot hold a clip; name a folder or a video file")
        self.notes += picture_losses(output.suffix.lower(), info)

    def _write(self, frame: Frame, image: np.ndarray, mask: np.ndarray | None) -> None:
        if self._count:
            raise OutputError(f"{self.output}: one picture cannot hold a clip; name a folder or a video file")
        self.notes += kept_losses(self.output.suffix.lower(), frame)
        write_frame(self._partial, frame, image, mask, self._quality)

    def _finish(self) -> None:
        put_in_place(self._partial, self.output)


class VideoWriter(Writer):
    """A video file with the source's sound, times and tags."""

    def __init__(
        self, output: Path, info: VideoInfo, codec: str | None, quality: float | None, preset: str | None
    ) -> None:
        super().__init__(output, info)
        ending = output.suffix.lower()
        chosen = choose_codec(ending, codec, output.name)
        remove(self._partial)
        self._encoder: VideoEncoder | None = None
        try:
            self._encoder = VideoEncoder(
                self._partial, info, CONTAINERS[ending][0], chosen, quality, self.notes, preset
            )
        except (FFmpegError, OSError) as error:
            remove(self._partial)
            raise output_paths.write_error(output, error) from error
        except BaseException:
            remove(self._partial)
            raise

    def _write(self, frame: Frame, image: np.ndarray, mask: np.ndarray | None) -> None:
        assert self._encoder is not None  # noqa: S101  # set by the constructor or the object does not exist
        self._encoder.write(frame, image, mask)

    @property
    def takes_planes(self) -> bool:
        """See :attr:`Writer.takes_planes`."""
        return True

    def _takes_patches(self, frame: Frame) -> bool:
        return self._encoder is not None and self._encoder.keeps_planes(frame)

    def _write_patch(self, frame: Frame, patch: Patch | PlanesPatch | None) -> None:
        assert self._encoder is not None  # noqa: S101
        self._encoder.write_patch(frame, patch)

    def _finish(self) -> None:
        assert self._encoder is not None  # noqa: S101
        self._encoder.finish()
        put_in_place(self._partial, self.output)

    def _cancel(self) -> None:
        if self._encoder is not None:
            self._encoder.cancel()
