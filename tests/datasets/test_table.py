import functools
import json
import os

import numpy as np
import pytest

from tests.datasets.conftest import encode, pixels
from tltf.datasets import table
from tltf.errors import DataError

load_csv = functools.partial(table.load, "csv")
load_jsonl = functools.partial(table.load, "jsonl")


def lines(*rows):
    return "".join(row + "\n" for row in rows)


def reviews(count=10):
    return [f"fine {i},good\npoor {i},bad" for i in range(count)]


def all_of(splits):
    """Example to label name, over all parts."""
    return {
        example: part.labels.classes[target]
        for part in splits.parts.values()
        for example, target in zip(part.examples, part.targets, strict=True)
    }


def test_texts_and_labels_by_name(write):
    splits = load_csv(write("r.csv", lines("text,label", *reviews())))
    assert splits.classes == ("bad", "good")
    assert splits.labels.kind == "binary"
    assert all_of(splits)["fine 3"] == "good"
    assert all_of(splits)["poor 3"] == "bad"
    assert splits.validation.class_counts == {"bad": 2, "good": 2}
    texts, labels = next(iter(splits.train))
    assert texts.dtype == "string"
    np.testing.assert_array_equal(labels, splits.train.targets)


def test_guessed_columns_are_noted_and_named_ones_are_not(write):
    file = write("r.csv", lines("Review,Sentiment", *reviews()))
    notes = load_csv(file).notes
    assert "Column 'Review' was taken for the text." in notes
    assert "Column 'Sentiment' was taken for the label." in notes
    notes = load_csv(file, text_column="Review", label_column="Sentiment").notes
    assert not any("was taken" in note for note in notes)


def test_a_missing_column_lists_the_columns_and_the_nearest(write):
    file = write("r.csv", lines("review,stars", *reviews()))
    with pytest.raises(DataError, match=r"'reveiw'.*stars.*mean 'review'"):
        load_csv(file, text_column="reveiw", label_column="stars")
    with pytest.raises(DataError, match=r"label_column=.*review.*stars"):
        load_csv(file)
    file = write("s.csv", lines("a,label", *reviews()))
    with pytest.raises(DataError, match="found none"):
        load_csv(file)


def test_text_and_path_at_once_must_be_told_apart(write):
    file = write("r.csv", lines("path,text,label", "x,a,1", "x,b,0", "x,c,1"))
    with pytest.raises(DataError, match="'text' and 'path'"):
        load_csv(file)


def test_a_split_column_makes_the_parts(write):
    rows = [
        f"{text_and_label},{split}"
        for split in ("Train", "dev", "test")
        for text_and_label in ("x,0", "y,1", "z,1")
    ]
    splits = load_csv(write("r.csv", lines("text,label,split", *rows)))
    sizes = {name: len(part) for name, part in splits.parts.items()}
    assert sizes == {"train": 3, "validation": 3, "test": 3}
    assert splits.classes == ("0", "1")


def test_an_unknown_split_is_an_error(write):
    rows = ["a,0,train", "b,1,train", "c,1,trian"]
    with pytest.raises(DataError, match=r"r\.csv:4.*'trian'.*mean 'train'"):
        load_csv(write("r.csv", lines("text,label,split", *rows)))


def test_no_training_rows_are_an_error(write):
    rows = ["a,0,test", "b,1,test"]
    with pytest.raises(DataError, match="no usable row for train"):
        load_csv(write("r.csv", lines("text,label,split", *rows)))


def test_validation_labels_that_train_lacks_are_an_error(write):
    rows = ["a,cat,train", "b,dog,train", "c,fox,val"]
    with pytest.raises(DataError, match=r"validation has .*'fox'"):
        load_csv(write("r.csv", lines("text,label,split", *rows)))


