import dataclasses
import html.parser
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tltf.core.labels import Labels
from tltf.reports.measure import measure
from tltf.reports.report import Report

EVIL = "\"'><script>alert('$x^2$ &')</script>"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAA"
    "DUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def make_report(classes=("ape", "bee", "cat"), **fields) -> Report:
    random = np.random.default_rng(0)
    truth = random.integers(0, len(classes), 60)
    probabilities = random.dirichlet(np.ones(len(classes)), 60)
    measured = measure(Labels(classes), truth, probabilities, resamples=50)
    measured["notes"] = measured["notes"] + fields.pop("notes", [])
    return Report("categorical", classes, 60, **measured, **fields)


def make_comparison(seeds=3, measure="test accuracy") -> dict:
    row = {"value": 0.5, "low": 0.4, "high": 0.6}
    if seeds == 1:
        row |= {"low": None, "high": None}
    band = {"value": [0.4, 0.5], "low": [row["low"]] * 2}
    band |= {"high": [row["high"]] * 2}
    measures = dict.fromkeys(("start", "slope", "end"), row)
    shared = {"seeds": seeds, **measures}
    return {
        "measure": measure,
        "curves": {"transfer": band, "scratch": band},
        "rows": [
            shared
            | {
                "arm": "transfer",
                "differences": measures,
                "verdict": "helps" if seeds > 1 else None,
                "sentence": "'transfer': helps.",
            },
            shared
            | {
                "arm": "scratch",
                "differences": None,
                "verdict": None,
                "sentence": "baseline",
            },
        ],
    }


def full_report(name=EVIL) -> Report:
    return make_report(
        (name, "bee", "cat"),
        worst=[
            {
                "name": f"folder/{name}/1.png",
                "truth": name,
                "predicted": "bee",
                "probability": 0.9,
                "image": PIXEL,
                "text": None,
            },
            {
                "name": "row 7",
                "truth": "bee",
                "predicted": name,
                "probability": 0.8,
                "image": None,
                "text": name,
            },
        ],
        curves={
            "history": {
                "loss": [2.0, 1.0, 0.5],
                "val_loss": [2.0, float("nan"), 0.7],
                "accuracy": [0.3, 0.5, 0.9],
                "val_accuracy": [0.3, 0.4, 0.8],
                "learning_rate": [0.1, 0.1, 0.1],
            },
            "boundaries": [("probe", 0), (name, 1)],
        },
        notes=[name],
        facts={"backbone": name, "seeds": [0, 1], name: {"a": None}},
        comparison=make_comparison(measure=name),
    )


