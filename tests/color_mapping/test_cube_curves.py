"""What grading programs of other kinds want: LUTs for video range, and curves (1D)."""

import numpy as np
import pytest
import torch
from color_mapping.grids import identity

from co2net.color_mapping.cube import load_cube, save_cube
from co2net.errors import InputError

LOW, SPAN = 16 / 255, 219 / 255


@pytest.mark.parametrize("size", [17, 33, 65])
def test_video_range_is_written_for_who_feeds_such_codes(tmp_path, size):
    lut = (0.05 + 0.9 * identity(size)) ** 1.1
    save_cube(lut, tmp_path / "a.cube", video_range=True)
    torch.testing.assert_close(load_cube(tmp_path / "a.cube"), lut, atol=1.5e-3, rtol=0)
    # A program that knows neither keyword: limited-range codes in and out; beyond white the change stays.
    body = "\n".join(x for x in (tmp_path / "a.cube").read_text().splitlines() if "VIDEO" not in x)
    (tmp_path / "b.cube").write_text(body)
    plain = load_cube(tmp_path / "b.cube")
    codes = identity(size)
    inside = ((codes - LOW) / SPAN).clamp(0, 1)
    wanted = LOW + SPAN * ((0.05 + 0.9 * inside) ** 1.1 + (codes - LOW) / SPAN - inside)
    torch.testing.assert_close(plain, wanted, atol=1.5e-3, rtol=0)


@pytest.mark.parametrize("video_range", [False, True])
def test_curves_are_written_and_read(tmp_path, video_range):
    curves = torch.linspace(0, 1, 256)[:, None] ** torch.tensor([0.8, 1.0, 1.2])
    save_cube(curves, tmp_path / "a.cube", "three curves", video_range)
    assert "LUT_1D_SIZE 256" in (tmp_path / "a.cube").read_text()
    with pytest.raises(InputError, match="this file is a 1D LUT"):
        load_cube(tmp_path / "a.cube")
    lut = load_cube(tmp_path / "a.cube", curves=True)
    axis = identity(lut.shape[-1])[0]
    wanted = torch.stack([axis[c] ** power for c, power in enumerate((0.8, 1.0, 1.2))])[None]
    torch.testing.assert_close(lut, wanted, atol=4e-3, rtol=0)


@pytest.mark.parametrize("head", ["DOMAIN_MIN 0.2 0.2 0.2\nDOMAIN_MAX 0.8 0.8 0.8\n", "LUT_1D_INPUT_RANGE 0.2 0.8\n"])
def test_the_domain_of_curves_may_be_said_in_two_ways(tmp_path, head):
    points = np.repeat(np.linspace(0.2, 0.8, 64)[:, None], 3, axis=1)  # changes nothing within its domain
    rows = "".join(f"{r} {g} {b}\n" for r, g, b in points)
    (tmp_path / "a.cube").write_text("LUT_1D_SIZE 64\n" + head + rows)
    lut = load_cube(tmp_path / "a.cube", curves=True)
    torch.testing.assert_close(lut, identity(lut.shape[-1]).clamp(0.2, 0.8), atol=4e-3, rtol=0)


def test_curves_that_are_cut_short(tmp_path):
    (tmp_path / "a.cube").write_text("LUT_1D_SIZE 3\n0 0 0\n1 1 1\n")
    with pytest.raises(InputError, match="2 colors, but LUT_1D_SIZE 3 wants 3"):
        load_cube(tmp_path / "a.cube", curves=True)
