"""A JSON schema without its references and combinations: one plain schema that stands for it.

`$ref` and `allOf` are merged in; of `anyOf` and `oneOf` one branch is chosen. A schema that refers
to itself, or doubles with every reference, ends on a budget of steps.
"""

from urllib.parse import unquote

from keyhall.engines.sandbox.schema.weight import weight

Schema = dict[str, object]

MEMBERS_COMPARED_MAX = 10_000  # pairs of them,
MEMBERS_WEIGHT_MAX = 100_000  # and characters that they have together
KINDS_MAX = 16  # There are seven types.
REFERENCE_CHARACTERS_MAX = 1000
HOPS_MAX = 16

_COMBINATIONS = ("$ref", "allOf", "anyOf", "oneOf")
_LOWER_BOUNDS = frozenset(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"))
_UPPER_BOUNDS = frozenset(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"))
_TYPE_KEYWORDS = {
    "object": ("properties", "required", "additionalProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_TYPES = frozenset(("object", "array", "string", "integer", "number", "boolean", "null"))
_REFERENCE_CHARACTERS_PER_STEP = 64
_MEMBERS_PER_STEP = 16
_COST = {"null": 0, "boolean": 1, "integer": 1, "number": 1, "string": 2, "array": 3, "object": 4}


class Resolver:
    """Resolves against one document, in at most `steps` steps over its whole life."""

    __slots__ = ("_left", "_root")

    def __init__(self, root: object, steps: int) -> None:
        self._root = root
        self._left = steps

    def plain(self, schema: object, *, is_lean: bool, hops: int = 0) -> Schema:
        """The schema without combinations. `is_lean` prefers the branch that writes least."""
        if not isinstance(schema, dict):
            return {}
        self._left -= 1 + len(schema)
        if hops > HOPS_MAX or self._left < 0:
            return {}
        if not any(key in schema for key in _COMBINATIONS):
            return schema
        base = {key: value for key, value in schema.items() if key not in _COMBINATIONS}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            target = self._target(reference)
            base = self._merged(base, self.plain(target, is_lean=is_lean, hops=hops + 1))
        for member in _list(schema.get("allOf")):
            if self._left < 0:
                break
            base = self._merged(base, self.plain(member, is_lean=is_lean, hops=hops + 1))
        for key in ("anyOf", "oneOf"):
            branches = _list(schema.get(key))
            if branches:
                base = self._merged(base, self._branch(branches, base, is_lean, hops + 1))
        return base

    def _branch(self, branches: list[object], base: Schema, is_lean: bool, hops: int) -> Schema:
        """The first branch that can be meant, null last; or the one that costs least."""
        possible: list[tuple[int, Schema]] = []
        for branch in branches:
            if self._left < 0:
                break
            if branch is False:
                continue
            plain = self.plain(branch, is_lean=is_lean, hops=hops)
            kind = branch_type(plain)
            if not _is_compatible(base.get("type"), kind):
                continue
            if is_lean:
                possible.append((0 if "const" in plain else _COST.get(kind or "", 2), plain))
            elif kind != "null":
                return plain
            else:
                possible.append((1, plain))
        return min(possible, key=lambda pair: pair[0])[1] if possible else {}

    def _target(self, reference: str) -> object:
        """What `#/$defs/name` points at in this document; nothing for other documents."""
        if not reference.startswith("#") or len(reference) > REFERENCE_CHARACTERS_MAX:
            return None
        self._left -= len(reference) // _REFERENCE_CHARACTERS_PER_STEP
        if not reference.startswith("#/"):
            return self._root if reference == "#" else self._anchored(reference[1:])
        target = self._root
        for step in unquote(reference[2:]).split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict):
                target = target.get(name)
            elif isinstance(target, list) and name.isdecimal() and len(name) < 6:
                target = target[int(name)] if int(name) < len(target) else None
            else:
                return None
        return target

    def _anchored(self, name: str) -> object:
        root = self._root
        definitions = root.get("$defs") if isinstance(root, dict) else None
        if not isinstance(definitions, dict):
            return None
        self._left -= len(definitions) // _MEMBERS_PER_STEP
        for schema in definitions.values():
            if isinstance(schema, dict) and schema.get("$anchor") == name:
                return schema
        return None

    def _merged(self, one: Schema, other: Schema) -> Schema:
        """A schema for what is valid under both."""
        properties = other.get("properties")
        self._left -= len(one) + len(other)
        self._left -= len(properties) if isinstance(properties, dict) else 0
        merged = dict(one)
        for key, value in other.items():
            if key in merged:
                self._left -= _work(key, merged[key], value) // _MEMBERS_PER_STEP
                value = _both(key, merged[key], value) if self._left >= 0 else value
            merged[key] = value
        return merged


def branch_type(plain: Schema) -> str | None:
    """The type a value of this schema is written with; null only if nothing else is allowed."""
    kind = plain.get("type")
    if isinstance(kind, str) and kind in _TYPES:
        return kind
    kinds = [each for each in _list(kind)[:KINDS_MAX] if isinstance(each, str) and each in _TYPES]
    if kinds:
        return next((each for each in kinds if each != "null"), "null")
    for guess, keywords in _TYPE_KEYWORDS.items():
        if any(key in plain for key in keywords):
            return guess
    if "const" in plain and plain["const"] is None:
        return "null"
    return None


def _is_compatible(kind: object, branch: str | None) -> bool:
    kinds = kind[:KINDS_MAX] if isinstance(kind, list) else [kind]
    if branch is None or kind is None or branch in kinds:
        return True
    return branch in ("integer", "number") and ("integer" in kinds or "number" in kinds)


def _work(key: str, one: object, other: object) -> int:
    """How many members are looked at where two schemas have the same keyword."""
    if isinstance(one, list) and isinstance(other, list):
        pairs = len(one) * len(other)
        is_compared = key == "enum" and pairs <= MEMBERS_COMPARED_MAX
        return pairs if is_compared else len(one) + len(other)
    return len(one) if isinstance(one, dict) else 0


def _both(key: str, one: object, other: object) -> object:
    """A keyword's value where two schemas that both hold have it."""
    if key == "type":
        return _common_type(one, other)
    if key in _LOWER_BOUNDS or key in _UPPER_BOUNDS:
        if isinstance(one, int | float) and isinstance(other, int | float):
            return max(one, other) if key in _LOWER_BOUNDS else min(one, other)
        return other
    if isinstance(one, list) and isinstance(other, list):
        if key == "required":
            known = {name for name in one if isinstance(name, str)}
            return one + [name for name in other if isinstance(name, str) and name not in known]
        if key == "enum" and _are_comparable(one, other):
            return [member for member in one if member in other] or one
    if isinstance(one, dict) and isinstance(other, dict):
        if key == "properties":
            shared = {
                name: {"allOf": [one[name], schema]} if name in one else schema
                for name, schema in other.items()
            }
            return {**one, **shared}
        if key in ("items", "additionalProperties"):
            return {"allOf": [one, other]}
    if key == "additionalProperties" and (one is False or other is False):
        return False
    return other


def _are_comparable(one: list[object], other: list[object]) -> bool:
    if len(one) * len(other) > MEMBERS_COMPARED_MAX:
        return False
    return weight([one, other], MEMBERS_WEIGHT_MAX) <= MEMBERS_WEIGHT_MAX


def _common_type(one: object, other: object) -> object:
    ones = one[:KINDS_MAX] if isinstance(one, list) else [one]
    others = other[:KINDS_MAX] if isinstance(other, list) else [other]
    common = [kind for kind in ones if kind in others]
    if "integer" in ones + others and "number" in ones + others and "integer" not in common:
        common.append("integer")  # Every integer is a number.
    return common or one


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
