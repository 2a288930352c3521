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

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md"])
BLOCK = re.compile(r"^```sh\n# tested\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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
