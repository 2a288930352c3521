import numpy as np
import pytest
import torch
from recorded_cases import load_case
from torch.nn import functional as F

import co2net
from co2net.color_spaces import lab_codes, lab_planes
from co2net.errors import ShapeError
from co2net.models.backbones.duconet import BLACK, ControlModule, DucoNet


@pytest.fixture(scope="module")
def network():
    case = load_case("duconet")
    made = DucoNet().eval()
    made.load_state_dict(case.state)
    return made


@pytest.mark.parametrize("name", ["duconet", "duconet_wide"])
@torch.no_grad()
def test_matches_recorded_cases(name):
    case = load_case(name)
    network = DucoNet().eval()
    network.load_state_dict(case.state)
    out = network(case.inputs["image"], case.inputs["mask"], lab=case.inputs["lab"])
    case.check("images", out.raw)
    for plane, code in zip("lab", out.codes, strict=True):
        case.check(f"w_{plane}", code)


@torch.no_grad()
def test_one_control_module():
    case = load_case("duconet_control")
    prefix = f"decoder.up_blocks.{case.settings['block']}.control_module."
    module = ControlModule(case.settings["channels"]).eval()
    module.load_state_dict({name.removeprefix(prefix): value for name, value in case.state.items()})
    codes = tuple(case.inputs[f"w_{plane}"] for plane in "lab")
    case.check("output", module(case.inputs["x"], codes, case.inputs["mask"]))


def exact_codes(rgb):
    """The fixed-point recipe, written out."""
    i, k = np.arange(256) / 255, np.arange(2041) / 2040
    gamma = np.rint(2040 * np.where(i <= 0.04045, i / 12.92, ((i + 0.055) / 1.055) ** 2.4)).astype(np.int64)
    root = np.rint(32768 * np.where(k > 216 / 24389, np.cbrt(k), 841 / 108 * k + 16 / 116)).astype(np.int64)
    root[49], root[628] = 9454, 22126
    rows = np.array([[1777, 1541, 778], [871, 2929, 296], [73, 448, 3575]])
    x, y, z = np.moveaxis(root[(gamma[rgb] @ rows.T + 2048) >> 12], -1, 0)
    gray = 128 * 32768 + 16384
    codes = [296 * y - 1336934 + 16384, 500 * (x - y) + gray, 200 * (y - z) + gray]
    return (np.stack(codes, axis=-1) >> 15).clip(0, 255).astype(np.uint8)


def test_lab_codes_are_exact():
    case = load_case("duconet_lab")
    rgb = np.rint(255 * case.inputs["image"].numpy()).astype(np.uint8).transpose(1, 2, 0)
    assert np.array_equal(lab_codes(rgb).transpose(2, 0, 1), case.outputs["random"].numpy())
    levels = np.array(case.settings["levels"], np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(1, -1, 3)
    assert np.array_equal(lab_codes(grid)[0], case.outputs["grid"].numpy())
    colors = np.random.default_rng(0).integers(0, 256, (301, 333, 3), dtype=np.uint8)
    assert np.array_equal(lab_codes(colors), exact_codes(colors))
    assert lab_codes(np.uint8([[[255, 0, 0], [0, 0, 0]]])).tolist() == [[[136, 208, 195], [*BLACK]]]


def test_lab_codes_take_strange_strides_and_refuse_the_rest():
    picture = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    assert np.array_equal(lab_codes(picture[::2, ::-1]), lab_codes(picture)[::2, ::-1])
    for wrong in (picture.astype(np.float32), picture[..., 0], [1, 2, 3]):
        with pytest.raises(ShapeError, match="rgb8 must be"):
            lab_codes(wrong)


def test_parameters_and_entries(network):
    assert sum(p.numel() for p in network.parameters()) == 7_630_487
    assert len(network.state_dict()) == 335
    assert not any("control_module" in name for name in DucoNet(3).state_dict())


@torch.no_grad()
def test_lab_is_made_of_the_image_where_it_is_not_given(network):
    image, mask = torch.rand(2, 3, 32, 40), torch.ones(2, 1, 32, 40)
    made, given = network(image, mask), network(image, mask, lab=lab_planes(image))
    assert torch.equal(made.image, given.image)
    other = network(image, mask, lab=lab_planes(image.flip(1)))
    assert all((a - b).abs().max() > 1e-5 for a, b in zip(other.codes, made.codes, strict=True))


@torch.no_grad()
def test_odd_sizes_are_padded_by_black_to_multiples_of_32(network):
    image, mask = torch.rand(1, 3, 45, 61), torch.ones(1, 1, 45, 61)
    lab = lab_planes(image)
    padding = (1, 2, 9, 10)
    padded = F.pad(image, padding)
    out = network(padded, F.pad(mask, padding), lab=lab_planes(padded))
    torch.testing.assert_close(network(image, mask, lab=lab).raw, out.raw[..., 9:54, 1:62])


def test_a_lab_of_another_size_is_refused(network):
    with pytest.raises(ShapeError, match="lab must be"):
        network(torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32), lab=torch.rand(1, 3, 32, 40))


def test_control_modules_are_inferred_from_the_file(tmp_path):
    source = co2net.create_backbone("duconet", control_module_start=1)
    torch.save(source.state_dict(), tmp_path / "w.pth")
    loaded = co2net.create_backbone("duconet", weights=tmp_path / "w.pth")
    assert loaded.decoder.up_blocks[0].control_module is None
    assert loaded.decoder.up_blocks[1].control_module is not None


def test_the_published_loss(network):
    out = network(torch.rand(2, 3, 32, 32), torch.ones(2, 1, 32, 32))
    target, mask = torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    mask[..., :2] = 1
    (loss,) = network.losses(out, target, mask, network.recipes["paper"]).values()
    wanted = ((out.raw - network.normalize(target)) ** 2).sum(dim=(1, 2, 3)) / 300
    torch.testing.assert_close(loss, wanted.mean())