class Page(html.parser.HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.handlers, self.text = [], [], [], ""
        self.open = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in {"meta", "img", "br", "path", "use"}:
            self.open.append(tag)
        for name, value in attributes:
            if name in {"src", "href", "xlink:href", "srcset", "action"}:
                self.links.append(value)
            if name.startswith("on"):
                self.handlers.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_page_is_self_contained_and_names_are_escaped(tmp_path):
    path = full_report().save(tmp_path / "new" / "folder")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open
    assert "script" not in page.tags and "link" not in page.tags
    assert "iframe" not in page.tags
    assert not page.handlers
    assert page.links
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    assert "@import" not in text and "url(http" not in text
    assert page.text.count(EVIL) >= 5


def test_picture_that_is_no_data_is_not_requested(tmp_path):
    report = full_report("ape")
    report.worst[0]["image"] = "https://example.com/spy.png"
    text = report.save(tmp_path).read_text()
    assert "example.com" not in text


def test_page_shows_the_headline_first(tmp_path):
    report = make_report()
    page = Page(report.save(tmp_path).read_text())
    figure = report.metrics["accuracy"]
    body = page.text[page.text.index("Accuracy") :]
    assert f"{figure['value']:.3f}" in body[:100]
    assert f"{figure['low']:.3f} to {figure['high']:.3f}" in body[:200]


def test_page_shows_the_comparison_on_top(tmp_path):
    text = full_report("ape").save(tmp_path).read_text()
    assert text.index("Did transfer help?") < text.index("Also measured")
    assert "&#39;transfer&#39;: helps." in text
    assert "0.500 ± 0.100" in text


def test_comparison_of_one_seed_has_no_interval(tmp_path):
    report = make_report(comparison=make_comparison(seeds=1))
    text = report.save(tmp_path).read_text()
    assert "0.500 ±" not in text
    assert "Mean over 1 seed." in text


def test_json_round_trip_keeps_everything(tmp_path):
    report = full_report()
    path = report.save(tmp_path)
    text = (tmp_path / "report.json").read_text()
    assert text == report.to_json()
    again = Report.from_json(text)
    assert again == report
    assert again.save(tmp_path / "again").read_text() == path.read_text()


def test_json_has_no_nan_and_plain_data_only():
    report = make_report(facts={"a": np.float32(2), "b": np.nan, "c": (1, 2)})
    assert report.facts == {"a": 2.0, "b": None, "c": [1, 2]}
    json.loads(report.to_json(), parse_constant=pytest.fail)
    with pytest.raises(TypeError, match=r"facts\.model"):
        make_report(facts={"model": object()})


def test_report_is_frozen_and_training_is_added_by_replace():
    report = make_report()
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.size = 1
    curves = {"history": {"loss": [1.0]}, "boundaries": []}
    assert dataclasses.replace(report, curves=curves).curves == curves


def test_summary_is_a_few_lines():
    report = dataclasses.replace(full_report("ape"), notes=["Look at this."])
    lines = report.summary().splitlines()
    assert lines[0].startswith("Accuracy 0.")
    assert "95% interval" in lines[0] and "60 examples" in lines[0]
    assert len(lines) == len(report.metrics) + 2
    assert "'transfer': helps." in lines
    assert lines[-1] == "Look at this."
    assert max(map(len, lines[: len(report.metrics)])) <= 80


def test_failed_save_leaves_the_old_page_and_no_litter(tmp_path, monkeypatch):
    report = make_report()
    report.save(tmp_path)
    before = {p.name: p.read_text() for p in tmp_path.iterdir()}

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        dataclasses.replace(report, size=61).save(tmp_path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == before
    assert sorted(before) == ["report.html", "report.json"]


def test_names_that_no_encoding_holds_can_be_saved(tmp_path):
    report = make_report(notes=["caf\udce9.jpg was skipped."])
    report.save(tmp_path)
    text = (tmp_path / "report.json").read_text()
    assert Report.from_json(text) == report


def test_many_classes_become_a_list_of_the_worst(tmp_path):
    names = tuple(f"class {i}" for i in range(60))
    text = make_report(names).save(tmp_path).read_text()
    assert "those with the lowest F1" in text
    assert "Most frequent mistakes" in text
    assert "confusion matrix" not in text


@pytest.mark.parametrize("size", [1, 2])
def test_tiny_data_make_a_page(tmp_path, size):
    labels = Labels(("a", "b", "c"))
    sure = np.eye(3)[:size]
    measured = measure(labels, np.arange(size), sure, resamples=20)
    report = Report("categorical", labels.classes, size, **measured)
    assert "All" in " ".join(report.notes)
    assert report.metrics["accuracy"]["low"] < 1
    report.save(tmp_path)


@pytest.mark.parametrize("kind", ["binary", "multi_label", "regression"])
def test_every_kind_makes_a_page(tmp_path, kind):
    random = np.random.default_rng(0)
    labels = Labels(("ape", "bee"), kind)
    shape = 30 if labels.are_classes else (30, 2)
    truth = random.integers(0, 2, shape)
    measured = measure(
        labels, truth, random.dirichlet([1, 1], 30), resamples=20
    )
    report = Report(kind, labels.classes, 30, **measured)
    page = Page(report.save(tmp_path).read_text())
    assert not page.open
    assert "ape" in page.text


def test_plots_leave_no_global_state(tmp_path):
    code = f"""
import sys
import keras
import matplotlib
before = dict(matplotlib.rcParams)
from tests.reports.test_report import full_report
full_report().save({str(tmp_path)!r})
assert dict(matplotlib.rcParams) == before
# Keras itself imports pyplot, so ask it for figures that it would keep.
assert not matplotlib.pyplot.get_fignums()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_one_epoch_makes_no_curve(tmp_path):
    report = make_report()
    curves = {"history": {"loss": [1.0], "val_loss": [2.0]}, "boundaries": []}
    once = dataclasses.replace(report, curves=curves)
    once.save(tmp_path / "once")
    assert "<h2>Training" not in (tmp_path / "once/report.html").read_text()
    curves["history"] = {"loss": [1.0, 0.5], "val_loss": [2.0, 1.5]}
    dataclasses.replace(report, curves=curves).save(tmp_path / "twice")
    assert "<h2>Training" in (tmp_path / "twice/report.html").read_text()
