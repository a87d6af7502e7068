"""What came out of a run, as plain data."""

import dataclasses
import json
import os
import pathlib

import numpy as np

from tltf.reports import page


@dataclasses.dataclass(frozen=True)
class Report:
    """Figures with intervals, curves, mistakes and settings of one model.

    All fields are plain data, as in the file `report.json`; NaN is None.
    Add what training knows with `dataclasses.replace(report, curves=…)`.

    Args:
        kind: Kind of the labels.
        classes: Names of the classes or targets.
        size: How many examples were measured.
        metrics: Name to `{"value", "low", "high"}`; first the main one.
        per_class: Rows of `class`, `precision`, `recall`, `f1`, `support`;
            for regression `mae`, `rmse`, `r2` of each target.
        confusion: Counts, rows are the truth; None if not one of many.
        calibration: `ece`, what it would be by `chance`, and its `bins`;
            None for regression.
        worst: Mistakes: `name`, `truth`, `predicted`, `probability`,
            `image` (a data URI) or `text`.
        curves: `history` and `boundaries` of a `Run`: name to one value an
            epoch; name and first epoch, from 0, of each stage.
        notes: Sentences a reader should know.
        facts: Name to setting: model, backbone, recipe, seeds.
        comparison: Of arms: `measure` (what the curves show), `curves` (arm
            to `band`), `rows` (from `compare`, both of
            `tltf.transferability`) and `first_epoch` (0 if the curves begin
            before training, else 1).
    """

    kind: str
    classes: tuple[str, ...]
    size: int
    metrics: dict
    per_class: list = dataclasses.field(default_factory=list)
    confusion: list | None = None
    calibration: dict | None = None
    worst: list = dataclasses.field(default_factory=list)
    curves: dict | None = None
    notes: list = dataclasses.field(default_factory=list)
    facts: dict = dataclasses.field(default_factory=dict)
    comparison: dict | None = None

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = _plain(getattr(self, field.name), field.name)
            object.__setattr__(self, field.name, value)
        object.__setattr__(self, "classes", tuple(self.classes))

    @property
    def main(self) -> tuple[str, dict]:
        """Name and figure of the main metric."""
        return next(iter(self.metrics.items()))

    def to_json(self) -> str:
        """Returns all of it as JSON, which has no NaN."""
        return json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Makes it again from `to_json`."""
        return cls(**json.loads(text))

    def save(self, folder: str | os.PathLike) -> pathlib.Path:
        """Writes `report.html` and `report.json` into a folder.

        Each file is replaced at once: a kill leaves the old or the new one.

        Returns:
            The path of the page: one file, to be opened anywhere.
        """
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        html = page.render(dataclasses.asdict(self))
        _write(folder / "report.json", self.to_json())
        return _write(folder / "report.html", html)

    def summary(self) -> str:
        """Returns a few lines for the terminal."""
        rows = self.comparison["rows"] if self.comparison else ()
        others = list(self.metrics.items())[1:]
        lines = [
            page.headline(dataclasses.asdict(self)),
            *(page.figure_text(name, figure) for name, figure in others),
            *(row["sentence"] for row in rows if row["differences"]),
            *self.notes,
        ]
        return "\n".join(line for line in lines if line)


def _plain(value, where):
    """Turns NumPy values and tuples into what JSON holds; NaN to None."""
    if isinstance(value, dict):
        return {str(k): _plain(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(v, where) for v in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(
        f"`{where}` of a report must be plain data: numbers, strings, lists"
        f" and dicts. Received: {type(value).__name__}"
    )


def _write(path, text):
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # Names of files may hold bytes that are no UTF-8.
        with open(temporary, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
