"""A new backbone is one file: the registry, the stream and the trainer take it as it is."""

import numpy as np
import pytest
import torch

import co2net
from co2net.models.backbones import BACKBONES
from co2net.models.co2net import CO2Net
from co2net.training.backbone_config import stage1_config


@pytest.fixture
def toy():
    from toy_backbone import Toy  # the one line

    BACKBONES["toy"] = Toy
    yield Toy
    del BACKBONES["toy"]


def clip(count=3, size=(40, 48)):
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    masks = np.zeros((count, *size), np.uint8)
    masks[:, 10:30, 10:30] = 255
    return frames, masks


def test_it_is_found_by_name(toy):
    assert "toy" in co2net.list_backbones()
    assert isinstance(co2net.create_backbone("toy"), toy)


@pytest.mark.parametrize("mapping", ["paper", "predicted"])
def test_the_stream_hands_it_what_it_wants_of_the_full_frame(toy, mapping):
    seen = []

    class Watched(toy):
        training_size = 16

        def forward(self, image, mask, edges=None):
            seen.append(edges)
            return super().forward(image, mask, edges)

    model = CO2Net(Watched(), refinement=False, mapping=mapping).eval()
    frames, masks = clip()
    out = list(co2net.harmonize_frames(frames, masks, model=model, previous=1, future=1))
    assert len(out) == 3 and not np.array_equal(out[0], frames[0])
    full = Watched().prepare(frames[0])["edges"][..., 0].astype(np.float32) / 255
    wanted = torch.nn.functional.interpolate(torch.from_numpy(full)[None, None], (16, 16), mode="bilinear")
    torch.testing.assert_close(seen[0], wanted)


def test_float_frames_reach_the_hook_as_bytes(toy):
    model = CO2Net(toy(), refinement=False, mapping="predicted").eval()
    frames, masks = clip(1)
    floats = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    (of_floats,) = co2net.harmonize_frames(floats, masks, model=model)
    (of_bytes,) = co2net.harmonize_frames(frames, masks, model=model)
    assert np.abs((of_floats.permute(1, 2, 0) * 255).round().numpy() - of_bytes).max() <= 1


def test_its_recipe_and_losses_stand_beside_it(toy):
    config = stage1_config("toy")
    assert (config.loss, config.stretches[0].size, config.varied) == ("both", 32, False)
    network = toy().train()
    image, mask = torch.rand(2, 3, 16, 16), torch.ones(2, 1, 16, 16)
    terms = network.losses(network(image, mask), image, mask, toy.recipes["both"])
    assert {*terms} == {"pixel", "lut"}
    torch.stack(list(terms.values())).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
