"""Plausible values that are valid for a JSON schema: tool arguments and `json_schema` answers.

A caller's schema may be anything, so nothing here raises and everything is bounded: the work by a
budget of steps, the depth by two marks (beyond the first only what is required is written, beyond
the second nothing). Not looked at: `not`, `if`, `contains`, `patternProperties`,
`propertyNames`, `dependentSchemas`, references to other documents.
"""

from keyhall.engines.sandbox.dice import Dice
from keyhall.engines.sandbox.schema.resolve import Resolver, Schema, branch_type
from keyhall.engines.sandbox.schema.scalars import number, string, whole
from keyhall.engines.sandbox.schema.weight import weight

LEAN_DEPTH = 4  # A recursive schema with optional branches is followed this far.
DEPTH_MAX = 32
EFFORT_MAX = 1500  # Values to write; what is long counts as several.
STEPS_PER_EFFORT = 4  # to resolve references and combinations
_CHARACTERS_PER_EFFORT = 32
_MEMBERS_PER_EFFORT = 16
_NAMES_PER_EFFORT = 64
_MEMBERS_SEARCHED_MAX = 256
_SAID_CHARACTERS_MAX = 1000
_EFFORT_OF_PATTERN = 100
RETRIES_MAX = 40  # to find an array item that is not there yet


def value_for(
    schema: object, dice: Dice, said: str = "", *, is_lean: bool = False, effort: int = EFFORT_MAX
) -> object:
    """A value for the schema. `said`, the user's last words, colours it: an enum's member or a
    place that stands there is used. `is_lean`: only what is required, as short as allowed. What
    is beyond the effort is left out: 1,500 values are more than 4,096 tokens can say usefully."""
    return _Writer(schema, dice, said, is_lean, effort).value(schema, "", 0)


