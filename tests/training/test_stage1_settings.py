"""Settings of stage 1: a recipe and what a run adds, and what the task makes of them."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from co2net.errors import InputError
from co2net.models.backbones.base import BACKBONES, PAPER, QUICK, Backbone
from co2net.training.backbone import BackboneTask
from co2net.training.backbone_config import Phase, stage1_config

RECIPE = replace(PAPER, epochs=10, milestones=(5, 8), phases=((32, 0, 4),), rate_batch=16, frozen=("encoder",))


class Two(Backbone):
    """Two parts, one of which its recipe freezes."""

    title, parts = "Two", ("encoder", "decoder")
    recipes = {"quick": QUICK, "own": RECIPE}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)

    def network(self, image, mask):
        return self.decoder(self.encoder(image)), image[:, :0]


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setitem(BACKBONES, "two", Two)
    return Two()


def test_recipes_that_count_epochs(two):
    config = stage1_config("two", "own", samples=12)
    assert config.stretches == (Phase(32, 120, 4),) and config.learning_rate == 1e-3 / 2
    assert stage1_config("two", "own", samples=12, learning_rate=0.1).learning_rate == 0.1
    with pytest.raises(InputError, match="phases of its own"):
        stage1_config("two", "own", samples=12, phases=((16, 4, 2),))
    with pytest.raises(InputError, match="no recipe 'other'; it has quick, own"):
        stage1_config("two", "other")


def test_the_rate_falls_and_frozen_parts_stay(two):
    config = stage1_config("two", "own", samples=12)
    luts = torch.zeros(0, 3, 33, 33, 33)
    task = BackboneTask(two, [], [], luts, luts, config)
    assert task.steps == 30 and [task.factor(step) for step in (0, 14, 15, 24)] == pytest.approx([1, 1, 0.1, 0.01])
    task.train_mode()
    assert two.decoder.training and not two.encoder.training
    assert not any(p.requires_grad for p in two.encoder.parameters())
    assert [*task.numbers(29)] == [116, 117, 118, 119]


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"phases": ((0, 4, 2),)}, "`phases`: the size must be 1 or more, got 0"),
        ({"phases": ((64, -5, 2),)}, "`phases`: the samples must be 1 or more, got -5"),
        ({"seed": -1}, "`seed` must be 0 or more"),
        ({"workers": -1}, "`workers` must be 0 or more"),
        ({"checkpoint_every": 0}, "`checkpoint_every` must be 1 or more"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be a number above 0, got nan"),
        ({"mix": {"untouched": 2.0}}, "`untouched` 2.0: a share lies between 0 and 1"),
        ({"precision": "fp16"}, "`precision` fp16: must be one of"),
    ],
)
def test_values_that_make_no_sense(two, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        stage1_config("two", **changes)
