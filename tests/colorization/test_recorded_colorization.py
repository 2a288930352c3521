"""The colorization networks and helpers against their recorded cases."""

import cv2
import fixtures
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from co2net import colorization, flow
from co2net.colorization import lab, losses, scribbles
from co2net.colorization.corrnet import CorrNet
from co2net.colorization.ssnet import WARN, SRNet


def case(name):
    described, outputs = fixtures.load(f"svcnet_{name}")
    given = {key: torch.from_numpy(value) for key, value in fixtures.inputs(described).items()}
    return described, given, {key: torch.from_numpy(value) for key, value in outputs.items()}


def load(network, described, prefix=""):
    state = {k.removeprefix(prefix): torch.from_numpy(v) for k, v in fixtures.state_dict(described).items()}
    assert list(network.state_dict()) == [key.removeprefix(prefix) for key, _ in described["state"]]
    network.load_state_dict(state)
    return network.eval()


def check(described, name, value, wanted):
    tolerance = described.get("tolerances", {}).get(name, described["tolerance"])
    difference = (torch.as_tensor(value).float() - wanted).abs()
    assert difference.max() <= tolerance, f"{name}: {difference.max():.2e} at {int(difference.argmax())}"
    mean = described.get("mean_tolerance", {}).get(name)
    assert mean is None or difference.mean() <= mean, f"{name}: mean {difference.mean():.2e}"


@torch.no_grad()
@pytest.mark.parametrize("name", ["cpnet", "cpnet_plain"])
def test_cpnet(name):
    described, given, wanted = case(name)
    settings = described["settings"]
    network = load(colorization.create_cpnet(settings["variant"], settings["start_channels"]), described)
    scribble = torch.where(given["strokes"] > 0.9, given["hint"], lab.NEUTRAL)
    color, segmentation = network(given["luma"], scribble)
    check(described, "color", color, wanted["color"])
    assert (segmentation is None) == (name == "cpnet_plain")
    if segmentation is not None:
        check(described, "segmentation", segmentation, wanted["segmentation"])


@torch.no_grad()
def test_warn_and_srnet():
    described, given, wanted = case("warn")
    check(described, "refined", load(WARN(), described)(given["color"], given["mask"]), wanted["refined"])
    described, given, wanted = case("srnet")
    network = load(SRNet(), described)
    for factor in (2, 4, 8):
        check(described, f"up{factor}", network(given["color"], factor), wanted[f"up{factor}"])


def test_smoother():
    described, given, wanted = case("smoother")
    guide = (given["guide"] * 255).floor().byte()
    for i, (strength, sigma) in enumerate(described["settings"]["pairs"]):
        done = colorization.smooth(40 * given["signal"], guide, strength, sigma)
        check(described, f"smoothed{i}", done, wanted[f"smoothed{i}"])


def test_color_helpers():
    described, given, wanted = case("color")
    luma, color = given["luma"], given["color"]
    rgb8 = lab.join_lab8(luma, color)
    check(described, "rgb8", rgb8, wanted["rgb8"])
    check(described, "centred_lab", lab.centered_lab(rgb8)[0].permute(1, 2, 0), wanted["centred_lab"])
    unlab = lab.centered_lab_to_rgb(torch.cat([100 * luma - 50, 200 * (color - 0.5)], dim=1))
    check(described, "unlab", unlab, wanted["unlab"])
    merged = lab.lab_to_rgb8(torch.cat([100 * luma, 160 * (color - 0.5)], dim=1)[0].permute(1, 2, 0).numpy())
    check(described, "merged_rgb8", merged.astype(np.float32), wanted["merged_rgb8"])
    check(described, "merged_ab", lab.split_lab8(merged)[1], wanted["merged_ab"])
    large = F.interpolate(given["small"], luma.shape[2:], mode="bilinear", align_corners=False)
    final = cv2.cvtColor(lab.join_lab8(luma, large), cv2.COLOR_RGB2BGR)
    check(described, "final_bgr8", final, wanted["final_bgr8"])


