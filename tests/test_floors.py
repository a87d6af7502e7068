"""The house rule: arrows go down, and a wing knows only the core."""

import ast
import pathlib

import pytest

import tltf

ROOT = pathlib.Path(tltf.__file__).parent
WINGS = {
    "datasets",
    "backbones",
    "methods",
    "transferability",
    "reports",
    "exporters",
}
# The front door and what it is made of: anybody may read the version.
FREE = {"_version", "_registration", "errors"}
SOURCES = sorted(ROOT.rglob("*.py"))


def room(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported_rooms(path: pathlib.Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "tltf":
                rooms |= {alias.name for alias in node.names}
            elif node.module.startswith("tltf."):
                rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("tltf.")
            }
    return rooms - FREE


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.name))
def test_imports_go_down(path):
    own, used = room(path), imported_rooms(path)
    if own == "core":
        assert used <= {"core"}
    elif own in WINGS:
        assert used <= {"core", own}
    elif own not in {"scripts", "__init__"} | FREE:
        assert "scripts" not in used


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.name))
def test_relative_imports_and_star_imports_are_not_used(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert all(alias.name != "*" for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.name))
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_no_gradient_tape_and_no_lambda_layer():
    for path in SOURCES:
        text = path.read_text()
        assert "GradientTape" not in text, path
        assert "layers.Lambda" not in text, path
        assert "import pickle" not in text, path
