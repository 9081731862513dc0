"""Shapes: what a JSON value must look like, and the precise refusal when it does not.

A tree of shapes is walked twice over an untyped body: first for keys that nobody knows, anywhere,
then for values, in the order in which the fields stand. Both walks raise the first refusal they
find. It is the slow half of reading; the fast half is a typed decode.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from keyhall import errors
from keyhall.errors import ApiError, Problem

SHOWN_CHARACTERS_MAX = 64
_LISTED_MAX = 16

_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal number",
    str: "a string",
    dict: "an object",
    list: "an array",
}


def refuse(row: Problem, path: str, **facts: object) -> NoReturn:
    """Raise a row whose `param` is the path that its sentence names."""
    raise ApiError(row, param=path, headers=(), param_path=path, **facts)


def shown(value: object) -> str:
    """A caller's own value as a refusal may repeat it: cut, so that no text comes back whole."""
    text = str(value)
    if len(text) <= SHOWN_CHARACTERS_MAX:
        return text
    return text[: SHOWN_CHARACTERS_MAX - 1] + "…"


def listed(values: Iterable[str]) -> str:
    """`'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`."""
    quoted = [f"'{shown(value)}'" for value in values]
    if len(quoted) > _LISTED_MAX:
        quoted = [*quoted[: _LISTED_MAX - 1], f"{len(quoted) - _LISTED_MAX + 1} more"]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def _refuse_type(path: str, expected: str, value: Any) -> NoReturn:
    refuse(errors.INVALID_TYPE, path, expected=expected, got=_KINDS[type(value)])


