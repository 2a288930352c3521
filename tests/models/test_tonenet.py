import math

import pytest
import torch
from noise_frames import frames

import trilinear
from co2net.color_mapping.completion import identity_lut
from co2net.errors import InputError, WeightsError
from co2net.models.backbones import ToneNet, tonenet
from co2net.models.backbones.base import BackboneOutput
from co2net.models.backbones.tone_parts import Pointwise
from co2net.models.backbones.tonenet import POINTS, RECIPE, SIZE, ToneOutput
from co2net.models.registry import create_backbone, load_model, start_backbone
from co2net.models.releases import write_release
from co2net.weight_files import save_weights

WHOLE = (100, 120)


@pytest.fixture(scope="module")
def trained():
    """A network that has left the identity."""
    torch.manual_seed(0)
    network = ToneNet()
    for layer in (network.affine, network.residual, network.error, network.paint, *network.film):
        torch.nn.init.normal_(next(layer.parameters()), std=0.03)
    return network.eval()


def test_a_fresh_network_changes_nothing():
    network = create_backbone("tonenet")
    network.initialize()
    image, mask = frames(size=WHOLE)
    out = network.eval()(image, mask)
    torch.testing.assert_close(out.image, image, atol=3e-6, rtol=0)
    torch.testing.assert_close(out.lut, identity_lut(POINTS, image).expand(2, -1, -1, -1, -1))


def test_frames_of_a_batch_do_not_mix(trained):
    image, mask = frames(size=WHOLE)
    together = trained(image, mask)
    alone = trained(image[1:], mask[1:])
    torch.testing.assert_close(together.lut[1:], alone.lut, atol=2e-5, rtol=0)
    torch.testing.assert_close(together.expected_error[1:], alone.expected_error, atol=1e-5, rtol=0)
    assert (together.lut - identity_lut(POINTS, image)).abs().max() > 0.01


@pytest.mark.parametrize("size", [(40, 50), (96, 96), (192, 108)])
def test_any_size_of_frame_is_seen(trained, size):
    image, mask = frames(1, size)
    lut, expected_error = trained.predict(image, mask)
    assert lut.shape == (1, 3, POINTS, POINTS, POINTS) and expected_error.shape == (1,)
    assert bool(lut.isfinite().all()) and expected_error > 0


def test_an_empty_mask_gives_a_finite_lut(trained):
    image, mask = frames(1, WHOLE)
    assert bool(trained.predict(image, torch.zeros_like(mask))[0].isfinite().all())


def test_the_prior_weakens_but_never_stops_a_correction(trained):
    image, mask = frames(size=WHOLE)
    plain, _ = trained.predict(image, mask)
    try:
        trained.prior.fill_(5.0)
        held, _ = trained.predict(image, mask)
    finally:
        trained.prior.zero_()
    identity = identity_lut(POINTS, image)
    share = (held - identity).flatten(1).norm(dim=1) / (plain - identity).flatten(1).norm(dim=1)
    assert bool((share < 0.999).all()) and bool((share > 0).all())


def test_the_prior_can_be_set_when_weights_are_loaded():
    assert load_model("default", prior=0.5).backbone.prior == 0.5
    assert load_model("lutnet", prior=2.0).backbone.caution == 2.0
    for weights, prior, says in (
        ("default", -1.0, "from 0 on"),
        ("default", math.nan, "from 0 on"),
        ("issam", 1, "iSSAM"),
    ):
        with pytest.raises(InputError, match=says):
            load_model(weights, prior=prior)


def test_the_lut_contains_what_was_painted(trained):
    """With a flat correction the quadratic fit reproduces it."""
    image, mask = frames(1, (SIZE, SIZE))
    seen, seen_mask = image[..., :48, :48], mask[..., :48, :48]
    painted = torch.full_like(seen, 0.1)
    fitted = trained._fit(painted, torch.zeros_like(seen_mask), seen, seen_mask)
    torch.testing.assert_close(fitted, torch.full_like(fitted, 0.1), atol=2e-3, rtol=0)


