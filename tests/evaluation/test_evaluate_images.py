"""Single pictures: iHarmony4's sub-sets, the published protocol and the published command line."""

import json

import cv2
import numpy as np
import pytest
import torch

from co2net import metrics
from co2net.cli.evaluate_model import main
from co2net.data.config_file import read_config, read_sub_sets
from co2net.errors import InputError
from co2net.evaluation.images import Protocol, evaluate_images, predict
from co2net.evaluation.published_images import TEST_PICTURES, rows_for
from co2net.models.backbones import CDTNet, DucoNet

CPU = torch.device("cpu")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two sub-sets of two pictures each, config.yml, and weights of both networks."""
    random = np.random.default_rng(0)
    for name, share in (("HCOCO", 4), ("Hday2night", 20)):
        root = tmp_path / name
        for folder in ("composite_images", "masks", "real_images"):
            (root / folder).mkdir(parents=True)
        for number in (1, 2):
            real = random.integers(0, 256, (48, 60, 3), dtype=np.uint8)
            mask = np.zeros((48, 60), np.uint8)
            mask[:share, :40] = 255
            cv2.imwrite(str(root / f"real_images/d{number}.jpg"), real)
            cv2.imwrite(str(root / f"masks/d{number}_1.png"), mask)
            cv2.imwrite(
                str(root / f"composite_images/d{number}_1_2.jpg"), np.where(mask[..., None] > 0, real // 2, real)
            )
        (root / f"{name}_test.txt").write_text("d1_1_2.jpg\nd2_1_2.jpg\n")
    (tmp_path / "config.yml").write_text("MODELS_PATH: .\nHCOCO_PATH: HCOCO\nHDAY2NIGHT_PATH: Hday2night\n")
    monkeypatch.chdir(tmp_path)
    for network in (CDTNet(base_size=32), DucoNet()):
        network.initialize(start_as_identity=True)
        torch.save(network.state_dict(), tmp_path / f"{network.title}.pth")
    return tmp_path


def test_strategies_choose_sizes():
    assert Protocol(None, "None").shape_of(3, 4) == (3, 4)
    assert Protocol(None, "LimitLongest1024").shape_of(1000, 2048) == (500, 1024)
    assert Protocol(None, "LimitLongest1024").shape_of(100, 200) == (100, 200)
    assert Protocol(None, "Fixed512").shape_of(3, 4) == (512, 512)
    assert Protocol((20, 30)).shape_of(3, 4) == (20, 30) and Protocol((20, 30)).square is None
    with pytest.raises(InputError, match="`resize_strategy` Fixed3: must be one of None"):
        Protocol(None, "Fixed3")


def test_means_weigh_sub_sets_by_their_pictures(place):
    sets = read_sub_sets(read_config("config.yml"), "HCOCO,HDay2Night", "test")
    sets["HCOCO"] = sets["HCOCO"][:1]
    network = DucoNet()
    network.load_state_dict(torch.load("DucoNet.pth"))
    run = evaluate_images(network, sets, Protocol((32, 40)), device=CPU, conditions={})
    rows = run.table("composite")
    assert [row["pictures"] for row in rows] == [1, 2, 3]
    assert rows[2]["mse"] == pytest.approx((rows[0]["mse"] + 2 * rows[1]["mse"]) / 3)
    small = run.ratio_table()
    assert [row["data"] for row in small[:3]] == ["HCOCO (0-5)", "HDay2Night (0-5)", "all (0-5)"]
    assert sum(row["pictures"] for row in small if row["data"].startswith("all")) == 6  # every interval, then 0-100


def test_the_prediction_is_the_whole_output_and_the_mirrored_one_is_turned_back(place):
    network = DucoNet().eval()
    network.load_state_dict(torch.load("DucoNet.pth"))
    image, mask = torch.rand(1, 3, 32, 40), torch.zeros(1, 1, 32, 40)
    mask[..., :10] = 1
    once = predict(network, image, mask, {})
    with torch.no_grad():
        assert torch.equal(once, network.denormalize(network(image, mask).raw))
    both = predict(network, image, mask, {}, use_flip=True)
    other = predict(network, image.flip(3), mask.flip(3), {}).flip(3)
    torch.testing.assert_close(both, (once + other) / 2)


def test_the_published_command_leaves_a_report(place, capsys):
    words = ["DucoNet", "DucoNet", "--resize-strategy", "Fixed256", "--gpu", "0", "--datasets", "HCOCO,HDay2Night"]
    assert main([*words, "--output", "out", "--fg-ratios", "--save_dir", "saved"]) == 0
    said = capsys.readouterr()
    assert "no CUDA here" in said.err or torch.cuda.is_available()
    assert "HDay2Night (5-15)" in said.out and "report.md" in said.out
    results = json.loads((place / "out" / "results.json").read_text())
    first = results["clips"][0]["frames"][0]
    assert results["task"] == "images" and first["name"] == "d1_1_2"
    report = (place / "out" / "report.md").read_text()
    assert "Published results (iHarmony4 test sets)" in report and "Not comparable" in report and "DucoNet" in report
    assert cv2.imread("saved/d2_1_2.jpg").shape == (256, 256, 3)
    before = (place / "out" / "clips" / "HCOCO.json").read_bytes()
    assert main([*words, "--output", "out", "-q"]) == 0  # the finished sub-sets are taken from there
    assert (place / "out" / "clips" / "HCOCO.json").read_bytes() == before
    assert main([*words, "--use-flip", "--output", "out", "-q"]) == 2
    assert "made under other conditions" in capsys.readouterr().err


def test_cdtnets_command(place, capsys):
    words = ["CDTNet", "CDTNet.pth", "--hr_w", "40", "--hr_h", "32", "--lr", "32", "--datasets", "HCOCO", "-q"]
    assert main(words) == 0
    whole = capsys.readouterr().out
    assert main([*words, "--is_sim"]) == 0
    assert whole.splitlines()[0].split()[1::2] == ["data", "N", "MSE", "fMSE", "PSNR", "SSIM", "ms"]
    assert capsys.readouterr().out.splitlines()[2].split()[1:4:2] == ["HCOCO", "2"]
    assert main([*words, "--resize-strategy", "Fixed256"]) == 2
    assert "both choose the size" in capsys.readouterr().err
    assert main(["UNet", "x"]) == 2 and "known: " in capsys.readouterr().err


def test_published_rows_fit_the_evaluation():
    rows, note = rows_for(dict(TEST_PICTURES), 256)
    assert note.startswith("As many") and {row.data for row in rows} == {"iHarmony4", *TEST_PICTURES}
    rows, note = rows_for({"HAdobe5k1": 2160}, 1024)
    assert note.startswith("As many") and {row.method for row in rows} == {"CDTNet-256", "HINet", "DucoNet"}
    assert rows_for({"HCOCO": 3}, 256)[1].startswith("Not comparable")
    assert metrics.psnr_iharmony4 is not metrics.psnr
