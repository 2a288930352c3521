"""Folders of pictures, as the published prediction scripts of CDTNet and DucoNet take them; the table of shares."""

import cv2
import numpy as np
import pytest
import torch

from co2net.cli import evaluate_images, predict_images
from co2net.evaluation.images import predict
from co2net.models.backbones import CDTNet, DucoNet


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Three pictures, the last without a mask; weights of both networks."""
    random = np.random.default_rng(0)
    for name in ("in", "masks"):
        (tmp_path / name).mkdir()
    for number, (height, width) in enumerate([(40, 60), (72, 50), (30, 30)]):
        small = random.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / f"in/a_{number}_10.{'png' if number else 'jpg'}"), picture)
        mask = np.full((height, width), 90, np.uint8)  # 90 is gray: background of DucoNet's masks
        mask[10:30, 5:40] = 255
        if number < 2:
            cv2.imwrite(str(tmp_path / "masks" / (f"a_{number}_10.png" if number else "a_0.png")), mask)
    (tmp_path / "config.yml").write_text("MODELS_PATH: .\nEXPS_PATH: exps\n")
    monkeypatch.chdir(tmp_path)
    for network in (CDTNet(base_size=32), DucoNet()):
        torch.manual_seed(0)
        network.initialize(start_as_identity=True)
        torch.save(network.state_dict(), f"{network.title}.pth")
    return tmp_path


def test_ducos_command_predicts_what_the_network_makes_of_the_resized_picture(place, capsys):
    words = ["DucoNet", "DucoNet", "--images", "in", "--masks", "masks", "--resize", "64", "--device", "cpu", "-q"]
    assert predict_images.main(words) == 2  # one has no mask; the others are done
    assert "1 pictures left out: " in (said := capsys.readouterr().err) and "a_2_10.png or a_2.png" in said
    assert not (place / "exps/predictions/a_2_10.jpg").exists()
    made = cv2.imread(str(place / "exps/predictions/a_1_10.jpg"))
    assert made.shape == (64, 64, 3)

    network = DucoNet().eval()
    network.load_state_dict(torch.load("DucoNet.pth"))
    picture, mask = cv2.imread("in/a_1_10.png")[..., ::-1], cv2.imread("masks/a_1_10.png", 0)
    hard = cv2.resize((mask > 100).astype(np.float32), (64, 64))
    planes = {"lab": cv2.resize(network.prepare(np.ascontiguousarray(picture))["lab"], (64, 64))}
    shown = [
        torch.from_numpy(np.ascontiguousarray(plane)).permute(2, 0, 1)[None].float() / 255
        for plane in (cv2.resize(picture, (64, 64)), planes["lab"])
    ]
    wanted = predict(network, shown[0], torch.from_numpy(hard)[None, None], {"lab": shown[1]})
    wanted = wanted[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    assert np.abs(made[..., ::-1] - wanted).mean() < 3  # JPEG of quality 85; red and blue in their places


def test_cdtnets_command_writes_the_original_size(place, capsys):
    (place / "in/a_2_10.png").unlink()
    words = ["CDTNet", "CDTNet.pth", "--images", "in", "--masks", "masks", "--lr", "32", "--hr_w", "48", "--hr_h", "40"]
    assert predict_images.main([*words, "--results-path", "out", "--gpu", "0"]) == 0
    assert cv2.imread("out/a_0_10.jpg").shape == cv2.imread("out/a_1_10.jpg").shape == (40, 48, 3)
    assert "2 pictures predicted" in capsys.readouterr().err
    assert predict_images.main([*words, "--results-path", "own", "--original-size", "-q"]) == 0
    assert cv2.imread("own/a_1_10.jpg").shape == (72, 50, 3)
    assert predict_images.main([*words, "--resize", "64"]) == 2 and "both choose the size" in capsys.readouterr().err
    assert predict_images.main([*words, "--results-path", "in"]) == 2
    assert "folder of the pictures" in capsys.readouterr().err


def test_the_table_of_shares_is_a_script_and_leaves_a_log(place, capsys):
    root = place / "HCOCO"
    for folder in ("composite_images", "masks", "real_images"):
        (root / folder).mkdir(parents=True)
    picture, mask = cv2.imread("in/a_0_10.jpg"), cv2.imread("masks/a_0.png")
    for name in ("composite_images/a_0_10.jpg", "real_images/a.jpg"):
        cv2.imwrite(str(root / name), picture)
    cv2.imwrite(str(root / "masks/a_0.png"), mask)
    (root / "HCOCO_test.txt").write_text("a_0_10.jpg\n")
    (place / "config.yml").write_text("MODELS_PATH: .\nEXPS_PATH: exps\nHCOCO_PATH: HCOCO\n")
    words = ["DucoNet", "DucoNet.pth", "--datasets", "HCOCO", "--resize-strategy", "LimitLongest1024", "-q"]
    assert evaluate_images.ratios_main(words) == 0
    said = capsys.readouterr().out
    assert "HCOCO (15-100)" in said and "HCOCO (0-100)" in said
    (log,) = (place / "exps/evaluation_results").glob("DucoNet_*.log")
    assert said.strip() in log.read_text()
    assert evaluate_images.main(words) == 0
    assert "(0-5)" not in capsys.readouterr().out
    assert len([*(place / "exps/evaluation_logs").glob("DucoNet_*.log")]) == 1
