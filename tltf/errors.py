"""What can go wrong for a user, one class for each kind of remedy."""

import difflib
from collections.abc import Iterable


class DataError(ValueError):
    """The data cannot be used as they are; the message names file or row."""


class UnavailableError(OSError):
    """Something outside is missing: the network, a file, a library."""


class TrainingError(RuntimeError):
    """Training ran and went wrong: a NaN, a variable that did not obey."""


class AuditError(TrainingError):
    """A variable moved that was frozen, or stayed that should have moved."""


class Interrupted(KeyboardInterrupt):
    """A signal ended a run, which can be gone on with.

    Args:
        message: Where it stopped, and what was saved.
        number: The signal's number.
    """

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns a ` Did you mean 'x'?` for the nearest known name, or ''."""
    known = list(known)
    by_lowercase = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lowercase, n=1)
    return f" Did you mean '{by_lowercase[close[0]]}'?" if close else ""
