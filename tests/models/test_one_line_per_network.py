"""What CDTNet and DucoNet need outside their own files: the line that imports each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "co2net"
NAMES = {"cdtnet", "duconet"}
OWN = {f"models/backbones/{name}.py" for name in NAMES}
# Published things that bear the networks' names: commands and numbers. None of them makes a network work.
PUBLISHED = {"cli/train_images.py", "cli/evaluate_images.py", "cli/predict_images.py", "evaluation/published_images.py"}
LIST = "models/backbones/__init__.py"


def mentions(path: Path) -> Iterator[str]:
    """The lines of code that name one of the networks; docstrings, comments and examples do not count."""
    text = path.read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            words = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
        elif isinstance(node, ast.Name):
            words = [node.id]
        elif isinstance(node, ast.Attribute):
            words = [node.attr]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = [node.value]
        else:
            continue
        if any(word.lower().rpartition(".")[2] in NAMES for word in words):
            yield lines[node.lineno - 1].strip()


def test_one_line_each():
    found = {str(path.relative_to(ROOT).as_posix()): [*mentions(path)] for path in ROOT.rglob("*.py")}
    others = {name: lines for name, lines in found.items() if lines and name not in OWN | PUBLISHED}
    assert list(others) == [LIST]
    imports = [line for line in others[LIST] if line.startswith("from")]
    assert imports == [
        "from co2net.models.backbones.cdtnet import CDTNet",
        "from co2net.models.backbones.duconet import DucoNet",
    ]


@pytest.mark.parametrize("file", sorted(OWN))
def test_the_check_finds_what_it_looks_for(file):
    assert any(line.startswith('@register("') for line in mentions(ROOT / file))
