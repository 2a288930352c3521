"""Scores of frames and their summary: what is left out, and that order does not matter."""

from __future__ import annotations

import random

import pytest
import torch

from co2net import metrics
from co2net.evaluation.scores import mean_of, score_frames, summarize
from co2net.metrics.registry import metrics_of

METRICS = [metric.key for metric in metrics_of("harmonization")]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    real = torch.rand(3, 3, 24, 24, generator=generator)
    image = (real + 0.1 * torch.rand(3, 3, 24, 24, generator=generator)).clamp(0, 1)
    mask = torch.zeros(3, 1, 24, 24)
    mask[:2, :, 5:18, 5:18] = 1
    mask[1] *= 0.75  # soft everywhere: no pixel is fully covered
    return image, real, mask


def test_every_metric_is_the_function_of_its_name(batch):
    image, real, mask = batch
    found = score_frames({"final": image}, real, mask)
    assert list(found[0]["final"]) == list(METRICS)
    for metric in METRICS:
        masked = (mask,) if metric.startswith("f") else ()
        expected = getattr(metrics, metric)(image, real, *masked).tolist()
        for i, value in enumerate(expected):
            got = found[i]["final"][metric]
            assert got is None if value != value else got == pytest.approx(value, rel=1e-12)


def test_summary_counts_what_has_no_value(batch):
    image, real, mask = batch
    image = torch.cat([image[:2], real[2:]])
    summary = summarize(score_frames({"composite": real, "final": image}, real, mask), ["composite", "final"])
    final = summary["final"]
    assert (final["mse"]["frames"], final["mse"]["skipped"]) == (3, 0)
    assert (final["fmse"]["frames"], final["fmse"]["skipped"]) == (2, 1)  # the last mask is empty
    assert (final["fmse_paper"]["frames"], final["fmse_paper"]["skipped"]) == (1, 2)
    assert final["fssim"]["skipped"] == final["fssim_paper"]["skipped"] == 1
    for metric in ("psnr", "psnr_paper"):
        found = final[metric]
        assert (found["frames"], found["skipped"], found["infinite"]) == (2, 0, 1)
        equal = summary["composite"][metric]
        assert (equal["mean"], equal["frames"], equal["skipped"], equal["infinite"]) == (None, 0, 0, 3)
    assert final["mse"]["mean"] == pytest.approx(float(metrics.mse(image, real).mean()))
    assert final["psnr"]["mean"] == pytest.approx(float(metrics.psnr(image, real)[:2].mean()))


def test_a_flat_prediction_has_no_published_psnr(batch):
    _, real, mask = batch
    (found, *_) = score_frames({"final": torch.full_like(real, 0.5)}, real, mask)
    (means,) = summarize([found], ["final"]).values()
    assert found["final"]["psnr_paper"] is None and means["psnr_paper"]["skipped"] == 1
    assert means["psnr_paper"]["infinite"] == 0 and means["psnr"]["frames"] == 1


def test_means_do_not_depend_on_the_order():
    rng = random.Random(5)
    frames = [{"final": {metric: rng.uniform(0, 1e6) for metric in METRICS}} for _ in range(500)]
    shuffled = rng.sample(frames, len(frames))
    assert summarize(frames, ["final"]) == summarize(shuffled, ["final"])


def test_means_leave_out_what_is_not_there():
    assert mean_of([1.0, None, 3.0]) == 2.0
    assert mean_of([None]) is None and mean_of([]) is None
