import pytest
import torch
from papers_mapping import mapping_statistics
from recorded_cases import load_case
from torch import nn

import tridistribute
import trilinear
from co2net.errors import Co2netError, InputError, ShapeError
from co2net.models.backbones import ISSAM, Backbone, RainNet
from co2net.models.co2net import CO2Net


class Tint(Backbone):
    """Stand-in backbone: shifts all colors, so that the right results are known in closed form."""

    feature_channels = 2

    def __init__(self, shift=0.1):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))
        self.dropout = nn.Dropout(0.5)
        self.passes = []

    def network(self, image, mask):
        self.passes.append(len(image))
        return self.dropout(self.normalize(self.denormalize(image) + self.shift)), image[:, :2]


def make(case, **settings):
    backbone = RainNet() if case.settings["backbone"] == "rain" else ISSAM()
    model = CO2Net(backbone, use_feature=case.settings.get("use_feature", True), **settings).eval()
    missing, unexpected = model.load_state_dict(case.state, strict=False)
    # Some cases leave the blur buffer at its constructed value.
    assert not unexpected and all(name.endswith("mask_blurring.weight") for name in missing)
    return model


def clip(batch=2, neighbors=3, height=20, width=24):
    """A frame, and neighbors that show nearly the same colors."""
    image = torch.rand(batch, 3, height, width)
    neighbor_images = (image[:, None] + 0.02 * torch.randn(batch, neighbors, 3, height, width)).clamp(0, 1)
    masks = (torch.rand(batch, neighbors + 1, 1, height, width) > 0.3).float()
    return image, masks[:, 0], neighbor_images, masks[:, 1:]


def neighbor_arguments(case):
    return [case.inputs[name] for name in ("image", "mask", "neighbours", "neighbour_masks")]


# Recorded cases. The two rules for unseen pixels agree on these inputs, so both are held to the recorded numbers.


@pytest.mark.parametrize("unseen_rule", ["all_empty", "zero_weight"])
@pytest.mark.parametrize(
    "name", ["co2net_full_issam", "co2net_full_issam_soft", pytest.param("co2net_full_rain", marks=pytest.mark.slow)]
)
@torch.no_grad()
def test_matches_recorded_case(name, unseen_rule):
    case = load_case(name)
    result = make(case, unseen_rule=unseen_rule)(*neighbor_arguments(case))
    case.check("backbone_out", result.backbone)
    case.check("lut_map", result.unseen)
    case.check("lut_output", result.lut)
    case.check("images", result.image)


@pytest.mark.parametrize("name", ["co2net_direct", "co2net_direct_outside"])
@torch.no_grad()
def test_matches_recorded_case_with_stored_results(name):
    case, outside = load_case(name), name.endswith("outside")
    x = case.inputs
    stored = (x["stored_lut_output"], x["stored_lut_map"])
    result = make(case).from_stored(x["image"], x["mask"], *stored, normalized_input=outside)
    case.check("backbone_out", result.backbone)
    case.check("lut_output", result.lut)
    case.check("images", result.image)


@pytest.mark.parametrize("unseen_rule", ["all_empty", "zero_weight"])
@torch.no_grad()
def test_matches_recorded_lut_only_case(unseen_rule):
    case = load_case("co2net_lut_only")
    model = make(case, refinement=False, paper_lut_only=True, unseen_rule=unseen_rule)
    result = model(*neighbor_arguments(case))
    case.check("backbone_out", result.backbone)
    case.check("stored_lut_output", result.lut)
    case.check("stored_lut_map", result.unseen)
    case.check("images", result.image)
    error, invalid = mapping_statistics(model, *neighbor_arguments(case))
    case.check_sum("mapping_error_sum", error)
    case.check_sum("invalid_sum", 3 * invalid)  # the original counts three equal channels


@torch.no_grad()
def test_lut_only_applies_its_blends_once_unless_the_paper_is_asked_for():
    case = load_case("co2net_lut_only")
    result = make(case, refinement=False)(*neighbor_arguments(case))
    assert torch.equal(result.image, result.lut)
    doubled = make(case, refinement=False, paper_lut_only=True)(*neighbor_arguments(case))
    assert (doubled.image - result.image).abs().max() > 0.01  # soft masks: the second blend shows
    case.check("stored_lut_output", result.image)


# What the steps must do, whatever the weights.


@torch.no_grad()
def test_forward_is_the_steps_in_order():
    model = CO2Net(Tint()).eval()
    image, mask, images, masks = clip()
    volume = sum(
        model.frame_volume(x, m, model.run_backbone(x, m))
        for x, m in zip(images.unbind(1), masks.unbind(1), strict=True)
    )
    out = model.run_backbone(image, mask)
    lut_output, unseen = model.apply_mapping(*model.color_mapping(volume), image, mask, out.image)
    final = model.finish(model.refine(out.raw, lut_output, image, out.features), mask, image)
    result = model(image, mask, images, masks)
    # Sums in another order: the last bits of float32 differ.
    torch.testing.assert_close(result.image, final, atol=1e-5, rtol=0)
    torch.testing.assert_close(result.lut, lut_output, atol=1e-5, rtol=0)
    assert torch.equal(result.unseen, unseen) and torch.equal(result.backbone, out.image)


