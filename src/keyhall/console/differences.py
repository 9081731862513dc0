"""What an audited act changed, as rows of a small table: field, before, after."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from keyhall.policy.pricing import NANO_DIGITS, decimal

CHARACTERS_MAX = 300
MICRO_DIGITS = 6


class Change(NamedTuple):
    field: str
    before: str
    after: str


def changes(before: str | None, after: str | None) -> list[Change]:
    """Of the JSON that the audit keeps; a field that is on one side only has nothing on the
    other. Of what was made or removed, empty fields are left out."""
    old, new = dict(_flat(before)), dict(_flat(after))
    is_money = "money" in (old.get("resource"), new.get("resource"))

    def told(field: str, value: Any) -> str:
        if field == "amount" and is_money and isinstance(value, int):
            return decimal(value, NANO_DIGITS)
        return said(field, value)

    rows = [
        Change(_name(field), told(field, old.get(field)), told(field, new.get(field)))
        for field in dict.fromkeys([*old, *new])
    ]
    return [row for row in rows if row.before != row.after]


def _flat(text: str | None) -> Iterator[tuple[str, Any]]:
    if text is None:
        return
    try:
        told = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        told = {"text": text}
    if isinstance(told, dict):
        for name, value in told.items():
            if isinstance(value, dict):
                yield from ((f"{name}.{inner}", each) for inner, each in value.items())
            else:
                yield name, value


def _name(field: str) -> str:
    words = field.removeprefix("limits.").removesuffix("_us").removesuffix("_nano")
    return words.replace("_", " ").replace(".", " ")


def said(field: str, value: Any) -> str:
    """A value for people: times in UTC, money in units, lists with commas."""
    if value is None or value == "" or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        if field.endswith("at_us"):
            return datetime.fromtimestamp(value / 1_000_000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
        if field.endswith("_nano"):
            return decimal(value, NANO_DIGITS)
        if field.startswith("price"):
            return decimal(value, MICRO_DIGITS)
        if field.endswith("_us"):
            return f"{value / 1000:,.1f} ms"
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(said(field, each) for each in value)[:CHARACTERS_MAX]
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text[:CHARACTERS_MAX]
