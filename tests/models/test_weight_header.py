"""What a weight file says about itself: written, read, and told when it cannot be."""

import subprocess
import sys

import pytest
import torch

from co2net.errors import WeightsError
from co2net.models.weight_header import WeightHeader, read_header, save_model_weights

HEADER = WeightHeader("issam", True, False, 256, "smooth", {"data": "none", "epoch": "3"})


def test_a_header_comes_back(tmp_path):
    for header in (HEADER, WeightHeader(), WeightHeader(backbone="lutnet", mapping="predicted")):
        save_model_weights(tmp_path / "w.safetensors", {"a": torch.zeros(2)}, header)
        assert read_header(tmp_path / "w.safetensors") == header
    torch.save({"a": torch.zeros(2)}, tmp_path / "w.pth")
    assert read_header(tmp_path / "w.pth") == WeightHeader()


@pytest.mark.parametrize("size", ["0", "-1", "2.5", "many", "9" * 5000, ""])
def test_an_impossible_size_is_named(size):
    with pytest.raises(WeightsError, match=r"w: training_size .* must be a positive whole number") as caught:
        WeightHeader.of({"training_size": size}, "w")
    assert len(str(caught.value)) < 200


def test_the_same_weights_are_the_same_bytes(tmp_path):
    """Also from another process, where the library's order of metadata is another one."""
    code = (
        "import sys, torch\nfrom co2net.models.weight_header import WeightHeader, save_model_weights\n"
        "facts = {f'fact{i}': 'ä' * i for i in range(9)}\n"
        "save_model_weights(sys.argv[1], {'b': torch.arange(5), 'a': torch.ones(2, 3)}, WeightHeader('x', facts=facts))"
    )
    contents = set()
    for number in range(2):
        path = tmp_path / f"{number}.safetensors"
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
        contents.add(path.read_bytes())
        assert read_header(path).facts["fact3"] == "äää"
    assert len(contents) == 1
