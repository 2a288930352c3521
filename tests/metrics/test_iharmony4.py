"""The published scores of iHarmony4, against the recorded case."""

import pytest
import torch
from recorded_cases import load_case

from co2net import metrics


def test_scores_match_the_recorded_case():
    case = load_case("cdtnet_metrics")
    target = (case.inputs["target"] * 255).round()
    pred = (255 * (case.inputs["target"] + 0.05 * case.inputs["noise"])).clamp(0, 255)
    pair, mask = (pred[None] / 255, target[None] / 255), 0.8 * case.inputs["mask"][None]
    found = {
        "mse": metrics.mse(*pair),
        "fmse": metrics.fmse(*pair, mask),
        "psnr": metrics.psnr_iharmony4(*pair),
        "fpsnr": metrics.fpsnr_iharmony4(*pair, mask),
        "ssim": metrics.ssim_iharmony4(*pair),
        "fssim": metrics.fssim_iharmony4(*pair, mask),
    }
    for name, value in found.items():
        assert float(value[0]) == pytest.approx(float(case.outputs[name]), abs=case.tolerance), name


def test_equal_pictures_and_empty_masks():
    image = torch.rand(2, 3, 16, 20)
    assert metrics.psnr_iharmony4(image, image).isfinite().all()
    assert metrics.fssim_iharmony4(image, image, torch.zeros(2, 1, 16, 20)).isnan().all()