@torch.no_grad()
def test_correspondence():
    described, given, wanted = case("correspondence")
    network = load(CorrNet(), described)
    luma, reference = 100 * given["luma"] - 50, reference_of(given)
    check(described, "reference_rgb", lab.centered_lab_to_rgb(reference), wanted["reference_rgb"])
    features = network.reference_features(reference)
    matched, similarity = network.match(luma, reference, features)
    check(described, "matched", matched, wanted["matched"])
    check(described, "similarity", similarity, wanted["similarity"])
    check(described, "smoothed", network.smoothed(luma, matched), wanted["smoothed"])
    check(described, "color", network(luma, reference, features), wanted["color"])
    both = network(luma.repeat(2, 1, 1, 1), reference.repeat(2, 1, 1, 1), [f.repeat(2, 1, 1, 1) for f in features])
    torch.testing.assert_close(both[0], both[1])


def reference_of(given):
    return torch.cat([100 * given["reference_luma"] - 50, 80 * (given["reference_color"] - 0.5)], dim=1)


@torch.no_grad()
@pytest.mark.parametrize("name", ["ssnet", "ssnet_no_short", "ssnet_no_long", "ssnet_no_both"])
def test_ssnet(name):
    described, given, wanted = case(name)
    network = load(colorization.create_ssnet(described["settings"]["variant"]), described)
    reference = features = None
    if network.corr is not None:
        reference = reference_of(given)
        features = network.corr.reference_features(reference)
    previous = given["color"][:1]
    for step in range(2):
        if f"out{step}" not in wanted:
            break
        arguments = (
            100 * given["luma"][step : step + 1] - 50,
            reference,
            features,
            given["color"][step : step + 1],
            previous,
            [near[None] for near in given["neighbours"][step]],
            [mask[None] for mask in given["masks"][step]],
        )
        for long_range in {None, "recorded"} if network.corr is not None else {None}:
            base = None if long_range is None else wanted[f"long_range{step}"]
            result = network(*arguments, long_range=base)
            for part in ("out", "sr", "residual"):
                check(described, f"{part}{step}", getattr(result, part), wanted[f"{part}{step}"])
        field = described["settings"]["flow_scale"] * (given["flow"] - 0.5)
        previous = flow.warp_variant(wanted[f"out{step}"], field, "svcnet")


def test_losses():
    described, given, wanted = case("losses")
    current, warped = (given[name].expand(-1, 3, -1, -1) for name in ("current", "warped"))
    mask = colorization.visibility_mask(current, warped)
    check(described, "mask", mask, wanted["mask"])
    check(described, "tv", losses.total_variation(given["out"]), wanted["tv"])
    check(described, "short", losses.short_term_loss(given["out"], given["previous"], mask), wanted["short"])
    check(described, "l1", (given["out"] - given["target"]).abs().mean(), wanted["l1"])
    check(described, "contextual", losses.contextual_loss(given["x"], given["y"]), wanted["contextual"])


def test_scribble_tools():
    described, given, wanted = case("scribbles")
    colors = (given["colors"] * 255).floor()
    sparse = torch.where(given["strokes"] > 0.97, colors, 0)[0].permute(1, 2, 0).numpy().astype(np.uint8)
    margin = described["settings"]["margin"]
    inner = np.zeros_like(sparse)
    inner[margin:-margin, margin:-margin] = sparse[margin:-margin, margin:-margin]
    check(described, "points", inner, wanted["points"])
    check(described, "widened", colorization.widen(inner, 5), wanted["widened"])
    check(described, "widened10", colorization.widen(inner, 10), wanted["widened10"])
    field = described["settings"]["flow_scale"] * (given["flow"] - 0.5)
    check(described, "propagated", colorization.propagate_scribbles(inner, field), wanted["propagated"])
    for mapping in (1, 3):
        check(described, f"diverse{mapping}", scribbles.diverse(inner, mapping), wanted[f"diverse{mapping}"])
