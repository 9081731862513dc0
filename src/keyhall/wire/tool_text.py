"""Tools as the model reads them: a TypeScript namespace, so that they can be counted (R12).

OpenAI does not publish how it shows tools to a model; what is known is the `prompt_tokens` of
recorded requests. This rendering, with the constants in `wire/chat_count.py`, reproduces all that
we know of. Whatever of a schema TypeScript cannot say becomes a comment, so that nothing reaches a
model uncounted. Free of charge are only booleans (`additionalProperties`), the names of types, and
short titles at the top: the recordings show that they do not count.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from keyhall.wire.chat import FunctionDefinition, Json

FREE_CHARACTERS_MAX = 64
DEPTH_MAX = 64  # Deeper ones are refused on reading.

_encode = msgspec.json.Encoder().encode
_TYPES = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
    "array": "any[]",
    "object": "object",
}
_NOTHING_ASKED = ("object", "any")
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def json_text(value: Any) -> str:
    """Compact JSON, keys in the order in which they came."""
    return _encode(value).decode()


def namespace(functions: Iterable[FunctionDefinition]) -> str:
    """All functions that a request offers, as one text."""
    lines = ["namespace functions {", ""]
    for function in functions:
        if function.description:
            lines.append(_comment(function.description))
        lines += (_signature(function.name, function.parameters or {}), "")
    lines.append("} // namespace functions")
    return "\n".join(lines)


def _signature(name: str, schema: Json) -> str:
    shape, said = _shape(schema, 1)
    free = {key for key in ("title", "$schema") if _is_short(schema.get(key))}
    comments = list(_comments(schema, said | free))
    if comments:
        first, _, rest = shape.partition("\n")
        shape = "\n".join([f"{first} {comments[0]}", *comments[1:], rest])
    elif shape in _NOTHING_ASKED:
        return f"type {name} = () => any;"
    return f"type {name} = (_: {shape}) => any;"


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= FREE_CHARACTERS_MAX


def _shape(schema: Json, depth: int) -> tuple[str, set[str]]:
    """A schema's type in TypeScript, and the keywords that this says."""
    if depth > DEPTH_MAX:
        return json_text(schema), set(schema)
    kind = schema.get("type")
    said = {"type"} if _is_known(kind) else set()
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return " | ".join([json_text(value) for value in schema["enum"]]), said | {"enum"}
    if "const" in schema:
        return json_text(schema["const"]), said | {"const"}
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            return " | ".join([_inline(one, depth + 1) for one in schema[key]]), said | {key}
    if isinstance(schema.get("properties"), dict) and schema["properties"]:
        members = "\n".join(_members(schema, depth + 1))
        return f"{{\n{members}\n}}", said | {"properties"}
    if isinstance(schema.get("items"), dict):
        return f"{_inline(schema['items'], depth + 1)}[]", said | {"items"}
    kinds = kind if isinstance(kind, list) else [kind]
    return " | ".join([_TYPES[str(one)] for one in kinds]) if said else "any", said


def _is_known(kind: Any) -> bool:
    if isinstance(kind, list):
        return 0 < len(kind) <= len(_TYPES) and all(map(_is_known_name, kind))
    return _is_known_name(kind)


def _is_known_name(kind: Any) -> bool:
    return isinstance(kind, str) and kind in _TYPES


def _members(schema: Json, depth: int) -> Iterator[str]:
    required = _required(schema)
    for name, member in schema["properties"].items():
        mark = "" if name in required else "?"
        if not isinstance(member, dict):
            yield f"{name}{mark}: {json_text(member)},"
            continue
        shape, said = _shape(member, depth)
        yield from _comments(member, said)
        yield f"{name}{mark}: {shape},"


def _required(schema: Json) -> set[str]:
    names = schema.get("required")
    if not isinstance(names, list):
        return set()
    return {name for name in names if isinstance(name, str)}


def _inline(schema: Any, depth: int) -> str:
    """A schema where its comments have no line of their own."""
    if not isinstance(schema, dict):
        return json_text(schema)
    shape, said = _shape(schema, depth)
    comments = list(_comments(schema, said))
    return "\n".join([shape, *comments, ""]) if comments else shape


def _comments(schema: Json, said: set[str]) -> Iterator[str]:
    """What the type does not say: the description, the title, then every other keyword."""
    for key in ("description", "title"):
        value = schema.get(key)
        if isinstance(value, str) and key not in said:
            yield _comment(value if key == "description" else f"title: {value}")
            said = said | {key}
    for key, value in schema.items():
        if key in said:
            continue
        if key == "required" and "properties" in said and isinstance(value, list):
            members = schema["properties"]
            value = [name for name in value if not isinstance(name, str) or name not in members]
        if value not in _EMPTY and not isinstance(value, bool):
            yield _comment(f"{key}: {json_text(value)}")


def _comment(text: str) -> str:
    return "// " + text.replace("\n", "\n// ")
