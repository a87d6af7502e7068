"""Axes that end as SVG text inside a page, light or dark.

Colours are written as CSS variables with a fallback: `--ink` for text and
lines, `--series-1` and so on for data. The series are Okabe and Ito's colours
(2008), which the colour-blind can tell apart.
"""

import html
import io
import warnings

import numpy as np

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK = "#1f2328"
# Inches. Drawn narrow, so that text stays readable on a phone.
WIDTH = 4.2

_MARKERS = ("o", "s", "^", "D", "v", "P")
_LETTERS = 16


def new_axes(ylabel: str, xlabel: str, height: float = 0.66 * WIDTH):
    """Returns axes of a new figure, of no global state, in our style."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel, color=INK, fontsize=10.5)
    axes.set_ylabel(ylabel, color=INK, fontsize=10.5, parse_math=False)
    axes.tick_params(colors=INK, labelcolor=INK, labelsize=9.5, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.grid(color=INK, alpha=0.12, lw=0.8)
    axes.set_axisbelow(True)
    axes.patch.set_visible(False)
    figure.patch.set_visible(False)
    return axes


def add_line(axes, x, y, label: str, number: int) -> None:
    """Draws a line that marker and direct label tell apart, not hue alone."""
    axes.plot(
        x,
        y,
        color=SERIES[number % len(SERIES)],
        marker=_MARKERS[number % len(_MARKERS)],
        markevery=max(len(x) // 8, 1),
        markersize=4.5,
        lw=1.8,
        label=short(label, 32),
    )
    axes.xaxis.get_major_locator().set_params(integer=True)


def add_legend(axes) -> None:
    """Puts the legend below, where it hides no line."""
    handles, labels = axes.get_legend_handles_labels()
    legend = axes.figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=2 if max(map(len, labels)) > _LETTERS else 3,
        frameon=False,
        fontsize=10,
        labelcolor=INK,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def to_svg(axes, title: str) -> str:
    """Returns the figure as an `<svg>` element with a title for the blind."""
    import matplotlib

    memory = io.StringIO()
    nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
    # Text stays text, in the reader's fonts; there is no other way to ask.
    settings = {"svg.fonttype": "none", "svg.hashsalt": title}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        axes.figure.savefig(memory, format="svg", metadata=nothing)
    return _as_inline(memory.getvalue(), title)


def _as_inline(svg, title):
    svg = svg[svg.index("<svg") :]
    for i, colour in enumerate(SERIES, 1):
        svg = svg.replace(colour.lower(), f"var(--series-{i}, {colour})")
    svg = svg.replace(INK, f"var(--ink, {INK})")
    label = html.escape(title, quote=True)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def short(text: str, letters: int = _LETTERS) -> str:
    """Cuts a long name."""
    text = str(text)
    return text if len(text) <= letters else text[: letters - 1] + "…"


def floats(values) -> np.ndarray:
    """Returns an array in which None is NaN."""
    return np.array([np.nan if v is None else v for v in values], "float64")
