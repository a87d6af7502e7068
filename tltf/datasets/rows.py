"""Rows of CSV and JSON Lines files, with the lines they stand on."""

import csv
import io
import json
import os

from tltf.core.splits import Skipped
from tltf.errors import DataError


def read_csv(path: str, skipped: list[Skipped]) -> tuple[list, list]:
    """Reads a CSV file whose first line names the columns.

    Args:
        path: The file. Columns may also be parted by semicolons or tabs.
        skipped: Gets the rows of another length than the header's.

    Returns:
        The names of the columns, and pairs of the line at which a row begins
        and the row, a dict.

    Raises:
        DataError: It is not UTF-8, or a quote is not closed.
    """
    text = _text(path)
    first = text[: text.find("\n")] if "\n" in text else text
    parting = next((d for d in ",;\t" if d in first), ",")
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=parting, strict=True
    )
    columns, rows = None, []
    try:
        line = 1
        for values in reader:
            begin, line = line, reader.line_num + 1
            if columns is None:
                columns = [name.strip() for name in values]
            elif len(values) == len(columns):
                rows.append((begin, dict(zip(columns, values, strict=True))))
            elif values:
                reason = (
                    f"has {len(values)} fields where the header has"
                    f" {len(columns)}; is there a {parting!r} outside quotes?"
                )
                skipped.append(Skipped(place(path, begin), reason))
    except csv.Error as error:
        raise DataError(f"{path} from line {line} on: {error}.") from None
    columns = columns or []
    if len(set(columns)) < len(columns):
        raise DataError(f"{path} has two columns of one name: {columns}")
    return columns, rows


def read_jsonl(path: str, skipped: list[Skipped]) -> tuple[list, list]:
    """Reads a file that has a JSON object on each line; see `read_csv`."""
    text = _text(path)
    if text.lstrip().startswith("["):
        raise DataError(
            f"{path} is one JSON list; JSON Lines has one object a line, such"
            ' as {"text": "Good.", "label": "positive"}'
        )
    columns, rows = {}, []
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        try:
            row = json.loads(written)
        except ValueError as error:
            reason = f"is no valid JSON: {error}"
            skipped.append(Skipped(place(path, line), reason))
            continue
        if isinstance(row, dict):
            columns |= dict.fromkeys(row)
            rows.append((line, row))
        else:
            skipped.append(Skipped(place(path, line), "is no JSON object"))
    return list(columns), rows


def place(path: str, line: int) -> str:
    """Names a line of a file."""
    return f"{os.path.basename(path)}:{line}"


def _text(path: str) -> str:
    """Reads UTF-8, with or without a byte order mark."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        is_wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        likely = "UTF-16" if is_wide else "Latin-1 or Windows-1252"
        raise DataError(
            f"{path} is not UTF-8: byte {error.start}, in line {line}, is"
            f" 0x{content[error.start]:02x}. It may be {likely}; convert it,"
            f" for example with: iconv -f {likely.split()[0]} -t UTF-8"
        ) from None
