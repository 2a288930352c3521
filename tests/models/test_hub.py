"""Models in folders of the Hub's form; nothing here needs a network."""

from __future__ import annotations

import pytest
import torch

from co2net.errors import InputError, WeightsError
from co2net.models.co2net import CO2Net
from co2net.models.registry import create_model, load_model

hub = pytest.importorskip("huggingface_hub", reason="needs pip install 'co2net[hub]'")


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.parametrize("weights", ["lutnet", "co2net_issam"])
def test_a_model_comes_back_from_a_folder(tmp_path, weights):
    model = load_model(weights)
    assert model.save_pretrained(tmp_path / "model") == tmp_path / "model" / "model.safetensors"
    again = CO2Net.from_pretrained(tmp_path / "model")
    assert (again.refinement, again.mapping.name) == (model.refinement, model.mapping.name)
    assert again.backbone.training_size == model.backbone.training_size and not again.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert "library_name: co2net" in (tmp_path / "model" / "README.md").read_text()


def test_uploading_sends_that_folder(tmp_path, monkeypatch):
    sent = {}

    class Api:
        def __init__(self, token=None):
            sent["token"] = token

        def create_repo(self, repo_id, private=None, exist_ok=True):
            sent["private"] = private
            return type("Repository", (), {"repo_id": repo_id})()

        def upload_folder(self, *, repo_id, folder_path, **more):
            sent.update(repo=repo_id, files=sorted(path.name for path in folder_path.iterdir()))
            return f"https://huggingface.co/{repo_id}/commit/1"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    address = create_model(weights="lutnet").push_to_hub("somebody/model", private=True)
    assert address.endswith("somebody/model/commit/1")
    assert sent == {
        "token": None,
        "private": True,
        "repo": "somebody/model",
        "files": ["README.md", "model.safetensors"],
    }


def test_models_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="no model of co2net could be had"):
        CO2Net.from_pretrained("somebody/nothing", cache_dir=tmp_path)
    (tmp_path / "model").mkdir()
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        CO2Net.from_pretrained(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        CO2Net.from_pretrained(tmp_path / "model")
