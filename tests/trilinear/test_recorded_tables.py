"""Both packages against recorded results; the tolerances come with the records."""

import lut_cases
import pytest
import torch

import tridistribute
import trilinear


@pytest.fixture(autouse=True, params=lut_cases.BACKENDS)
def backend(request, monkeypatch):
    lut_cases.use(request.param, monkeypatch)
    assert trilinear.backend(torch.rand(1)) == tridistribute.backend(torch.rand(1)) == request.param


def assert_near(actual, wanted, tolerance):
    torch.testing.assert_close(actual, wanted, atol=tolerance, rtol=0)


def test_build():
    given, wanted, tolerance = lut_cases.load("lut_build")
    lut, count = tridistribute.build_lut(given["source"], given["target"], given["mask"])
    assert_near(lut, wanted["lut"], tolerance)
    assert_near(count, wanted["count"], tolerance)


def test_apply():
    given, wanted, tolerance = lut_cases.load("lut_apply")
    output = trilinear.apply_lut(given["lut"], given["image"], given["count"])
    assert_near(output, wanted["output"], tolerance)
    torch.testing.assert_close(
        trilinear.unseen_map(given["count"], given["image"]), wanted["zero_weight"], rtol=0, atol=0
    )
    torch.testing.assert_close(
        trilinear.unseen_map(given["count"], given["image"], "all_empty"), wanted["map"], rtol=0, atol=0
    )


@pytest.mark.parametrize("name", ["lut_map", "lut_edges"])
def test_build_then_read(name):
    given, wanted, tolerance = lut_cases.load(name)
    lut, count = tridistribute.build_lut(given["source"], given["target"], given["mask"])
    if "lut" in wanted:
        assert_near(lut, wanted["lut"], tolerance)
        assert_near(count, wanted["count"], tolerance)
    assert_near(trilinear.apply_lut(lut, given["image"], count), wanted["output"], tolerance)
    torch.testing.assert_close(trilinear.unseen_map(count, given["image"]), wanted["zero_weight"], rtol=0, atol=0)
    torch.testing.assert_close(trilinear.unseen_map(count, given["image"], "all_empty"), wanted["map"], rtol=0, atol=0)


def test_gradients_of_the_chain():
    given, wanted, tolerance = lut_cases.load("lut_gradients")
    leaves = {key: given[key].requires_grad_() for key in ("source", "target", "image")}
    lut, count = tridistribute.build_lut(leaves["source"], leaves["target"], given["mask"])
    assert not count.requires_grad
    lut.retain_grad()
    output = trilinear.apply_lut(lut, leaves["image"], count)
    assert_near(output.detach(), wanted["output"], tolerance)
    (output * given["cotangent"]).sum().backward()
    for key, leaf in (leaves | {"lut": lut}).items():
        assert_near(leaf.grad, wanted[f"chain_grad_{key}"], tolerance)


def test_gradients_of_build_alone():
    given, wanted, tolerance = lut_cases.load("lut_gradients")
    source, target = given["source"].requires_grad_(), given["target"].requires_grad_()
    lut, _ = tridistribute.build_lut(source, target, given["mask"])
    (lut * given["lut_cotangent"]).sum().backward()
    assert_near(source.grad, wanted["build_grad_source"], tolerance)
    assert_near(target.grad, wanted["build_grad_target"], tolerance)


def test_gradients_of_apply_alone():
    given, wanted, tolerance = lut_cases.load("lut_gradients")
    lut, image = given["lut_in"].requires_grad_(), given["image"].requires_grad_()
    (trilinear.apply_lut(lut, image, given["count_in"]) * given["cotangent"]).sum().backward()
    assert_near(lut.grad, wanted["apply_grad_lut"], tolerance)
    assert_near(image.grad, wanted["apply_grad_image"], tolerance)
