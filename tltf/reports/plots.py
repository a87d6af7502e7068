"""The plots of a report, each as SVG text."""

import numpy as np

from tltf.reports.drawing import (
    INK,
    SERIES,
    WIDTH,
    add_legend,
    add_line,
    floats,
    new_axes,
    short,
    to_svg,
)

# Not a series: white text is to be read on it in the dark as well.
_CELL = "#00639c"
# Inches, of a letter in the names of stages.
_LETTER_WIDTH = 0.08


def curves(history: dict, boundaries: list, name: str) -> str:
    """Draws a figure over epochs, for training and for validation.

    Args:
        history: Name to one value an epoch.
        boundaries: Name and first epoch, from 0, of each stage.
        name: What to draw; `val_` before it is the validation's.
    """
    axes = new_axes(name.replace("_", " "), "epoch")
    shown = {"training": history.get(name)}
    shown["validation"] = history.get(f"val_{name}")
    for i, (label, values) in enumerate(shown.items()):
        if values:
            epochs = np.arange(1, len(values) + 1)
            add_line(axes, epochs, floats(values), label, i)
    _stages(axes, boundaries, len(history.get(name) or [0]))
    add_legend(axes)
    return to_svg(axes, f"{name} over epochs, training and validation")


def arms(bands: dict, measure: str, first_epoch: int = 1) -> str:
    """Draws the mean curve of each arm with its interval as a band.

    Args:
        bands: Arm to lists `value`, `low`, `high`; the last two may be None.
        measure: What the curves show.
        first_epoch: Where they begin.
    """
    axes = new_axes(measure, "epoch")
    means = [band["value"] for band in bands.values()]
    for i, (arm, band) in enumerate(bands.items()):
        values, low, high = (
            floats(band[key]) for key in ("value", "low", "high")
        )
        epochs = np.arange(first_epoch, first_epoch + len(values))
        colour = SERIES[i % len(SERIES)]
        axes.fill_between(epochs, low, high, color=colour, alpha=0.18, lw=0)
        add_line(axes, epochs, values, arm, i)
    values = floats(np.concatenate(means))
    if values.min() >= 0 and values.max() <= 1:
        # A t interval of a share may reach beyond what is possible.
        axes.set_ylim(max(axes.get_ylim()[0], 0), min(axes.get_ylim()[1], 1.01))
    add_legend(axes)
    return to_svg(axes, f"{measure} over epochs of {', '.join(bands)}")


def confusion(counts: list, classes: list) -> str:
    """Draws a confusion matrix, shaded by the share of the true class.

    Args:
        counts: Rows are the truth.
        classes: Their names.
    """
    from matplotlib.patches import Rectangle

    counts = np.asarray(counts)
    size = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes = new_axes("truth", "predicted", height=WIDTH)
    axes.grid(False)
    axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal")
    for (row, column), share in np.ndenumerate(shares):
        if counts[row, column]:
            cell = Rectangle((column, row), 1, 1, fc=_CELL, lw=0)
            cell.set_alpha(0.08 + 0.92 * share)
            axes.add_patch(cell)
        if size <= 12:
            axes.text(
                column + 0.5,
                row + 0.5,
                f"{counts[row, column]}",
                ha="center",
                va="center",
                fontsize=10 if size <= 8 else 8,
                color="#ffffff" if share > 0.7 else INK,
            )
    _class_ticks(axes, [str(name) for name in classes])
    return to_svg(axes, "confusion matrix, rows are the truth")


def calibration(bins: list) -> str:
    """Draws accuracy over confidence; the diagonal is perfect calibration.

    Args:
        bins: As from `calibration`; the area of a point shows its count.
    """
    axes = new_axes("share right", "confidence", height=0.8 * WIDTH)
    filled = [b for b in bins if b["count"]]
    counts = np.array([b["count"] for b in filled])
    axes.plot([0, 1], [0, 1], color=INK, alpha=0.45, lw=1.2, ls=(0, (4, 3)))
    x = [b["confidence"] for b in filled]
    y = [b["accuracy"] for b in filled]
    axes.vlines(x, x, y, color=SERIES[1], lw=1.5, alpha=0.8)
    areas = 16 + 180 * counts / counts.max()
    axes.scatter(
        x,
        y,
        s=areas,
        color=SERIES[0],
        alpha=0.85,
        lw=0,
        zorder=3,
        clip_on=False,
    )
    axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.03))
    return to_svg(axes, "share right over confidence")


def _stages(axes, boundaries, epochs):
    """Marks where stages begin, by name where there is room, or number."""
    axes.set_xlim(0.5, epochs + 0.5)
    if len(boundaries) < 2:
        return
    starts = [start for _, start in boundaries]
    lengths = np.diff([*starts, epochs])
    room = lengths / epochs * 0.8 * WIDTH / _LETTER_WIDTH
    names = [short(name.replace("_", " ")) for name, _ in boundaries]
    if any(len(n) > r for n, r in zip(names, room, strict=True)):
        names = [str(i) for i in range(1, len(names) + 1)]
    for start, name in zip(starts, names, strict=True):
        if start:
            axes.axvline(start + 0.5, color=INK, alpha=0.5, lw=1, ls=":")
        axes.annotate(
            name,
            (start + 0.5, 1),
            (2, 2),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            fontsize=9,
            color=INK,
            parse_math=False,
        )


def _class_ticks(axes, classes):
    places = np.arange(len(classes)) + 0.5
    names = [short(name) for name in classes]
    small = 9 if len(classes) <= 15 else 8
    is_wide = sum(map(len, names)) > 24
    axes.set_yticks(places, names, fontsize=small, parse_math=False)
    axes.set_xticks(
        places,
        names,
        fontsize=small,
        parse_math=False,
        rotation=90 if is_wide else 0,
    )
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
