import numpy as np
import pytest
import torch

from co2net.color_mapping.completion import identity_table
from co2net.color_mapping.cube import save_cube
from co2net.errors import InputError
from co2net.training.color_changes import Look, apply_looks, draw_look, load_tables


def tables(count: int = 2) -> torch.Tensor:
    identity = identity_table(33, torch.zeros(1))
    return torch.cat([identity * 0.5**i for i in range(count)])


def test_a_look_without_change_returns_the_picture():
    images = torch.rand(3, 3, 12, 10)
    out = apply_looks([Look(), Look(strength=0.0, exposure=1.0, table=1), Look(table=0)], images, tables())
    torch.testing.assert_close(out, images, atol=2e-6, rtol=0)


def test_each_image_gets_its_own_look():
    images = torch.full((3, 3, 4, 4), 0.4)
    out = apply_looks([Look(table=1), Look(exposure=1.0), Look(gains=(1.5, 1.0, 0.5))], images, tables())
    assert out[0].mean() == pytest.approx(0.2, abs=1e-5)
    assert out[1].mean() == pytest.approx(0.8, abs=1e-5)
    assert out[2, :, 0, 0].tolist() == pytest.approx([0.6, 0.4, 0.2], abs=1e-5)


def test_drawn_looks_include_untouched_weak_and_table_only_ones():
    rng = np.random.default_rng(0)
    looks = [draw_look(rng, 5) for _ in range(400)]
    assert 0.05 < np.mean([look.strength == 0 for look in looks]) < 0.2
    assert any(0 < look.strength < 0.5 for look in looks)
    assert any(look.table >= 0 and look.exposure == 0 for look in looks)
    assert any(look.table < 0 and look.exposure != 0 for look in looks)
    plain = [draw_look(rng, 5, varied=False) for _ in range(50)]
    assert all(look == Look(table=look.table) and 0 <= look.table < 5 for look in plain)


def test_results_stay_in_range():
    rng = np.random.default_rng(1)
    images = torch.rand(32, 3, 6, 6)
    out = apply_looks([draw_look(rng, 2) for _ in range(32)], images, tables())
    assert torch.isfinite(out).all() and out.min() >= 0 and out.max() <= 1


def test_tables_of_all_sizes_become_one_tensor(tmp_path):
    save_cube(identity_table(17, torch.zeros(1)), tmp_path / "a.cube")
    save_cube(identity_table(33, torch.zeros(1)) * 0.5, tmp_path / "b.cube")
    loaded = load_tables(tmp_path)
    assert loaded.shape == (2, 3, 33, 33, 33)
    torch.testing.assert_close(loaded, tables(), atol=3e-6, rtol=0)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no color table"):
        load_tables(tmp_path)
