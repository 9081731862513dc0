"""Masks: `[EMAIL_1]` instead of an address, the same for the same value, and the way back.

Numbers go by the order in which values are first seen in a request. A conversation is sent again
from its beginning with every turn, so a value keeps its number in all of it, and nothing needs to
be written down: the table lives as long as its request.
"""

import re
from collections.abc import Callable, Iterable

PLACE = re.compile(r"\[([A-Z][A-Z0-9_]{0,29})_([1-9][0-9]{0,5})\]")
# What could still become one, at a text's end.
_BEGUN = re.compile(r"\[(?:[A-Z](?:[A-Z0-9_]{0,36})?)?\Z")
DEFAULT_LABEL = "MASKED"
VALUES_MAX = 100_000  # of one request; from there on, masks have no way back


class Masks:
    """The values of one request."""

    __slots__ = ("_numbers", "_places", "_taken", "_texts")

    def __init__(self, texts: Callable[[], Iterable[str]] = tuple) -> None:
        """`texts` gives the whole conversation: places that stand in it already are not given anew.
        It is called at the first value."""
        self._numbers: dict[str, int] = {}
        self._places: dict[str, dict[str, str]] = {}
        self._texts = texts
        self._taken: set[str] | None = None

    def place(self, label: str, value: str) -> str:
        """What stands for a value."""
        label = label or DEFAULT_LABEL
        places = self._places.setdefault(label, {})
        place = places.get(value)
        if place is None:
            if self._taken is None:
                held = [text for text in self._texts() if "[" in text]
                self._taken = {found[0] for text in held for found in PLACE.finditer(text)}
            number = self._numbers.get(label, 0) + 1
            while f"[{label}_{number}]" in self._taken:
                number += 1
            self._numbers[label] = number
            place = f"[{label}_{number}]"
            if len(places) < VALUES_MAX:
                places[value] = place
        return place

    def back(self) -> dict[str, str]:
        """Values by their places, as far as they are known now."""
        return {place: value for known in self._places.values() for value, place in known.items()}


class Undo:
    """Puts values back where their places stand, in a text that comes in pieces."""

    __slots__ = ("_held", "_values")

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self._held = ""

    def feed(self, piece: str, *, last: bool = False) -> str:
        """What may go on: all but an end that could become a place."""
        text = self._held + piece
        self._held = ""
        at = text.rfind("[")
        if at < 0:
            return text
        if not last and _BEGUN.match(text, at):
            text, self._held = text[:at], text[at:]
        return PLACE.sub(self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        return self._values.get(found[0], found[0])
