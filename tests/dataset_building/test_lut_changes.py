"""The changes of HYouTube's example, against the recorded LUT."""

import fixtures
import numpy as np
import pytest
import torch

from co2net.dataset_building import LutChanges, change_lut
from co2net.dataset_building.lut_changes import HYOUTUBE_EXAMPLE


def by_hand(r, g, b, c=0.0, v=0.0, e=0.0, p=1.0):
    x = [(value - 0.5) * (1 + c) + 0.5 for value in (r, g, b)]
    strongest, luma = max(x), 0.2126 * x[0] + 0.7152 * x[1] + 0.0722 * x[2]
    x = [value + (value - strongest) * (strongest - luma) * 2 * v for value in x]
    if e:  # a step that is not asked for clips nothing either
        x = [1 - max(0.0, 1 - value) ** (2**e) for value in x]
    return [max(0.0, value) ** p for value in x] if p != 1 else x


@pytest.mark.parametrize("changes", [HYOUTUBE_EXAMPLE, LutChanges(exposure=-1), LutChanges(-0.3, -0.4, 0.7, 0.8)])
def test_against_the_definition(changes):
    lut = torch.rand(1, 3, 3, 4, 5) * 2 - 0.5
    result = change_lut(lut, changes)
    assert result.shape == lut.shape and result.dtype == lut.dtype
    for (b, g, r), _ in np.ndenumerate(np.zeros((3, 4, 5))):
        color = lut[0, :, b, g, r].double().tolist()
        wanted = by_hand(*color, changes.contrast, changes.vibrance, changes.exposure, changes.gamma)
        np.testing.assert_allclose(result[0, :, b, g, r], wanted, atol=1e-6)


def test_the_recorded_lut():
    """The same LUT is recorded with and without the example's changes."""
    plain = fixtures.load("hyoutube_lut_16")[1]["lut"]
    case, wanted = fixtures.load("hyoutube_lut_16_enhanced")
    if fixtures.load("hyoutube_lut_16")[0]["settings"]["lut"] != case["settings"]["lut"]:
        pytest.fail("the cases are of different LUTs")
    result = change_lut(torch.from_numpy(plain).permute(3, 0, 1, 2), HYOUTUBE_EXAMPLE)
    np.testing.assert_allclose(result.permute(1, 2, 3, 0), wanted["lut"], atol=2e-6)


def test_nothing_set_changes_nothing():
    lut = torch.rand(3, 4, 4, 4) * 3 - 1
    assert change_lut(lut, LutChanges()) is lut
