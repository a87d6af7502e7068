"""`tltf list`: data sources, backbones and recipes."""

import sys

from absl import flags

from tltf.errors import nearest
from tltf.scripts import quiet
from tltf.scripts.command import Answer, Command
from tltf.scripts.tables import table

FLAGS = flags.FlagValues()

# What a source holds, and one of it.
_DATA = {
    "folder": ("pictures in class folders", "folder:flowers/"),
    "csv": ("texts, or paths of pictures, and labels", "csv:reviews.csv"),
    "jsonl": ("the same, one JSON object a line", "jsonl:reviews.jsonl"),
    "tfds": ("TensorFlow Datasets", "tfds:tf_flowers"),
    "demo": ("handwritten digits; no network", "demo:digits"),
}
_BACKBONES = {
    "applications": ("keras.applications", "applications:ResNet50"),
    "hub": ("KerasHub presets and folders", "hub:bert_base_en_uncased"),
    "cv": ("KerasCV", "cv:ResNet18V2"),
    "saved": (".keras files of your own", "saved:model.keras"),
    "demo": ("a small one that comes with tltf", "demo:digits_0_4"),
}


def run(words: list[str]) -> Answer:
    """Lists what was asked for, or the sources of everything."""
    kind, *rest = words or ["everything"]
    lists = {
        "everything": _everything,
        "datasets": _datasets,
        "backbones": _backbones,
        "recipes": _recipes,
    }
    if kind not in lists or len(rest) > (kind == "backbones"):
        raise ValueError(
            "tltf list takes one of: datasets, backbones, backbones SOURCE,"
            f" recipes. Received: {' '.join(words)}.{nearest(kind, lists)}"
        )
    return lists[kind](*rest)


def _everything() -> Answer:
    answers = _datasets(), _backbones(), _recipes()
    return Answer(
        facts={k: v for answer in answers for k, v in answer.facts.items()},
        shown=[shown for answer in answers for shown in answer.shown],
        then="Next: tltf train --data=demo:digits --backbone=demo:digits_0_4"
        " --model_dir=runs/first",
    )


def _datasets() -> Answer:
    from tltf import datasets

    rows = {
        source.split(":")[0]: _DATA.get(source.split(":")[0], ("", source))
        for source in datasets.names()
    }
    return Answer(
        facts={"datasets": _facts(rows)},
        shown=[_table("data", "holds", rows), ""],
        then="Next: tltf check --data=folder:flowers/",
    )


def _backbones(source: str | None = None) -> Answer:
    quiet.load_tensorflow()
    from tltf import backbones

    if source is not None:
        return _names(source, backbones.names(source))
    rows = {
        source: _BACKBONES.get(source, ("", f"{source}:…"))
        for source in backbones.sources()
    }
    return Answer(
        facts={"backbones": _facts(rows)},
        shown=[_table("backbone", "from", rows), ""],
        then="Next: tltf list backbones applications",
    )


def _names(source: str, names: list[str]) -> Answer:
    import rich.columns

    shown = "\n".join(f"{source}:{name}" for name in names)
    if sys.stdout.isatty():
        shown = rich.columns.Columns(shown.split("\n"), column_first=True)
    first = names[0] if names else "…"
    if not names:
        shown = f"The names of {source} cannot be listed."
    return Answer(
        facts={"source": source, "names": names},
        shown=[shown],
        then=f"Next: tltf train --data=folder:flowers/"
        f" --backbone={source}:{first} --model_dir=runs/first",
        is_data=not sys.stdout.isatty(),
    )


def _recipes() -> Answer:
    quiet.load_tensorflow()
    from tltf.core import recipes

    rows = {}
    for name, recipe in recipes.NAMED.items():
        says = (recipe.__doc__ or "").strip().splitlines()[0]
        takes = recipes.resolved(name).items()
        rows[name] = says, "  ".join(f"{n}={v}" for n, v in takes)
    return Answer(
        facts={
            "recipes": {
                name: {"says": says, "arguments": recipes.resolved(name)}
                for name, (says, _) in rows.items()
            }
        },
        shown=[_table("recipe", "does", rows, "with"), ""],
        then="Next: tltf train --helpfull, for all that a recipe takes",
    )


def _facts(rows: dict) -> dict:
    return {
        source: {"says": says, "example": example}
        for source, (says, example) in rows.items()
    }


def _table(name: str, says: str, rows: dict, example: str = "such as"):
    return table([name, says, example], [[n, *c] for n, c in rows.items()])


COMMAND = Command(
    name="list",
    says="""
Lists where data and backbones can come from, and the recipes.
""",
    run=run,
    flags=FLAGS,
    everyday=("json",),
    example="tltf list backbones applications",
    words="[datasets | backbones [SOURCE] | recipes]",
)


def main(argv=None) -> int:
    """Runs `tltf list`."""
    return COMMAND.main(argv)


if __name__ == "__main__":
    sys.exit(main())
