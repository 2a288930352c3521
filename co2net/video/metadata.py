"""What is known of a clip before its first frame is used, and what travels with each frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from co2net.video.orientation import UPRIGHT, Orientation

Reader = TypeVar("Reader", bound="Closing")

if TYPE_CHECKING:
    from co2net.video.lazy_colors import LazyColors

# Codes of ITU-T H.273, as FFmpeg stores them.
UNSPECIFIED = 2
LIMITED_RANGE, FULL_RANGE = 1, 2


@dataclass(frozen=True)
class VideoInfo:
    """Facts about a clip, from its container and first frame. Sizes are upright: those of ``Frame.image``."""

    path: Path
    """The file or folder; for a composed clip, the background."""
    kind: Literal["video", "folder", "image"]
    width: int
    height: int
    frame_rate: Fraction | None
    """Average frames per second; for a folder the rate asked for, None where nobody said one."""
    frame_count: int | None
    """From the container's header, or the number of pictures; None where the container does not say (mkv, ts)."""
    duration_seconds: float | None
    exact_count: bool = False
    """Whether `frame_count` is sure: pictures, and containers that index every frame."""
    time_base: Fraction | None = None
    """Unit of the time stamps; None for pictures without a rate."""
    pixel_format: str = "rgb24"
    """FFmpeg's name of the decoded format."""
    bit_depth: int = 8
    has_alpha: bool = False
    has_audio: bool = False
    with_sound: bool = True
    """False: a writer leaves out sound, subtitles and chapters."""
    orientation: Orientation = UPRIGHT
    """How the stored picture is turned to stand upright."""
    color_range: int = 0
    """1 limited, 2 full, 0 not tagged (then limited for YUV, full for RGB and grey)."""
    color_primaries: int = UNSPECIFIED
    """This and the next two: codes of ITU-T H.273; 2 where the file does not say."""
    color_transfer: int = UNSPECIFIED
    colorspace: int = UNSPECIFIED
    sample_aspect_ratio: Fraction | None = None
    codec: str = ""
    """FFmpeg's name of the codec, or of the picture format."""
    light: Any = None
    """HDR10's :class:`~co2net.video.tags.LightLevels`; None for pictures."""
    chroma_place: str = ""
    """"left", "center", "topleft", "top", "bottomleft" or "bottom"; empty where the file does not say."""
    field_order: str = ""
    """Interlaced: "tt" where the top field is shown first, "bb"; empty for progressive pictures."""
    sound_from: Path | None = None
    """File whose sound goes along in place of its own; None for its own."""
    may_be_cut: bool = False
    """The file may end before its header says so; what is there is wanted."""
    names: tuple[str, ...] = ()
    """Names of the picture files, in order, for a folder."""
    sources: tuple[Path, ...] = ()
    """Every path the clip is read from: a writer refuses to write over them."""
    has_float: bool = False
    """Pictures of floating-point samples, which only OpenEXR and TIFF keep."""
    numbered: bool = False
    """Pictures whose names have numbers, each its own."""
    part: Any = None
    """The :class:`~co2net.video.picture_clips.Part` of a sequence that was asked for; None for all of it."""

    @property
    def rotation(self) -> int:
        """Degrees, counterclockwise, by which a player turns the stored picture: 0, 90, 180 or 270."""
        return self.orientation.degrees

    @property
    def stored_size(self) -> tuple[int, int]:
        """``(width, height)`` as stored, before a player turns the picture."""
        return (self.height, self.width) if self.orientation.transpose else (self.width, self.height)

    def describe(self) -> str:
        """Say size, rate and length in a few words, for messages."""
        parts = [f"{self.width}x{self.height}"]
        if self.frame_rate:
            parts.append(f"{float(self.frame_rate):.6g} frames/s")
        if self.frame_count:
            parts.append(f"{self.frame_count} frames")
        return ", ".join(parts)


@dataclass
class Frame:
    """One frame: what the network sees, and what the writer needs to leave the rest as it is."""

    image: np.ndarray
    """``(H, W, 3)`` RGB, upright, full range: uint8, or uint16 in 0..65535 for sources above 8 bits."""
    alpha: np.ndarray | None = None
    """``(H, W)``, type and range of `image`; None where the source has no alpha channel."""
    number: int = 0
    """Counts from 0 in display order."""
    seconds: float | None = None
    """Time from the start of the container's clock; None for pictures without a frame rate."""
    name: str | None = None
    """Name of the picture file it was read from."""
    pts: int | None = None
    time_base: Fraction | None = None
    duration: int = 0
    """In units of `time_base`; 0 where unknown."""
    stored: Any = field(default=None, repr=False)
    """The decoded ``av.VideoFrame``, in a planar format and as stored; the writer changes it in place."""
    stored_image: np.ndarray | None = field(default=None, repr=False)
    """The upright RGB picture that `stored` shows, where it is not `image` (a composed clip)."""
    colors: LazyColors | None = field(default=None, repr=False)
    """What `image` is made of on first use, where the reader has left that to whoever needs it; None elsewhere."""
    is_context: bool = False
    """Only read as a neighbor of the part that was asked for; not to be written."""
    keep: dict[str, Any] = field(default_factory=dict, repr=False)
    """What a picture file carries besides its pixels (color profile, resolution, grey or not)."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Convert `image` on its first use; only called for what is not there."""
            if name != "image" or self.__dict__.get("colors") is None:
                raise AttributeError(name)
            self.image = self.colors.whole()
            return self.image

    @classmethod
    def of_colors(cls, colors: LazyColors, **facts: Any) -> Frame:
        """A frame whose `image` is converted when somebody asks for it."""
        frame = cls(np.empty(0), colors=colors, **facts)
        del frame.image
        return frame

    @property
    def peak(self) -> int:
        """The value of white: 255 or 65535."""
        return 65535 if (self.colors or self.image).dtype == np.uint16 else 255


class Closing:
    """What all readers are: leaving the ``with`` block closes, however it is left."""

    def __enter__(self: Reader) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open; closing twice is allowed."""
        raise NotImplementedError
