"""Tables that look alike."""

from collections.abc import Iterable


def table(
    columns: Iterable[str], rows: Iterable[Iterable], numbers: bool = False
):
    """Returns a rich table.

    Args:
        columns: Their titles; the first column is never shortened.
        rows: A cell for each column. An empty row draws a line.
        numbers: Whether all columns but the first hold numbers.
    """
    import rich.box
    import rich.table

    made = rich.table.Table(
        box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    for i, title in enumerate(columns):
        is_number = numbers and i > 0
        made.add_column(
            title,
            justify="right" if is_number else "left",
            overflow="fold",
        )
    for row in map(list, rows):
        if row:
            made.add_row(*map(str, row))
        else:
            made.add_section()
    return made