def test_rows_without_text_or_label_are_left_out_by_line(write):
    rows = [
        *reviews(),
        ",good",
        "   ,good",
        "some,",
        "more, ",
        '"two\nlines",good',
        "last,",
    ]
    splits = load_csv(write("r.csv", lines("text,label", *rows)))
    reasons = {s.name: s.reason for s in splits.skipped}
    assert reasons == {
        "r.csv:22": "has no text",
        "r.csv:23": "has no text",
        "r.csv:24": "has no label",
        "r.csv:25": "has no label",
        "r.csv:28": "has no label",
    }
    assert all_of(splits)["two\nlines"] == "good"


def test_names_are_lines(write):
    rows = ["a,0,train", "b,1,train", '"c\nd",1,train', "e,0,val"]
    splits = load_csv(write("r.csv", lines("text,label,split", *rows)))
    assert splits.train.names == ("r.csv:2", "r.csv:3", "r.csv:4")
    assert splits.validation.names == ("r.csv:6",)


def test_rows_of_another_length_are_left_out(write):
    rows = [*reviews(), "well, really,good", "alone"]
    splits = load_csv(write("r.csv", lines("text,label", *rows)))
    assert [s.name for s in splits.skipped] == ["r.csv:22", "r.csv:23"]
    assert "3 fields" in splits.skipped[0].reason


def test_an_open_quote_is_an_error_and_swallows_nothing(write):
    rows = [*reviews(), '"open,good', *reviews()]
    with pytest.raises(DataError, match="from line 22"):
        load_csv(write("r.csv", lines("text,label", *rows)))


@pytest.mark.parametrize("parting", [";", "\t"])
def test_other_separators_are_seen_in_the_header(write, parting):
    text = lines("text,label", *reviews()).replace(",", parting)
    assert len(all_of(load_csv(write("r.csv", text)))) == 20


def test_a_byte_order_mark_and_windows_lines_are_fine(write):
    text = "\ufeff" + lines("text,label", *reviews()).replace("\n", "\r\n")
    splits = load_csv(write("r.csv", text.encode()))
    assert all_of(splits)["fine 9"] == "good"


def test_other_encodings_are_errors_with_the_byte(write):
    raw = lines("text,label", "caf\u00e9,good", "b,bad")
    with pytest.raises(DataError, match=r"byte 14, in line 2, is 0xe9"):
        load_csv(write("r.csv", raw.encode("latin-1")))
    with pytest.raises(DataError, match="UTF-16"):
        load_csv(write("r.csv", raw.encode("utf-16")))


def test_empty_and_missing_tables_are_errors(write, tmp_path):
    with pytest.raises(DataError, match="no file"):
        load_csv(str(tmp_path / "nowhere.csv"))
    with pytest.raises(DataError, match="folder:"):
        load_csv(str(tmp_path))
    with pytest.raises(DataError, match="found none"):
        load_csv(write("empty.csv", ""))
    with pytest.raises(DataError, match="no usable row"):
        load_csv(write("header.csv", "text,label\n"))
    with pytest.raises(DataError, match="two columns"):
        load_csv(write("twice.csv", "text,label,text\na,b,c\n"))
    with pytest.raises(DataError, match="1 class"):
        load_csv(write("one.csv", lines("text,label", "a,x", "b,x")))


def test_numeric_labels_sort_as_numbers(write):
    rows = [f"t{i},{i}" for i in range(12)] * 2
    splits = load_csv(write("r.csv", lines("text,label", *rows)))
    assert splits.classes == tuple(map(str, range(12)))


def test_several_labels_only_when_asked(write):
    rows = [
        "a,red|round,train",
        "b,red,train",
        "c, round | big,train",
        "d,big,val",
    ]
    file = write("r.csv", lines("text,label,split", *rows))
    splits = load_csv(file, label_kind="multi_label")
    assert splits.classes == ("big", "red", "round")
    assert splits.labels.kind == "multi_label"
    np.testing.assert_array_equal(
        splits.train.targets, [[0, 1, 1], [0, 1, 0], [1, 0, 1]]
    )
    with pytest.raises(DataError, match="big"):
        load_csv(file)  # Else 'red|round' is a class, and val has a new one.