def test_training_lowers_the_losses_but_leaves_the_image_features_alone():
    torch.manual_seed(1)
    network = ToneNet()
    image, mask = frames(2, (SIZE, SIZE))
    mask[..., 30:80, 30:80] = 1
    target = (image * 0.7).clamp(0, 1)
    before = {name: value.clone() for name, value in network.features.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(6):
        network.train()
        out = network(image, mask)
        assert isinstance(out, ToneOutput)
        terms = network.losses(out, target, mask, RECIPE)
        loss = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(terms["pixel"].detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in network.features.state_dict().items())


@pytest.mark.parametrize("there", [False, True])
def test_training_computes_in_bfloat16_only_where_the_processor_does(monkeypatch, there):
    monkeypatch.setattr(tonenet, "has_bfloat16", lambda: there)
    network = ToneNet().train()
    seen = []
    network.down[0].register_forward_hook(lambda _, __, out: seen.append(out.dtype))
    network(*frames(2, (SIZE, SIZE)))
    network.eval()(*frames(1, (SIZE, SIZE)))
    assert seen == [torch.bfloat16 if there else torch.float32, torch.float32]


def test_the_image_is_the_lut_inside_the_mask(trained):
    image, mask = frames(size=WHOLE)
    out = trained(image, mask)
    assert isinstance(out, BackboneOutput) and out.lut is not None
    expected = mask * trilinear.apply_lut(out.lut, image) + (1 - mask) * image
    torch.testing.assert_close(out.image, expected)


@pytest.mark.parametrize("bias", [False, True])
def test_a_pointwise_convolution_is_a_convolution(bias):
    plain, ours = torch.nn.Conv2d(5, 7, 1, bias=bias), Pointwise(5, 7, 1, bias=bias).eval()
    ours.load_state_dict(plain.state_dict())
    x = torch.randn(2, 5, 6, 9)
    for memory in (torch.contiguous_format, torch.channels_last):
        torch.testing.assert_close(ours(x.contiguous(memory_format=memory)), plain(x), atol=1e-6, rtol=1e-5)
    assert ours(x.contiguous(memory_format=torch.channels_last)).is_contiguous(memory_format=torch.channels_last)


def test_a_file_says_how_large_a_look_is(tmp_path):
    small = create_backbone("tonenet", size=96)
    save_weights(tmp_path / "w.safetensors", small.state_dict(), {})
    loaded = create_backbone("tonenet", weights=tmp_path / "w.safetensors")
    assert (loaded.size, loaded.frame_size, loaded.training_size) == (96, 192, 96)
    assert ToneNet().size == SIZE and load_model("default").backbone.frame_size % 64 == 0


@pytest.mark.parametrize("size", [0, 32, 100])
def test_a_size_that_halves_unevenly_is_refused(size):
    with pytest.raises(InputError, match="must be a multiple of 32 from 64 on"):
        ToneNet(size)


def test_a_training_may_look_closer_than_the_weights_it_starts_from(tmp_path):
    small = create_backbone("tonenet", size=64)
    places = torch.arange(16.0).view(1, 4, 4, 1).expand(1, 4, 4, 192)
    small.attend.place.data = places.flatten(1, 2).contiguous()
    save_weights(tmp_path / "w.safetensors", small.state_dict(), {})
    grown, missing = start_backbone("tonenet", tmp_path / "w.safetensors", size=128)
    assert missing == "" and grown.size == 128
    found = grown.attend.place.detach().view(8, 8, 192)[..., 0]
    assert found[0, 0] == 0 and found[-1, -1] == 15  # corners stay corners
    assert bool((found.diff(dim=0) >= 0).all() and (found.diff(dim=1) >= 0).all())
    assert bool((grown.mlp[1].weight == small.mlp[1].weight).all())
    same, _ = start_backbone("tonenet", tmp_path / "w.safetensors")
    assert same.size == 64 and bool((same.attend.place == small.attend.place).all())


def test_places_that_are_no_square_are_refused(tmp_path):
    state = create_backbone("tonenet", size=64).state_dict()
    state["attend.place"] = state["attend.place"][:, :15]
    save_weights(tmp_path / "w.safetensors", state, {})
    with pytest.raises(WeightsError, match=r"attend\.place is"):
        create_backbone("tonenet", weights=tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"attend\.place is"):
        start_backbone("tonenet", tmp_path / "w.safetensors")


def test_a_release_looks_at_the_size_that_is_asked_for(tmp_path):
    small = create_backbone("tonenet", size=64)
    torch.nn.init.normal_(small.attend.place)
    save_weights(tmp_path / "w.safetensors", small.state_dict(), {})
    for size in (64, 160):
        write_release([tmp_path / "w.safetensors"], tmp_path / "r.safetensors", mapping="predicted", training_size=size)
        released = load_model(tmp_path / "r.safetensors").backbone
        assert released.size == released.training_size == size
        if size == 64:
            assert bool((released.attend.place == small.attend.place).all())
    with pytest.raises(InputError, match="must be a multiple of 32"):
        write_release([tmp_path / "w.safetensors"], tmp_path / "r.safetensors", mapping="predicted", training_size=100)


def test_a_release_of_a_whole_model_is_resized_too(tmp_path):
    state = {f"backbone.{name}": tensor for name, tensor in create_backbone("tonenet", size=64).state_dict().items()}
    save_weights(tmp_path / "w.safetensors", state, {})
    write_release([tmp_path / "w.safetensors"], tmp_path / "r.safetensors", mapping="predicted", training_size=96)
    assert load_model(tmp_path / "r.safetensors").backbone.size == 96


@pytest.mark.parametrize(("pictures", "size"), [(96, 96), (128, 128), (100, 96), (16, 64)])
def test_a_training_looks_at_what_it_is_shown(pictures, size):
    assert ToneNet(**ToneNet.settings_for(pictures)).learned_size(pictures) == size
