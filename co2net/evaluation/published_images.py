"""Published results on the iHarmony4 test sets, as data with their sources.

PSNR has the truth's largest value as its peak, SSIM a 7 x 7 window (:mod:`co2net.metrics.iharmony4`); means over all
pictures. A value that no readable source confirms is ``None``, never filled from memory.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCES: dict[str, str] = {
    "E": "https://github.com/bcmi/Image-Harmonization-Dataset-iHarmony4",
    "G": "https://github.com/saic-vul/image_harmonization",
    "I": "https://github.com/bcmi/DucoNet-Image-Harmonization",
    "L": "https://github.com/WindVChen/INR-Harmonization",
    "M": "https://github.com/bcmi/CDTNet-High-Resolution-Image-Harmonization",
}
"""Where the values were read: READMEs; L, Table I."""

TEST_PICTURES = {"HCOCO": 4283, "HAdobe5k": 2160, "HFlickr": 828, "Hday2night": 133}
"""Pictures of the test sets."""
ALL = "iHarmony4"
HIGH = "HAdobe5k"


@dataclass(frozen=True)
class PublishedImages:
    """Means of one method over one test set, all pictures `size` pixels square."""

    method: str
    source: str
    data: str
    size: int
    mse: float | None = None
    fmse: float | None = None
    psnr: float | None = None
    ssim: float | None = None


def _small(
    method: str, source: str, fmse: float | None, mse: float, psnr: float, *sets: float
) -> list[PublishedImages]:
    """A row of the table at 256 x 256: all pictures, then MSE and PSNR per sub-set in the order of TEST_PICTURES."""
    parts = zip(TEST_PICTURES, sets[::2], sets[1::2], strict=False)
    return [
        PublishedImages(method, source, ALL, 256, mse, fmse, psnr),
        *(PublishedImages(method, source, name, 256, m, None, p) for name, m, p in parts),
    ]


ROWS: tuple[PublishedImages, ...] = (
    *_small("composite", "E", 1387.30, 172.47, 31.63, 69.37, 33.94, 345.54, 28.16, 264.35, 28.32, 109.65, 34.01),
    *_small("DoveNet", "E", 549.96, 52.36, 34.75, 36.72, 35.83, 52.32, 34.34, 133.14, 30.21, 54.05, 35.18),
    *_small("RainNet", "E", 469.60, 40.29, 36.12),
    *_small("iSSAM", "E", 264.96, 24.44, 38.19, 16.48, 39.16, 21.88, 38.08, 69.67, 33.56, 40.59, 37.72),
    *_small("iSSAM, own report", "G", None, 24.65, 37.95, 16.48, 39.16, 22.60, 37.24, 69.67, 33.56, 40.59, 37.72),
    *_small("CDTNet", "E", 252.05, 23.75, 38.23, 16.25, 39.15, 20.62, 38.24, 68.61, 33.55, 36.72, 37.95),
    *_small("DucoNet", "I", 212.53, 18.47, 39.17),
    PublishedImages("CDTNet-256", "M", HIGH, 1024, 21.24, 152.13, 38.77, 0.9868),
    PublishedImages("HINet", "L", HIGH, 1024, 22.68, 187.97, 38.38, 0.9886),
    PublishedImages("DucoNet", "I", HIGH, 1024, 10.94, 80.69, 41.37),
    PublishedImages("CDTNet-256", "L", HIGH, 2048, 29.02, 198.85, 37.66, 0.9845),
    PublishedImages("CDTNet-512", "M", HIGH, 2048, 20.82, 155.24, 38.34, 0.9847),
    PublishedImages("HINet", "L", HIGH, 2048, 24.08, 192.20, 38.35, 0.9886),
)


def rows_for(counts: dict[str, int], size: int | None) -> tuple[list[PublishedImages], str]:
    """The rows that stand beside an evaluation, and whether they may be compared with it.

    Args:
        counts: pictures by sub-set.
        size: height and width of the square pictures; None: other sizes.
    """
    names = {name.lower().removesuffix("1"): count for name, count in counts.items()}
    there = [name for name in TEST_PICTURES if name.lower() in names]
    whole = names == {name.lower(): TEST_PICTURES[name] for name in there}
    wanted = [ALL, *there] if size == 256 and len(there) == len(TEST_PICTURES) else there
    rows = [row for row in ROWS if row.data in wanted and row.size == size]
    if not rows:
        rows = [row for row in ROWS if row.data == ALL]
    tested = ", ".join(f"{name} {count}" for name, count in counts.items())
    if whole and there and rows[0].size == size:
        return rows, f"As many pictures as in the published test sets, at their size ({tested})."
    published = ", ".join(f"{name} {count}" for name, count in TEST_PICTURES.items())
    return rows, (
        f"Not comparable: these are means over other pictures or sizes ({tested}), the published rows over all test "
        f"pictures ({published}) at 256, 1024 or 2048 pixels square. Read them as orientation only."
    )
