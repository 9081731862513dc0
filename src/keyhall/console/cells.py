"""Tables as CSV, for spreadsheets: no cell is taken for a formula there (attack 20)."""

import csv
import io
from collections.abc import Iterable, Sequence

from keyhall.policy.forms.spreadsheet import harmless


def safe(cell: object) -> str:
    """A cell as text. A number stays one; text that would be a formula is marked as text."""
    text = "" if cell is None else str(cell)
    return (harmless(text) if isinstance(cell, str) else text).replace("\0", "")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([safe(cell) for cell in row] for row in rows)
    return out.getvalue()
