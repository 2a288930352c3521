"""The summary as text: published rows only where they compare, what was left out, values that do not exist."""

from __future__ import annotations

import pytest

from co2net.evaluation.published import TEST_FRAMES
from co2net.evaluation.report.text import summary_text
from co2net.evaluation.results import make_results
from co2net.metrics.registry import metrics_of

METRICS = [metric.key for metric in metrics_of("harmonization")]


def results(frames, empty=0):
    def frame(number):
        scores = dict.fromkeys(METRICS, float(number % 2))
        if number < empty:
            scores |= {metric: None for metric in METRICS if metric.startswith("f")}
        return {"invalid": 0.25, "mapping_error": None, "scores": {"final": scores}}

    record = {"clip": "v/o", "pictures": [], "frames": [frame(number) for number in range(frames)]}
    return make_results(
        [record], methods=("final",), title="weights on data", protocol={"size": "Small."}, settings={}, environment={},
        weights=[],
    )  # fmt: skip


@pytest.mark.parametrize(("frames", "there"), [(TEST_FRAMES, True), (TEST_FRAMES - 1, False), (2, False)])
def test_published_rows_stand_beside_the_test_set_only(frames, there):
    text = summary_text(results(frames))
    assert ("published: CO2Net (iSSAM, 8 + 8 neighbors)" in text) is there
    if there:
        (line,) = [line for line in text.splitlines() if "published: iSSAM, per frame" in line]
        assert [cell.strip() for cell in line.strip("|").split("|")][1:] == ["28.90", "203.77", "37.38", "0.8817"]
        assert "published" not in text.split("Standard convention:")[1].split("Protocol")[0]


def test_what_was_left_out_is_said():
    text = summary_text(results(4, empty=1))
    assert "left out of fmse, final: 1 frame without a value (empty mask)" in text
    assert "left out of fssim_paper, final: 1 frame" in text and "left out of mse" not in text


def test_equal_frames_are_said():
    made = results(3)
    made["summary"]["final"]["psnr"] |= {"infinite": 2}
    assert "left out of psnr, final: 2 frames equal to the truth" in summary_text(made)


def test_metrics_without_any_value_are_a_dash():
    text = summary_text(results(2, empty=2))
    assert "| final  | 0.50 | -    | 0.50 | -     |" in text


def test_invalid_in_both_forms():
    text = summary_text(results(2))
    assert "three times the fraction): 0.75" in text and "tells about: 0.25" in text and "me (mapping" not in text
    assert text.startswith("weights on data: 2 frames of 1 clip\n") and "- size: Small." in text
