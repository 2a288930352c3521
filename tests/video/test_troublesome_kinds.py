"""Files of many kinds go through: what is read is right, what was not asked to change stays, times stay."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from video import clips, kinds

from co2net.errors import InputError
from co2net.video import open_video, open_writer

LOSSY = 5.0
"""Mean difference, in levels of 255, that lossy coding at this size may cost."""
UNLIKE = frozenset(
    "palette.png palette.tif bits.png fax.tif black_and_white one_pixel thin cmyk.tif cmyk.jpeg gray gray_10 gray_h264 "
    "grey.jpg grey_alpha.png gray_alpha_16 tiny_palette_with_transparency dnxhr cineform odd_size odd_size_vp9 "
    "y4m_odd_411 y4m_odd_410".split()
)
"""What holds fewer colors than the picture had, or another size."""


def changed(source, output):
    """Brighten the disc by 30 of 255; returns what went in, what came out, and the mask."""
    with open_video(source) as reader, open_writer(output, reader.info) as writer:
        mask = (clips.disc(reader.info.width, reader.info.height) > 0).astype(np.uint8)
        before = []
        for frame in reader:
            image = frame.image.astype(np.float32) / frame.peak
            before.append((frame.image.copy(), frame.seconds, frame.alpha))
            writer.write(frame, np.clip(image + np.float32(30 / 255), 0, 1), mask)
        info = reader.info
    with open_video(output) as reader:
        after = [(frame.image, frame.seconds, frame.alpha) for frame in reader]
    # Samples of chroma belong to up to four pixels a side.
    return info, before, after, mask != 0, cv2.dilate(mask, np.ones((17, 17), np.uint8)) == 0


def check(name, path, output):
    info, before, after, inside, outside = changed(path, output)
    assert len(before) == len(after)
    starts = before[0][1] or 0.0, after[0][1] or 0.0
    assert starts[1] < 0.2  # beside sound that begins earlier a video may begin a little later than 0
    for number, ((image, seconds, alpha), (found, new_seconds, new_alpha)) in enumerate(
        zip(before, after, strict=True)
    ):
        assert np.array_equal(found[outside], image[outside])
        if seconds is not None and new_seconds is not None:
            assert abs((seconds - starts[0]) - (new_seconds - starts[1])) < 0.0011
        assert (alpha is None) == (new_alpha is None) and (alpha is None or np.array_equal(alpha, new_alpha))
        peak = np.iinfo(image.dtype).max
        assert found.dtype == image.dtype
        room = inside & (image.max(axis=-1) < 0.8 * peak)
        if info.pixel_format.startswith(("mono", "gray")) or not room.any():
            continue
        lift = (found[room].astype(float) - image[room]).mean() * 255 / peak
        assert 20 < lift < 36, lift
        if name not in UNLIKE:
            shown = number + 2 * (name == "trimmed_by_an_edit_list")
            wanted = clips.picture(*info.stored_size, shown)
            wanted = np.rot90(wanted) if info.rotation else wanted
            error = np.abs(image * (255 / peak) - wanted).mean()
            assert error < LOSSY, error
    return info


@pytest.mark.parametrize("name", kinds.VIDEOS)
def test_clips(tmp_path, name):
    try:
        path = kinds.VIDEOS[name](tmp_path)
    except ValueError as error:  # an FFmpeg without this encoder
        pytest.skip(str(error))
    info = check(name, path, tmp_path / ("out" if path.is_dir() else "o.mkv"))
    assert info.frame_count in (kinds.COUNT, None, 1)


@pytest.mark.parametrize("name", kinds.PICTURES)
def test_pictures(tmp_path, name):
    check(name, kinds.PICTURES[name](tmp_path), tmp_path / "o.png")


@pytest.mark.parametrize("layout", ["mono", "2.1", "5.1(side)", "6.1", "7.1"])
@pytest.mark.parametrize(("ending", "gap"), [(".mp4", 0.0), (".webm", 0.0), (".webm", 0.4)])
def test_loudspeakers_that_the_encoder_does_not_know(tmp_path, layout, ending, gap):
    source = kinds.with_sound(tmp_path / "s.mkv", layout, "pcm_s24le", 48000, gap)
    with open_video(source) as reader, open_writer(tmp_path / f"o{ending}", reader.info) as writer:
        for frame in reader:
            writer.write(frame, frame.image)
    with av.open(str(source)) as before, av.open(str(tmp_path / f"o{ending}")) as after:
        sound = after.streams.audio[0]
        assert sound.codec_context.layout.nb_channels >= before.streams.audio[0].codec_context.layout.nb_channels
        end = max(frame.time + frame.samples / 48000 for frame in after.decode(sound))
        assert -0.04 < end - 0.24 - gap < 0.08


@pytest.mark.parametrize("ending", [".psd", ".svg", ".pdf", ".cr2", ".txt", ".mp4", ".png", ".tif", ".exr", ".dpx"])
@pytest.mark.parametrize("content", [b"", b"<html><body>404</body></html>", b"8BPS\0\1" + bytes(50), b"%PDF-1.7\n"])
def test_what_is_no_picture_is_refused(tmp_path, ending, content):
    (tmp_path / f"a{ending}").write_bytes(content)
    with pytest.raises(InputError, match=f"a\\{ending}") as refused:
        list(open_video(tmp_path / f"a{ending}"))
    assert len(str(refused.value)) < 400 and "\n" not in str(refused.value)
