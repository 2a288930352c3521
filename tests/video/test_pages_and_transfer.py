"""Pages of deep and floating-point TIFF, linear light or display codes on demand, DPX."""

from __future__ import annotations

import struct

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from video import clips, heif_grid

from co2net.data.pictures import read_image
from co2net.errors import InputError
from co2net.pipeline.inputs import CompositeInputs
from co2net.video import open_composed, open_mask, open_video, open_writer, pair, tiff
from co2net.video.float_pictures import linear_from_srgb, srgb_from_linear

SIZE = (40, 24)


def images(path, **settings):
    with open_video(path, **settings) as reader:
        return [frame.image for frame in reader]


def pages(kind):
    """Three unlike pictures of a sample type."""
    deep = [clips.picture(*SIZE, 7 * n, peak=65535) for n in range(3)]
    return deep if kind is np.uint16 else [(3.0 * page / 65535).astype(kind) for page in deep]  # values above 1


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("gray", [False, True])
def test_every_page_is_a_frame(tmp_path, kind, gray):
    found = [page[..., 0] if gray else page for page in pages(kind)]
    cv2.imwritemulti(str(tmp_path / "a.tif"), [p if gray else np.ascontiguousarray(p[..., ::-1]) for p in found])
    with open_video(tmp_path / "a.tif") as reader:
        assert reader.info.frame_count == 3 and reader.info.bit_depth == 16
        assert reader.info.has_float == (kind is not np.uint16)
        read = [(f.image, f.keep.get("float")) for f in reader]
    for (image, samples), page in zip(read, found, strict=True):
        page = np.dstack([page] * 3) if gray else page
        wanted = page if kind is np.uint16 else np.rint(np.clip(page, 0, 1) * 65535)
        assert np.abs(image.astype(float) - wanted).max() <= 1
        assert samples is None or np.array_equal(samples.values, page.astype(np.float32))


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_a_page_may_be_turned(tmp_path, kind):
    tifffile = pytest.importorskip("tifffile")
    for name, turns in (("a", (1, 1, 1)), ("b", (1, 3, 1))):  # the second page of b stands on its head
        with tifffile.TiffWriter(tmp_path / f"{name}.tif") as file:
            for page, turn in zip(pages(kind), turns, strict=True):
                file.write(page, photometric="rgb", extratags=[(tiff.ORIENTATION, 3, 1, turn, True)], metadata=None)
    first, second, third = images(tmp_path / "b.tif")
    plain = images(tmp_path / "a.tif")
    assert np.array_equal(first, plain[0]) and np.array_equal(third, plain[2])
    assert np.array_equal(second, plain[1][::-1, ::-1])


def test_pages_of_floats_as_masks(tmp_path):
    masks = [clips.disc(*SIZE).astype(np.float32) / (255 * (1 + n)) for n in range(3)]
    cv2.imwritemulti(str(tmp_path / "m.tif"), masks)
    frames = clips.make_folder(tmp_path / "in", [clips.picture(*SIZE)] * 3)
    with open_video(frames) as reader, open_mask(tmp_path / "m.tif", reader.info) as reading:
        for (_, found), mask in zip(pair(reader, reading), masks, strict=True):
            np.testing.assert_allclose(found, mask, atol=1e-6)


def test_small_copies_are_no_frames(tmp_path):
    from PIL import TiffImagePlugin

    big, small = Image.fromarray(clips.picture(*SIZE)), Image.fromarray(clips.picture(10, 6))
    reduced = TiffImagePlugin.ImageFileDirectory_v2()
    reduced[254] = 1
    small.encoderinfo = {"tiffinfo": reduced}
    big.save(tmp_path / "a.tif", save_all=True, append_images=[small])
    assert tiff.page_kinds(tmp_path / "a.tif") == [0, tiff.REDUCED]
    with open_video(tmp_path / "a.tif") as reader:
        assert reader.info.kind == "image" and reader.info.frame_count == 1


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_tiff_of_more_than_4_gib_is_a_form_of_its_own(tmp_path, kind):
    tifffile = pytest.importorskip("tifffile")
    wanted = (pages(np.uint16)[0] >> 8).astype(np.uint8) if kind is np.uint8 else pages(kind)[0]
    tifffile.imwrite(tmp_path / "a.tif", np.stack([wanted] * 2), bigtiff=True, photometric="rgb", tile=(16, 16))
    assert tiff.read_tags(tmp_path / "a.tif")[256] == SIZE[0] and len(tiff.page_kinds(tmp_path / "a.tif")) == 2
    for image in images(tmp_path / "a.tif"):
        peak = np.iinfo(image.dtype).max
        shown = np.rint(np.clip(wanted, 0, 1) * peak) if kind is np.float32 else wanted
        assert np.array_equal(image, shown.astype(image.dtype))
    data = (tmp_path / "a.tif").read_bytes()
    assert tiff.page_as_stored(data, 0)[:8] == data[:8]


