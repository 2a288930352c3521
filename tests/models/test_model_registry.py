"""Walks the registry: whatever is registered has to build, run at any size, train, save and load."""

import pytest
import torch

import co2net
from co2net.errors import InputError, WeightsError
from co2net.models.backbones import BACKBONES, Backbone, RainNet, register
from co2net.models.co2net import CO2Net
from co2net.models.registry import create_backbone, create_model, list_backbones, list_models
from co2net.models.releases import list_releases, releases_folder
from co2net.weight_files import read_metadata, save_weights

SMALL = {"rain": {"ngf": 4}, "cdtnet": {"base_size": 32}}  # settings under which a big network is quick


@pytest.fixture
def tiny(tmp_path):
    """A full checkpoint of a tiny RainNet model, and the model."""
    model = CO2Net(RainNet(ngf=2)).eval()
    torch.save(model.state_dict(), tmp_path / "full.pth")
    torch.save(model.backbone.state_dict(), tmp_path / "backbone.pth")
    return model, tmp_path


@pytest.fixture
def shipped(tmp_path):
    """A folder of released stand-ins; returns a function that adds one."""

    def add(name, *, refinement, mapping="paper", use_feature=True, **facts):
        model = CO2Net(RainNet(ngf=2), refinement=refinement, use_feature=use_feature)
        flags = {"refinement": str(refinement).lower(), "use_feature": str(model.use_feature).lower()}
        settings = {"format": "co2net", "backbone": "rain", "training_size": "512", "mapping": mapping, **flags}
        state = model.state_dict() if refinement else model.backbone.state_dict()
        save_weights(tmp_path / f"{name}.safetensors", state, settings | facts)
        return tmp_path

    return add


def test_both_papers_backbones_are_there():
    assert {"issam", "rain"} <= {*list_backbones()} == {*BACKBONES}
    assert list_models() == ["co2net"]


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_class_facts(name):
    network = create_backbone(name, **SMALL.get(name, {}))
    assert {*network.parts} == {key.split(".")[0] for key in network.state_dict()}
    assert network.title and (network.feature_channels > 0 or network.predicts_mapping) and not network.training
    assert not {"_mean", "_std"} & {*network.state_dict()}  # official files do not carry them


