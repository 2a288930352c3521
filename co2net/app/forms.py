# pyright: reportMissingImports=false, reportMissingModuleSource=false
"""What requests hold and what answers hold; the descriptions are those of the OpenAPI page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

VideoFormat = Literal["mp4", "mkv", "mov", "webm"]
PictureFormat = Literal["png", "jpg", "webp", "tif"]
MaskFit = Annotated[
    Literal["error", "resize"], Field(description="What to do with a mask of another size: refuse, or scale it.")
]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    answer: Literal["auto", "job"] = Field(
        "auto", description="`auto`: pictures are answered with the result, clips with a job. `job`: always a job."
    )

    def uploads(self) -> dict[str, UploadFile]:
        """The files that came, by role."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in found.items() if hasattr(value, "file")}

    def options(self) -> dict[str, Any]:
        """Everything else that was said or has a default."""
        left_out = {"answer", *self.uploads()}
        found = {name: getattr(self, name) for name in type(self).model_fields if name not in left_out}
        return {name: value for name, value in found.items() if value is not None}


class HarmonizeForm(_Form):
    """Fields of ``POST /v1/harmonize``."""

    composite: UploadFile | None = Field(None, description="Video or picture; or give `foreground` and `background`.")
    mask: UploadFile | None = Field(
        None, description="White on the foreground: video or picture. Without it the alpha channel counts."
    )
    foreground: UploadFile | None = Field(None, description="Laid over `background` first.")
    background: UploadFile | None = None
    model: str = Field("default", description="A name from `/v1/models`.")
    strength: Annotated[float, Field(ge=0, le=1.5)] | Literal["auto"] = Field(
        1.0, description="0 changes nothing, 1 is all, 1.5 exaggerates; `auto`: less where the network is unsure."
    )
    format: VideoFormat | PictureFormat | None = Field(
        None, description="Of the result: by default mp4, of a picture png."
    )
    quality: float | None = Field(None, description="The encoder's quality value (CRF).")
    cube: bool = Field(False, description="Also make the color mapping as a .cube LUT.")
    mask_fit: MaskFit = "error"
    mask_retime: Literal["error", "nearest", "index"] = "error"
    mask_invert: bool = Field(False, description="The mask is black on the foreground.")
    key: str | None = Field(
        None,
        max_length=40,
        description="The composite is a plate before a screen of this color (green, blue, auto, #RRGGBB), to be keyed "
        "and put over `background`.",
    )
    carry_mask: bool = Field(False, description="The mask is that of one frame; carry it through the clip.")
    mask_frame: int = Field(0, ge=0, description="With `carry_mask`: the number of that frame, from 0.")
    previous: int = Field(8, ge=0, le=64, description="Neighbor frames before each frame that shape its colors.")
    future: int = Field(8, ge=0, le=64)
    per_shot: bool = Field(False, description="One LUT for each shot.")


class MatteForm(_Form):
    """Fields of ``POST /v1/matte``."""

    clip: UploadFile = Field(description="Video or picture.")
    key: str | None = Field(None, max_length=40, description="A screen of this color: green, blue, auto, #RRGGBB.")
    mask: UploadFile | None = Field(None, description="The mask of one frame, to be carried through the clip.")
    mask_frame: int = Field(0, ge=0, description="The number of that frame, from 0.")
    moving: bool = Field(False, description="What moves against the camera.")
    background: UploadFile | None = Field(None, description="Put behind the subject.")
    give: Literal["mask", "cutout"] | None = Field(
        None, description="A gray mask, or colors with alpha; by default a cut-out where a screen is keyed."
    )
    spill: float = Field(1.0, ge=0, le=1, description="With `key`: how much of the screen's light goes.")
    format: VideoFormat | PictureFormat | None = Field(None, description="By default mkv (lossless), of a picture png.")


class ColorizeForm(_Form):
    """Fields of ``POST /v1/colorize``."""

    clip: UploadFile = Field(description="A gray video or picture.")
    scribbles: UploadFile = Field(
        description="Strokes of color for the first frame, of its size: a picture, transparent or black elsewhere."
    )
    format: VideoFormat | PictureFormat | None = Field(None, description="By default mp4, of a picture png.")


class JobState(BaseModel):
    """How a job is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "yj5b7mBk2xKq0m1hTn0s8w",
                    "kind": "harmonize",
                    "state": "done",
                    "position": 0,
                    "done": 60,
                    "total": 60,
                    "frames_per_second": 41.7,
                    "seconds": 1.9,
                    "notes": [],
                    "error": "",
                    "results": {"output": "/v1/jobs/yj5b7mBk2xKq0m1hTn0s8w/results/output"},
                    "facts": {"expected_error": 7.4, "change": 15.2},
                }
            ]
        }
    )

    id: str = Field(description="Unguessable: who knows it may see the results.")
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    position: int = Field(description="How many jobs are before it.")
    done: int = Field(description="Frames so far.")
    total: int | None = Field(description="Frames in all; null where nobody knows.")
    frames_per_second: float
    seconds: float = Field(description="Of work, when it is done.")
    notes: list[str] = Field(description="Sentences about what deserves a look.")
    error: str = Field(description="Why it failed; empty otherwise.")
    results: dict[str, str] = Field(description="Name to address, when it is done.")
    facts: dict[str, Any] = Field(
        description="`expected_error`: root mean square of the error that the network expects, 8-bit levels; "
        "`change`: of what it wants to change in the foreground; "
        "`least_sure`: frames of which a carried mask is least sure."
    )


class ModelInfo(BaseModel):
    """A network that ships."""

    name: str
    network: str
    default: bool
    good_at: str
    not_for: str


class Models(BaseModel):
    """What ``/v1/models`` says."""

    models: list[ModelInfo]


class Health(BaseModel):
    """What ``/healthz`` says."""

    status: Literal["ok", "starting"]
    version: str
    waiting: int = Field(description="Clips that wait.")
    workers: list[dict[str, Any]] = Field(description="`lane`, `up`, and how often each was started.")


class Refused(BaseModel):
    """Every error."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"error": "mask.png: the file is empty; send it again"}]})

    error: str = Field(description="One sentence: what is wrong, and the mend.")
