"""Class lists: people as lines of CSV, with the faults of each line; and CSV that no spreadsheet
takes for formulas (attack 20).

The list comes from spreadsheets of all countries: with commas, semicolons or tabs, with a head or
without.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from keyhall.policy.forms.spreadsheet import harmless
from keyhall.policy.people import letting_in

PEOPLE_MAX = 2_000
NAME_CHARACTERS_MAX = 100
_DELIMITERS = ",;\t"
_HEADS: dict[str, str] = {
    "name": "name",
    "full name": "name",
    "student": "name",
    "e-mail": "email",
    "email": "email",
    "mail": "email",
    "e-mail address": "email",
    "email address": "email",
    "project": "project",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One person of the list. `fault` says why the line cannot be used."""

    number: int  # in the text, from 1
    name: str
    email: str
    project: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class ClassList:
    lines: tuple[Line, ...]
    fault: str = ""  # of the list as a whole

    @property
    def good(self) -> tuple[Line, ...]:
        return tuple(each for each in self.lines if not each.fault)

    @property
    def faulty(self) -> int:
        return len(self.lines) - len(self.good)


def read(text: str, projects: Mapping[str, str]) -> ClassList:
    """The people of a list. `projects` gives the ids of names (and ids) of the organization's
    projects."""
    rows = _rows(text)
    if not rows:
        return ClassList((), "The list is empty. Write a name and an e-mail address on each line.")
    columns = _columns(rows[0][1])
    if columns is None:
        columns = {"name": 0, "email": 1, "project": 2}
    else:
        rows = rows[1:]
    if "email" not in columns or "name" not in columns:
        return ClassList((), "The first line names no column `name` or no column `e-mail`.")
    if len(rows) > PEOPLE_MAX:
        said = f"The list has {len(rows):,} people; {PEOPLE_MAX:,} fit at once. Split it."
        return ClassList((), said)
    if not rows:
        return ClassList((), "The list has a head and nobody below it.")
    seen: dict[str, int] = {}
    return ClassList(tuple(_line(number, row, columns, projects, seen) for number, row in rows))


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Lines that are not empty, with their numbers."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                found.append((reader.line_num, cells))
    except csv.Error:  # A cell of more than 128 KiB: it shows as a line with a fault.
        found.append((reader.line_num, ["", ""]))
    return found


def _columns(row: Sequence[str]) -> dict[str, int] | None:
    """Where the head says that each column is; None if it is none."""
    if any("@" in cell for cell in row):
        return None
    named = {_HEADS[cell.lower()]: at for at, cell in enumerate(row) if cell.lower() in _HEADS}
    return named or None


def _line(
    number: int,
    row: Sequence[str],
    columns: Mapping[str, int],
    projects: Mapping[str, str],
    seen: dict[str, int],
) -> Line:
    given = {name: row[at] if at < len(row) else "" for name, at in columns.items()}
    name, written, wanted = given["name"], given["email"], given.get("project", "")
    address = letting_in.email(written)
    fault = ""
    if not name:
        fault = "The name is missing."
    elif len(name) > NAME_CHARACTERS_MAX:
        fault = f"The name has {len(name)} characters; {NAME_CHARACTERS_MAX} fit."
    elif not name.isprintable():
        fault = "The name holds a character that cannot be seen."
    elif address is None:
        fault = "That is not an e-mail address." if written else "The e-mail address is missing."
    elif address in seen:
        fault = f"The same address as in line {seen[address]}."
    elif wanted and wanted not in projects:
        fault = "There is no project of that name."
    if address is not None:
        seen.setdefault(address, number)
    project = projects.get(wanted, "")
    return Line(number, name[:200], address or written[:254], project, fault)


# --- Writing --------------------------------------------------------------------------------------


def written(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """CSV as RFC 4180 has it, with every cell made harmless."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([harmless(each) for each in head])
    writer.writerows([harmless(each) for each in row] for row in rows)
    return out.getvalue()
