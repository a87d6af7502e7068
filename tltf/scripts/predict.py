"""`tltf predict`: let a trained model name pictures or texts."""

import csv
import io
import json
import sys

from absl import flags

from tltf.errors import DataError
from tltf.scripts import arguments, quiet, trained
from tltf.scripts.command import Answer, Command
from tltf.scripts.parsers import COUNT, TEXT
from tltf.scripts.tables import table

FLAGS = flags.FlagValues()
_OWN = {
    "format": (
        "What to write: table, csv or jsonl.",
        flags.EnumParser(("table", "csv", "jsonl")),
        "table",
    ),
    "top": ("How many of the most probable classes to show.", COUNT, 3),
    "texts_file": (
        "File of texts, one a line, or a CSV file with --text_column.",
        TEXT,
    ),
    "text_column": ("Column of --texts_file, which is then CSV.", TEXT),
    "batch_size": ("How many at once.", COUNT, 32),
}
for _table in (trained.FLAGS, _OWN):
    arguments.define(FLAGS, _table)


def run(words: list[str]) -> Answer:
    """Predicts for every item that can be read, and names those that not."""
    path, items = trained.find(FLAGS), _items(words)
    quiet.load_tensorflow()
    from tltf.prediction import predict

    model = trained.load(path)
    if FLAGS.texts_file and getattr(model.preprocess, "kind", "") != "text":
        raise ValueError("`--texts_file` is for models of texts, not pictures.")
    rows = predict(model, items, batch_size=FLAGS.batch_size)
    bad = [row for row in rows if row.error]
    top = FLAGS.top
    if model.labels.kind == "regression":
        top = len(model.classes)
    if len(bad) == len(rows):
        raise DataError(_none_usable(rows))
    facts = {
        "predictions": [_facts(row, top) for row in rows if not row.error],
        "skipped": [{"item": r.item, "reason": r.error} for r in bad],
    }
    for row in bad if FLAGS.format != "table" else ():
        print(f"Left out: {row.item} {row.error}", file=sys.stderr)
    return Answer(
        facts=facts,
        shown=_FORMATS[FLAGS.format](rows, top, model.labels.kind),
        then=f"{len(rows) - len(bad)} predicted, {len(bad)} left out. Next:"
        f" {_next()}",
        is_data=FLAGS.format != "table",
    )


def _items(words: list[str]) -> list[str]:
    """Returns the words, the lines of stdin for `-`, and the file's texts."""
    items = []
    for word in words:
        items += sys.stdin.read().splitlines() if word == "-" else [word]
    if FLAGS.texts_file:
        with open(FLAGS.texts_file, encoding="utf-8-sig", newline="") as file:
            items += _texts(file)
    if not items:
        raise ValueError(
            "There is nothing to predict. Name pictures, folders of pictures,"
            " or texts; `-` reads one a line from stdin."
        )
    return items


def _texts(file) -> list[str]:
    column = FLAGS.text_column
    if column is None:
        return file.read().splitlines()
    reader = csv.DictReader(file)
    columns = reader.fieldnames or []
    if column not in columns:
        raise ValueError(
            f"{FLAGS.texts_file} has no column '{column}' (`--text_column`)."
            f" Its columns are {columns}."
        )
    return [row[column] or "" for row in reader]


def _none_usable(rows) -> str:
    if not rows:
        return "There are no files in these folders."
    first = rows[0]
    if len(rows) == 1:
        return f"{first.item} {first.error}."
    return (
        f"None of the {len(rows)} files can be used. The first, {first.item},"
        f" {first.error}."
    )


def _top(row, top: int) -> list[tuple[str, float]]:
    return list(row.values.items())[:top]


def _facts(row, top: int) -> dict:
    return {
        "item": row.item,
        "label": row.label,
        "probability": row.probability,
        "values": dict(_top(row, top)),
    }


def _table(rows, top: int, kind: str) -> list:
    is_value = kind == "regression"
    told = [
        [
            row.item,
            *(
                f"{name} {value:.4g}" if is_value else f"{name} {value:.1%}"
                for name, value in _top(row, top)
            ),
        ]
        for row in rows
        if not row.error
    ]
    others = range(2, max(map(len, told)))
    columns = ["item", "value" if is_value else "class", *map(_nth, others)]
    lines = [f"Left out: {row.item} {row.error}" for row in rows if row.error]
    return [table(columns, told), "", *lines, *([""] if lines else [])]


def _nth(number: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def _csv(rows, top: int, kind: str) -> list:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    good = [row for row in rows if not row.error]
    if kind == "regression":
        writer.writerow(["item", *good[0].values])
        writer.writerows([row.item, *row.values.values()] for row in good)
    else:
        most = min(top, len(good[0].values))
        more = [f"_{i}" for i in range(2, most + 1)]
        names = [(f"label{i}", f"probability{i}") for i in ("", *more)]
        writer.writerow(["item", *(name for pair in names for name in pair)])
        for row in good:
            pairs = _top(row, top)
            writer.writerow([row.item, *(v for pair in pairs for v in pair)])
    return [text.getvalue().rstrip("\n")]


def _jsonl(rows, top: int, kind: str) -> list:
    good = [row for row in rows if not row.error]
    return [json.dumps(_facts(r, top), ensure_ascii=False) for r in good]


_FORMATS = {"table": _table, "csv": _csv, "jsonl": _jsonl}


def _next() -> str:
    if FLAGS.format == "table":
        return "the same with --format=csv > predictions.csv"
    return f"tltf export {trained.named(FLAGS)} --output=serving/1"


COMMAND = Command(
    name="predict",
    says="""
Lets a trained model name pictures or texts, with the preprocessing that it
was trained and is served with. What cannot be read is named and counted, and
does not stop the rest; exit code 3 says that nothing could be read.
""",
    run=run,
    flags=FLAGS,
    everyday=(*trained.FLAGS, *_OWN, "json"),
    example="tltf predict --model_dir=runs/flowers rose.jpg more_pictures/",
    words="FILE_FOLDER_OR_TEXT …",
)


def main(argv=None) -> int:
    """Runs `tltf predict`."""
    return COMMAND.main(argv)


if __name__ == "__main__":
    sys.exit(main())
