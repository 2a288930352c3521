"""A GPU makes the same pictures as the CPU; skipped where there is none."""

import numpy as np
import pytest
import torch

from co2net import create_model
from co2net.devices import upload
from co2net.pipeline import harmonize_frames


def test_nothing_is_uploaded_where_there_is_nowhere_to():
    picture = torch.rand(3, 4)
    assert upload(picture, torch.device("cpu")) is picture


@pytest.mark.needs_cuda
@pytest.mark.parametrize("backbone, refinement", [("lutnet", False), ("rain", False), ("rain", True)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_same_pictures_as_on_the_cpu(backbone, refinement, kind):
    torch.manual_seed(0)
    model = create_model("co2net", backbone=backbone, refinement=refinement)
    rng = np.random.default_rng(0)
    top = np.iinfo(kind).max
    frames = [rng.integers(0, top + 1, (90, 130, 3)).astype(kind) for _ in range(4)]
    mask = np.zeros((90, 130), np.float32)
    mask[20:70, 30:101] = np.linspace(0, 1, 71)
    masks = [mask] * len(frames)
    on_cpu = list(harmonize_frames(frames, masks, model, 2, 2, precision="full"))
    on_gpu = list(harmonize_frames(frames, masks, model.to("cuda"), 2, 2, precision="full"))
    for cpu, gpu in zip(on_cpu, on_gpu, strict=True):
        assert np.abs(np.asarray(cpu, np.int64) - np.asarray(gpu, np.int64)).max() <= top // 255
