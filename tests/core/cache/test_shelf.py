import json
import os
import shutil
import threading

import numpy as np
import pytest
import tensorflow as tf

from tests.core.cache.full_disk import FAILURES, fails_in_the_middle
from tltf.core.cache import shelf as shelf_room
from tltf.core.cache.shelf import Shelf
from tltf.core.cache.table import Column, MemoryTable

KEY = "0123456789abcdef" * 4
COLUMNS = (
    Column((3,), tf.float32, tf.float32),
    Column((), tf.int32, tf.int32),
)
ROWS = 7


def arrays(seed=0):
    random = np.random.default_rng(seed)
    return [
        random.normal(size=(ROWS, 3)).astype("float32"),
        random.integers(0, 99, ROWS).astype("int32"),
    ]


def put(shelf, key=KEY, seed=0):
    writer = shelf.writer(key, COLUMNS, ROWS)
    first, second = arrays(seed)
    writer.append([first[:4], second[:4]])
    writer.append([first[4:], second[4:]])
    return writer.finish()


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_is_put_is_found_again_as_plain_npy_files(tmp_path):
    put(Shelf(tmp_path))
    table = Shelf(tmp_path).find(KEY)
    assert table.columns == COLUMNS and table.where == "disk"
    for number, (ours, expected) in enumerate(
        zip(table.arrays, arrays(), strict=True)
    ):
        assert isinstance(ours, np.memmap)
        np.testing.assert_array_equal(ours, expected)
        plain = np.load(tmp_path / KEY[:32] / f"{number}.npy")
        np.testing.assert_array_equal(plain, expected)


def test_what_is_not_there_is_not_found(tmp_path):
    assert Shelf(tmp_path / "not" / "yet").find(KEY) is None
    assert not (tmp_path / "not").exists()


def test_what_is_in_memory_can_be_kept(tmp_path):
    table = MemoryTable(COLUMNS, ROWS)
    table.append(arrays())
    shelf = Shelf(tmp_path)
    shelf.keep(KEY, table.finish())
    for ours, expected in zip(shelf.find(KEY).arrays, arrays(), strict=True):
        np.testing.assert_array_equal(ours, expected)


def truncated(place):
    with open(place / "0.npy", "r+b") as file:
        file.truncate(os.path.getsize(place / "0.npy") - 1)


def lengthened(place):
    with open(place / "0.npy", "ab") as file:
        file.write(b"\0")


def without_an_array(place):
    (place / "1.npy").unlink()


def without_manifest(place):
    (place / "manifest.json").unlink()