class _Writer:
    __slots__ = ("_dice", "_is_lean", "_left", "_resolver", "_said", "_turn")

    def __init__(self, root: object, dice: Dice, said: str, is_lean: bool, effort: int) -> None:
        self._resolver = Resolver(root, effort * STEPS_PER_EFFORT)
        self._dice = dice
        self._said = said[:_SAID_CHARACTERS_MAX]
        self._is_lean = is_lean
        self._left = effort
        self._turn = 0  # the position in the array that is being written: its items differ by it

    def value(self, schema: object, name: str, depth: int) -> object:
        self._left -= 1
        if depth > DEPTH_MAX or self._left < 0 or schema is False:
            return None
        is_lean = self._is_lean or depth > LEAN_DEPTH
        plain = self._resolver.plain(schema, is_lean=is_lean)
        if "const" in plain:
            return self._given(plain["const"])
        kind = branch_type(plain) or "string"
        choices = plain.get("enum")
        if isinstance(choices, list) and choices:
            return self._member(choices)
        match kind:
            case "object":
                return self._object(plain, depth, is_lean)
            case "array":
                return self._array(plain, name, depth, is_lean)
            case "string":
                text = string(plain, name, self._said, self._dice, self._turn)
                self._left -= len(text) // _CHARACTERS_PER_EFFORT
                self._left -= _EFFORT_OF_PATTERN if "pattern" in plain else 0
                return text
            case "integer":
                return whole(plain, self._dice, self._turn)
            case "number":
                return number(plain, self._dice, self._turn)
            case "boolean":
                return (self._dice.below(2) + self._turn) % 2 == 0
            case _:
                return None

    def _member(self, choices: list[object]) -> object:
        """One of an enum: the one the user named, or any but null."""
        self._left -= len(choices) // _MEMBERS_PER_EFFORT
        if self._said and not self._turn and len(choices) <= _MEMBERS_SEARCHED_MAX:
            said = self._said.lower()
            for choice in choices:
                if not isinstance(choice, str) or not 0 < len(choice) <= len(said):
                    continue
                if choice.lower() in said:
                    return self._given(choice)
        fitting = [choice for choice in choices if choice is not None] or choices
        return self._given(fitting[(self._dice.below(len(fitting)) + self._turn) % len(fitting)])

    def _given(self, value: object) -> object:
        """What the schema gives word for word, if it can be afforded."""
        most = max(0, self._left) * _CHARACTERS_PER_EFFORT
        self._left -= weight(value, most + _CHARACTERS_PER_EFFORT) // _CHARACTERS_PER_EFFORT
        return value if self._left >= 0 else None

    def _affords(self, name: str) -> bool:
        """Whether a property of this name can be written."""
        self._left -= len(name) // _CHARACTERS_PER_EFFORT
        return self._left > 0

    def _object(self, plain: Schema, depth: int, is_lean: bool) -> dict[str, object]:
        properties = plain.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        listed = _list(plain.get("required"))
        self._left -= (len(properties) + len(listed)) // _NAMES_PER_EFFORT
        required = [name for name in listed if isinstance(name, str)]
        wanted = dict.fromkeys(required)
        most = _count(plain.get("maxProperties"), EFFORT_MAX)
        value: dict[str, object] = {}
        extra = plain.get("additionalProperties", True)
        for name, schema in properties.items():
            if self._left <= 0:
                return value
            is_room = not is_lean and schema is not False and len(value) + len(wanted) < most
            if name in wanted or is_room:
                wanted.pop(name, None)
                if not self._affords(name):
                    return value
                value[name] = self.value(schema, name, depth + 1)
        for name in wanted:
            if self._left <= 0 or not self._affords(name):
                return value
            value[name] = self.value(extra, name, depth + 1)
        least = min(_count(plain.get("minProperties"), 0), EFFORT_MAX)
        return self._filled(value, properties, extra, least, depth)

    def _filled(
        self, value: dict[str, object], properties: Schema, extra: object, least: int, depth: int
    ) -> dict[str, object]:
        """The object with as many more properties as `minProperties` asks for."""
        for name, schema in properties.items():
            if len(value) >= least or self._left <= 0:
                return value
            if name not in value and schema is not False:
                if not self._affords(name):
                    return value
                value[name] = self.value(schema, name, depth + 1)
        number_of_extra = 0
        while len(value) < least and self._left > 0 and extra is not False:
            number_of_extra += 1
            value.setdefault(f"extra_{number_of_extra}", self.value(extra, "", depth + 1))
        return value

    def _array(self, plain: Schema, name: str, depth: int, is_lean: bool) -> list[object]:
        items = plain.get("items", True)
        prefix = _list(plain.get("prefixItems"))
        if isinstance(items, list):  # The older spelling of `prefixItems`.
            prefix, items = items, plain.get("additionalItems", True)
        least = min(_count(plain.get("minItems"), 0), EFFORT_MAX)
        most = _count(plain.get("maxItems"), EFFORT_MAX)
        name = name.removesuffix("s")
        count = least if is_lean else max(least, 1 if depth > 1 else 2, len(prefix))
        if items is False:
            count = min(count, len(prefix))
        is_unique = plain.get("uniqueItems") is True
        value: list[object] = []
        seen: set[str] = set()
        turn = self._turn
        for position in range(min(count, most)):
            schema = prefix[position] if position < len(prefix) else items
            item = self.value(schema, name, depth + 1)
            mark = repr(item) if is_unique else ""
            for _ in range(RETRIES_MAX):
                if mark not in seen or self._left <= 0:
                    break
                self._left -= len(mark) // _CHARACTERS_PER_EFFORT
                self._turn += 1
                item = self.value(schema, name, depth + 1)
                mark = repr(item)
            if self._left <= 0 or (mark in seen and len(value) >= least):
                break
            if is_unique:
                seen.add(mark)
            value.append(item)
            self._turn += 1
        self._turn = turn
        return value


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _count(value: object, otherwise: int) -> int:
    """A whole number of zero or more, or the default."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return int(value)
    return otherwise
