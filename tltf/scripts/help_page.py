"""Help pages that fit a terminal."""

import re
import textwrap

from absl import flags

from tltf.scripts.arguments import COMMON

_WIDTH = 80


def of_program(commands: dict[str, str]) -> str:
    """Returns the page of `tltf --help`.

    Args:
        commands: Name to one line.
    """
    lines = [f"  {name:<10}{does}" for name, does in commands.items()]
    return "\n".join(
        [
            "tltf: transfer learning for TensorFlow and Keras 3.",
            "",
            "Usage: tltf COMMAND [--flag=value …]",
            "",
            *lines,
            "",
            "Begin with:  tltf demo",
            "More on one: tltf train --help",
        ]
    )


def of_command(command, full: bool) -> str:
    """Returns the page of `tltf train --help` or `--helpfull`.

    Args:
        command: The `Command`.
        full: Whether all flags are shown, or those of every day.
    """
    defined, everyday = command.flags, command.everyday
    others = [n for n in defined if n not in (*everyday, *COMMON)]
    usage = f"Usage: tltf {command.name} [--flag=value …] {command.words}"
    parts = [
        command.says.strip(),
        usage.rstrip(),
        f"Example:\n  {command.example}",
        _flags(defined, everyday),
    ]
    if full and others:
        parts.append("More:\n" + _flags(defined, others))
    if full:
        parts.append("Of every command:\n" + _flags(defined, COMMON))
        parts.append("Exit codes: " + _EXIT_CODES)
    else:
        parts.append(f"All flags: tltf {command.name} --helpfull")
    return "\n\n".join(parts)


_EXIT_CODES = (
    "0 fine, 1 a bug, 2 usage, 3 data, 4 environment or\nnetwork, 5 training"
    " failed, 130 and 143 interrupted."
)


def _flags(defined: flags.FlagValues, names) -> str:
    heads = {
        name: f"  --[no]{name}" if defined[name].boolean else f"  --{name}"
        for name in names
    }
    column = max(map(len, heads.values())) + 2
    return "\n".join(
        head.ljust(column) + _meaning(defined[name], column)
        for name, head in heads.items()
    )


def _meaning(flag: flags.Flag, column: int) -> str:
    text = re.sub(r"\s+", " ", flag.help)
    if not flag.boolean and flag.default is not None:
        text += f" Default: {flag.default}."
    lines = textwrap.wrap(text, _WIDTH - column, break_on_hyphens=False)
    return ("\n" + " " * column).join(lines)
