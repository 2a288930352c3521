"""The opponent that looks for changed pixels."""

import math

import pytest
import torch

from co2net.training.adversary import Adversary


def frames():
    generator = torch.Generator().manual_seed(0)
    real = torch.nn.functional.interpolate(torch.rand(4, 3, 4, 4, generator=generator), (32, 32), mode="bicubic")
    mask = torch.zeros(4, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    return real, mask, real - 0.6 * mask


def learn(adversary, result, real, mask) -> float:
    loss = adversary.loss(result, real, mask)
    adversary.optimizer.zero_grad()
    loss.backward()
    adversary.optimizer.step()
    return float(loss.detach())


def test_it_finds_what_was_changed():
    real, mask, changed = frames()
    adversary = Adversary(2e-3, seed=0)
    losses = [learn(adversary, changed, real, mask) for _ in range(60)]
    assert losses[0] == pytest.approx(math.log(2), abs=0.1) and losses[-1] < 0.5 * losses[0]
    assert adversary.disbelief(changed, mask) > 4 * adversary.disbelief(real, mask)


def test_its_disbelief_leads_to_real_frames():
    """A backbone that only listens to the opponent undoes the change."""
    real, mask, changed = frames()
    adversary = Adversary(2e-3, seed=0)
    for _ in range(60):
        learn(adversary, changed, real, mask)
    offset = torch.tensor(-0.6, requires_grad=True)
    adversary.disbelief(real + offset * mask, mask).backward()
    assert offset.grad is not None and offset.grad < 0


def test_learning_leaves_the_backbone_alone():
    real, mask, changed = frames()
    adversary, result = Adversary(1e-3, seed=0), changed.clone().requires_grad_()
    adversary.disbelief(result, mask).backward()
    assert result.grad is not None and result.grad.abs().sum() > 0
    before = result.grad.clone()
    learn(adversary, result, real, mask)
    assert torch.equal(result.grad, before)


def test_empty_masks_give_zero():
    real, mask, _ = frames()
    assert Adversary(1e-3, seed=0).disbelief(real, mask * 0) == 0


@pytest.mark.parametrize("shape", [(17, 33), (3, 5), (64, 64)])
def test_any_size(shape):
    assert Adversary(1e-3, seed=0).network(torch.rand(1, 3, *shape)).shape == (1, 1, *shape)


def test_it_starts_from_its_seed_and_leaves_the_global_one():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    first, second, other = (Adversary(1e-3, seed=seed).network.state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), wanted)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())