def test_regression_reads_numbers(write):
    rows = [f"t{i},{i / 7}" for i in range(10)] + ["x,much", "y,nan", "z,"]
    file = write("r.csv", lines("text,score", *rows))
    splits = load_csv(file, label_column="score", label_kind="regression")
    assert splits.labels.kind == "regression"
    assert splits.classes == ("score",)
    assert splits.train.targets.shape == (8, 1)
    assert splits.train.targets.dtype == np.float32
    assert [s.name for s in splits.skipped] == [
        "r.csv:12",
        "r.csv:13",
        "r.csv:14",
    ]


def test_many_fractions_are_no_classes(write):
    rows = [f"t{i},{i / 7}" for i in range(1, 60)]
    with pytest.raises(DataError, match="label_kind='regression'"):
        load_csv(write("r.csv", lines("text,label", *rows)))


def test_a_wrong_kind_is_an_error(write):
    with pytest.raises(ValueError, match="mean 'multi_label'"):
        load_csv(write("r.csv", "text,label\n"), label_kind="multilabel")


def test_jsonl(write):
    rows = [{"text": f"a\u2028{i}", "label": i % 2} for i in range(10)]
    text = lines(*map(json.dumps, rows), "", '{"text": "open')
    text += lines(
        '["no object"]',
        '{"text": 3, "label": 1}',
        '{"text": "x", "label": null}',
        '{"text": "x"}',
        '{"text": "x", "label": ["a"]}',
        '{"text": "\\ud800", "label": 1}',
    )
    splits = load_jsonl(write("r.jsonl", text))
    assert splits.classes == ("0", "1")
    assert len(all_of(splits)) == 10
    assert {int(s.name.split(":")[1]) for s in splits.skipped} == {
        *range(12, 19)
    }
    assert any("multi_label" in s.reason for s in splits.skipped)


def test_jsonl_lists_are_several_labels(write):
    rows = [{"text": "a", "label": ["x", "y"]}, {"text": "b", "label": []}]
    file = write("r.jsonl", lines(*map(json.dumps, rows * 5)))
    splits = load_jsonl(file, label_kind="multi_label")
    assert splits.train.targets.shape == (8, 2)


def test_one_json_list_is_an_error(write):
    with pytest.raises(DataError, match="one JSON list"):
        load_jsonl(write("r.jsonl", '[{"text": "a", "label": 1}]'))


def test_pictures_by_path(write, tmp_path):
    rows = []
    for i in range(12):
        write(f"pictures/{i}.png", encode(pixels(i)))
        rows.append(f"pictures/{i}.png,{i % 2}")
    splits = load_csv(
        write("t.csv", lines("image,label", *rows)), image_size=8, batch_size=3
    )
    assert splits.train.is_files
    root = os.path.realpath(tmp_path)
    assert all(p.startswith(root) for p in splits.train.examples)
    images, _ = next(iter(splits.train))
    assert images.shape == (3, 8, 8, 3)


@pytest.mark.timeout(60)
def test_paths_that_leave_the_folder_or_are_no_pictures(write, tmp_path):
    write("outside.png")
    for i in range(6):
        write(f"data/{i}.png")
    write("data/broken.png", b"\x89PNG\r\n\x1a\n")
    os.mkfifo(tmp_path / "data" / "pipe.png")
    os.symlink(tmp_path / "outside.png", tmp_path / "data" / "link.png")
    bad = ["../outside.png", str(tmp_path / "outside.png"), "link.png"]
    bad += ["nowhere.png", "pipe.png", "broken.png", ""]
    rows = [f"{path},1" for path in bad]
    rows += [f"{i}.png,{i % 2}" for i in range(6)]
    splits = load_csv(write("data/t.csv", lines("path,label", *rows)))
    reasons = {s.name: s.reason for s in splits.skipped}
    for row, expected in enumerate(
        ["leads out"] * 3
        + ["No such file", "FIFO", "cannot be decoded", "has no path"]
    ):
        assert expected in reasons.pop(f"t.csv:{row + 2}")
    assert not reasons
    with pytest.raises(DataError, match=r"no usable row.*leads out"):
        load_csv(write("data/u.csv", lines("path,label", *rows[:2])))
