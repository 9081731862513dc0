"""Printing: calm tables and lines for people, JSON for machines.

Text is never read as markup and never wrapped in the middle of an id. Without a terminal there are
no colours and no width: what is piped stays whole. NO_COLOR is honoured.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

PIPED_COLUMNS = 400

Column = str | tuple[str, str]  # its title, and `right` for numbers or `wrap` for prose
WRAPPED_COLUMNS_MIN = 13


def as_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


class Shaded(str):
    """A cell with a colour, where there are colours."""

    __slots__ = ("style",)
    style: str

    def __new__(cls, text: str, style: str) -> "Shaded":
        made = super().__new__(cls, text)
        made.style = style
        return made


def bar(percent: int, width: int = 10) -> str:
    """How much of a whole is used, for the eye: nothing where nobody looks, as in a pipe."""
    out = console()
    if not out.is_terminal:
        return ""
    full, empty = ("\u2588", "\u2591") if out.encoding.startswith("utf") else ("#", "-")
    filled = min(width, percent * width // 100)
    style = "red" if percent >= 100 else "yellow" if percent >= 80 else "green"
    return Shaded(full * filled + empty * (width - filled), style)


def console() -> "Console":
    from rich.console import Console

    made = Console(highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = PIPED_COLUMNS
    return made


def line(text: str = "") -> None:
    console().print(text, soft_wrap=True)


def strong(text: str) -> None:
    console().print(text, soft_wrap=True, style="bold green")


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], total: Sequence[str] | None = None
) -> None:
    """Columns in which no row says anything are left out. Only `wrap` columns break: a table that
    is too wide for the terminal is printed as wide as it is, rather than with its ids cut."""
    from rich.cells import cell_len
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    said = [number for number in range(len(columns)) if any(row[number] for row in rows)]
    made = Table(box=None, pad_edge=False, header_style="dim", show_footer=total is not None)
    for number in said:
        column = columns[number]
        title, kind = (column, "left") if isinstance(column, str) else column
        cells = [title, *(row[number] for row in (*rows, total or ()) if row)]
        made.add_column(
            Text(title),
            footer=Text(total[number], style="bold") if total is not None else "",
            justify="right" if kind == "right" else "left",
            no_wrap=kind != "wrap",
            overflow="fold",
            # To rich, a column that may not wrap is still no wider than its longest word.
            min_width=WRAPPED_COLUMNS_MIN if kind == "wrap" else max(map(cell_len, cells)),
        )
    for row in rows:
        made.add_row(*(Text(row[number], getattr(row[number], "style", "")) for number in said))
    out = console()
    least = Measurement.get(out, out.options.update(max_width=PIPED_COLUMNS), made).minimum
    out.width = max(out.width, least)
    if out.is_terminal:
        out.print(made)
        return
    with out.capture() as printed:
        out.print(made)
    for each in printed.get().splitlines():
        click.echo(each.rstrip())  # Rich fills each line up to the table's width.


def facts(pairs: Sequence[tuple[str, str]], width: int = 0) -> None:
    """Names and values below each other; empty values are left out. `width` is that of names
    which were shown before."""
    from rich.text import Text

    shown = [(name, value) for name, value in pairs if value]
    width = max(width, *(len(name) for name, _ in shown))
    out = console()
    for name, value in shown:
        out.print(Text.assemble((f"{name:{width}}  ", "dim"), value), soft_wrap=True)
