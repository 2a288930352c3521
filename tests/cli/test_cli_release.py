"""`co2net release`: a checkpoint becomes a file that says what it is."""

from __future__ import annotations

import pytest
import torch

from co2net.cli import main
from co2net.models.registry import create_model, load_model
from co2net.models.releases import read_release


@pytest.fixture
def checkpoints(tmp_path):
    """Two models that share their backbone, as the checkpoints of one run do."""
    torch.manual_seed(2)
    start = create_model(refinement=True)
    torch.save(start.state_dict(), tmp_path / "0.pth")
    for parameter in start.refine_network.parameters():
        parameter.data += 1.0
    torch.save(start.state_dict(), tmp_path / "last.pth")
    return tmp_path


def test_the_file_lies_between_two_checkpoints_and_says_what_it_is(checkpoints):
    out = checkpoints / "released.safetensors"
    arguments = [checkpoints / "last.pth", "-o", out, "--average-with", checkpoints / "0.pth", "--share", "0.25"]
    facts = ["--mapping", "smooth", "--training_size", "256", "--fact", "trained_on=nothing, for tests"]
    assert main(["release", *(str(word) for word in (*arguments, *facts))]) == 0
    release = read_release(out)
    assert (release.backbone, release.refinement, release.use_feature) == ("issam", True, True)
    assert (release.mapping, release.training_size) == ("smooth", 256)
    assert release.facts == {"trained_on": "nothing, for tests"}
    model, start = load_model(out), load_model(checkpoints / "0.pth")
    before = start.state_dict()
    for name, tensor in model.state_dict().items():
        trained = name.startswith("refine_network.") and "running" not in name and "num_batches" not in name
        torch.testing.assert_close(tensor, before[name] + 0.25 if trained else before[name])


def test_a_file_in_16_bits_can_be_averaged_with(checkpoints):
    half, out = checkpoints / "half.safetensors", checkpoints / "released.safetensors"
    as_used = ["--mapping", "smooth", "--training_size", "256"]
    assert main(["release", str(checkpoints / "0.pth"), "-o", str(half), "--half", *as_used]) == 0
    assert main(["release", str(checkpoints / "0.pth"), "-o", str(out), "--average-with", str(half), *as_used]) == 0
    before, averaged = load_model(checkpoints / "0.pth").state_dict(), load_model(out).state_dict()
    for name, tensor in averaged.items():
        torch.testing.assert_close(tensor, before[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--share", "2"], "share must be between 0 and 1"),
        (["--fact", "nothing"], "wanted NAME=TEXT"),
        (["--training-size", "0"], "--training-size must be 1 or more"),
        (["-o", "weights.pth"], "released weights are .safetensors files"),
        (["--average-with", "OTHER"], "are not of one network"),
    ],
)
def test_bad_requests_get_a_sentence(checkpoints, capsys, change, message):
    other = checkpoints / "other.pth"
    torch.save(create_model(refinement=True, use_feature=False).state_dict(), other)
    arguments = [str(checkpoints / "last.pth"), "-o", str(checkpoints / "x.safetensors"), "--mapping", "paper"]
    arguments += ["--training-size", "256", "--average-with", str(checkpoints / "0.pth")]
    assert main(["release", *arguments, *(str(other) if word == "OTHER" else word for word in change)]) == 2
    assert message in capsys.readouterr().err
    assert not (checkpoints / "x.safetensors").exists()
