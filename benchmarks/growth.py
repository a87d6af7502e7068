"""How does the cost grow with the number of images and of epochs?

The same job and peers as in `benchmarks.transfer`, with one flag after the
other halved again and again while the others stay.

    python -m benchmarks.growth --backbone=applications:ResNet50 \
        --images=256 --head_epochs=16 --tail_epochs=4 --against=keras
"""

import dataclasses
import json
import pathlib

from absl import app, flags

from benchmarks import plots, results, rounds, task_flags
from benchmarks.peers import PEERS
from benchmarks.task_flags import FLAGS

_CAN_GROW = ("images", "head_epochs", "tail_epochs")

flags.DEFINE_multi_enum(
    "grow", list(_CAN_GROW), _CAN_GROW, "What grows; once for each."
)
flags.DEFINE_integer("points", 4, "Values of each, by doubling.", 2)


def main(_):
    task = task_flags.task()
    panels, plain, known = {}, [], {}
    cores = task_flags.cores(task.threads)
    for name in FLAGS.grow:
        panels[name] = {}
        for value in doublings(getattr(task, name), FLAGS.points):
            smaller = dataclasses.replace(task, **{name: value})
            if smaller not in known:
                print(f"{name} = {value}", flush=True)
                known[smaller] = rounds.measure(
                    smaller, task_flags.peers(), FLAGS.runs, FLAGS.torch_python
                )
                plain.append(results.plain(known[smaller], smaller, cores))
            panels[name][value] = known[smaller].runs
    folder = pathlib.Path(FLAGS.results)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"growth-{results.name_of(task)}"
    title = results.title_of(task)
    page = f"# {title}, and less\n\n{_table(panels, known)}\n"
    path.with_name(f"{path.name}.md").write_text(page)
    text = json.dumps(plain, indent=1)
    path.with_name(f"{path.name}.json").write_text(text + "\n")
    plots.curves(panels, title, path.with_name(f"{path.name}.svg"))
    print(page)
    print(f"Written: {path}.md, .svg and .json")


def doublings(last: int, points: int) -> list[int]:
    """Returns up to so many whole numbers of which each halves the next."""
    found = [last // 2**power for power in range(points)]
    return [value for value in reversed(found) if value]


def _table(panels, known):
    """A line for each point: CPU seconds of each peer."""
    every = [runs for points in panels.values() for runs in points.values()]
    peers = list(dict.fromkeys(name for runs in every for name in runs))
    titles = [f"{PEERS[name].title}, CPU s" for name in peers]
    lines = [results.row(["", "", *titles])]
    lines.append(results.row(["---"] * (len(peers) + 2)))
    for name, points in panels.items():
        for value, runs in points.items():
            cells = [
                results.spread([r["cpu_seconds"] for r in runs.get(peer, [])])
                for peer in peers
            ]
            lines.append(results.row([name, str(value), *cells]))
    reasons = {k: v for each in known.values() for k, v in each.absent.items()}
    notes = [f"{PEERS[k].title}: {reason}" for k, reason in reasons.items()]
    return "\n\n".join(["\n".join(lines), *notes])


if __name__ == "__main__":
    app.run(main)
