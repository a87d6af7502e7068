"""What a command is told: its flags, and the YAML file that they override."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from absl import flags

from tltf.errors import nearest
from tltf.scripts.parsers import TEXT, YES_OR_NO

# Every command has these.
COMMON = {
    "config_file": (
        "YAML file of flags, such as a run's settings.yaml. What is typed"
        " wins over what it says.",
        TEXT,
    ),
    "json": ("One JSON object on stdout, all else to stderr.", YES_OR_NO),
    "debug": ("Shows all warnings, and where an error arose.", YES_OR_NO),
}

# absl has more names for it than anyone types.
HELP = {"--help", "-help", "-h", "--helpshort", "-?"}
HELPFULL = {"--helpfull", "-helpfull"}


def define(of: flags.FlagValues, table: Mapping[str, tuple]) -> None:
    """Defines flags of a command.

    Args:
        of: The command's flags.
        table: Name of the argument that it stands for, to its meaning and
            parser, and a default if it has one here.
    """
    for name, (meaning, parser, *default) in table.items():
        default = default[0] if default else None
        if parser is YES_OR_NO:
            flags.DEFINE_bool(name, default, meaning, flag_values=of)
        else:
            flags.DEFINE(
                parser,
                name,
                default,
                meaning,
                flag_values=of,
                serializer=flags.ArgumentSerializer(),
            )


def named_file(defined: flags.FlagValues) -> str | None:
    """The YAML file that was named."""
    return defined.config_file


def parse(
    defined: flags.FlagValues,
    argv: Sequence[str],
    file_of: Callable[[flags.FlagValues], str | None] = named_file,
) -> list[str]:
    """Reads flags from the command line, then the rest from the YAML file.

    Args:
        defined: The flags of the command; holds their values afterwards.
        argv: What was typed after the command.
        file_of: Returns the YAML file, given what was typed.

    Returns:
        The words that are no flags.

    Raises:
        ValueError: A flag is unknown, repeated, or has no such value.
    """
    defined.unparse_flags()
    defined.set_gnu_getopt(True)
    for name in defined:
        # absl keeps the last value of a repeated flag unless told otherwise.
        defined[name].allow_overwrite = False
    try:
        words = defined(["tltf", *argv])[1:]
    except flags.UnrecognizedFlagError as error:
        raise ValueError(_unknown(error.flagname, defined)) from None
    except flags.IllegalFlagValueError as error:
        raise ValueError(_explained(str(error))) from None
    except flags.Error as error:
        raise ValueError(f"{error}.") from None
    path = file_of(defined)
    if path:
        _merge(defined, path)
    return words


def given(defined: flags.FlagValues, names: Iterable[str]) -> dict:
    """Returns those of some flags that were typed or in the YAML file."""
    return {
        name: defined[name].value
        for name in names
        if not defined[name].using_default_value
    }


def read_settings(path: str) -> dict:
    """Reads a YAML file of flags.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no YAML mapping.
    """
    import yaml

    with open(path, encoding="utf-8") as file:
        try:
            settings = yaml.safe_load(file)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no YAML file: {error}") from None
    if settings is not None and not isinstance(settings, dict):
        raise ValueError(
            f"{path} must hold lines such as 'epochs: 3'."
            f" Received: {type(settings).__name__}"
        )
    return settings or {}


def _merge(defined: flags.FlagValues, path: str) -> None:
    """Takes what was not typed from the file."""
    known = [name for name in defined if name not in COMMON]
    for name, value in read_settings(path).items():
        if name not in known:
            raise ValueError(
                f"{path}: there is no flag {name!r}.{nearest(str(name), known)}"
            )
        flag = defined[name]
        if flag.present:
            continue
        try:
            flag.value = None if value is None else _value(flag, value)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: `{name}` cannot be {value!r}: {error}."
            ) from None
        flag.using_default_value = False


def _value(flag: flags.Flag, value):
    """Parses a YAML value; `label_column: 3` is a name to us."""
    if type(flag.parser) in (flags.ArgumentParser, flags.EnumParser):
        if isinstance(value, bool):
            raise TypeError("YAML reads this word as a truth value; quote it")
        if isinstance(value, (int, float)):
            value = str(value)
    return flag.parser.parse(value)


def _unknown(name: str, defined: flags.FlagValues) -> str:
    known = [*defined, "help", "helpfull"]
    known += [f"no{n}" for n in defined if defined[n].boolean]
    guess = nearest(name, known).replace("'", "'--", 1)
    return f"There is no flag '--{name}'.{guess} --helpfull lists all."


def _explained(message: str) -> str:
    """Says in tltf's words what absl found."""
    twice = re.fullmatch(
        r"flag --(\w+)=(.*): already defined as (.*)", message, re.DOTALL
    )
    if twice:
        name, second, first = twice.groups()
        return f"`--{name}` is given twice: {first} and {second}."
    wrong = re.fullmatch(r"flag --(\w+)=(.*?): (.*)", message, re.DOTALL)
    if wrong:
        name, value, reason = wrong.groups()
        return f"`--{name}` cannot be {value!r}: {reason}."
    return message
