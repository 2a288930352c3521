import numpy as np
import pytest
from PIL import Image

from co2net.cli import main
from co2net.models.backbones.lutnet import LUTNet
from co2net.weight_files import save_weights


@pytest.fixture
def files(tmp_path):
    """Two composites with masks, and weights."""
    rng = np.random.default_rng(0)
    for folder in ("composites", "masks"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).save(tmp_path / "composites" / f"{name}.png")
        mask = np.zeros((30, 40), np.uint8)
        mask[5:20, 5:30] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    state = LUTNet(width=4, hidden=16, points=5, bins=6).state_dict()
    save_weights(tmp_path / "w.safetensors", state, {"format": "co2net", "training_size": "64"})
    return tmp_path


def call(files, *options):
    arguments = [files / "composites", "--masks", files / "masks", "--weights", files / "w.safetensors", *options]
    return main(["before-after", *(str(part) for part in arguments)])


def test_a_row_per_composite_and_a_column_per_model(files, capsys):
    assert call(files, "--width", "80", "-o", files / "sheet.png") == 0
    with Image.open(files / "sheet.png") as sheet:
        assert sheet.width == 3 * 80 + 2 * 6 and sheet.height > 2 * 60
        shown = np.asarray(sheet)[22:82]
    # An untrained network changes nothing.
    assert np.abs(shown[:, :80].astype(int) - shown[:, 172:252]).max() <= 1
    assert "2 composites" in capsys.readouterr().out


def test_missing_masks_and_wrong_names(files, capsys):
    (files / "masks" / "b.png").unlink()
    assert call(files, "-o", files / "sheet.png") == 2
    assert "holds no mask named b" in capsys.readouterr().err
    assert call(files, "-o", files / "sheet.tiff") == 2
    assert ".png or .jpg" in capsys.readouterr().err
