"""Published results of SVCNet on DAVIS, as data: pixel scores, and mIoU of a segmenter on colored clips.

Read in the description of the published system; a value that it does not state is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FRAMES, CLIPS = 1999, 30
COLUMNS = ("psnr", "ssim_range2")
NOTE = (
    "The published output put new colors under the gray conversion instead of Lab's L, which darkens middle grays and "
    "keeps PSNR below 32.6 dB; its SSIM took 2 for the range of values from 0 to 1."
)


@dataclass(frozen=True)
class PublishedColors:
    """Means of one method; `values` by the metric's key."""

    method: str
    data: str
    values: Mapping[str, float]


ROWS = (PublishedColors("SVCNet", "DAVIS validation", {"psnr": 25.960, "ssim_range2": 0.957}),)

MIOU: Mapping[str, float] = {
    "real colors": 0.9446,
    "gray": 0.8917,
    "CPNet": 0.9016,
    "SVCNet": 0.9004,
    "SVCNet, 64p": 0.8768,
    "SVCNet, 128p": 0.8960,
    "SVCNet without CPNet's segmentation loss": 0.8780,
    "SVCNet without tuning CPNet on video": 0.6464,
    "SVCNet without long range": 0.8919,
    "SVCNet without short range": 0.8949,
    "SVCNet without both": 0.8934,
}
MIOU_NOTE = "published: DAVIS validation, segmented by HRNetV2-W48 with OCR; other segmenters do not compare"
