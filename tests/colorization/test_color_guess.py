"""The guess of colors away from strokes: its fit, its file, and points that move along with a clip."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from co2net.cli import main
from co2net.colorization import regression
from co2net.colorization.features import GEOMETRY, LUMA, SURROUNDINGS, describe
from co2net.colorization.fitting import FitRecipe, fit, gain, sample_pixels, save_fit
from co2net.colorization.lab import NEUTRAL
from co2net.colorization.points import CARRIED, MOST, Points
from co2net.colorization.regression import FITTED, UNIT, Regression, describe_frame, fitted, guess, regress
from co2net.colorization.semantics import SHOWN, look
from co2net.colorization.spread import Spreader
from co2net.errors import InputError, WeightsError
from co2net.models.releases import find_release


@pytest.fixture
def pictures(tmp_path):
    """What is bright is red, what is dark blue, at random places."""
    rng = np.random.default_rng(0)
    for k in range(42):
        coarse = Image.fromarray(rng.integers(0, 2, (4, 6), np.uint8) * 160 + 40)
        gray = np.asarray(coarse.resize((60, 40), Image.Resampling.BICUBIC)).astype(int)
        rgb = np.stack([gray, gray // 2, 255 - gray], axis=2).clip(0, 255).astype(np.uint8)
        Image.fromarray(rgb).save(tmp_path / f"{'b' if k < 2 else 'a'}_{k:02}.png")
    return tmp_path


def test_a_fit_learns_and_is_a_function_of_its_seed(pictures):
    pixels = sample_pixels(sorted(pictures.iterdir()))
    assert pixels.features.shape[:2] == (42, 320) and pixels.features.isfinite().all()
    short = FitRecipe(steps=1, hidden=8, places=2)
    before, after = fit(pixels, short), fit(pixels, FitRecipe(steps=60, hidden=8, places=2))
    assert gain(after, pixels, 5) > gain(before, pixels, 5) + 0.5
    again = fit(pixels, short).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in before.state_dict().items())


@pytest.mark.skipif(find_release("tonenet") is None, reason="a checkout without weights")
def test_image_features_are_those_of_single_pixels_and_summed_up_over_the_frame():
    luma = np.random.default_rng(4).integers(0, 256, (40, 60)).astype(np.float32)
    sight = look(cv2.GaussianBlur(luma, (0, 0), 3))
    weights = torch.randn(3, SHOWN, generator=torch.Generator().manual_seed(0))
    rows, columns = np.array([0, 7, 39, 20]), np.array([0, 33, 59, 2])
    single = sight.at(rows, columns)
    assert single.shape == (4, SHOWN) and sight.whole.shape == (SHOWN,)
    everywhere = sight.summed(weights)
    torch.testing.assert_close(everywhere[:, rows, columns].T, single @ weights.T, rtol=1e-3, atol=1e-2)
    torch.manual_seed(0)
    model = Regression(5, hidden=8, places=2, shown=3).eval()
    assert model.sums is not None
    model.sums.offset.normal_(), model.sums.scale.uniform_(1, 2)
    wanted = model.sums(single, sight.whole)
    torch.testing.assert_close(model.sums.of(sight)[:, rows, columns].T, wanted, rtol=1e-3, atol=1e-2)


@pytest.mark.skipif(find_release("tonenet") is None, reason="a checkout without weights")
def test_a_fit_with_image_features_paints(pictures):
    pixels = sample_pixels(sorted(pictures.iterdir())[:6], shown=True)
    recipe = FitRecipe(steps=2, hidden=8, places=2, shown=3)
    model = fit(pixels, recipe)
    again = fit(pixels, recipe).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())
    out = pictures / "guess.safetensors"
    save_fit(model, out, recipe, 6)
    read = fitted(out)
    assert read.shown == 3
    features = describe_frame(np.full((20, 30), 90, np.float32), read)
    assert features.shape == (20, 30, len(read.offset) + 3) and np.isfinite(features).all()
    assert read.looks(torch.from_numpy(features))[0].shape == (20, 30, GEOMETRY + 2)
    with pytest.raises(InputError, match="shown"):
        fit(sample_pixels(sorted(pictures.iterdir())[:2]), recipe)


def test_the_process_knows_how_far_its_guess_of_a_known_color_from_the_others_is_off():
    torch.manual_seed(2)
    model = Regression(12, hidden=8, places=3).double()
    features, colors = torch.randn(1, 7, 12).double(), torch.randn(1, 7, 2).double()
    known = model.know(features, colors)
    errors = known.weights / known.inverse.diagonal(dim1=-2, dim2=-1)[..., None]
    for left in range(7):
        others = torch.arange(7) != left
        guess, _ = model.ask(model.know(features[:, others], colors[:, others]), features[:, left : left + 1])
        torch.testing.assert_close(colors[:, left] - guess[:, 0], errors[:, left], rtol=1e-3, atol=1e-3)


def test_a_revision_starts_from_the_guess_and_learns(pictures):
    pixels = sample_pixels(sorted(pictures.iterdir()))
    process = FitRecipe(steps=30, hidden=8, places=2)
    revised = [replace(process, width=8, layers=1, revision_steps=steps) for steps in (1, 60)]
    assert revised[1].all_steps == 90 and process.all_steps == 30
    seen: list[int] = []
    models = [fit(pixels, recipe) for recipe in (process, revised[0])]
    models.append(fit(pixels, revised[1], lambda step, loss: seen.append(step)))
    assert seen == list(range(1, 91))
    gains = [gain(model, pixels, 5) for model in models]
    assert gains[1] == pytest.approx(gains[0], abs=0.05) and gains[2] > gains[1] + 0.1
    out = pictures / "guess.safetensors"
    save_fit(models[2], out, revised[1], 42)
    read = fitted(out)
    assert read.revision is not None and len(read.revision.across) == 1
    assert gain(read, pixels, 5) == pytest.approx(gains[2], abs=0.05)


def test_corrections_of_a_frame_are_those_of_its_pixels(pictures, monkeypatch):
    pixels = sample_pixels(sorted(pictures.iterdir())[:6])
    model = fit(pixels, FitRecipe(steps=5, hidden=8, places=2, width=8, layers=1, revision_steps=20))
    monkeypatch.setattr(regression, "fitted", lambda: model)
    luma = cv2.GaussianBlur(np.random.default_rng(1).uniform(0, 255, (41, 60)).astype(np.float32), (0, 0), 6)
    features = describe(luma)
    known = torch.zeros(1, 1, 41, 60)
    known[0, 0, 5, 9] = known[0, 0, 30, 50] = 1
    points = Points.of(features, torch.full((1, 2, 41, 60), 0.7), known)
    found = guess(features, points)
    colors = (torch.from_numpy(points.colors)[None] - NEUTRAL) * (255 / UNIT)
    flat = torch.from_numpy(features.reshape(1, -1, features.shape[-1]))
    single = model(torch.from_numpy(points.features)[None], colors, flat)
    single = (single * (UNIT / 255) + NEUTRAL).reshape(1, 41, 60, 2).permute(0, 3, 1, 2)
    assert (found - single).abs().mean() < 2e-3


def test_the_command_leaves_a_file_that_can_be_used(pictures, capsys):
    out = pictures / "guess.safetensors"
    arguments = [str(pictures), "-o", str(out), "--leave_out", "b_", "--steps", "3", "--hidden", "8", "--places", "2"]
    assert main(["train", "guess", *arguments, "--limit", "30"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(out) and "30 pictures; a and b of 2 held-out ones" in said.err
    model = fitted(out)
    assert model.places == 2 and len(model.second.bias) == 8
    assert main(["train", "guess", str(pictures), "--layers", "3"]) == 2
    assert "--layers is of the revision, which a --width" in capsys.readouterr().err
    assert main(["train", "guess", str(pictures), "--leave_out", "a_,b_"]) == 2
    assert "no usable" in (said := capsys.readouterr().err) or "too few" in said
    with pytest.raises(WeightsError):
        fitted(pictures / "a_05.png")


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 5), (40, 60)])
def test_features_of_any_size(size):
    luma = np.random.default_rng(1).integers(0, 256, size).astype(np.float32)
    found = describe(luma)
    assert found.shape == (*size, len(fitted().offset)) and found.dtype == np.float32 and np.isfinite(found).all()
    np.testing.assert_allclose(found[..., 2], luma / 100)
    assert fitted().lengths.shape == (2, GEOMETRY + fitted().places) and FITTED.stat().st_size < 1_000_000


def test_a_guess_is_near_its_points_and_gray_without():
    luma = torch.full((40, 60), 90.0)
    luma[:, 30:] = 200
    ab, known = torch.full((1, 2, 40, 60), NEUTRAL), torch.zeros(1, 1, 40, 60)
    assert (regress(luma, ab, known) == NEUTRAL).all()
    for x, color in ((12, 0.6), (45, 0.42)):
        ab[:, :, 18:22, x : x + 4], known[:, :, 18:22, x : x + 4] = color, 1
    found = regress(luma, ab, known)
    assert found[0, 0, 5:35, 3:25].mean() > NEUTRAL + 0.04 and found[0, 0, 5:35, 35:55].mean() < NEUTRAL - 0.03


def test_points_move_and_go_on_with_the_frame_where_they_are_lost():
    features = np.random.default_rng(2).random((20, 30, 6)).astype(np.float32)
    features[..., LUMA] = features[..., SURROUNDINGS] = 0.5
    known = torch.zeros(1, 1, 20, 30)
    known[0, 0, 3, 4] = known[0, 0, 10, 25] = known[0, 0, 15, 8] = 1
    points = Points.of(features, torch.rand(1, 2, 20, 30), known)
    assert points.places.tolist() == [[4, 3], [25, 10], [8, 15]]
    flow, visible = torch.zeros(1, 2, 20, 30), torch.ones(1, 1, 20, 30)
    flow[:, 0] = 6
    visible[..., 15, 8] = 0
    before, following = points.features.copy(), features + np.float32(0.05)
    following[15, 14, LUMA] += 0.2  # another thing covers the third point
    points.move(flow, visible, following)
    np.testing.assert_allclose(points.places, [[10, 3], [31, 10], [14, 15]], atol=1e-3)
    assert points.seen.tolist() == [True, False, False]
    np.testing.assert_array_equal(points.features[0, 2:], following[3, 10, 2:])
    np.testing.assert_array_equal(points.features[1:, 2:], before[1:, 2:])
    np.testing.assert_allclose(points.features[:, :2], points.places / np.hypot(20, 30), rtol=1e-6)
    slipped = following.copy()
    slipped[..., LUMA] = 0.8  # what lies there now is another thing: it looks as it did first
    points.move(flow, torch.ones_like(visible), slipped)
    np.testing.assert_allclose(points.places[0], [16, 3], atol=1e-3)
    assert points.seen.tolist() == [True, False, False]
    np.testing.assert_array_equal(points.features[:, 2:], before[:, 2:])
    points.move(-flow, torch.ones_like(visible), following)  # back in view, and uncovered
    points.move(-flow, torch.ones_like(visible), features)
    assert points.seen.all()
    np.testing.assert_allclose(points.places, [[4, 3], [25, 10], [8, 15]], atol=1e-3)
    np.testing.assert_array_equal(points.features[1, 2:], features[10, 25, 2:])


def test_most_of_the_frame_decides_where_lost_points_go():
    """A camera that zooms and turns, and a third of the frame that moves otherwise."""
    y, x = np.mgrid[:40, :60].astype(np.float32)
    flow = np.stack([2 + 0.02 * x - 0.01 * y, -1 + 0.01 * x + 0.02 * y])
    flow[:, 10:30, 20:60] = 9
    features = np.zeros((40, 60, 6), np.float32)
    known = torch.zeros(1, 1, 40, 60)
    known[..., 20, 40] = 1
    points = Points.of(features, torch.rand(1, 2, 40, 60), known)
    covering = np.ones_like(features)
    points.move(torch.from_numpy(flow)[None], torch.zeros(1, 1, 40, 60), covering)
    np.testing.assert_allclose(points.places, [[40 + 2 + 0.8 - 0.2, 20 - 1 + 0.4 + 0.4]], atol=0.3)


def test_points_are_not_too_many():
    many = Points(np.zeros((500, 6), np.float32), np.zeros((500, 2), np.float32), np.zeros((500, 2)))
    few = many.thinned(MOST)
    assert len(few) == MOST and len(few.thinned(CARRIED).joined(many.thinned(3))) == CARRIED


def test_what_comes_into_view_gets_the_color_of_its_like():
    """A clip that scrolls by half its width: the same two grounds go on, and keep their colors."""
    wide = np.full((48, 160), 60.0, np.float32)
    wide[24:] = 190
    wide += np.random.default_rng(3).normal(0, 4, wide.shape).astype(np.float32)
    frames = [torch.from_numpy(wide[:, 4 * k : 4 * k + 80].clip(0, 255))[None, None] / 255 for k in range(12)]

    def scroll(first, second):
        ahead = frames.index_of(second) - frames.index_of(first)
        return torch.tensor([-4.0 * ahead, 0]).view(1, 2, 1, 1).expand(1, 2, 48, 80)

    class Clip(list):
        def index_of(self, gray):
            return next(k for k, frame in enumerate(self) if torch.equal(frame, gray[:, :1]))

    frames = Clip(frames)
    ab, known = torch.full((1, 2, 48, 80), NEUTRAL), torch.zeros(1, 1, 48, 80)
    for y, color in ((8, 0.6), (36, 0.42)):
        ab[:, :, y : y + 4, 20:60], known[:, :, y : y + 4, 20:60] = color, 1
    spreader = Spreader(scroll)
    results = []
    for number, frame in enumerate(frames):
        results += spreader.add(frame, ab, known, number)
        known = torch.zeros_like(known)
    results += spreader.rest()
    assert [number for number, _ in results] == list(range(12)) and not list(spreader.rest())
    new = results[-1][1][0, :, :, 60:]
    assert (new[:, 4:20] > NEUTRAL + 0.04).float().mean() > 0.9 and (
        new[:, 28:44] < NEUTRAL - 0.03
    ).float().mean() > 0.9
