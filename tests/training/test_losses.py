import fixtures
import pytest
import torch

from co2net import training
from co2net.errors import ShapeError


def test_recorded_case():
    case, expected = fixtures.load("co2net_losses")
    given = {name: torch.from_numpy(value) for name, value in fixtures.inputs(case).items()}
    pred, target, mask = given["pred"], given["target"], given["mask"]
    stage2 = training.stage2_loss(pred, target, mask)
    torch.testing.assert_close(
        stage2, torch.from_numpy(expected["stage2_loss"]).squeeze(), atol=case["tolerance"], rtol=0
    )
    stage1 = [training.stage1_loss(*(x[i : i + 1] for x in (pred, target, mask))) for i in range(len(pred))]
    torch.testing.assert_close(
        torch.stack(stage1), torch.from_numpy(expected["stage1_loss"]).flatten(), atol=case["tolerance"], rtol=0
    )


def test_background_counts_in_the_published_losses_only():
    target = torch.rand(1, 3, 64, 64)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :32] = 1
    output = target + 0.5 * (1 - mask)
    assert training.foreground_loss(output, target, mask) == 0
    assert training.stage1_loss(output, target, mask) > 0
    assert training.stage2_loss(output, target, mask) > 0


def test_an_empty_mask_gives_a_finite_loss():
    output, target, mask = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    for loss in (training.stage1_loss, training.stage2_loss, training.foreground_loss):
        assert torch.isfinite(loss(output, target, mask))


def test_wrong_shapes_are_named():
    with pytest.raises(ShapeError, match=r"mask must be \(1, 1, 8, 8\)"):
        training.stage1_loss(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 9))
    with pytest.raises(ShapeError, match="one shape"):
        training.stage1_loss(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9), torch.rand(1, 1, 8, 8))
