"""The door that all commands share, from what is typed to the exit code."""

import contextlib
import dataclasses
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence

from absl import flags

from tltf.errors import Interrupted
from tltf.scripts import arguments, exits, help_page, quiet


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a command has to say when it is done.

    Args:
        facts: For `--json`: plain data.
        shown: For people: strings and rich tables, in their order.
        then: The last line: where the result lies, what to type next.
        code: The exit code.
        is_data: Whether what is shown is for other programs, so that the
            last line goes to stderr.
    """

    facts: Mapping
    shown: Sequence = ()
    then: str = ""
    code: int = 0
    is_data: bool = False


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of `tltf`.

    Args:
        name: What is typed.
        says: What it does, for its help page.
        run: Called with the words that are no flags.
        flags: Its flags; they hold their values when `run` is called.
        everyday: Those that `--help` shows, in order.
        example: One line to type.
        words: What the words are, for the help page; empty if it takes none.
        required: Flags that must be given, each with what it is for.
        log_level: The least of tltf's log lines that is shown.
        file_of: Returns the YAML file that the rest of the flags is in.
    """

    name: str
    says: str
    run: Callable[[list[str]], Answer]
    flags: flags.FlagValues
    everyday: Sequence[str]
    example: str
    words: str = ""
    required: Mapping[str, str] = dataclasses.field(default_factory=dict)
    log_level: int = logging.WARNING
    file_of: Callable[[flags.FlagValues], str | None] = arguments.named_file

    def __post_init__(self):
        arguments.define(self.flags, arguments.COMMON)

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Runs the command, whatever comes.

        Args:
            argv: What was typed after the command; default, `sys.argv`'s.

        Returns:
            The exit code.
        """
        argv = list(sys.argv[1:] if argv is None else argv)
        typed = argv[: argv.index("--")] if "--" in argv else argv
        is_json, debug = (
            f"--{flag}" in typed or f"--{flag}=true" in typed
            for flag in ("json", "debug")
        )
        with exits.Signals() as signals:
            try:
                if self._is_helped(typed):
                    return 0
                return self._answer(argv, is_json, debug)
            except BaseException as error:
                return self._failed(error, signals, is_json, debug)

    def _is_helped(self, typed: Sequence[str]) -> bool:
        """Prints the help page if that is what was asked for."""
        full = any(word in arguments.HELPFULL for word in typed)
        if full or any(word in arguments.HELP for word in typed):
            print(help_page.of_command(self, full), flush=True)
            return True
        return False

    def _answer(self, argv, is_json: bool, debug: bool) -> int:
        words = arguments.parse(self.flags, argv, self.file_of)
        self._check(words)
        own_stdout = contextlib.nullcontext()
        if is_json:
            own_stdout = contextlib.redirect_stdout(sys.stderr)
        lines = quiet.own_lines_only(self.log_level)
        with own_stdout, contextlib.nullcontext() if debug else lines:
            answer = self.run(words)
        if is_json:
            print(_json(answer.facts))
        else:
            _show(answer)
        sys.stdout.flush()
        return answer.code

    def _check(self, words: Sequence[str]) -> None:
        if words and not self.words:
            raise ValueError(
                f"tltf {self.name} takes flags only, and cannot make sense of"
                f" {' '.join(map(repr, words))}. A flag is --name=value."
            )
        for name, meaning in self.required.items():
            if self.flags[name].value is None:
                raise ValueError(f"`--{name}` is missing: {meaning}")

    def _failed(self, error, signals, is_json: bool, debug: bool) -> int:
        """Says what went wrong, on one line where one does."""
        if isinstance(error, BrokenPipeError):
            # As of a program that dies of SIGPIPE: `tltf list | head -1`.
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
            return 141
        if isinstance(error, Interrupted):
            code, message = 128 + error.number, str(error)
        elif signals.received or isinstance(error, KeyboardInterrupt):
            code = signals.code if signals.received else 130
            message = "interrupted."
        elif isinstance(error, (SystemExit, GeneratorExit)):
            raise error
        else:
            code, message = exits.code_of(error), exits.message_of(error)
            message = self._as_typed(message)
        if debug:
            traceback.print_exception(error)
        print(f"tltf {self.name}: {message}", file=sys.stderr)
        if is_json:
            print(_json({"error": message, "exit_code": code}))
        return code

    def _as_typed(self, message: str) -> str:
        """Names arguments as the flags that were typed for them."""
        return re.sub(
            r"`(\w+)(?=`|=)",
            lambda m: f"`--{m[1]}" if m[1] in self.flags else m[0],
            message,
        )


def _json(facts: Mapping) -> str:
    return json.dumps(facts, ensure_ascii=False, default=str, indent=1)


def _show(answer: Answer) -> None:
    """Wraps words at the terminal's width; a line for programs stays one."""
    import rich.console

    class Console(rich.console.Console):
        def on_broken_pipe(self):
            raise BrokenPipeError

    plain = {"highlight": False, "markup": False, "emoji": False}
    console = Console(**plain)
    for shown in answer.shown:
        console.print(shown, soft_wrap=answer.is_data)
    if answer.then:
        last = Console(**plain, stderr=answer.is_data)
        last.print(answer.then, soft_wrap=True)
