"""Help comes at once, and says what to type."""

import subprocess
import sys

import pytest

from tltf.scripts import main as program

COMMANDS = list(program._COMMANDS)
HEAVY = ("tensorflow", "keras", "numpy", "sklearn", "rich", "matplotlib")


@pytest.mark.parametrize("argv", [["--help"], ["train", "--help"]], ids=len)
def test_help_loads_nothing_heavy(argv):
    code = (
        "import sys; from tltf.scripts.main import main;"
        f"code = main({argv}); print(sorted(set({HEAVY}) & set(sys.modules)));"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_program_lists_its_commands(tltf):
    code, out, _ = tltf("--help")
    assert code == 0
    assert all(f"\n  {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_has_an_example_and_a_dozen_flags(tltf, command):
    code, out, _ = tltf(command, "--help")
    assert code == 0 and "Example:\n  tltf " + command in out
    assert f"tltf {command} --helpfull" in out
    assert sum(line.startswith("  --") for line in out.splitlines()) <= 14
    assert max(map(len, out.splitlines())) <= 80
    assert tltf("help", command)[1] == out


@pytest.mark.parametrize("command", COMMANDS)
def test_helpfull_shows_every_flag(tltf, command):
    import importlib

    flags = importlib.import_module(f"tltf.scripts.{command}").FLAGS
    code, out, _ = tltf(command, "--helpfull")
    assert code == 0
    for name in flags:
        assert f"  --{name} " in out or f"  --[no]{name} " in out, name


def test_help_wins_over_what_is_wrong_beside_it(tltf):
    assert tltf("train", "--epochs=none", "--help")[0] == 0


def test_every_argument_of_the_street_has_a_flag():
    """Settings that a run writes down must be flags, or it cannot repeat."""
    import dataclasses
    import inspect

    from tltf import backbones, datasets
    from tltf.core import recipes
    from tltf.core.stage import Stage
    from tltf.scripts.train import FLAGS

    wanted = {n for name in recipes.NAMED for n in recipes.resolved(name)}
    wanted |= {f.name for f in dataclasses.fields(Stage)} - {"name"}
    for source in datasets._SOURCES.values():
        parameters = inspect.signature(source.loader).parameters.values()
        wanted |= {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    # A mapping of blocks to expressions is nothing to type.
    wanted |= {*inspect.signature(backbones.load).parameters} - {
        "source",
        "blocks",
    }
    assert wanted <= set(FLAGS)


def test_modules_are_commands_too():
    done = subprocess.run(
        [sys.executable, "-m", "tltf.scripts.train", "--help"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "Usage: tltf train" in done.stdout