def test_damaged_directories_end_the_walk(tmp_path):
    cv2.imwritemulti(str(tmp_path / "a.tif"), pages(np.uint16))
    data = (tmp_path / "a.tif").read_bytes()
    rng = np.random.default_rng(5)
    for _ in range(300):
        broken = bytearray(data[: rng.integers(1, len(data) + 1)])
        for place in rng.integers(0, len(broken), 4):
            broken[place] = rng.integers(256)
        (tmp_path / "b.tif").write_bytes(broken)
        assert isinstance(tiff.read_tags(tmp_path / "b.tif"), dict) and len(tiff.page_kinds(tmp_path / "b.tif")) < 9
        assert len(tiff.page_as_stored(bytes(broken), 1)) == len(broken)
    loop = bytearray(data)
    place = struct.unpack_from("<I", data, 4)[0]
    struct.pack_into("<I", loop, place + 2 + 12 * struct.unpack_from("<H", data, place)[0], place)
    (tmp_path / "b.tif").write_bytes(loop)  # a directory that is its own successor
    assert len(tiff.page_kinds(tmp_path / "b.tif")) == 1


def brightened(source, output, **settings):
    """Half a level of display code more on the left half; returns the file's own float samples."""
    with open_video(source, **settings) as reader, open_writer(output, reader.info) as writer:
        for frame in reader:
            mask = np.zeros(frame.image.shape[:2], np.uint8)
            mask[:, : SIZE[0] // 2] = 1
            writer.write(frame, frame.image.astype(np.float32) / frame.peak + np.float32(0.1), mask)
    with open_video(output, **settings) as reader:
        return next(iter(reader)).keep["float"]


def float_source(folder, ending):
    values = pages(np.float32)[0]
    if ending == ".exr":
        library = pytest.importorskip("OpenEXR")
        planes = {name: np.ascontiguousarray(values[..., n]) for n, name in enumerate("RGB")}
        with library.File({"compression": library.ZIP_COMPRESSION, "type": library.scanlineimage}, planes) as file:
            file.write(str(folder / "a.exr"))
    else:
        (folder / "a.tif").write_bytes(tiff.encode(values, None, {}))
    return folder / f"a{ending}", values


@pytest.mark.parametrize("ending", [".exr", ".tif"])
@pytest.mark.parametrize("transfer", ["auto", "linear", "display"])
def test_the_change_is_made_in_display_space(tmp_path, ending, transfer):
    source, values = float_source(tmp_path, ending)
    linear = transfer == "linear" or (transfer == "auto" and ending == ".exr")
    found = brightened(source, tmp_path / f"o{ending}", transfer=transfer)
    assert found.linear == linear
    left = np.s_[:, : SIZE[0] // 2]
    assert np.array_equal(found.values[:, SIZE[0] // 2 :], values[:, SIZE[0] // 2 :])
    wanted = linear_from_srgb(srgb_from_linear(values) + np.float32(0.1)) if linear else values + np.float32(0.1)
    np.testing.assert_allclose(found.values[left], wanted[left], rtol=1e-4, atol=1e-4)
    # Into the other kind of file: its usual light, unless the user said what it is.
    other = ".tif" if ending == ".exr" else ".exr"
    pytest.importorskip("OpenEXR")
    carried = brightened(source, tmp_path / f"p{other}", transfer=transfer)
    tolerance = {"rtol": 2e-3, "atol": 2e-3}
    if transfer == "auto":
        assert carried.linear == (other == ".exr")
        shown = srgb_from_linear(wanted) if linear else linear_from_srgb(wanted)
        np.testing.assert_allclose(carried.values[left], shown[left], **tolerance)
    else:
        np.testing.assert_allclose(carried.values[left], wanted[left], **tolerance)


def test_light_of_what_holds_no_floats(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), clips.picture(*SIZE))
    from contextlib import ExitStack

    with pytest.raises(InputError, match="holds no floating-point samples"), ExitStack() as stack:
        CompositeInputs(tmp_path / "a.png", transfer="linear").open(stack)
    with pytest.raises(InputError, match="must be one of auto, linear, display"), ExitStack() as stack:
        CompositeInputs(tmp_path / "a.png", transfer="log").open(stack)  # type: ignore[arg-type]


def test_a_composite_of_two_pictures_of_light_keeps_both(tmp_path):
    library = pytest.importorskip("OpenEXR")
    colors = {"front": 4.0, "back": 2.0}
    for name, value in colors.items():
        planes = {c: np.full(SIZE[::-1], value, np.float32) for c in "RGB"}
        with library.File({"compression": library.ZIP_COMPRESSION, "type": library.scanlineimage}, planes) as file:
            file.write(str(tmp_path / f"{name}.exr"))
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[:, :20] = 255
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    with open_composed(tmp_path / "front.exr", tmp_path / "back.exr", tmp_path / "m.png") as reader:
        with open_writer(tmp_path / "o.exr", reader.info) as writer:
            for frame, alpha in reader:
                writer.write(frame, frame.image, alpha)
    with open_video(tmp_path / "o.exr") as reader:
        values = next(iter(reader)).keep["float"].values
    assert np.allclose(values[:, 20:], 2.0) and np.allclose(values[:, :20], 4.0, rtol=1e-3)


def dpx(path, pixels, pixel_format="gbrp10be"):
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as output:
        stream = output.add_stream("dpx", rate=25, width=pixels.shape[1], height=pixels.shape[0])
        stream.codec_context.pix_fmt = pixel_format
        output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb48le").reformat(format=pixel_format)))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("pixel_format", "bits"), [("gbrp10be", 10), ("gbrp12be", 12), ("rgb48be", 16), ("rgb24", 8)])
def test_dpx_is_read(tmp_path, pixel_format, bits):
    pixels = clips.picture(*SIZE, peak=65535)
    for number in (1, 2):
        dpx(tmp_path / f"s.{number:04d}.dpx", pixels, pixel_format)
    found = images(tmp_path / "s.%04d.dpx")
    peak = np.iinfo(found[0].dtype).max
    assert len(found) == 2 and found[0].dtype == (np.uint8 if bits == 8 else np.uint16)
    assert np.abs(found[0] / peak - pixels / 65535).max() <= 1.5 / (2**bits - 1)


def test_dpx_of_film_density_is_said_and_turned_ones_stand_upright(tmp_path):
    path = dpx(tmp_path / "a.dpx", clips.picture(*SIZE, peak=65535))
    plain, data = images(path)[0], bytearray(path.read_bytes())
    data[801], data[768:770] = 1, (2).to_bytes(2, "big" if data[:4] == b"SDPX" else "little")
    (tmp_path / "b.dpx").write_bytes(data)
    with open_video(tmp_path / "b.dpx") as reader, open_writer(tmp_path / "o.png", reader.info) as writer:
        for frame in reader:
            assert np.array_equal(frame.image, plain[::-1])
            writer.write(frame, frame.image)
    assert any("film density" in note for note in writer.notes) and any("DPX header" in note for note in writer.notes)
    (tmp_path / "c.dpx").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"c\.dpx: not a DPX picture"):
        open_video(tmp_path / "c.dpx")


def test_dpx_as_a_mask(tmp_path):
    disc = clips.disc(*SIZE, peak=65535)
    mask = dpx(tmp_path / "m.dpx", np.dstack([disc] * 3))
    frames = clips.make_folder(tmp_path / "in", [clips.picture(*SIZE)] * 2)
    with open_video(frames) as reader, open_mask(mask, reader.info) as reading:
        for _, found in pair(reader, reading):
            assert np.abs(found - disc / 65535).max() < 2e-3


@pytest.mark.parametrize("ending", [".avif", ".heic"])
def test_pictures_of_tiles_come_whole(tmp_path, ending):
    if ending == ".heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    image = clips.picture(150, 100)
    heif_grid.write_grid(tmp_path / f"a{ending}", image)  # six tiles; no edge of a tile lies on the picture's
    (found,) = images(tmp_path / f"a{ending}")
    assert found.shape == image.shape and np.abs(found.astype(int) - image).mean() < 2
    data = (tmp_path / f"a{ending}").read_bytes()
    (tmp_path / f"b{ending}").write_bytes(data[: -len(data) // 3])  # the last tiles are cut off
    with pytest.raises(InputError, match=rf"b\{ending}"):
        images(tmp_path / f"b{ending}")


@pytest.mark.parametrize(
    "note", [b"no exif at all", b"Exif\0\0MM\0*\0\0\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03"]
)
@pytest.mark.parametrize("ending", [".webp", ".jpg", ".png"])
def test_a_damaged_note_is_no_reason_to_stop(tmp_path, note, ending):
    image = clips.picture(*SIZE)
    Image.fromarray(image).save(tmp_path / f"a{ending}", exif=note)
    assert np.abs(images(tmp_path / f"a{ending}")[0].astype(int) - image).mean() < 8
    assert read_image(tmp_path / f"a{ending}").shape == image.shape
