"""Small pictures of a shot: the composite above, the result below."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from co2net.files import make_folder, write_beside
from co2net.pipeline.review import Review, Sample

SHOWN = 3
GAP = 4  # pixels


def write_sheet(folder: Path, name: str, review: Review) -> str:
    """Write ``shots/<name>.jpg`` into a batch's folder.

    Args:
        folder: of the batch.
        name: of the shot.
        review: of its result.

    Returns:
        The picture's place in the folder; empty where no frame was kept.

    Raises:
        OutputError: it cannot be written.
    """
    samples = _chosen(review.samples)
    if not samples:
        return ""
    columns = [np.vstack([s.before, np.zeros((GAP, *s.before.shape[1:]), np.uint8), s.after]) for s in samples]
    gap = np.zeros((columns[0].shape[0], GAP, 3), np.uint8)
    sheet = np.hstack([part for column in columns for part in (column, gap)][:-1])
    data = io.BytesIO()
    Image.fromarray(sheet).save(data, "JPEG", quality=88, subsampling=0)
    place = Path("shots") / f"{name}.jpg"
    make_folder((folder / place).parent)
    write_beside(folder / place, data.getvalue())
    return place.as_posix()


def _chosen(samples: list[Sample]) -> list[Sample]:
    """First, middle and last, the latter two among those with a foreground if there are any."""
    with_change = [sample for sample in samples if sample.change is not None] or samples
    places = np.linspace(0, len(with_change) - 1, min(SHOWN, len(with_change))).round().astype(int)
    return [with_change[place] for place in places]
