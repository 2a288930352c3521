import pytest
import torch
from dataset_building.small_source import frame, mask, save

from co2net.color_mapping.cube import save_cube


@pytest.fixture
def source(tmp_path):
    """Three videos; the first has two objects, the third masks without a folder for the object."""
    root = tmp_path / "source"
    for v, objects in {"aa": ("object_0", "object_1"), "bb": ("object_0",), "cc": (None,)}.items():
        for number in (5, 10, 15):
            save(root / "real" / v / f"{number:05d}.png", frame(number))
            for name in objects:
                save(root / "masks" / v / (name or ".") / f"{number:05d}.png", mask(number // 5))
    line = torch.linspace(0, 1, 5)
    b, g, r = torch.meshgrid(line, line, line, indexing="ij")
    (root / "luts").mkdir()
    for k in range(4):
        save_cube(torch.stack([r * (0.4 + 0.2 * k), g, 1 - b]), root / "luts" / f"{k}.cube")
    return root