def is_deeper_than(value: Any, levels: int) -> bool:
    """Whether decoded JSON is nested more than `levels` deep. Level by level: no recursion."""
    containers = [value]
    for _ in range(levels):
        containers = [
            inner
            for outer in containers
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not containers:
            return False
    return True


# --- Shapes ---------------------------------------------------------------------------------------


class Shape:
    """Any value at all. Both walks raise ApiError."""

    def find_unknown(self, value: Any, path: str) -> None:
        """Keys that nobody knows. Values of another form are left to `check`."""

    def check(self, value: Any, path: str) -> None:
        """What else is wrong."""


class Text(Shape):
    def __init__(
        self, *, characters_min: int = 0, characters_max: int | None = None, pattern: str = ""
    ) -> None:
        self._min, self._max, self._pattern = characters_min, characters_max, pattern

    def check(self, value: Any, path: str) -> None:
        if type(value) is not str:
            _refuse_type(path, "a string", value)
        if len(value) < self._min:
            refuse(errors.EMPTY_STRING, path)
        if self._max is not None and len(value) > self._max:
            refuse(errors.STRING_TOO_LONG, path, bound=self._max, got=len(value))
        if self._pattern and not re.fullmatch(self._pattern, value):
            refuse(errors.STRING_PATTERN, path, pattern=self._pattern)


class OneOf(Shape):
    def __init__(self, *values: str, unsupported: Mapping[str, str] | None = None) -> None:
        self._values, self._unsupported = values, unsupported or {}

    def check(self, value: Any, path: str) -> None:
        if type(value) is not str:
            _refuse_type(path, "a string", value)
        if value in self._unsupported:
            hint = self._unsupported[value]
            refuse(errors.UNSUPPORTED_VALUE, path, got=f"'{value}'", hint=hint)
        if value not in self._values:
            refuse(errors.INVALID_VALUE, path, got=shown(value), supported=listed(self._values))


class Flag(Shape):
    def check(self, value: Any, path: str) -> None:
        if type(value) is not bool:
            _refuse_type(path, "a boolean", value)


class Whole(Shape):
    def __init__(self, smallest: int, largest: int) -> None:
        self._smallest, self._largest = smallest, largest

    def check(self, value: Any, path: str) -> None:
        if type(value) is not int:
            _refuse_type(path, "an integer", value)
        if value < self._smallest:
            refuse(errors.INTEGER_TOO_SMALL, path, bound=self._smallest, got=shown(value))
        if value > self._largest:
            refuse(errors.INTEGER_TOO_LARGE, path, bound=self._largest, got=shown(value))


class Decimal(Shape):
    def __init__(self, smallest: int, largest: int) -> None:
        self._smallest, self._largest = smallest, largest

    def check(self, value: Any, path: str) -> None:
        if type(value) is not float and type(value) is not int:
            _refuse_type(path, "a decimal number", value)
        if value < self._smallest:
            refuse(errors.DECIMAL_TOO_SMALL, path, bound=self._smallest, got=shown(value))
        if value > self._largest:
            refuse(errors.DECIMAL_TOO_LARGE, path, bound=self._largest, got=shown(value))


class Items(Shape):
    def __init__(
        self, item: Shape, *, of: str = "", items_min: int = 1, items_max: int | None = None
    ) -> None:
        self._item, self._min, self._max = item, items_min, items_max
        self._expected = f"an array of {of}" if of else "an array"

    def find_unknown(self, value: Any, path: str) -> None:
        if type(value) is list:
            for index, item in enumerate(value):
                self._item.find_unknown(item, f"{path}[{index}]")

    def check(self, value: Any, path: str) -> None:
        if type(value) is not list:
            _refuse_type(path, self._expected, value)
        if len(value) < self._min:
            refuse(errors.EMPTY_ARRAY, path)
        if self._max is not None and len(value) > self._max:
            refuse(errors.ARRAY_TOO_LONG, path, bound=self._max, got=len(value))
        for index, item in enumerate(value):
            self._item.check(item, f"{path}[{index}]")


class Free(Shape):
    """An object whose keys are the caller's own."""

    def check(self, value: Any, path: str) -> None:
        if type(value) is not dict:
            _refuse_type(path, "an object", value)


class Pairs(Free):
    """An object of the caller's own keys, with bounds."""

    def __init__(
        self,
        value: Shape,
        *,
        pairs_max: int,
        key_characters_max: int | None = None,
        key_pattern: str = "",
    ) -> None:
        self._value, self._max = value, pairs_max
        self._key_max, self._pattern = key_characters_max, key_pattern

    def check(self, value: Any, path: str) -> None:
        super().check(value, path)
        if len(value) > self._max:
            refuse(errors.OBJECT_TOO_LARGE, path, bound=self._max, got=len(value))
        for key, inner in value.items():
            if self._key_max is not None and len(key) > self._key_max:
                bound = self._key_max
                refuse(errors.PROPERTY_NAME_TOO_LONG, path, bound=bound, got=len(key))
            if self._pattern and not re.fullmatch(self._pattern, key):
                refuse(errors.STRING_PATTERN, f"{path}.{shown(key)}", pattern=self._pattern)
            self._value.check(inner, f"{path}.{shown(key)}")


class Fields(Shape):
    """An object of known keys. Those that are not required may be null."""

    def __init__(self, fields: Mapping[str, Shape], required: Iterable[str] = ()) -> None:
        self._fields, self._required = fields, frozenset(required)

    def find_unknown(self, value: Any, path: str) -> None:
        if type(value) is not dict:
            return
        before = f"{path}." if path else ""
        for key in value:
            if key not in self._fields:
                refuse(errors.UNKNOWN_PARAMETER, f"{before}{shown(key)}")
        for name, shape in self._fields.items():
            if name in value:
                shape.find_unknown(value[name], f"{before}{name}")

    def check(self, value: Any, path: str) -> None:
        if type(value) is not dict:
            _refuse_type(path, "an object", value)
        before = f"{path}." if path else ""
        for name, shape in self._fields.items():
            inner = value.get(name)
            if name not in self._required:
                if inner is not None:
                    shape.check(inner, f"{before}{name}")
            elif name not in value:
                refuse(errors.MISSING_PARAMETER, f"{before}{name}")
            else:
                shape.check(inner, f"{before}{name}")


class Typed(Shape):
    """An object whose `type` decides which keys it has."""

    def __init__(
        self, kinds: Mapping[str, Shape], *, unsupported: Mapping[str, str] | None = None
    ) -> None:
        self._kinds = kinds
        self._type = Fields({"type": OneOf(*kinds, unsupported=unsupported)}, ["type"])

    def find_unknown(self, value: Any, path: str) -> None:
        kind = value.get("type") if type(value) is dict else None
        if type(kind) is str and kind in self._kinds:
            self._kinds[kind].find_unknown(value, path)

    def check(self, value: Any, path: str) -> None:
        self._type.check(value, path)
        self._kinds[value["type"]].check(value, path)


class Either(Shape):
    """A string of one form, or an array or object of another."""

    def __init__(self, text: Shape, other: Shape, *, kind: type, expected: str) -> None:
        self._text, self._other, self._kind, self._expected = text, other, kind, expected

    def find_unknown(self, value: Any, path: str) -> None:
        self._other.find_unknown(value, path)

    def check(self, value: Any, path: str) -> None:
        if type(value) is str:
            self._text.check(value, path)
        elif type(value) is self._kind:
            self._other.check(value, path)
        else:
            _refuse_type(path, f"one of {self._expected}", value)


class Absent(Shape):
    """Known, but null is the only value that can be honoured."""

    def __init__(self, hint: str) -> None:
        self._hint = hint

    def check(self, value: Any, path: str) -> None:
        refuse(errors.UNSUPPORTED_PARAMETER, path, hint=self._hint)


class Misplaced(Shape):
    """Known elsewhere, and null is let pass here."""

    def check(self, value: Any, path: str) -> None:
        refuse(errors.UNKNOWN_PARAMETER, path)
