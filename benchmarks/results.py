"""Medians with their spread, as a page and as plain data."""

import dataclasses
import json
import pathlib
import statistics
from collections.abc import Iterable

from benchmarks import plots
from benchmarks.peers import PEERS
from benchmarks.peers.cases import CASES
from benchmarks.peers.task import HEAD_RATE, TAIL_RATE, Task
from benchmarks.plots import values
from benchmarks.rounds import Measured

_COLUMNS = (
    "",
    "CPU s",
    "wall s",
    "tltf = 1",
    "head CPU s",
    "tail CPU s",
    "build CPU s",
    "head / pass",
    "head / first pass",
    "peak MB",
    "final loss",
    "validation loss",
)


def name_of(task: Task) -> str:
    """Names a task's files."""
    case = CASES[task.backbone]
    is_text = task.backbone.startswith("hub:")
    size = task.sequence_length if is_text else task.image_size
    parts = [case.network, size, f"n{task.images}"]
    parts.append(f"e{task.head_epochs}-{task.tail_epochs}")
    if task.precision != "float32":
        parts.append(task.precision)
    if task.threads:
        parts.append(f"t{task.threads}")
    return "-".join(map(str, parts))


def save(
    measured: Measured, task: Task, cores: int, folder: pathlib.Path
) -> str:
    """Writes the table, the plot and all figures; returns the table.

    Args:
        measured: What came back.
        task: What was done.
        cores: How many each run had.
        folder: Where `name_of(task)` with `.md`, `.svg` and `.json` is put.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name_of(task)
    page = "\n\n".join(
        [
            f"# {title_of(task)}",
            _table(measured),
            *_sentences(measured, task, cores),
        ]
    )
    path.with_name(f"{path.name}.md").write_text(page + "\n")
    text = json.dumps(plain(measured, task, cores), indent=1)
    path.with_name(f"{path.name}.json").write_text(text + "\n")
    plots.bars(
        measured.runs, title_of(task), path.with_name(f"{path.name}.svg")
    )
    return page


def title_of(task: Task) -> str:
    """Says in a line what was done."""
    case = CASES[task.backbone]
    if task.backbone.startswith("hub:"):
        what = f"{task.images} texts of {task.sequence_length} tokens"
    else:
        side = task.image_size
        what = f"{task.images} pictures of {side} × {side}"
    return (
        f"{case.network}, {what}: {task.head_epochs} epochs of the head,"
        f" {task.tail_epochs} with the last block"
    )


def plain(measured: Measured, task: Task, cores: int) -> dict:
    """Returns every run as it was."""
    return {
        "task": dataclasses.asdict(task),
        "cores": cores,
        "versions": measured.versions,
        "absent": measured.absent,
        "runs": measured.runs,
    }


def spread(numbers: list[float], digits: int = 1) -> str:
    """Writes a median and, behind it, the lowest and the highest."""
    if not numbers:
        return "–"
    middle = f"{statistics.median(numbers):.{digits}f}"
    if len(numbers) == 1:
        return middle
    low, high = min(numbers), max(numbers)
    return f"{middle} ({low:.{digits}f}–{high:.{digits}f})"


def row(cells: Iterable[str]) -> str:
    """Writes a line of a table."""
    return f"| {' | '.join(cells)} |"


def _table(measured):
    floor = measured.runs.get("floor", [])
    passes = [values(floor, name) for name in ("pass", "tracing pass")]
    tltf = _each(measured.runs.get("tltf", []), "cpu_seconds")
    lines = [row(_COLUMNS), row(["---"] * len(_COLUMNS))]
    for name, runs in measured.runs.items():
        cpu = _each(runs, "cpu_seconds")
        head = values(runs, "head")
        cells = [
            PEERS[name].title,
            spread(cpu),
            spread(_each(runs, "wall_seconds")),
            _ratio(cpu, tltf),
            spread(head),
            spread(values(runs, "tail")),
            spread(values(runs, "build")),
            *(_ratio(head, taken) for taken in passes),
            spread([b / 2**20 for b in _each(runs, "peak_memory")], 0),
            _loss(runs, "final_loss"),
            _loss(runs, "validation_loss"),
        ]
        lines.append(row(cells))
    for name, reason in measured.absent.items():
        if name not in measured.runs:
            title = PEERS[name].title
            lines.append(row([title, reason, *[""] * (len(_COLUMNS) - 2)]))
    return "\n".join(lines)


def _sentences(measured, task, cores):
    """Says what the figures are, and what they show."""
    runs = max(map(len, measured.runs.values()), default=0)
    yield (
        f"Medians of {runs} runs (lowest–highest), each in its own process,"
        f" in alternating order. Cores: {cores}; batches of {task.batch_size};"
        f" {task.precision}; {task.validation_images} examples more are"
        " evaluated after each epoch. CPU is of all threads, user and system;"
        " it and wall time run from data in memory and libraries imported to"
        " the final loss, without building the network and loading its"
        " weights, which is `build`."
    )
    yield (
        "A pass is `Model.predict` on the training and validation data; the"
        " first one also traces. The last block is everything at the smallest"
        " resolution, or the last transformer layer. SGD without momentum,"
        f" rates {HEAD_RATE:g} and {TAIL_RATE:g}, no dropout, batch"
        " normalisation on its statistics, weights random. Losses are the"
        " last epoch's; peers with networks of their own have losses of their"
        " own."
    )
    for name in ("keras", "keras_hub"):
        is_same = name == "keras" or task.backbone.startswith("hub:")
        if is_same and name in measured.runs and "tltf" in measured.runs:
            gap = _gap(measured.runs["tltf"], measured.runs[name])
            yield (
                f"tltf and {PEERS[name].title} begin with the same weights and"
                " see the same batches: their final losses differ by"
                f" {gap:.1g}."
            )
    is_v2 = "EfficientNetV2" in task.backbone
    if is_v2 and any(PEERS[name].is_torch for name in measured.runs):
        yield (
            "transformers has no second version of EfficientNet; its rows are"
            " EfficientNet-B0, a smaller network."
        )
    for name, reason in measured.absent.items():
        if name in measured.runs:
            yield f"{PEERS[name].title} did not run to the end: {reason}"
    listed = sorted(measured.versions.items())
    yield ", ".join(f"{name} {version}" for name, version in listed) + "."


def _each(runs, name):
    return [run[name] for run in runs]


def _ratio(ours, theirs):
    if not ours or not theirs:
        return "–"
    return f"{statistics.median(ours) / statistics.median(theirs):.2f}"


def _gap(ours, theirs):
    pairs = [(a["final_loss"], b["final_loss"]) for a in ours for b in theirs]
    return max(abs(a - b) for a, b in pairs)


def _loss(runs, name):
    losses = [run[name] for run in runs if run[name] is not None]
    return f"{statistics.median(losses):.6f}" if losses else "–"
