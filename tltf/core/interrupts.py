"""Signals that ask a run to end, heard where it can be gone on with."""

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator

from tltf.errors import Interrupted

# Ctrl-C, and what a scheduler sends before it kills.
_ASKING = (signal.SIGINT, signal.SIGTERM)
# Schedulers kill ten to thirty seconds after they asked.
_PATIENCE = 8.0


class Interrupts(contextlib.AbstractContextManager):
    """Notes Ctrl-C and SIGTERM, so that a run can save and leave.

    The first signal is noted; who looks after every step (`number`) saves and
    calls `leave`. A second one, or eight seconds in which nobody looked, ends
    the run where it is. Outside of the main thread, where Python hears no
    signals, nothing is changed.

    Attributes:
        number: The signal that came, or None.
    """

    def __init__(self):
        self.number: int | None = None
        self._before = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number in _ASKING:
                # A shell lets background jobs ignore Ctrl-C.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        if self.number is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def leave(self, where: str = "") -> None:
        """Ends the run if a signal came.

        Args:
            where: What was saved, for the message.

        Raises:
            Interrupted: A signal came.
        """
        if self.number is not None:
            name = "Ctrl-C" if self.number == signal.SIGINT else "SIGTERM"
            raise Interrupted(f"Stopped by {name}{where}.", self.number)

    def between(self, steps: Iterable) -> Iterator:
        """Goes through steps, and leaves between two of them if asked to."""
        for step in steps:
            self.leave()
            yield step

    def _note(self, number, _):
        if self.number is not None:
            self._leave_at_once()
        self.number = number
        self._before.setdefault(
            signal.SIGALRM, signal.signal(signal.SIGALRM, self._leave_at_once)
        )
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE)

    def _leave_at_once(self, *_):
        self.leave(" in the middle of a step")
