"""The commands of the documentation work: every shell block that begins with ``# tested`` is run on the sample data.

The blocks of a page run one after the other in one folder that looks like a fresh clone; what they write stays there.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from video import clips

import co2net

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md"])
BLOCK = re.compile(r"^```sh\n# tested\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON_PAGES = ("README.md", "docs/api.md", "docs/evaluation.md")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def _blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the parts of the repository that commands name."""
    for name in ("scripts", "sample_data", "final_models"):
        (tmp_path / name).symlink_to(ROOT / name)
    for path in ROOT.glob("*.txt"):
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page)], ids=lambda page: page.name)
def test_commands_of_a_page_run(page: Path, checkout: Path):
    # "python" and "co2net" are this environment's. One thread: two that wait for each other on a busy machine take
    # four times as long.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for block in _blocks(page):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=checkout, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_python_of_a_page_runs(page: str, checkout: Path, monkeypatch: pytest.MonkeyPatch):
    """All blocks of a page, one after the other, in one program that has a small clip and weights under usual names."""
    monkeypatch.chdir(checkout)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    frames = [np.full((48, 64, 3), 60 + 10 * n, np.uint8) for n in range(3)]
    masks = [np.pad(np.full((20, 30), 255, np.uint8), ((10, 18), (10, 24))) for _ in frames]
    clips.make_video(checkout / "composite.mp4", frames)
    clips.make_video(checkout / "mask.mp4", [mask[..., None].repeat(3, axis=2) for mask in masks])
    torch.save(co2net.create_backbone("issam").state_dict(), checkout / "issam_backbone.pth")
    names = {"frames": frames, "masks": masks, "image": torch.rand(1, 3, 64, 64), "mask": torch.ones(1, 1, 64, 64)}
    try:
        for block in PYTHON_BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
            exec(compile(block, page, "exec"), names)  # noqa: S102
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize(
    "module",
    [
        "co2net",
        "co2net.colorization",
        "co2net.data",
        "co2net.flow",
        "co2net.metrics",
        "co2net.training",
        "trilinear",
        "tridistribute",
    ],
)
def test_every_public_name_is_on_the_page_of_names(module: str):
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    names = [name for name in importlib.import_module(module).__all__ if not name.startswith("__")]
    assert names
    missing = [name for name in names if not re.search(rf"\b{name}\b", page)]
    assert not missing, f"docs/api.md does not name {missing} of {module}"
