"""A disk that is full, at each step of a write."""

import errno

from tltf.core.cache import shelf as shelf_room


class Full(OSError):
    """What a full disk says."""

    def __init__(self, *_, **__):
        super().__init__(errno.ENOSPC, "No space left on device")


def fail(*_, **__):
    raise Full


def fails_to_open(monkeypatch):
    monkeypatch.setattr(shelf_room, "open", fail, raising=False)


def fails_to_make_a_folder(monkeypatch):
    monkeypatch.setattr(shelf_room.tempfile, "mkdtemp", fail)


def fails_in_the_middle(monkeypatch):
    append, calls = shelf_room._Writer.append, []

    def second_fails(self, batch):
        calls.append(batch)
        if len(calls) > 1:
            raise Full
        append(self, batch)

    monkeypatch.setattr(shelf_room._Writer, "append", second_fails)


def fails_to_sync(monkeypatch):
    monkeypatch.setattr(shelf_room.os, "fsync", fail)


def fails_to_rename(monkeypatch):
    monkeypatch.setattr(shelf_room.os, "rename", fail)


FAILURES = [
    fails_to_open,
    fails_to_make_a_folder,
    fails_in_the_middle,
    fails_to_sync,
    fails_to_rename,
]
