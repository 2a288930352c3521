"""Colors from one ICC profile to another."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms


def converted(image: np.ndarray, source: bytes | None, target: bytes | None) -> np.ndarray:
    """Bring 8-bit colors from one profile to another; no profile means sRGB, an unusable one changes nothing."""
    transform = _transform(source, target)
    if transform is None:
        return image
    found = ImageCms.applyTransform(Image.fromarray(image), transform)
    return image if found is None else np.asarray(found)


@lru_cache(maxsize=4)
def _transform(source: bytes | None, target: bytes | None) -> Any:
    try:
        profiles = [
            ImageCms.ImageCmsProfile(io.BytesIO(data)) if data else ImageCms.createProfile("sRGB")
            for data in (source, target)
        ]
        return ImageCms.buildTransform(profiles[0], profiles[1], "RGB", "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
