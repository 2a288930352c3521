import numpy as np
import pytest
import torch

from co2net.color_mapping.completion import identity_lut
from co2net.color_mapping.cube import save_cube
from co2net.errors import InputError
from co2net.training.color_changes import ColorChange, apply_color_changes, draw_color_change, load_luts


def luts(count: int = 2) -> torch.Tensor:
    identity = identity_lut(33, torch.zeros(1))
    return torch.cat([identity * 0.5**i for i in range(count)])


def test_a_look_without_change_returns_the_picture():
    images = torch.rand(3, 3, 12, 10)
    out = apply_color_changes(
        [ColorChange(), ColorChange(strength=0.0, exposure=1.0, lut=1), ColorChange(lut=0)], images, luts()
    )
    torch.testing.assert_close(out, images, atol=2e-6, rtol=0)


def test_each_image_gets_its_own_look():
    images = torch.full((3, 3, 4, 4), 0.4)
    out = apply_color_changes(
        [ColorChange(lut=1), ColorChange(exposure=1.0), ColorChange(gains=(1.5, 1.0, 0.5))], images, luts()
    )
    assert out[0].mean() == pytest.approx(0.2, abs=1e-5)
    assert out[1].mean() == pytest.approx(0.8, abs=1e-5)
    assert out[2, :, 0, 0].tolist() == pytest.approx([0.6, 0.4, 0.2], abs=1e-5)


def test_drawn_looks_include_untouched_weak_and_lut_only_ones():
    rng = np.random.default_rng(0)
    color_changes = [draw_color_change(rng, 5) for _ in range(400)]
    assert 0.05 < np.mean([color_change.strength == 0 for color_change in color_changes]) < 0.2
    assert any(0 < color_change.strength < 0.5 for color_change in color_changes)
    assert any(color_change.lut >= 0 and color_change.exposure == 0 for color_change in color_changes)
    assert any(color_change.lut < 0 and color_change.exposure != 0 for color_change in color_changes)
    plain = [draw_color_change(rng, 5, varied=False) for _ in range(50)]
    assert all(
        color_change == ColorChange(lut=color_change.lut) and 0 <= color_change.lut < 5 for color_change in plain
    )


def test_results_stay_in_range():
    rng = np.random.default_rng(1)
    images = torch.rand(32, 3, 6, 6)
    out = apply_color_changes([draw_color_change(rng, 2) for _ in range(32)], images, luts())
    assert torch.isfinite(out).all() and out.min() >= 0 and out.max() <= 1


def test_luts_of_all_sizes_become_one_tensor(tmp_path):
    save_cube(identity_lut(17, torch.zeros(1)), tmp_path / "a.cube")
    save_cube(identity_lut(33, torch.zeros(1)) * 0.5, tmp_path / "b.cube")
    loaded = load_luts(tmp_path)
    assert loaded.shape == (2, 3, 33, 33, 33)
    torch.testing.assert_close(loaded, luts(), atol=3e-6, rtol=0)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no LUT"):
        load_luts(tmp_path)
