"""Cut-and-paste composites of free photographs (they come with scikit-image), to look at before and after.

The cut-outs are those of the sample data; scenes are other photographs, some under colored light. There is no
truth: the astronaut was never there.

Examples:
  python scripts/make_composites.py runs/composites
  cd runs/composites; co2net before-after composite --masks mask --weights tonenet,lutnet,co2net_issam -o sheet.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from make_sample_data import astronaut_outline, cup_outline, cut_out
from PIL import Image

HEIGHT, WIDTH = 360, 480
# Gains of red, green, blue in linear light, a stop of exposure, and the share of saturation that is left.
SUNSET, DUSK, NEON = ((1.7, 0.95, 0.45), -0.3, 1.0), ((0.5, 0.8, 1.5), -1.3, 0.7), ((0.5, 1.4, 0.8), -0.6, 1.0)
Light = tuple[tuple[float, float, float], float, float]


def lit(picture: np.ndarray, light: Light) -> np.ndarray:
    """A scene ``(H, W, 3)`` float32, 0 to 255, under another light."""
    gains, stops, saturation = light
    linear = (picture / 255) ** 2.2 * np.array(gains, np.float32) * 2**stops
    gray = linear @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    linear = gray[..., None] + saturation * (linear - gray[..., None])
    return 255 * np.clip(linear / (1 + linear**4) ** 0.25 * 2**0.25, 0, 1) ** (1 / 2.2)


def scene(picture: np.ndarray, blur: float, light: Light | None = None) -> np.ndarray:
    """The middle of a photograph at the composites' size, out of focus, perhaps under another light; float32."""
    scale = max(HEIGHT / picture.shape[0], WIDTH / picture.shape[1])
    whole = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)
    top, left = (whole.shape[0] - HEIGHT) // 2, (whole.shape[1] - WIDTH) // 2
    part = whole[top : top + HEIGHT, left : left + WIDTH]
    part = cv2.GaussianBlur(part, (0, 0), blur) if blur else part
    return part if light is None else lit(part, light)


def paste(cut: tuple[np.ndarray, np.ndarray], onto: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Composite and mask, uint8: a cut-out that stands at the lower border, `height` of the picture high."""
    colors, matte = cut
    rows, columns = np.nonzero(matte > 0.05)
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    scale = height * HEIGHT / (box[0].stop - box[0].start)
    small = [cv2.resize(x[box], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for x in (colors, matte)]
    high, wide = small[1].shape[0], min(small[1].shape[1], WIDTH)
    top, left = HEIGHT - high, (WIDTH - wide) // 2
    composite, mask = onto.copy(), np.zeros((HEIGHT, WIDTH), np.float32)
    place = slice(top, top + high), slice(left, left + wide)
    mask[place] = small[1][:, :wide]
    composite[place] += mask[place][..., None] * (small[0][:, :wide] - composite[place])
    return composite.round().clip(0, 255).astype(np.uint8), (255 * mask).round().astype(np.uint8)


def main(argv: list[str] | None = None) -> None:
    """Write composite/ and mask/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder to write composite/ and mask/ to")
    output = parser.parse_args(argv).output
    coffee, astronaut, pad = skimage.data.coffee(), skimage.data.astronaut(), skimage.data.rocket()
    figure = cut_out(astronaut, astronaut_outline(astronaut.shape[:2]))
    cup = cut_out(coffee, cup_outline(coffee.shape[:2]))
    composites = {
        "1-launch": paste(figure, scene(pad, 0), 0.8),
        "2-wood": paste(figure, scene(coffee, 6), 0.85),
        "3-sunset": paste(figure, scene(pad, 2, SUNSET), 0.8),
        "4-dusk": paste(figure, scene(coffee, 6, DUSK), 0.85),
        "5-neon": paste(figure, scene(pad, 3, NEON), 0.8),
        "6-cup": paste(cup, scene(pad, 2), 0.6),
        "7-cup-sunset": paste(cup, scene(astronaut, 8, SUNSET), 0.65),
    }
    for name, pictures in composites.items():
        for folder, picture in zip(("composite", "mask"), pictures, strict=True):
            (output / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(output / folder / f"{name}.png")


if __name__ == "__main__":
    main()
