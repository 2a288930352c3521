"""A weight file of its own for the command, a small clip with sound, and the command run in this process."""

import numpy as np
import pytest
import torch
from video import clips

from co2net.cli import main
from co2net.models.registry import create_backbone
from co2net.weight_files import save_weights

SIZE = (96, 64)


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory):
    """Random weights that work at 32 pixels: fast, and their result differs from the composite."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(3)
    facts = {"format": "co2net", "backbone": "issam", "refinement": "false", "training_size": "32", "mapping": "paper"}
    save_weights(
        folder / "issam.safetensors", create_backbone("issam").state_dict(), facts | {"data": "none, for tests"}
    )
    (folder / "issam.md").write_text("# issam\n\nThe whole card.\n")
    return folder


@pytest.fixture(autouse=True)
def _use_models(models_folder, monkeypatch):
    monkeypatch.setenv("CO2NET_MODELS", str(models_folder))


@pytest.fixture
def clip(tmp_path):
    """`in/composite.mp4` of 5 frames with sound, and `in/mask` as pictures."""
    folder = tmp_path / "in"
    folder.mkdir()
    clips.make_video(folder / "composite.mp4", 5, SIZE, sound="aac")
    clips.make_folder(folder / "mask", [clips.disc(*SIZE)] * 5)
    return folder


@pytest.fixture
def run_with(capsys, monkeypatch, tmp_path):
    """A command's main function, run in `tmp_path`: returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(command, *arguments):
        capsys.readouterr()
        try:
            code = command([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def run(run_with):
    """Run ``co2net``."""
    return lambda *arguments: run_with(main, *arguments)


@pytest.fixture
def outside():
    return clips.disc(*SIZE) == 0


@pytest.fixture
def blank():
    return np.zeros(SIZE[::-1], np.uint8)
