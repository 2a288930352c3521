"""The published system against recorded values."""

import numpy as np
import pytest
import torch
from recorded_cases import load_case

from co2net import matting, metrics
from co2net.errors import InputError, ShapeError, WeightsError
from co2net.flow.pwcnet import PWCNet
from co2net.weight_files import save_weights


def levels(picture):
    """8-bit RGB ``(H, W, 3)`` of ``(3, H, W)`` in [0, 1], as the cases round."""
    return (picture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


@pytest.fixture(scope="module")
def network():
    case = load_case("matting_unet")
    network = matting.create_network()
    network.load_state_dict(case.state)
    return network


def test_unet(network):
    case = load_case("matting_unet")
    assert [(k, tuple(v.shape)) for k, v in network.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in case.state.items()
    ]
    with torch.no_grad():
        case.check("logits_even", network(case.inputs["even"]))
        case.check("logits_odd", network(case.inputs["odd"]))


def test_probability_has_the_size_of_the_input(network):
    planes = load_case("matting_unet").inputs["odd"]
    with torch.no_grad():
        assert network.probability(planes).shape == (1, 1, 38, 51)
        assert network.probability(planes, (20, 30)).shape == (1, 1, 20, 30)
        even = planes[..., :36, :48]
        torch.testing.assert_close(network.probability(even), network(even).sigmoid())


def test_prepare():
    case = load_case("matting_prepare")
    flow = case.settings["flow_scale"] * (case.inputs["flow"][None] - 0.5)
    moving = matting.moving_mask(flow, case.settings["threshold"], "horizontal")
    case.check("moving", moving[0, 0])
    frame = levels(case.inputs["frame"])
    case.check("input", matting.network_input(moving, frame)[0])
    half = matting.network_input(moving, frame, 0.5)[0]
    torch.testing.assert_close(half, case.outputs["input_half"], rtol=0, atol=0.0081)  # two 8-bit steps


def test_losses():
    case = load_case("matting_losses")
    logits, target = 4 * (case.inputs["logits"] - 0.5), case.inputs["target"]
    bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(bce, case.outputs["bce"], rtol=0, atol=1e-5)
    hard = (logits.sigmoid() > 0.5).float()
    for name, value in (("dice", hard), ("dice_soft", logits.sigmoid())):
        torch.testing.assert_close(metrics.dice(value, target).mean()[None].float(), case.outputs[name])
    empty = torch.zeros_like(target)
    torch.testing.assert_close(metrics.dice(empty, empty).mean()[None].float(), case.outputs["dice_empty"])


def test_chroma():
    case = load_case("matting_chroma")
    noise = np.asarray(case.settings["key_rgb"]) + 140 * (case.inputs["noise"].permute(1, 2, 0).numpy() - 0.5)
    screen = case.inputs["screen"][0].numpy()[..., None] > 0.5
    frame = np.where(screen, noise, 255 * case.inputs["frame"].permute(1, 2, 0).numpy())
    frame = np.clip(np.rint(frame), 0, 255).astype(np.uint8)
    mask = matting.chroma_mask(frame, tuple(case.settings["key_rgb"]), case.settings["threshold"])
    background = levels(case.inputs["background"])
    case.check("mask", torch.from_numpy(mask).float())
    for name, made in (
        ("composite", matting.compose(frame, mask, background)),
        ("cutout", matting.cut_out(frame, mask)),
    ):
        expected = case.outputs[name]
        torch.testing.assert_close(torch.from_numpy(made).float(), expected, rtol=0, atol=0.5)


def test_pipeline(network):
    case = load_case("matting_pipeline")
    pwcnet = PWCNet("legacy").eval()
    pwcnet.load_state_dict(load_case("pwcnet_legacy").state)
    frames = [levels(frame) for frame in case.inputs["frames"]]
    unit = [torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 for frame in frames]
    with torch.no_grad():
        flows = torch.cat([pwcnet.field(unit[0], unit[0]), pwcnet.field(unit[0], unit[1])])
        torch.testing.assert_close(flows, case.outputs["flow"], rtol=0, atol=1e-4)
        moving = matting.moving_mask(flows, case.settings["threshold"], "horizontal")
        assert torch.equal(moving[:, 0], case.outputs["moving"])
        planes = matting.network_input(moving, np.stack(frames))
        torch.testing.assert_close(network(planes), case.outputs["logits"], rtol=0, atol=2e-5)
        probability = network.probability(planes)[:, 0]
    torch.testing.assert_close(probability, case.outputs["probability"], rtol=0, atol=0.0041)
    # The recorded mask went through 8 bits, rounded down; ours would differ where that step crosses the threshold.
    mask = (255 * probability).floor() / 255 > case.settings["mask_threshold"]
    assert torch.equal(mask.float(), case.outputs["mask"])
    dice = metrics.dice(mask[:, None].float(), case.inputs["truth"])
    torch.testing.assert_close(dice.float(), case.outputs["dice"], rtol=0, atol=0.002)
    made = matting.compose(frames[1], mask[1].numpy(), levels(case.inputs["background"]))
    torch.testing.assert_close(torch.from_numpy(made).float(), case.outputs["composite"], rtol=0, atol=0.5)


def test_network_takes_other_settings(tmp_path):
    small = matting.create_network(depth=2, wf=2, batch_norm=True, up_mode="upconv")
    assert small.unet.up_path[0].up.weight.shape == (8, 4, 2, 2)
    assert "unet.down_path.0.block.5.running_mean" in small.state_dict()
    plain = matting.create_network(wf=3)
    save_weights(tmp_path / "small.safetensors", plain.state_dict())
    again = matting.create_network(tmp_path / "small.safetensors")
    assert torch.equal(again.unet.last.weight, plain.unet.last.weight)
    save_weights(tmp_path / "other.safetensors", {"unet.last.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match="does not fit the matting U-Net"):
        matting.create_network(tmp_path / "other.safetensors")


def test_moving_mask_sees_all_directions():
    flow = torch.zeros(1, 2, 4, 4)
    flow[0, 0, 0] = -2
    flow[0, 1, 1] = 3
    assert matting.moving_mask(flow)[0, 0, :, 0].tolist() == [1, 1, 0, 0]
    assert matting.moving_mask(flow, motion="horizontal").sum() == 0
    with pytest.raises(InputError, match="motion 'vertical'"):
        matting.moving_mask(flow, motion="vertical")


def test_fill_in_keeps_what_rests():
    before = torch.zeros(1, 1, 8, 8)
    before[..., 2:6, 2:6] = 1
    now = torch.zeros(1, 1, 8, 8)
    now[..., 2:6, 3] = 1
    frames = torch.rand(1, 3, 8, 8)
    filled = matting.fill_in(now, before, torch.zeros(1, 2, 8, 8), (frames, frames))
    torch.testing.assert_close(filled, before, rtol=0, atol=1e-5)
    assert torch.equal(matting.fill_in(now, before, torch.zeros(1, 2, 8, 8)), now)  # as published


def test_shapes_are_said():
    with pytest.raises(ShapeError, match="planes must be a float"):
        matting.create_network(wf=2)(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ShapeError, match="frame8 must be uint8"):
        matting.network_input(torch.zeros(1, 1, 4, 4), np.zeros((4, 4, 3), np.float32))
    with pytest.raises(InputError, match="scale 0"):
        matting.network_input(torch.zeros(1, 1, 4, 4), np.zeros((4, 4, 3), np.uint8), 0)