@torch.no_grad()
def test_neighbor_volumes_add_up_to_the_papers_stacked_image():
    model = CO2Net(Tint()).eval()
    image, _, images, masks = clip()
    harmonized = torch.stack([model.run_backbone(x, m).image for x, m in zip(images, masks, strict=True)])
    tall = [x.transpose(1, 2).flatten(2, 3) for x in (images, harmonized, masks)]
    expected = tridistribute.accumulate(*tall)
    torch.testing.assert_close(model.window_volume(image, images, masks), expected, atol=1e-4, rtol=1e-5)


@torch.no_grad()
def test_chunks_of_neighbors_do_not_change_the_result():
    image, _, images, masks = clip(batch=3, neighbors=5)
    model = CO2Net(Tint()).eval()
    model.neighbor_pixels = 1 << 30
    whole = model.window_volume(image, images, masks)
    assert model.backbone.passes == [15]
    model.neighbor_pixels = 4 * image[0, 0].numel()  # chunks of four: items begin and end inside chunks
    model.backbone.passes.clear()
    torch.testing.assert_close(model.window_volume(image, images, masks), whole, atol=1e-5, rtol=1e-6)
    assert model.backbone.passes == [4, 4, 4, 3]
    model.neighbor_pixels = 1
    torch.testing.assert_close(model.window_volume(image, images, masks), whole, atol=1e-5, rtol=1e-6)


@torch.no_grad()
def test_a_constant_shift_comes_back_from_the_color_mapping():
    image, mask, images, masks = clip(height=64, width=64)
    result = CO2Net(Tint(0.1), refinement=False).eval()(image, mask, images, masks)
    torch.testing.assert_close(result.backbone, image + 0.1 * mask, atol=1e-5, rtol=0)
    # A LUT holds means over cells 1/32 wide on either side, so a sparse one is off by up to twice that.
    torch.testing.assert_close(result.lut, image + 0.1 * mask, atol=2 / 32, rtol=0)
    assert 0 < result.unseen.mean() < 0.5


@pytest.mark.parametrize("arguments", [(), (torch.zeros(2, 0, 3, 20, 24), torch.zeros(2, 0, 1, 20, 24))])
@pytest.mark.parametrize("refinement", [True, False])
@torch.no_grad()
def test_without_neighbors_the_backbone_stands_in(arguments, refinement):
    image, mask, *_ = clip()
    result = CO2Net(Tint(), refinement=refinement).eval()(image, mask, *arguments)
    assert torch.equal(result.lut, result.backbone) and torch.equal(result.unseen, mask)
    assert refinement or torch.equal(result.image, result.backbone)


@torch.no_grad()
def test_neighbors_with_empty_masks_are_as_good_as_none():
    image, mask, images, masks = clip()
    result = CO2Net(Tint(), refinement=False).eval()(image, mask, images, torch.zeros_like(masks))
    assert torch.equal(result.unseen, mask)
    torch.testing.assert_close(result.lut, result.backbone)


@pytest.mark.parametrize("settings", [{}, {"refinement": False}, {"refinement": False, "paper_lut_only": True}])
@torch.no_grad()
def test_outside_the_mask_nothing_changes(settings):
    image, mask, images, masks = clip()
    result = CO2Net(Tint(), **settings).eval()(image, mask, images, masks)
    outside = (mask == 0).expand_as(image)
    for frame in (result.image, result.backbone, result.lut):
        assert torch.equal(frame[outside], image[outside])


@torch.no_grad()
def test_items_of_a_batch_do_not_meet():
    image, mask, images, masks = clip()
    model = CO2Net(Tint(), refinement=False).eval()
    both = model(image, mask, images, masks)
    for i in range(2):
        part = slice(i, i + 1)
        alone = model(image[part], mask[part], images[part], masks[part])
        torch.testing.assert_close(both.lut[part], alone.lut, atol=1e-5, rtol=0)


@torch.no_grad()
def test_unseen_rules_differ_where_a_channel_is_exactly_zero():
    # The neighbor fills cells with red in [h, 2h); a pixel with red 0 touches them only with weight 0.
    # Its own cell's far corners are filled: "all_empty" calls it known and returns black, "zero_weight" does not.
    def flat(red):
        return torch.tensor([red, 0.5, 0.5]).view(1, 3, 1, 1).expand(1, 3, 4, 4)

    ones = torch.ones(1, 1, 4, 4)
    arguments = flat(0.0), ones, flat(0.04)[:, None], ones[:, None]
    safe = CO2Net(Tint(), refinement=False).eval()(*arguments)
    paper = CO2Net(Tint(), refinement=False, unseen_rule="all_empty").eval()(*arguments)
    assert safe.unseen.min() == 1 and torch.equal(safe.lut, safe.backbone)
    assert paper.unseen.max() == 0 and paper.lut.abs().max() == 0


