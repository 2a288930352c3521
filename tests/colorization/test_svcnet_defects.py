"""What SVCNet's programs did wrong and no other test would notice (docs/published_defects.md)."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from co2net import colorization
from co2net.colorization import methods  # noqa: F401  # scores register themselves
from co2net.colorization.scribbles import diverse, widen
from co2net.colorization.training import MIDDLE, PALINDROME, Recipe, TrainSSNet
from co2net.colorization.training_samples import FRAMES, Clips, Strokes, stack
from co2net.errors import ShapeError
from co2net.metrics.registry import METRICS, Comparison

SIZE = 32, 32


@pytest.fixture
def frames(tmp_path):
    """Eight frames, each brighter than the one before."""
    paths = []
    for k in range(8):
        paths.append(tmp_path / f"{k}.png")
        Image.fromarray(np.full((*SIZE, 3), 20 + 25 * k, np.uint8)).save(paths[-1])
    return paths


def test_the_mirrored_clip_does_not_repeat_its_turning_frame():
    assert PALINDROME == PALINDROME[::-1] and len(PALINDROME) == 2 * FRAMES - 1
    assert all(abs(one - other) == 1 for one, other in itertools.pairwise(PALINDROME))


def test_every_window_is_drawn_and_seven_frames_are_enough(frames):
    clips = Clips([frames], SIZE, Strokes(), 0)
    assert len({round(float(clips[n].luma[0].mean()), 3) for n in range(20)}) == 2
    assert len(Clips([frames[:7]], SIZE, Strokes(), 0)[3].luma) == FRAMES


def test_all_terms_count_and_the_long_one_moves_the_frame_it_compares(frames):
    torch.manual_seed(0)
    cpnet, ssnet = colorization.create_cpnet("CPNet_plain", 2), colorization.create_ssnet("SSNet_without_long")
    weights = {"l1": 1.0, "sr": 3.0, "tv": 0.5, "short": 0.25, "long": 0.125}
    task = TrainSSNet(
        cpnet,
        ssnet,
        Clips([frames], SIZE, Strokes(), 0),
        lambda first, second: torch.zeros(len(first), 2, *first.shape[2:]),
        Recipe(batch_size=1, weights=weights),
    )
    moved, warped = [], task._warped

    def watched(luma, color, number, middle, flows):
        moved.append((color.requires_grad, number, middle, float(luma[:, number].mean())))
        return warped(luma, color, number, middle, flows)

    task._warped = watched
    totals = []
    terms = task.learn(stack([task.samples[0]]), lambda loss: totals.append(float(loss)) or float(loss))
    assert terms["sr"] > 0
    assert totals[0] == pytest.approx(float(sum(weight * terms[name] for name, weight in weights.items())))
    # Six neighbors a step, and from the third step on the first result, which is that of the middle frame.
    later = moved[2 * (FRAMES - 1) :]
    assert [call[1] for call in later[FRAMES - 1 :: FRAMES]] == [PALINDROME[MIDDLE]] * (FRAMES - 2)


def test_points_at_the_border_stay():
    sparse = np.zeros((9, 9, 3), np.uint8)
    for y, x in ((0, 0), (0, 5), (5, 1), (8, 8)):
        sparse[y, x] = 9 + y, 200, 30
    wide = widen(sparse, 5)
    assert {tuple(color) for color in wide[wide.any(axis=2)]} == {(9, 200, 30), (14, 200, 30), (17, 200, 30)}
    assert wide[:2, :2].all() and wide[:2, 3:7].all() and wide[3:7, :3].all()


def test_mappings_do_not_wrap_around():
    point = np.array([[[200, 100, 250]]], np.uint8)
    assert diverse(point, 2).tolist() == [[[72, 28, 122]]]
    assert diverse(point, 4).tolist() == [[[255, 151, 255]]]


def test_scores_of_a_and_b_do_not_wrap_around():
    red, green = (torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, 16, 16) for color in ((1.0, 0, 0), (0, 1.0, 0)))
    found = METRICS["ab_psnr"].measure(Comparison(red, green, torch.ones(1, 1, 16, 16)))
    codes = np.array([208 - 42, 195 - 211]) / 255
    assert float(found) == pytest.approx(-10 * np.log10((codes**2).mean()), abs=0.01)


def test_sizes_that_would_not_fit_are_refused():
    cpnet = colorization.create_cpnet("CPNet_plain", 2)
    with pytest.raises(ShapeError, match="16"):
        cpnet(torch.zeros(1, 1, 40, 48), torch.zeros(1, 2, 40, 48))
