"""What the training tests share: one thread, a tiny data set and a backbone for it."""

import pytest
import torch
from stage2_sets import make_set

from co2net.models.registry import create_backbone
from co2net.weight_files import save_weights


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    """Weights of a backbone that nearly returns its input."""
    torch.manual_seed(4)
    network = create_backbone("issam")
    network.initialize(start_as_identity=True)
    path = tmp_path_factory.mktemp("weights") / "issam.safetensors"
    facts = {"format": "co2net", "backbone": "issam", "refinement": "false", "mapping": "paper"}
    save_weights(path, network.state_dict(), facts)
    return path
