"""Build sample_data/ and the frame lists at the top level from photographs that come with scikit-image.

Three short clips in HYouTube's layout and one video for the artist, each from a photograph with a hand-drawn outline:
the camera pans and zooms, the foreground moves a little on its own, and the composite is the true frame with its
foreground sent through a LUT of our own. Nothing is downloaded and nothing is random.

Examples:
  python scripts/make_sample_data.py                 # rewrites what the repository holds
  python scripts/make_sample_data.py --output /tmp/x # the same somewhere else
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data
import torch
from PIL import Image

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))  # also runs from a checkout that is not installed

from co2net.color_mapping.cube import save_cube  # noqa: E402
from co2net.data import lut_transfer, read_image  # noqa: E402

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 25, 3
STILL = (320, 180)
NUMBERS = range(0, 100, 5)  # as every clip of HYouTube: 20 frames in steps of 5
QUALITY = 90  # JPEG; HYouTube's composites have 75
RATE = 48000

# Outlines in pixels of the photographs. They need not be exact: within BAND pixels GrabCut finds the border.
BAND = 7
ASTRONAUT = [
    (18, 520), (15, 470), (18, 420), (24, 370), (28, 330), (36, 300), (45, 272), (68, 244), (95, 222), (112, 207),
    (116, 190), (122, 170), (140, 155), (165, 149), (184, 150), (181, 132), (170, 128), (160, 110), (154, 85),
    (154, 62), (166, 46), (185, 35), (200, 22), (225, 16), (250, 18), (275, 30), (292, 46), (300, 70), (298, 100),
    (288, 124), (275, 134), (266, 136), (262, 152), (256, 174), (280, 190), (298, 215), (304, 235), (325, 248),
    (340, 262), (348, 285), (355, 310), (361, 349), (400, 343), (440, 360), (470, 390), (488, 430), (496, 455),
    (500, 470), (500, 520),
]  # fmt: skip


def astronaut_outline(shape: tuple[int, int]) -> np.ndarray:
    """Rough silhouette of the astronaut, ``(H, W)`` uint8 0/1."""
    return cv2.fillPoly(np.zeros(shape, np.uint8), [np.array(ASTRONAUT, np.int32)], 1)


def cup_outline(shape: tuple[int, int]) -> np.ndarray:
    """Rough silhouette of saucer, cup and spoon, ``(H, W)`` uint8 0/1."""
    mask = np.zeros(shape, np.uint8)
    cv2.ellipse(mask, (278, 222), (168, 203), 98, 0, 360, 1, -1)
    cv2.ellipse(mask, (291, 112), (118, 94), 0, 0, 360, 1, -1)
    cv2.line(mask, (413, 78), (402, 130), 1, 22)
    return mask


def cut_out(photo: np.ndarray, outline: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Foreground colors ``(H, W, 3)`` and soft matte ``(H, W)`` in [0, 1], both float32, from a rough outline.

    Colors are continued beyond the border, so that a soft edge carries no light of the old background.
    """
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND + 1, 2 * BAND + 1))
    # The picture's own border is no border of the object: a figure may be cut by the frame.
    sure = cv2.erode(outline, disk, borderType=cv2.BORDER_REPLICATE)
    maybe = cv2.dilate(outline, disk)
    labels = np.where(sure, cv2.GC_FGD, np.where(maybe, np.where(outline, cv2.GC_PR_FGD, cv2.GC_PR_BGD), cv2.GC_BGD))
    labels = labels.astype(np.uint8)
    cv2.setRNGSeed(0)
    cv2.grabCut(photo, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 6, cv2.GC_INIT_WITH_MASK)
    binary = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    binary = cv2.morphologyEx(binary, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    _, parts, areas, _ = cv2.connectedComponentsWithStats(binary)
    binary = (parts == 1 + areas[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    matte = cv2.GaussianBlur(binary.astype(np.float32), (0, 0), 1.6, borderType=cv2.BORDER_REPLICATE)
    matte = np.clip((matte - 0.3) / 0.6, 0, 1)  # half a pixel inside, against fringes
    inside = cv2.erode(binary, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_REPLICATE).astype(np.float32)
    return fill(photo.astype(np.float32), inside), matte


def fill(photo: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The photograph where `known` is 1, elsewhere the nearest known colors, ever softer with distance."""
    result, weight = photo * known[..., None], known.copy()
    for sigma in (1.5, 3, 6, 12, 25, 50, 100, 200):
        if weight.all():
            break
        blurred = cv2.GaussianBlur(photo * known[..., None], (0, 0), sigma)
        share = cv2.GaussianBlur(known, (0, 0), sigma)
        fresh = (weight == 0) & (share > 0.02)
        result[fresh] = blurred[fresh] / share[fresh, None]
        weight[fresh] = 1
    return result


def look(
    gains: tuple[float, float, float], stops: float, contrast: float, fade: float, saturation: float
) -> np.ndarray:
    """A LUT ``(17, 17, 17, 3)`` [b, g, r, channel]: white balance and exposure in light, then a film curve."""
    line = np.linspace(0, 1, 17)
    b, g, r = np.meshgrid(line, line, line, indexing="ij")
    light = np.stack([r, g, b], -1) ** 2.2 * np.array(gains) * 2.0**stops
    color = light ** (1 / 2.2)
    color = np.where(color > 0.7, 0.7 + 0.3 * np.tanh((color - 0.7) / 0.3), color)  # film's shoulder, no clipping
    color = color + contrast * np.sin(2 * np.pi * (color - 0.5)) / (2 * np.pi)
    grey = (color @ np.array([0.2126, 0.7152, 0.0722]))[..., None]
    return (grey + (color - grey) * saturation) * (1 - fade) + fade * 0.45


def match(colors: np.ndarray, matte: np.ndarray, scene: np.ndarray, strength: tuple[float, float, float]) -> np.ndarray:
    """The foreground in the scene's light: CIELAB mean (and, half as much, spread) moved part of the way there.

    `strength` is that part for L, a and b. Images are float32 0..255.
    """
    lab = cv2.cvtColor(colors / np.float32(255), cv2.COLOR_RGB2LAB)
    goal = cv2.cvtColor(scene / np.float32(255), cv2.COLOR_RGB2LAB)
    inside = matte > 0.99
    for channel, part in enumerate(strength):
        mean, spread = lab[inside, channel].mean(), lab[inside, channel].std()
        to_mean, to_spread = goal[..., channel].mean(), goal[..., channel].std()
        gain = 1 + part / 2 * (to_spread / spread - 1)
        lab[..., channel] = (lab[..., channel] - mean) * gain + mean + part * (to_mean - mean)
    return 255 * cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).clip(0, 1)


# Where a photograph lies at a moment from 0 to 1: a point of it, the point of the 640 x 360 screen it is put on, scale.
Motion = Callable[[float], tuple[float, float, float, float, float]]


@dataclass(frozen=True)
class Scene:
    """A clip: a cut-out in front of a photograph, both moving, and the look its composite gets."""

    video: str
    colors: np.ndarray
    matte: np.ndarray
    background: np.ndarray
    foreground_motion: Motion
    background_motion: Motion
    table: np.ndarray

    @property
    def lut(self) -> torch.Tensor:
        """The look as a ``(1, 3, D, D, D)`` tensor."""
        return torch.from_numpy(self.table.astype(np.float32)).permute(3, 0, 1, 2)[None].contiguous()

    def frame(self, moment: float, size: tuple[int, int] = (WIDTH, HEIGHT)) -> tuple[np.ndarray, np.ndarray]:
        """True frame ``(H, W, 3)`` uint8 and soft matte ``(H, W)`` float32 at a moment from 0 to 1."""
        scene = _lay(self.background, self.background_motion(moment), cv2.BORDER_REFLECT)
        matte = _lay(self.matte, self.foreground_motion(moment), cv2.BORDER_CONSTANT)
        colors = _lay(self.colors, self.foreground_motion(moment), cv2.BORDER_REPLICATE)
        real = scene + matte[..., None] * (colors - scene)
        real, matte = (cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in (real, matte))
        return real.round().clip(0, 255).astype(np.uint8), matte.clip(0, 1)


def _lay(photo: np.ndarray, where: tuple[float, float, float, float, float], border: int) -> np.ndarray:
    x, y, screen_x, screen_y, scale = where
    matrix = 2 * np.array([[scale, 0, screen_x - scale * x], [0, scale, screen_y - scale * y]])
    # Twice the size, so that shrinking photographs are averaged, not sampled.
    return cv2.warpAffine(photo, matrix, (2 * WIDTH, 2 * HEIGHT), flags=cv2.INTER_LINEAR, borderMode=border)


def scenes() -> list[Scene]:
    """The three clips; the last one is the test clip and the artist's video."""

    def between(start: tuple[float, ...], end: tuple[float, ...]) -> Motion:
        def motion(moment: float) -> tuple[float, float, float, float, float]:
            part = moment * moment * (3 - 2 * moment)
            x, y, screen_x, screen_y, scale = (a + part * (b - a) for a, b in zip(start, end, strict=True))
            return x, y, screen_x, screen_y, scale

        return motion

    coffee, astronaut = skimage.data.coffee(), skimage.data.astronaut()
    cup = cut_out(coffee, cup_outline(coffee.shape[:2]))
    figure = cut_out(astronaut, astronaut_outline(astronaut.shape[:2]))
    pad = skimage.data.rocket().astype(np.float32)
    return [
        Scene(
            "1c0ffeec0f", *cup, _without(coffee, cup[1]),
            between((278, 222, 298, 204, 0.97), (278, 222, 314, 226, 1.08)),
            between((278, 222, 298, 204, 0.97), (278, 222, 300, 222, 1.03)),
            look((0.72, 0.95, 1.4), stops=-0.3, contrast=0.1, fade=0.06, saturation=0.85),
        ),
        Scene(
            "2a57a5715d", *figure, _without(astronaut, figure[1]),
            between((230, 250, 300, 292, 1.27), (230, 250, 268, 300, 1.4)),
            between((230, 250, 298, 292, 1.27), (230, 250, 284, 297, 1.33)),
            look((0.85, 1.0, 1.1), stops=-0.9, contrast=0.0, fade=0.0, saturation=1.1),
        ),
        Scene(
            "3fa1c09aad", match(figure[0], figure[1], pad, (0.6, 0.35, 0.5)), figure[1], pad,
            between((240, 500, 150, 366, 0.62), (240, 500, 215, 372, 0.69)),
            between((320, 427, 410, 372, 1.05), (320, 427, 372, 380, 1.15)),
            look((1.3, 1.0, 0.72), stops=0.75, contrast=0.15, fade=0.0, saturation=1.1),
        ),
    ]  # fmt: skip


def _without(photo: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """The photograph with its foreground filled from around; shows only as a rim where the foreground has moved."""
    hidden = cv2.dilate((matte > 0).astype(np.uint8), np.ones((7, 7), np.uint8))
    return fill(photo.astype(np.float32), (1 - hidden).astype(np.float32))


def write_clip(scene: Scene, root: Path) -> str:
    """Write a clip in HYouTube's layout, as HYouTube was made: hard masks, the composite from the stored true frame."""
    columns = [
        f"real_videos/{scene.video}",
        *(f"{top}/{scene.video}/object_0" for top in ("foreground_mask", "synthetic_composite_videos")),
    ]
    real, mask, composite = (root / column for column in columns)
    for folder in (real, mask, composite):
        folder.mkdir(parents=True, exist_ok=True)
    for number in NUMBERS:
        frame, matte = scene.frame(number / NUMBERS[-1], STILL)
        inside = np.where(matte >= 0.5, 255, 0).astype(np.uint8)
        Image.fromarray(inside).save(mask / f"{number:05d}.png", optimize=True)
        Image.fromarray(frame).save(real / f"{number:05d}.jpg", quality=QUALITY)
        recolored = lut_transfer(read_image(real / f"{number:05d}.jpg"), inside, scene.lut)
        Image.fromarray(recolored).save(composite / f"{number:05d}.jpg", quality=QUALITY)
    return " ".join(columns)


def video_frames(scene: Scene) -> Iterator[dict[str, np.ndarray]]:
    """True frame, soft mask and composite of every video frame, ``(H, W, 3)`` uint8 by name."""
    everywhere = np.ones((HEIGHT, WIDTH), np.uint8)
    count = FPS * SECONDS
    for index in range(count):
        real, matte = scene.frame(index / (count - 1))
        other = lut_transfer(real, everywhere, scene.lut).astype(np.float32)
        composite = (real + matte[..., None] * (other - real)).round().astype(np.uint8)
        yield {
            "real": real,
            "mask": np.repeat((255 * matte).round().astype(np.uint8)[..., None], 3, 2),
            "composite": composite,
        }


def melody() -> np.ndarray:
    """A soft tune over a fifth, ``(1, samples)`` float32, as long as the video."""
    time = np.arange(RATE * SECONDS) / RATE
    sound = sum(0.05 * np.sin(2 * np.pi * hertz * time) for hertz in (130.81, 196.0))
    for index, hertz in enumerate((329.63, 392.0, 493.88, 440.0, 392.0, 329.63, 293.66, 261.63)):
        since = (time - index * SECONDS / 8).clip(0)
        sound = sound + 0.12 * np.exp(-4 * since) * (1 - np.exp(-200 * since)) * np.sin(2 * np.pi * hertz * since)
    edges = np.minimum(time, SECONDS - time).clip(0, 0.2) / 0.2
    return (sound * edges).astype(np.float32)[None]


def write_videos(scene: Scene, folder: Path) -> None:
    """Write real.mp4, mask.mp4 and composite.mp4 (with sound): H.264, BT.709, limited range, AAC."""
    files = {name: av.open(str(folder / f"{name}.mp4"), "w") for name in ("real", "mask", "composite")}
    streams = {}
    for name, file in files.items():
        # The mask is coded finely: what is lost on its border is lost in every result.
        options = {"crf": "10" if name == "mask" else "17", "preset": "veryslow", "threads": "1"}
        stream = file.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.color_range = 1
        stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
        streams[name] = stream
    sound = files["composite"].add_stream("aac", rate=RATE, layout="mono")
    for index, pictures in enumerate(video_frames(scene)):
        for name, picture in pictures.items():
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            files[name].mux(streams[name].encode(frame))
    wave = av.AudioFrame.from_ndarray(melody(), "fltp", "mono")
    wave.sample_rate, wave.pts, wave.time_base = RATE, 0, Fraction(1, RATE)
    fifo = av.AudioFifo()
    fifo.write(wave)
    for chunk in fifo.read_many(1024, partial=True):
        files["composite"].mux(sound.encode(chunk))
    files["composite"].mux(sound.encode(None))
    for name, file in files.items():
        file.mux(streams[name].encode(None))
        file.close()


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE, help="folder to write into (default: the repository)")
    output = parser.parse_args().output
    root = output / "sample_data"
    root.mkdir(parents=True, exist_ok=True)

    clips = scenes()
    lines = [write_clip(scene, root) + "\n" for scene in clips]
    write_videos(clips[-1], root)
    save_cube(clips[-1].lut, root / "look.cube", title="co2net sample look")
    (root / "train_list.txt").write_text("".join(lines[:-1]))
    (root / "test_list.txt").write_text(lines[-1])
    (root / "all_list.txt").write_text("".join(lines))
    (output / "train_list.txt").write_text("".join(lines[:-1]))
    for clip_list, frame_list in (("test_list.txt", "test_frames.txt"), ("all_list.txt", "all_frames.txt")):
        command = [sys.executable, str(HERE / "scripts" / "generate_frame_list.py"), "--dataset_path", str(root)]
        subprocess.run([*command, "--list_name", clip_list, "--write_name", str(output / frame_list)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
