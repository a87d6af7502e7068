"""Draws what was measured."""

import pathlib
import statistics

from benchmarks.peers import PEERS

_STAGES = (("head", "#4c78a8"), ("tail", "#f2a65a"))


def values(runs: list[dict], section: str, measure: str = "cpu") -> list[float]:
    """Returns what a section took in each run that had it."""
    found = [run["stages"].get(section) for run in runs]
    return [taken[measure] for taken in found if taken]


def bars(runs: dict[str, list[dict]], title: str, path: pathlib.Path) -> None:
    """Draws a bar for each peer, its runs as dots, and the floor."""
    trained = {PEERS[n].title: r for n, r in runs.items() if n != "floor"}
    figure = _figure(8, 1.6 + 0.5 * len(trained))
    axes = figure.subplots()
    for place, taken in enumerate(trained.values()):
        left = 0.0
        for section, color in _STAGES:
            width = statistics.median(values(taken, section) or [0.0])
            label = None if place else section
            axes.barh(place, width, 0.6, left, color=color, label=label)
            left += width
        dots = [run["cpu_seconds"] for run in taken]
        axes.plot(dots, [place] * len(dots), "k.", markersize=4)
    floor = values(runs.get("floor", []), "pass")
    if floor:
        middle = statistics.median(floor)
        axes.axvline(middle, color="0.3", ls="--", label="one forward pass")
    axes.set_yticks(range(len(trained)), list(trained))
    axes.invert_yaxis()
    axes.set_xlabel("CPU seconds")
    axes.set_title(title, fontsize=9)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, metadata={"Date": None})


def curves(
    panels: dict[str, dict[int, dict[str, list[dict]]]],
    title: str,
    path: pathlib.Path,
) -> None:
    """Draws a panel for each thing that grows, a line for each peer.

    Args:
        panels: What grows, to its values, to the runs of each peer there.
        title: Above all of them.
        path: An `.svg` file.
    """
    figure = _figure(4.2 * len(panels), 3.6)
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, points) in zip(every, panels.items(), strict=True):
        peers = dict.fromkeys(n for runs in points.values() for n in runs)
        for place, peer in enumerate(peers):
            known = {at: r[peer] for at, r in points.items() if peer in r}
            cpu = [[run["cpu_seconds"] for run in r] for r in known.values()]
            middle = [statistics.median(taken) for taken in cpu]
            axes.errorbar(
                list(known),
                middle,
                [
                    [m - min(t) for m, t in zip(middle, cpu, strict=True)],
                    [max(t) - m for m, t in zip(middle, cpu, strict=True)],
                ],
                marker=".",
                ls="--" if peer == "floor" else "-",
                color="0.3" if peer == "floor" else f"C{place}",
                label=PEERS[peer].title,
            )
        axes.set(xlabel=name.replace("_", " "), xlim=(0, None), ylim=(0, None))
    every[0].set_ylabel("CPU seconds")
    figure.suptitle(title, fontsize=9)
    handles = every[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, metadata={"Date": None})


def _figure(width, height):
    """Makes a figure whose file is the same each time."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "tltf"
    return Figure((width, height), layout="constrained")
