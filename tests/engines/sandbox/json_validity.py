"""A small validator of JSON schemas, written apart from what it tests."""

import json
import re

import msgspec

from keyhall.engines.sandbox.dice import Dice
from keyhall.engines.sandbox.schema.values import value_for

KINDS = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: KINDS["number"](value) and value == int(value),
}
FORMATS = {
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "date": r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])",
    "time": r"([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ",
    "duration": r"P\d+D",
    "email": r"[^@ ]+@[^@ ]+\.[a-z]+",
    "hostname": r"[a-z0-9.-]+",
    "ipv4": r"(\d{1,3}\.){3}\d{1,3}",
    "ipv6": r"[0-9a-f:]+",
    "uri": r"https://\S+",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}


def problems(value, schema, root):
    """What is wrong with the value."""
    if isinstance(schema, bool):
        return [] if schema else ["nothing is valid for false"]
    found = []
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#").split("/")[1:]:
            target = target[step]
        found += problems(value, target, root)
    found += combination_problems(value, schema, root)
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if kinds and not any(KINDS[kind](value) for kind in kinds):
        found.append(f"{value!r} is not {kinds}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{value!r} is not in the enum")
    if "const" in schema and value != schema["const"]:
        found.append(f"{value!r} is not the const")
    if isinstance(value, dict):
        found += object_problems(value, schema, root)
    elif isinstance(value, list):
        found += array_problems(value, schema, root)
    elif isinstance(value, str):
        found += string_problems(value, schema)
    elif KINDS["number"](value):
        found += number_problems(value, schema)
    return found


def combination_problems(value, schema, root):
    found = []
    for member in schema.get("allOf", []):
        found += problems(value, member, root)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            fitting = [branch for branch in schema[key] if not problems(value, branch, root)]
            if not fitting or (key == "oneOf" and len(fitting) > 1):
                found.append(f"{len(fitting)} branches of {key} fit {value!r}")
    return found


def object_problems(value, schema, root):
    found = [f"{name} is missing" for name in schema.get("required", []) if name not in value]
    properties = schema.get("properties", {})
    for name, item in value.items():
        extra = schema.get("additionalProperties", True)
        found += problems(item, properties.get(name, extra), root)
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", 1e9):
        found.append(f"{len(value)} properties")
    return found


def array_problems(value, schema, root):
    prefix = schema.get("prefixItems", [])
    found = []
    for place, item in enumerate(value):
        wanted = prefix[place] if place < len(prefix) else schema.get("items", True)
        found += problems(item, wanted, root)
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 1e9):
        found.append(f"{len(value)} items")
    if schema.get("uniqueItems") and len({json.dumps(item) for item in value}) < len(value):
        found.append(f"doubles in {value!r}")
    return found


def string_problems(value, schema):
    found = []
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1e9):
        found.append(f"{value!r} is of the wrong length")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{value!r} does not match {schema['pattern']}")
    if schema.get("format") in FORMATS and not re.fullmatch(FORMATS[schema["format"]], value):
        found.append(f"{value!r} is no {schema['format']}")
    return found


def number_problems(value, schema):
    bounds = (
        schema.get("minimum", value) <= value <= schema.get("maximum", value),
        schema.get("exclusiveMinimum", value - 1)
        < value
        < schema.get("exclusiveMaximum", value + 1),
    )
    found = [] if all(bounds) else [f"{value!r} is out of bounds"]
    if "multipleOf" in schema:
        times = value / schema["multipleOf"]
        if abs(times - round(times)) > 1e-9:
            found.append(f"{value!r} is no multiple")
    return found


def assert_valid(schema, seeds=6, said="the user's words"):
    for seed in range(seeds):
        for is_lean in (False, True):
            value = value_for(schema, Dice(seed), said, is_lean=is_lean)
            sent = msgspec.json.decode(msgspec.json.encode(value))
            assert not problems(sent, schema, schema), (value, schema)