@torch.no_grad()
def test_smooth_mapping_knows_every_color():
    pytest.importorskip("co2net.color_mapping.completion")
    image, mask, images, masks = clip()
    masks[1] = 0  # nothing to complete from: the backbone takes over
    result = CO2Net(Tint(), refinement=False, mapping="smooth").eval()(image, mask, images, masks)
    assert result.unseen[0].max() == 0
    torch.testing.assert_close(result.lut, image + 0.1 * mask, atol=1e-3, rtol=0)  # a shift completes to itself
    assert torch.equal(result.unseen[1], mask[1])


# Modes, gradients, state.


def test_train_switches_the_refinement_only():
    model = CO2Net(Tint())
    assert not model.backbone.training  # from the start
    assert model.train() is model and model.training
    assert model.refine_network.training and not model.backbone.training
    assert model.eval() is model and not model.training and not model.refine_network.training


def test_gradients_reach_the_refinement_only():
    model = CO2Net(Tint()).train()
    model(*clip()).image.sum().backward()
    assert model.backbone.shift.grad is None
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.refine_network.parameters())


@pytest.mark.parametrize("corner", [(0, 0), (7, 5), (13, 15)])
@torch.no_grad()
def test_the_refinement_runs_where_the_foreground_is(corner):
    """In eval mode only the masks' bounding box is computed; inside the mask that changes nothing."""
    model, (image, _, neighbor_images, neighbor_masks) = CO2Net(Tint()).eval(), clip()
    mask = torch.zeros(2, 1, 20, 24)
    top, left = corner
    mask[0, :, top : top + 4, left : left + 3] = 1
    mask[1, :, top + 2 : top + 7, left + 1 : left + 9] = 0.4
    seen = []
    handle = model.refine_network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    result = model(image, mask, neighbor_images, neighbor_masks)
    handle.remove()
    assert seen[0][2] <= 11 and seen[0][3] <= 13
    out = model.run_backbone(image, mask)
    whole = model.refine(out.raw, result.lut, image, out.features)
    torch.testing.assert_close(result.image, model.finish(whole, mask, image), atol=1e-5, rtol=0)
    assert torch.equal(model(image, mask * 0, neighbor_images, neighbor_masks).image, image)


def test_state_dict_has_the_official_names():
    assert set(CO2Net(ISSAM()).state_dict()) == {
        *load_case("co2net_full_issam").state,
        "backbone.decoder.up_blocks.2.attention.mask_blurring.weight",
    }
    assert {name.split(".")[0] for name in CO2Net(Tint(), refinement=False).state_dict()} == {"backbone"}


@pytest.mark.parametrize(("use_feature", "channels"), [(True, 8), (False, 6)])
def test_feature_channels_come_from_the_backbone(use_feature, channels):
    model = CO2Net(Tint(), use_feature=use_feature)
    assert model.refine_network.refine_block[0].in_channels == channels
    assert model.use_feature is use_feature and model.refinement


def test_training_size_is_the_backbones():
    model = CO2Net(Tint())
    model.training_size = 512
    assert model.backbone.training_size == model.training_size == 512


# Errors.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mapping": "rough"}, "`mapping` rough: must be one of paper, smooth"),
        ({"unseen_rule": "none"}, "`unseen_rule` none: must be one of zero_weight, all_empty"),
        ({"paper_lut_only": True}, "needs refinement=False"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        CO2Net(Tint(), **settings)


def test_neighbors_must_fit_the_frame():
    model, (image, mask, images, masks) = CO2Net(Tint()).eval(), clip()
    with pytest.raises(ShapeError, match="neighbor_images must be"):
        model(image, mask, images[..., 1:], masks)
    with pytest.raises(ShapeError, match="neighbor_images must be"):
        model(image, mask, images[:, 0], masks)
    with pytest.raises(ShapeError, match="neighbor_masks must be"):
        model(image, mask, images, masks[:, 1:])
    with pytest.raises(ShapeError, match="belong together"):
        model(image, mask, images)
    with pytest.raises(ShapeError, match="mask must be"):
        model(image, mask[..., 1:], images, masks)
    with pytest.raises(ShapeError, match="stored_lut_output must be"):
        model.from_stored(image, mask, image[:, :1], mask)


def test_no_refinement_to_run():
    image, *_ = clip()
    with pytest.raises(Co2netError, match="refinement=False"):
        CO2Net(Tint(), refinement=False).refine(image, image, image, None)


def test_identical_neighbor_gives_small_mapping_error():
    image, mask, *_ = clip()
    error, invalid = mapping_statistics(CO2Net(Tint()).eval(), image, mask, image[:, None], mask[:, None])
    assert invalid.max() == 0  # every color of the frame is in the LUT
    assert error.max() < (255 / 32) ** 2
    assert trilinear.backend(image) in ("cpp", "torch")
