"""How a command ends: exit codes, the words for them, and signals."""

import contextlib
import signal
import threading

from tltf.errors import DataError, TrainingError, UnavailableError

BUG, USAGE, DATA, ENVIRONMENT, TRAINING = 1, 2, 3, 4, 5

# The first that fits counts: DataError is a ValueError, UnavailableError and
# FileExistsError are OSErrors.
_CODES = (
    (DataError, DATA),
    (UnavailableError, ENVIRONMENT),
    (TrainingError, TRAINING),
    (FileExistsError, USAGE),
    ((OSError, ImportError, MemoryError), ENVIRONMENT),
    ((ValueError, TypeError), USAGE),
)


def code_of(error: BaseException) -> int:
    """Returns the exit code for what went wrong."""
    if _is_out_of_memory(error):
        return ENVIRONMENT
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code
    return BUG


def message_of(error: BaseException) -> str:
    """Says in a sentence or two what went wrong, and what to do."""
    kind, code = type(error).__name__, code_of(error)
    if code == BUG:
        first = next(iter(str(error).strip().splitlines()), "")
        return (
            f"This is a bug in tltf: {kind}: {first[:200]}. --debug shows the"
            " traceback to report."
        )
    if _is_out_of_memory(error):
        return "Out of memory. Try a smaller --batch_size or --image_size."
    if isinstance(error, ImportError):
        return f"{error}. --debug shows where it is needed."
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}."
    return str(error).strip() or kind


class Signals(contextlib.AbstractContextManager):
    """Turns Ctrl-C and SIGTERM into exceptions, and remembers which it was.

    The exception lets a run write down that it was interrupted; some library
    may turn it into another on the way, so that the signal itself counts.
    """

    def __init__(self):
        self.received = None
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # A shell lets background jobs ignore Ctrl-C.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def code(self) -> int:
        """The exit code of a shell for the signal that came."""
        return 128 + self.received

    def _stop(self, number, _):
        self.received = number
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether it is Python's or TensorFlow's, which need not be imported."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "ResourceExhaustedError"
    )
