"""What can be typed as a flag's value, and what it becomes."""

import re

from absl import flags

TEXT = flags.ArgumentParser()
COUNT = flags.IntegerParser(1)
WHOLE = flags.IntegerParser(0)
YES_OR_NO = flags.BooleanParser()


class NumberOrName(flags.ArgumentParser):
    """Turns `2` into a number and leaves `conv5` a name."""

    def parse(self, argument):
        """Returns an int or a string."""
        if isinstance(argument, str) and re.fullmatch(r"-?\d+", argument):
            return int(argument)
        if isinstance(argument, (str, int)) and argument is not True:
            return argument
        raise TypeError("must be a number or a name")


class Size(flags.ArgumentParser):
    """Turns `224` into a number, `224,160` or `224x160` into two."""

    def parse(self, argument):
        """Returns an int or a tuple of two."""
        sides = argument
        if isinstance(argument, str):
            sides = re.split(r"\s*[,x×]\s*", argument.strip("()[] "))
        elif not isinstance(argument, (list, tuple)):
            sides = [argument]
        if len(sides) not in (1, 2) or not all(map(_is_whole, sides)):
            raise ValueError("must be a number of pixels, or height,width")
        sides = tuple(map(int, sides))
        return sides[0] if len(sides) == 1 else sides


class ClassWeights(flags.ArgumentParser):
    """Turns `cat=1,dog=3` into a mapping and leaves `balanced` a word."""

    def parse(self, argument):
        """Returns a string or a dict."""
        if isinstance(argument, dict):
            pairs = argument.items()
        elif isinstance(argument, str) and "=" in argument:
            pairs = [pair.rpartition("=")[::2] for pair in argument.split(",")]
        elif isinstance(argument, str):
            return argument
        else:
            raise TypeError("must be balanced, or such as cat=1,dog=3")
        try:
            return {str(name).strip(): float(value) for name, value in pairs}
        except (TypeError, ValueError):
            raise ValueError("must be such as cat=1,dog=3") from None


class OrNone(flags.ArgumentParser):
    """Turns `none` into None."""

    def parse(self, argument):
        """Returns a string or None."""
        return None if str(argument).lower() == "none" else str(argument)


def _is_whole(side) -> bool:
    return re.fullmatch(r"\d+", str(side)) is not None
