"""Stage 1: beginning with a part of a network, a recipe's network settings, and the redraw rule of crops."""

import warnings

import numpy as np
import pytest
import torch
from picture_sets import make_pictures

from co2net.cli.train_backbone import main
from co2net.data import read_dataset
from co2net.errors import WeightsError
from co2net.models import registry
from co2net.models.backbones import CDTNet, backbone_class
from co2net.models.registry import create_backbone, start_backbone
from co2net.training.backbone_config import stage1_config
from co2net.training.picture_samples import Stage1Dataset
from co2net.weight_files import save_weights


@pytest.fixture
def pictures(tmp_path):
    """Their foreground is a small disc in a corner."""
    return make_pictures(tmp_path / "data", (120, 100), (12, 12), 8)


@pytest.fixture
def luts(tmp_path):
    """A folder of one LUT, darker."""
    table = np.stack(np.meshgrid(*[np.linspace(0, 0.8, 5)] * 3, indexing="ij")[::-1], axis=-1).astype(np.float32)
    np.savez(tmp_path / "luts.npz", **{"1": table})
    return tmp_path


def foregrounds(pictures, least):
    samples = read_dataset(pictures, split="train")
    dataset = Stage1Dataset(samples, 64, 1, seed=0, varied=False, least_foreground=least)
    return np.array([dataset[number].mask.sum() for number in range(200)])


def test_crops_with_too_little_foreground_are_drawn_again_but_for_one_in_twenty(pictures):
    """The disc is 1.7 % of a picture, 69 pixels of 64 x 64 and more in smaller crops, less where it is cut."""
    few = foregrounds(pictures, least=20)
    kept = (few <= 20).mean()
    assert 0 < kept < 0.15  # a third of all windows miss the disc
    assert ((few > 20) & (few < 41)).any()  # the usual rule, a hundredth of the sample, would draw those again
    many = foregrounds(pictures, least=60)
    assert 0 < (many <= 60).mean() < 0.35 and (many > 60).mean() > (few > 60).mean()


def test_the_recipes_rule_reaches_the_samples():
    assert stage1_config("duconet", "paper", samples=4).least_foreground == 10
    assert stage1_config("cdtnet", "paper", samples=4).least_foreground == 1
    assert stage1_config("issam").least_foreground == 0


def test_a_part_is_a_start_and_the_rest_is_fresh(tmp_path):
    generator = create_backbone("issam")
    generator.initialize()
    torch.save(generator.state_dict(), tmp_path / "issam.pth")
    network, missing = start_backbone("cdtnet", tmp_path / "issam.pth", as_identity=True, base_size=32)
    assert isinstance(network, CDTNet) and network.base_size == 32
    assert "lut.LUT0.LUT" in missing and "encoder" not in missing
    for name, value in generator.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name
    torch.save(network.state_dict(), tmp_path / "whole.pth")
    again, missing = start_backbone("cdtnet", tmp_path / "whole.pth")
    assert missing == "" and torch.equal(again.refine.to_rgb.weight, network.refine.to_rgb.weight)
    with pytest.raises(WeightsError, match=r"unknown: lut\.LUT0\.LUT"):
        start_backbone("issam", tmp_path / "whole.pth")


def test_cdtnet_trains_on_pictures_larger_than_its_base(pictures, luts, tmp_path, capsys):
    generator = create_backbone("issam")
    generator.initialize()
    torch.save(generator.state_dict(), tmp_path / "issam.pth")
    words = ["--dataset_path", str(pictures), "--luts", str(luts), "--exp_name", str(tmp_path / "run")]
    words += ["--backbone_type", "cdtnet", "--init", str(tmp_path / "issam.pth"), "--setting", "base_size=16"]
    assert main([*words, "--phases", "16:4:2,32:4:2", "--device", "cpu"]) == 0
    assert "issam.pth does not hold lut.LUT0.LUT" in capsys.readouterr().err
    network = create_backbone("cdtnet", weights=tmp_path / "run" / "cdtnet.safetensors")
    assert isinstance(network, CDTNet) and network.training_size == network.base_size == 16
    assert stage1_config("cdtnet").settings == {"base_size": 96}


def test_what_fresh_weights_lack_is_no_news_where_a_file_replaces_them(tmp_path, monkeypatch):
    class Lacking(backbone_class("lutnet")):
        def initialize(self, *, start_as_identity=False):
            super().initialize(start_as_identity=start_as_identity)
            warnings.warn("no features", stacklevel=2)

    monkeypatch.setattr(registry, "backbone_class", lambda name: Lacking)
    torch.save(create_backbone("lutnet").state_dict(), tmp_path / "whole.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert start_backbone("lutnet", tmp_path / "whole.pth")[1] == ""
    with pytest.warns(UserWarning, match="no features"):
        start_backbone("lutnet")


def test_tonenet_trains_at_the_size_of_its_pictures(pictures, luts, tmp_path):
    save_weights(tmp_path / "small.safetensors", create_backbone("tonenet", size=64).state_dict(), {})
    arguments = ["--dataset_path", str(pictures), "--luts", str(luts), "--backbone_type", "tonenet"]
    arguments += ["--init", str(tmp_path / "small.safetensors"), "--phases", "96:4:2", "--device", "cpu"]
    assert main([*arguments, "--exp_name", str(tmp_path / "run")]) == 0
    network = create_backbone("tonenet", weights=tmp_path / "run" / "tonenet.safetensors")
    assert network.size == network.training_size == 96
    assert main([*arguments, "--exp_name", str(tmp_path / "other"), "--setting", "size=64"]) == 0
    assert create_backbone("tonenet", weights=tmp_path / "other" / "tonenet.safetensors").training_size == 64
