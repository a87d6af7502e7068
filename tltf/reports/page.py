"""The report as one HTML file that needs nothing else."""

from tltf.reports import metrics, plots

_LARGEST_MATRIX = 16
_MOST_ROWS = 40
_MOST_PAIRS = 15
_KINDS = {
    "binary": "two classes",
    "categorical": "one of {} classes",
    "multi_label": "any of {} labels",
    "regression": "{} value{}",
}


def render(report: dict) -> str:
    """Returns the page of a report.

    Args:
        report: The fields of a `Report`, as in `report.json`.

    Returns:
        HTML with styles and pictures inside: no scripts, no requests.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tltf.reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["fact"] = _fact
    environment.filters["number"] = number
    environment.filters["title"] = _title
    environment.filters["plus_minus"] = _plus_minus
    # The plots escape what they draw.
    environment.filters["drawing"] = lambda svg: jinja2.utils.markupsafe.Markup(
        svg
    )
    template = environment.get_template("report.html.j2")
    return template.render(
        report=report,
        headline=headline(report),
        main=next(iter(report["metrics"].items())),
        kind=_kind(report),
        baseline=_baseline(report["comparison"]),
        arms_plot=_arms_plot(report["comparison"]),
        curve_plots=_curve_plots(report["curves"]),
        stages=_stages(report["curves"]),
        rows=_rows(report),
        **_confusion(report),
        calibration_plot=_calibration_plot(report["calibration"]),
    )


def headline(report: dict) -> str:
    """Says the main figure with its interval in a sentence."""
    name, figure = next(iter(report["metrics"].items()))
    size = report["size"]
    examples = "example" if size == 1 else "examples"
    return f"{figure_text(name, figure)} on {size:,} {examples}"


def figure_text(name: str, figure: dict) -> str:
    """Returns such as `Accuracy 0.934 (95% interval 0.912 to 0.951)`."""
    text = f"{_title(name)} {number(figure['value'])}"
    if figure.get("low") is None or figure.get("high") is None:
        return text
    low, high = number(figure["low"]), number(figure["high"])
    return f"{text} (95% interval {low} to {high})"


def number(value) -> str:
    """Writes a figure with three decimals, or four digits where large."""
    if value is None:
        return "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if value and not 1e-3 <= abs(value) < 100:
        return f"{value:.4g}"
    return f"{value:.3f}"


def _title(name):
    return metrics.TITLES.get(name, name.replace("_", " ").capitalize())


def _fact(value):
    if isinstance(value, dict):
        return ", ".join(f"{k} {_fact(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(_fact, value))
    return "none" if value is None else number(value)


def _plus_minus(interval, signed=False):
    """Writes a symmetrical interval; a single seed has none."""
    value = f"{interval['value']:{'+' if signed else ''}.3f}".replace("-", "−")
    if interval["low"] is None:
        return value
    return f"{value} ± {interval['high'] - interval['value']:.3f}"


def _kind(report):
    count = len(report["classes"])
    return _KINDS[report["kind"]].format(count, "s" * (count > 1))


def _baseline(comparison):
    if comparison is None:
        return None
    return next(r["arm"] for r in comparison["rows"] if not r["differences"])


def _arms_plot(comparison):
    if comparison is None:
        return None
    return plots.arms(
        comparison["curves"],
        comparison["measure"],
        comparison.get("first_epoch", 1),
    )


def _curve_plots(curves):
    """Draws the loss and the first other figure of the history."""
    if not curves or not curves["history"]:
        return []
    history, boundaries = curves["history"], curves.get("boundaries") or []
    if max(map(len, history.values())) < 2:
        # The one epoch of a head that was solved makes no curve.
        return []
    drawn = [
        name
        for name in history
        if not name.startswith("val_") and "learning_rate" not in name
    ]
    names = [n for n in drawn if n == "loss"] + [
        n for n in drawn if n != "loss"
    ]
    return [plots.curves(history, boundaries, name) for name in names[:2]]


def _stages(curves):
    """Says which epochs each stage had."""
    boundaries = (curves or {}).get("boundaries") or []
    if len(boundaries) < 2:
        return []
    epochs = max(map(len, curves["history"].values()))
    ends = [start for _, start in boundaries[1:]] + [epochs]
    return [
        f"{name} (epochs {start + 1} to {end})"
        if end > start + 1
        else f"{name} (epoch {end})"
        for (name, start), end in zip(boundaries, ends, strict=True)
    ]


def _rows(report):
    """Picks the classes to show: of many, those with the lowest F1."""
    rows = report["per_class"]
    if len(rows) <= _MOST_ROWS or "f1" not in rows[0]:
        return rows[:_MOST_ROWS]
    seen = [row for row in rows if row["f1"] is not None]
    return sorted(seen, key=lambda row: row["f1"])[:_MOST_ROWS]


def _confusion(report):
    """Draws a small matrix; of a large one lists the frequent mistakes."""
    counts, classes = report["confusion"], report["classes"]
    if counts is None:
        return {"confusion_plot": None, "pairs": []}
    pairs = [
        (classes[i], classes[j], count)
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    pairs = sorted(pairs, key=lambda pair: -pair[2])[:_MOST_PAIRS]
    if len(counts) > _LARGEST_MATRIX:
        return {"confusion_plot": None, "pairs": pairs}
    return {"confusion_plot": plots.confusion(counts, classes), "pairs": []}


def _calibration_plot(calibration):
    return calibration and plots.calibration(calibration["bins"])
