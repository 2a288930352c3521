"""The .cube writer, and three other programs: what they read of ours, and we of theirs."""

import numpy as np
import pillow_lut
import pytest
import torch
from color_mapping.grids import QUICK, identity
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import grid_sample

from co2net.color_mapping.cube import load_cube, save_cube
from co2net.errors import OutputError, ShapeError


@QUICK
@given(
    size=st.integers(2, 5),
    values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40),
    title=st.none() | st.text(max_size=20),
)
def test_round_trip(tmp_path, size, values, title):
    lut = torch.tensor(np.resize(np.array(values, np.float32), (1, 3, size, size, size)))
    save_cube(lut, tmp_path / "a.cube", title)
    assert torch.equal(load_cube(tmp_path / "a.cube"), lut)  # bit for bit
    save_cube(lut[0], tmp_path / "b.cube", title)
    assert (tmp_path / "a.cube").read_bytes() == (tmp_path / "b.cube").read_bytes()


def test_what_is_written(tmp_path):
    save_cube(identity(2), tmp_path / "a.cube", title='my "look"\nnow')
    assert (tmp_path / "a.cube").read_text().splitlines()[:6] == [
        "TITLE \"my 'look' now\"", "LUT_3D_SIZE 2", "DOMAIN_MIN 0 0 0", "DOMAIN_MAX 1 1 1", "0 0 0", "1 0 0",
    ]  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["a.cube"]  # nothing left beside it


def test_writing_replaces_whole_files_only(tmp_path, monkeypatch):
    path = tmp_path / "a.cube"
    save_cube(identity(2), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OutputError, match=r"cannot write .*a\.cube: No space left"):
        save_cube(identity(3), path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_save_errors(tmp_path):
    path = tmp_path / "a.cube"
    for bad, message in [
        (torch.zeros(2, 3, 4, 4, 4), "one LUT"),
        (torch.zeros(3, 4, 4, 5), "one LUT"),
        (torch.zeros(4, 4, 4, 3), "one LUT"),
        (torch.tensor(0.0), "one LUT"),
        (torch.zeros(3, 1, 1, 1), "2 to 256"),
        (torch.zeros(3, 2, 2, 2, dtype=torch.int32), "float tensor"),
        (torch.full((3, 2, 2, 2), torch.nan), "must be finite"),
        (np.zeros((3, 2, 2, 2)), "torch tensor"),
    ]:
        with pytest.raises(ShapeError, match=message):
            save_cube(bad, path)
    with pytest.raises(OutputError, match=r"cannot write .*nowhere"):
        save_cube(identity(2), tmp_path / "nowhere" / "a.cube")
    assert not path.exists()


# What others make of a file of ours. A look with a twist, so that swapped axes or channels would show.
def look(size):
    r, g, b = identity(size)[0]
    return torch.stack([r**0.8 + 0.1 * g, 0.9 * g + 0.05 * b * r - 0.02, b**1.2 * 0.8 + 0.1 * r])[None]


def interpolate(lut, image):
    grid = (2 * image - 1).movedim(1, -1)[:, None]  # (B, 1, H, W, 3), r along the last axis of the table
    return grid_sample(lut, grid, align_corners=True)[:, :, 0]


@pytest.mark.parametrize("size", [17, 33])
def test_other_programs_read_the_same_colors(tmp_path, size):
    path = tmp_path / "look.cube"
    save_cube(look(size), path, "look")
    image = torch.rand(1, 3, 24, 32)

    ocio = pytest.importorskip("PyOpenColorIO")
    transform = ocio.FileTransform(str(path), interpolation=ocio.INTERP_LINEAR)
    processor = ocio.Config.CreateRaw().getProcessor(transform).getDefaultCPUProcessor()
    pixels = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    processor.applyRGB(pixels)

    ours = interpolate(load_cube(path), image)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, pixels, atol=2e-6)

    eight_bit = (image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    pillow = np.asarray(Image.fromarray(eight_bit).filter(pillow_lut.load_cube_file(str(path))), np.float32)
    ours = interpolate(load_cube(path), torch.from_numpy(eight_bit / np.float32(255)).permute(2, 0, 1)[None])
    ours = (255 * ours[0].permute(1, 2, 0)).clamp(0, 255).numpy()
    # Rounded to 8 bits, after fixed-point steps that each lose up to 1/64 of a level.
    assert np.abs(ours - pillow).max() < 0.5 + 4 / 64


def test_trilinear_reads_the_same_colors(tmp_path):
    from trilinear import apply_lut

    save_cube(look(33), tmp_path / "look.cube")
    lut, image = load_cube(tmp_path / "look.cube"), torch.rand(1, 3, 24, 32)
    # Its grid is 1e-6 wider (module docstring of cube.py), times the steepest slope of the look.
    torch.testing.assert_close(apply_lut(lut, image), interpolate(lut, image), atol=1e-5, rtol=0)


def test_reading_what_opencolorio_writes(tmp_path):
    ocio = pytest.importorskip("PyOpenColorIO")
    save_cube(look(9), tmp_path / "a.cube")
    transform = ocio.FileTransform(str(tmp_path / "a.cube"), interpolation=ocio.INTERP_LINEAR)
    baker = ocio.Baker()
    config = ocio.Config.CreateRaw()
    config.addColorSpace(ocio.ColorSpace(name="in"))
    config.addColorSpace(ocio.ColorSpace(name="out", fromReference=transform))
    baker.setConfig(config)
    baker.setInputSpace("in")
    baker.setTargetSpace("out")
    for form in ("resolve_cube", "iridas_cube"):
        baker.setFormat(form)
        baker.setCubeSize(9)
        (tmp_path / "b.cube").write_text(baker.bake())
        torch.testing.assert_close(load_cube(tmp_path / "b.cube"), look(9), atol=2e-6, rtol=0)


@pytest.mark.parametrize("shaper_size", [64, 1024])
def test_reading_a_shaper_that_opencolorio_writes(tmp_path, shaper_size):
    ocio = pytest.importorskip("PyOpenColorIO")
    config = ocio.Config.CreateRaw()
    look_up = ocio.GroupTransform(
        [ocio.CDLTransform(slope=[0.9, 0.7, 0.8], offset=[0.02, 0, 0.05], power=[1, 1.2, 0.9], sat=1.2)]
    )
    config.addColorSpace(ocio.ColorSpace(name="in"))
    config.addColorSpace(ocio.ColorSpace(name="out", fromReference=look_up))
    shaper = ocio.ExponentTransform([1 / 1.4] * 3 + [1])
    config.addColorSpace(ocio.ColorSpace(name="shaped", fromReference=shaper))
    baker = ocio.Baker()
    baker.setConfig(config)
    baker.setInputSpace("in")
    baker.setTargetSpace("out")
    baker.setShaperSpace("shaped")
    baker.setFormat("resolve_cube")
    baker.setCubeSize(17)
    baker.setShaperSize(shaper_size)
    path = tmp_path / "a.cube"
    path.write_text(baker.bake())
    assert "LUT_1D_SIZE" in path.read_text() and "LUT_1D_INPUT_RANGE" in path.read_text()

    transform = ocio.FileTransform(str(path), interpolation=ocio.INTERP_LINEAR)
    processor = config.getProcessor(transform).getDefaultCPUProcessor()
    image = torch.rand(1, 3, 24, 32)
    pixels = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    processor.applyRGB(pixels)
    ours = interpolate(load_cube(path), image)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, pixels, atol=0.5 / 255)  # 0.36 levels near black, where the shaper is vertical