def with_half_a_manifest(place):
    text = (place / "manifest.json").read_text()
    (place / "manifest.json").write_text(text[: len(text) // 2])


def with_another_manifest(content):
    def change(place):
        (place / "manifest.json").write_text(content)

    change.__name__ = f"with_manifest {content}"
    return change


def of_another_key(place):
    _edit(place, key="f" * 64)


def of_another_shape(place):
    columns = [column.get_config() for column in COLUMNS]
    _edit(place, columns=[columns[0] | {"shape": [4]}, columns[1]])


def of_another_dtype(place):
    columns = [column.get_config() for column in COLUMNS]
    _edit(place, columns=[columns[0] | {"stored": "int32"}, columns[1]])


def of_an_unknown_dtype(place):
    columns = [column.get_config() for column in COLUMNS]
    _edit(place, columns=[columns[0] | {"stored": "floot32"}, columns[1]])


def without_sizes(place):
    _edit(place, bytes=[])


def _edit(place, **changes):
    content = json.loads((place / "manifest.json").read_text())
    (place / "manifest.json").write_text(json.dumps(content | changes))


@pytest.mark.parametrize(
    "change",
    [
        truncated,
        lengthened,
        without_an_array,
        without_manifest,
        with_half_a_manifest,
        with_another_manifest("[]"),
        with_another_manifest("null"),
        with_another_manifest("{}"),
        of_another_key,
        of_another_shape,
        of_another_dtype,
        of_an_unknown_dtype,
        without_sizes,
    ],
    ids=lambda change: change.__name__,
)
def test_a_table_that_is_not_as_it_was_written_is_never_used(
    change, tmp_path, caplog
):
    shelf = Shelf(tmp_path)
    put(shelf)
    change(tmp_path / KEY[:32])
    assert shelf.find(KEY) is None
    assert "not as they were written" in caplog.text
    assert files(tmp_path) == []
    put(shelf)
    assert shelf.find(KEY) is not None


def test_no_flipped_bit_of_an_array_goes_unnoticed(tmp_path):
    """Nor one of the header, which says what the bytes mean."""
    shelf = Shelf(tmp_path)
    put(shelf)
    path = tmp_path / KEY[:32] / "0.npy"
    shutil.copytree(path.parent, tmp_path / "good")
    for position in range(0, path.stat().st_size, 3):
        content = bytearray((tmp_path / "good" / "0.npy").read_bytes())
        content[position] ^= 1 << position % 8
        shutil.copytree(tmp_path / "good", path.parent, dirs_exist_ok=True)
        path.write_bytes(content)
        assert shelf.find(KEY) is None, position


@pytest.mark.parametrize(
    "failure", FAILURES, ids=lambda failure: failure.__name__
)
def test_a_failed_write_says_so_and_leaves_nothing(
    failure, tmp_path, monkeypatch
):
    failure(monkeypatch)
    shelf, table = Shelf(tmp_path), MemoryTable(COLUMNS, ROWS)
    table.append(arrays())
    with pytest.raises(OSError, match="No space left"):
        # `keep` writes it all in one piece.
        if failure is fails_in_the_middle:
            writer = shelf.writer(KEY, COLUMNS, ROWS)
            try:
                writer.append(arrays())
                writer.append(arrays())
            finally:
                writer.discard()
        shelf.keep(KEY, table.finish())
    assert files(tmp_path) == []
    monkeypatch.undo()
    assert shelf.find(KEY) is None


def test_two_runs_may_write_the_same_features_at_once(tmp_path):
    barrier, found = threading.Barrier(4), []

    def write():
        shelf = Shelf(tmp_path)
        barrier.wait()
        found.append(put(shelf).arrays[0])

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for array in found:
        np.testing.assert_array_equal(array, arrays()[0])
    assert [path.name for path in tmp_path.iterdir()] == [KEY[:32]]


def test_bad_features_that_cannot_be_replaced_are_not_used(
    tmp_path, monkeypatch
):
    """They may lie in a folder where another user alone can remove them."""
    shelf = Shelf(tmp_path)
    put(shelf)
    with open(tmp_path / KEY[:32] / "0.npy", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    remove = shutil.rmtree

    def keeps_what_is_not_ours(path, **arguments):
        if not path.name.startswith(KEY[:32]):
            remove(path, **arguments)

    monkeypatch.setattr(shelf_room.shutil, "rmtree", keeps_what_is_not_ours)
    assert shelf.find(KEY) is None
    with pytest.raises(OSError):
        put(shelf)


def test_clear_removes_other_tables_and_touches_nothing_else(tmp_path):
    shelf, other = Shelf(tmp_path), "f" * 64
    put(shelf)
    put(shelf, other)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.jpg").write_text("meow")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "manifest.json").write_text('{"name": "my site"}')
    shelf.clear(but=[KEY])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        KEY[:32],
        "notes.txt",
        "pictures",
        "site",
    ]
    assert (tmp_path / "pictures" / "cat.jpg").exists()
    assert shelf.find(KEY) is not None and shelf.find(other) is None


def test_clear_of_a_folder_that_is_not_there_is_no_error(tmp_path):
    Shelf(tmp_path / "not").clear(but=[])
    Shelf(tmp_path / "not").remove(KEY)
