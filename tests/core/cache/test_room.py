import psutil
import pytest

from tltf.core.cache import room


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (0, 0),
        (12345, 12345),
        ("12345", 12345),
        ("500MB", 500 * 2**20),
        ("2 GiB", 2 * 2**30),
        ("1.5g", 3 * 2**29),
        (" 3 kb ", 3 * 2**10),
        ("1T", 2**40),
        ("7B", 7),
    ],
)
def test_sizes_are_read(text, size):
    assert room.to_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "GB", "-1", "2 PB", "1e9", "2GBs", -1, True, 1.5j, None]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="`cache_memory` must be"):
        room.to_bytes(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1.02e+03 B"),
        (2**10, "1 KB"),
        (2_516_582, "2.4 MB"),
        (3 * 2**29, "1.5 GB"),
        (2**41, "2 TB"),
        (2**51, "2.05e+03 TB"),
    ],
)
def test_sizes_are_written_for_people(size, text):
    assert room.to_text(size) == text


def limits(folder, **files):
    for name, content in files.items():
        (folder / name).write_text(content)
    return (
        (str(folder / "max"), str(folder / "current")),
        (str(folder / "limit"), str(folder / "usage")),
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 10_000),
        ({"max": "7000\n", "current": "4000\n"}, 3_000),
        ({"max": "max\n", "current": "4000\n"}, 10_000),
        ({"limit": "6000\n", "usage": "1000\n"}, 5_000),
        ({"limit": str(2**63), "usage": "1000"}, 10_000),
        ({"max": "4000", "current": "5000"}, 0),
        ({"max": "7000"}, 10_000),
    ],
    ids=[
        "no container",
        "version 2",
        "version 2, no limit",
        "version 1",
        "version 1, no limit",
        "over the limit",
        "half of the files",
    ],
)
def test_free_memory_stays_within_a_containers_limit(
    files, expected, tmp_path, monkeypatch
):
    class Memory:
        available = 10_000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    monkeypatch.setattr(room, "_LIMITS", limits(tmp_path, **files))
    assert room.free_memory() == expected


def test_free_disk_is_known_before_the_folder_is_made(tmp_path):
    assert room.free_disk(tmp_path / "not" / "yet") > 0
    assert not (tmp_path / "not").exists()


def test_measuring_a_disk_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_PROBE", 2**20)
    written, read = room.disk_speed(tmp_path / "made")
    assert written > 0 and read > 0
    assert list((tmp_path / "made").iterdir()) == []
