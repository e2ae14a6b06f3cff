"""Which images belong together (one patient, one slide, one source tile): from a table or from the file name."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from histoxplain._checks import InputError, check, check_exists, check_one_of

GroupOf = Callable[[str], str | None]
"""From the path of an image inside its folder to its group; None if it has none."""


def groups_from_csv(path: str | Path, column: str, file_column: str = "file") -> GroupOf:
    """Groups from a table with one line per image.

    Files are matched by their path inside the folder, or else by their file name alone, as long as the table gives
    that name one group only.

    Args:
        path: the CSV file (comma, semicolon or tab) with a header line.
        column: the column that holds the group.
        file_column: the column that holds the file.

    Raises:
        InputError: if the table or one of the columns is missing.
    """
    path = check_exists("groups", path)
    by_path: dict[str, str] = {}
    by_name: dict[str, set[str]] = {}
    for file, group in read_columns(path, file_column, column):
        relative = PurePosixPath(file.replace("\\", "/"))
        by_path[str(relative)] = group
        by_name.setdefault(relative.name, set()).add(group)

    def group_of(id: str) -> str | None:
        named = by_name.get(PurePosixPath(id).name, set())
        group = by_path.get(id) or (next(iter(named)) if len(named) == 1 else None)
        return group or None

    return group_of


def read_columns(path: Path, *columns: str) -> list[tuple[str, ...]]:
    """Some columns of a CSV file, as text without surrounding blanks."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise InputError(f"`groups` must be a CSV file in UTF-8, got {path} ({error}).") from error
    return read_table(text, path.name, *columns)


def read_table(text: str, name: str, *columns: str) -> list[tuple[str, ...]]:
    r"""Some columns of a table (comma, semicolon or tab, with a header line), as text without surrounding blanks.

    Raises:
        InputError: if a column is missing.

    Example:
        >>> read_table("file;label\na.png; 1", "cases.csv", "label")
        [('1',)]
    """
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    table = csv.DictReader(text.splitlines(), delimiter=delimiter)
    for column in columns:
        check_one_of(f"column of {name}", column, table.fieldnames or ["(the table is empty)"])
    return [tuple((line[column] or "").strip() for column in columns) for line in table]


def groups_from_name(pattern: str) -> GroupOf:
    r"""Groups from a regular expression searched in the file name (without its folders).

    The group is what the parentheses match, joined by "-" if there are several, or else the whole match.

    Raises:
        InputError: if the expression is malformed.

    Example:
        >>> group_of = groups_from_name(r"person(\d+)")
        >>> group_of("PNEUMONIA/person17_virus_3.jpeg"), group_of("NORMAL/IM-0115.jpeg")
        ('17', None)
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(f"`group_regex` must be a regular expression, got {pattern!r} ({error}).") from error

    def group_of(id: str) -> str | None:
        match = expression.search(PurePosixPath(id).name)
        if match is None:
            return None
        return "-".join(part for part in match.groups() if part) or match.group() or None

    return group_of


def choose_groups(
    csv_file: str | Path | None, column: str | None, file_column: str, pattern: str | None
) -> GroupOf | None:
    """The grouping the user asked for; None if there is none."""
    check(not (csv_file and pattern), "groups", "be given once", "a table and a regular expression", "leave one out")
    if pattern:
        return groups_from_name(pattern)
    if not csv_file:
        check(not column, "group_column", "come with a table", repr(column), "give its path as `groups`")
        return None
    check(bool(column), "group_column", "name a column of the table", column, f"columns are {header_of(csv_file)}")
    return groups_from_csv(csv_file, column or "", file_column)


def header_of(path: str | Path) -> str:
    """The header line of a table, for people."""
    return check_exists("groups", path).read_text(encoding="utf-8-sig", errors="replace").partition("\n")[0].strip()
