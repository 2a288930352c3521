"""Published results on the HYouTube test set, as data with their sources.

All rows are in the published convention (``fmse_paper``, ``psnr_paper``, ``fssim_paper``; MSE has one form), means over
the 12 720 test frames at 256 x 256. A value that no readable source confirms is ``None``, never filled from memory.
"""

from __future__ import annotations

from dataclasses import dataclass

TEST_FRAMES = 12_720
"""Frames of the HYouTube test set; means over other frames are not comparable with the rows."""

SOURCES: dict[str, str] = {
    "A": "https://github.com/bcmi/Video-Harmonization-Dataset-HYouTube",
    "B": "https://github.com/WindVChen/INR-Harmonization",
}
"""Where the values were read: A, the data set's README; B, README of HINet, Table XVIII."""

PUBLISHED_FLOW, PUBLISHED_PAIRS = "flownet2", 78
"""What found the motion for the published temporal losses, and over how many pairs of frames."""

UNCONFIRMED = ("DIH", "DoveNet", "RainNet", "VTT", "TSA2", "VHMAE", "Chen et al. (MIR 2024)")
"""Methods known to report on HYouTube whose tables could not be read."""


@dataclass(frozen=True)
class PublishedRow:
    """One method's means; ``None`` where nothing is published or confirmed."""

    method: str
    sources: str
    """Letters of :data:`SOURCES`; empty for an unconfirmed row."""
    mse: float | None = None
    fmse: float | None = None
    psnr: float | None = None
    fssim: float | None = None
    temporal_loss: float | None = None
    """TL over 78 pairs of frames, with FlowNet2."""


ROWS: tuple[PublishedRow, ...] = (
    PublishedRow("iSSAM, per frame", "A", 28.90, 203.77, 37.38, 0.8817, 6.48),
    PublishedRow("“Huang”: iSSAM with a flow term", "A", 27.89, 199.89, 37.44, 0.8821, 6.49),
    PublishedRow("CO2Net (iSSAM, 8 + 8 neighbors)", "AB", 26.50, 186.72, 37.61, 0.8827, 5.11),
    PublishedRow("Harmonizer", "B", 32.28, 211.49, 36.48, None, 23.72),
    PublishedRow("Harmonizer, smoothed over time", "B", 30.17, 197.36, 36.84, None, 17.11),
    PublishedRow("HINet, LUT", "B", 24.45, 176.99, 38.56, None, 7.09),
    PublishedRow("HINet, interpolated LUTs", "B", 23.73, 171.80, 38.71, None, 6.73),
    PublishedRow("HINet, decoder", "B", 22.38, 159.42, 39.12, None, 6.06),
)

PSNR_NOTE = (
    "B repeats A's CO2Net row, so MSE, fMSE and TL are meant to be comparable; whether B's other PSNR values use the "
    "same convention is not stated, and they are higher than their MSE explains."
)