@pytest.mark.parametrize("size", [(37, 53), (8, 8), (256, 300)])
@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_forward_takes_any_size(name, size):
    network = create_backbone(name, **SMALL.get(name, {}))
    image, mask = torch.rand(2, 3, *size), torch.zeros(2, 1, *size)
    mask[..., : size[1] // 2] = 1
    with torch.no_grad():
        out = network(image, mask)
    assert out.image.shape == out.raw.shape == image.shape and out.image.dtype == torch.float32
    assert out.features.shape == (2, network.feature_channels, *size)
    assert out.image.isfinite().all() and out.features.isfinite().all()
    assert torch.equal(out.image[..., size[1] // 2 :], image[..., size[1] // 2 :])


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_padding_does_nothing_where_none_is_needed(name):
    network = create_backbone(name, **SMALL.get(name, {}))
    side = network.size_multiple
    image, mask = torch.rand(1, 3, side, side), (torch.rand(1, 1, side, side) > 0.5).float()
    with torch.no_grad():
        raw, features = network.network(network.normalize(image), mask)
        out = network(image, mask)
    # A network that takes [0, 1] space gets its normalized input back with another last digit.
    torch.testing.assert_close(out.raw, raw, rtol=0, atol=1e-5)
    torch.testing.assert_close(out.features, features, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_items_of_a_batch_do_not_meet(name):
    network = create_backbone(name, **SMALL.get(name, {}))
    image, mask = torch.rand(2, 3, 40, 48), (torch.rand(2, 1, 40, 48) > 0.5).float()
    with torch.no_grad():
        both = network(image, mask).image
        alone = network(image[1:], mask[1:]).image
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_backward_reaches_every_parameter(name):
    network = create_backbone(name, **SMALL.get(name, {})).train()
    image, mask = torch.rand(2, 3, 37, 53), torch.zeros(2, 1, 37, 53)
    mask[..., 10:30, 10:30] = 1
    out = network(image, mask)
    # The doubt about a prediction is trained beside it and does not touch the picture.
    (out.image.square().sum() + (0 if out.expected_error is None else out.expected_error.sum())).backward()
    learned = [p for p in network.parameters() if p.requires_grad]
    assert learned and all(p.grad is not None and p.grad.isfinite().all() for p in learned)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_state_round_trips(name, tmp_path):
    settings = SMALL.get(name, {})
    source = create_backbone(name, **settings)
    save_weights(tmp_path / "w.safetensors", source.state_dict(), {"training_size": "320"})
    loaded = create_backbone(name, tmp_path / "w.safetensors")
    assert loaded.training_size == 320 and not loaded.training
    assert all(torch.equal(t, loaded.state_dict()[key]) for key, t in source.state_dict().items())


@pytest.mark.parametrize("refinement", [True, False])
@pytest.mark.parametrize("use_feature", [True, False])
def test_create_model_builds_what_is_asked(use_feature, refinement):
    model = create_model("co2net", backbone="issam", use_feature=use_feature, refinement=refinement)
    assert model.refinement is refinement and model.use_feature is (use_feature and refinement)
    assert not model.training and next(model.parameters()).device.type == "cpu"


def test_public_calls_work():
    with torch.no_grad():
        model = co2net.create_model()
        image, mask = torch.rand(1, 3, 37, 53), torch.ones(1, 1, 37, 53)
        result = model(image, mask, image[:, None], mask[:, None])
    assert result.image.shape == result.backbone.shape == result.lut.shape == image.shape
    assert result.unseen.shape == mask.shape


def test_a_full_checkpoint_decides_features_and_backbone(tiny):
    source, folder = tiny
    model = create_model(use_feature=False, weights=folder / "full.pth")  # neither backbone nor ngf is told
    assert model.use_feature and isinstance(model.backbone, RainNet) and not model.training
    assert all(torch.equal(t, model.state_dict()[key]) for key, t in source.state_dict().items())
    assert create_model(backbone="rain", weights=str(folder / "full.pth")).refinement


@pytest.mark.parametrize("name", ["full.pth", "backbone.pth"])
def test_the_color_mapping_alone_takes_full_and_bare_files(tiny, name):
    source, folder = tiny
    model = create_model(refinement=False, weights=folder / name)
    assert not model.refinement
    assert all(torch.equal(t, model.backbone.state_dict()[key]) for key, t in source.backbone.state_dict().items())


def test_a_contradicting_backbone_is_refused(tiny):
    _, folder = tiny
    for name in ("full.pth", "backbone.pth"):
        with pytest.raises(
            WeightsError, match='does not fit iSSAM: it looks like RainNet weights; use backbone="rain"'
        ):
            create_model(backbone="issam", refinement=False, weights=folder / name)
    with pytest.raises(WeightsError, match='use backbone="rain"'):
        create_backbone("issam", weights=folder / "full.pth")


def test_a_bare_backbone_needs_refinement_off(tiny):
    _, folder = tiny
    with pytest.raises(WeightsError, match=r"backbone\.pth holds a backbone only.*use refinement=False"):
        create_model(weights=folder / "backbone.pth")


def test_unknown_names_list_the_known():
    with pytest.raises(InputError, match=r"unknown backbone 'resnet'; available: .*issam, .*rain"):
        create_backbone("resnet")
    with pytest.raises(InputError, match="unknown backbone 'resnet'"):
        create_model(backbone="resnet")
    with pytest.raises(InputError, match="unknown model 'unet'; available: co2net"):
        create_model("unet")


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="'rain' is registered already"):
        register("rain")(type("Other", (Backbone,), {"parts": ("other",)}))
    with pytest.raises(ValueError, match="needs `parts`"):
        register("nameless")(type("Nameless", (Backbone,), {}))
    assert "nameless" not in BACKBONES


# Released weights, with stand-ins.


def test_default_weights_apply_their_settings(shipped, monkeypatch):
    folder = shipped("rain", refinement=True, mapping="smooth", use_feature=False)
    monkeypatch.setenv("CO2NET_MODELS", str(folder))
    model = create_model(backbone="rain", weights="default")
    assert (model.mapping.name, model.training_size, model.use_feature) == ("smooth", 512, False)
    assert create_model(backbone="rain", weights="default", mapping="paper").mapping.name == "paper"
    assert create_model(weights="rain").mapping.name == "smooth"  # by the release's own name
    assert create_backbone("rain", weights="default").training_size == 512


def test_default_without_refinement_warns_once_and_maps_colors(shipped, recwarn):
    folder = shipped("rain", refinement=False, mapping="smooth")
    model = create_model(backbone="rain", weights="default", folder=folder)
    assert not model.refinement and model.mapping.name == "smooth" and len(recwarn) == 1
    assert "no refinement network yet" in str(recwarn[0].message) and recwarn[0].filename == __file__
    create_model(backbone="rain", weights="default", refinement=False, folder=folder)
    assert len(recwarn) == 1


def test_default_prefers_what_comes_closest(shipped):
    shipped("a_full_plain", refinement=True, use_feature=False)
    shipped("b_full", refinement=True)
    shipped("rain_other", refinement=False)
    folder = shipped("rain", refinement=False)

    def chosen(**settings):
        from co2net.models.releases import default_release

        return default_release("rain", folder=folder, **settings).name

    assert chosen(refinement=True) == "b_full"
    assert chosen(refinement=True, use_feature=False) == "a_full_plain"
    assert chosen(refinement=False) == "rain"


def test_default_for_a_backbone_without_release(shipped, tmp_path):
    with pytest.raises(InputError, match='no default weights for backbone "issam"; shipped here: none'):
        create_model(weights="default", folder=tmp_path)
    folder = shipped("small", refinement=False)
    with pytest.raises(InputError, match=r"shipped here: small \(rain\)\. Give the path"):
        create_backbone("issam", weights="default", folder=folder)


def test_a_missing_file_lists_the_releases(shipped):
    folder = shipped("small", refinement=False)
    with pytest.raises(WeightsError, match=r"weight file big does not exist.*there are: default, small"):
        create_model(weights="big", folder=folder)
    with pytest.raises(WeightsError, match=r"weight file .*big\.pth does not exist"):
        create_model(weights=folder / "big.pth", folder=folder)


def test_an_unknown_mapping_in_a_file_is_refused(shipped):
    folder = shipped("rain", refinement=False, mapping="rough")
    with pytest.raises(WeightsError, match="unknown color mapping 'rough'; known here: paper, smooth"):
        create_model(weights="rain", refinement=False, folder=folder)


def test_releases_tell_about_themselves(shipped, tmp_path):
    shipped("rain", refinement=True, data="HYouTube train", measured="fMSE 1")
    (tmp_path / "rain.md").write_text("# A card\n| good at | much |\n| a | b |\n")
    (tmp_path / "README.md").write_text("not a release\n")
    (release,) = list_releases(tmp_path)
    assert (release.name, release.backbone, release.training_size) == ("rain", "rain", 512)
    assert release.refinement and release.use_feature and release.mapping == "paper"
    assert release.facts == {"data": "HYouTube train", "measured": "fMSE 1"} and release.card
    assert release.advice == {"good at": "much"}


def test_a_broken_release_is_left_out_with_a_warning(shipped, tmp_path):
    shipped("rain", refinement=False)
    (tmp_path / "broken.safetensors").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"broken\.safetensors is not a weight file"):
        assert [release.name for release in list_releases(tmp_path)] == ["rain"]
    assert list_releases(tmp_path / "nowhere") == []


def test_every_shipped_file_loads():
    folder = releases_folder()
    releases = list_releases() if folder else []
    if not releases:
        pytest.skip("no released weights here")
    for release in releases:
        metadata = read_metadata(release.path)
        assert metadata["format"] == "co2net" and release.card, release.name
        model = create_model(weights=release.path, refinement=release.refinement)
        assert list_backbones() and isinstance(model.backbone, BACKBONES[release.backbone])
        assert (model.mapping.name, model.training_size) == (release.mapping, release.training_size)
        assert not release.refinement or model.use_feature is release.use_feature


def test_a_release_without_refinement_is_a_model_by_its_name(shipped):
    folder = shipped("mapping", refinement=False)
    assert not create_model("co2net", weights="mapping", folder=folder).refinement
    with pytest.raises(WeightsError):  # a file of one's own must hold what is asked for
        create_model("co2net", weights=folder / "mapping.safetensors")
