"""`tltf COMMAND …`: finds the command."""

import importlib
import sys
from collections.abc import Sequence

from tltf._version import __version__
from tltf.errors import nearest
from tltf.scripts import arguments, exits, help_page

# What is typed, which is also the name of the module, and what it does.
_COMMANDS = {
    "demo": "see transfer learning work, in a minute, offline",
    "check": "look at data before training on them",
    "train": "go from data and a backbone to a measured model",
    "evaluate": "measure a trained model on data",
    "predict": "let a trained model name pictures or texts",
    "export": "write a trained model for serving",
    "list": "list data sources, backbones and recipes",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command of `tltf`.

    Args:
        argv: What was typed after `tltf`; default, `sys.argv`'s.

    Returns:
        The exit code: 0 fine, 1 a bug, 2 usage, 3 data, 4 environment or
        network, 5 training failed, 130 and 143 interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    first = argv[0] if argv else ""
    if first == "help" and len(argv) > 1:
        first, argv = argv[1], [argv[1], "--help"]
    if first in ("help", *arguments.HELP, *arguments.HELPFULL):
        print(help_page.of_program(_COMMANDS))
        return 0
    if first == "--version":
        print(__version__)
        return 0
    if first not in _COMMANDS:
        page = help_page.of_program(_COMMANDS)
        print(_unknown(first) if first else page, file=sys.stderr)
        return exits.USAGE
    module = importlib.import_module(f"tltf.scripts.{first}")
    return module.COMMAND.main(argv[1:])


def _unknown(first: str) -> str:
    if first.startswith("-"):
        return (
            f"tltf: the command comes first, then its flags: tltf train"
            f" {first}. Commands: {', '.join(_COMMANDS)}."
        )
    return (
        f"tltf: there is no command '{first}'.{nearest(first, _COMMANDS)}"
        f" Commands: {', '.join(_COMMANDS)}."
    )


if __name__ == "__main__":
    sys.exit(main())
