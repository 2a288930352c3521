"""Rooms import only rooms below them, as docs/architecture.md lists them; no circles, no long files, no flags."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = re.findall(r"^\| `co2net/(\w+)/`", PAGE, re.MULTILINE)  # from top to bottom
ONE_FLOOR = {"training", "evaluation"}


def imported_rooms(path: Path) -> Iterator[str]:
    """The rooms of co2net that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "co2net" and len(parts) > 1 and parts[1] in ROOMS:
                yield parts[1]


def test_every_room_is_on_the_page_once():
    folders = {path.parent.name for path in (ROOT / "co2net").glob("*/__init__.py")}
    assert sorted(ROOMS) == sorted(folders)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_lead_downward(room: str):
    place = ROOMS.index(room)
    for path in (ROOT / "co2net" / room).rglob("*.py"):
        for other in imported_rooms(path):
            below = ROOMS.index(other) >= place and not (room != other and {room, other} == ONE_FLOOR)
            assert below, f"{path.relative_to(ROOT)} imports co2net.{other}, which is not below co2net.{room}"


def test_single_files_import_no_room():
    for path in (ROOT / "co2net").glob("*.py"):
        if path.name not in ("__init__.py", "__main__.py"):
            assert not list(imported_rooms(path)), path.name


def loaded_with(module: ast.AST) -> Iterator[ast.ImportFrom]:
    """The ``from co2net...`` imports that run when a module is loaded: not those inside functions or for types only."""
    for node in ast.iter_child_nodes(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("co2net"):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from loaded_with(node)


def test_no_modules_import_each_other():
    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "co2net").rglob("*.py")}
    paths = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    graph = {
        name: {
            found if (found := f"{node.module}.{alias.name}") in paths else str(node.module)
            for node in loaded_with(ast.parse(path.read_text(encoding="utf-8")))
            for alias in node.names
        }
        for name, path in paths.items()
    }
    assert graph["co2net.pipeline.harmonize"] > {"co2net.pipeline.job", "co2net.pipeline.stream"}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names them


def test_no_file_is_longer_than_400_lines():
    files = [path for room in ("co2net", "trilinear", "tridistribute", "tests") for path in (ROOT / room).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in files}
    assert lengths and not {name: length for name, length in lengths.items() if length > 400}


ALLOWED_FLAGS = {"--upgrade", "--force-reinstall", "--porcelain", "--nproc-per-node"}  # of pip, git and torchrun


def test_messages_of_the_library_name_arguments_not_flags():
    """A page, a server or a Python caller has no flags; the command puts its own in (`co2net.cli.errors`)."""
    found = []
    for path in (ROOT / "co2net").rglob("*.py"):
        if path.parent.name == "cli":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        prose = {id(node.body[0].value) for node in ast.walk(tree) if _begins_with_text(node)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                flags = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", node.value)) - ALLOWED_FLAGS
                found += [f"{path.relative_to(ROOT)}:{node.lineno} {flag}" for flag in sorted(flags)]
    assert not found


def _begins_with_text(node: ast.AST) -> bool:
    first = node.body[0] if isinstance(getattr(node, "body", None), list) and node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
