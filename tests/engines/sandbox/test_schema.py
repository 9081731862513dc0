"""Values written for a JSON schema are valid for it, whatever the schema; and cost little."""

import json
import re
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall.engines.sandbox.dice import Dice
from keyhall.engines.sandbox.schema.values import EFFORT_MAX, value_for

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
    """What is wrong with the value: a small validator, written apart from what it tests."""
    if isinstance(schema, bool):
        return [] if schema else ["nothing is valid for false"]
    found = []
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#").split("/")[1:]:
            target = target[step]
        found += problems(value, target, root)
    for member in schema.get("allOf", []):
        found += problems(value, member, root)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            fitting = [branch for branch in schema[key] if not problems(value, branch, root)]
            if not fitting or (key == "oneOf" and len(fitting) > 1):
                found.append(f"{len(fitting)} branches of {key} fit {value!r}")
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


# --- Schemas as people write them ---------------------------------------------------------------

WRITTEN = {
    "anything": {},
    "type list": {"type": ["null", "string"]},
    "only null": {"type": ["null"]},
    "const": {"const": {"a": [1, None]}},
    "const null": {"const": None},
    "enum with null": {"enum": [None, "a", 3]},
    "exclusive integers": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
    "both bounds": {"type": "integer", "minimum": 3, "exclusiveMinimum": 3, "maximum": 4},
    "negative": {"type": "integer", "maximum": -5},
    "fraction bounds": {"type": "integer", "minimum": 0.5, "maximum": 1.5},
    "multiples": {"type": "integer", "minimum": 1, "multipleOf": 7},
    "multiples of a half": {"type": "integer", "minimum": 1, "multipleOf": 0.5},
    "cents": {"type": "number", "minimum": 0.01, "maximum": 0.05, "multipleOf": 0.01},
    "narrow": {"type": "number", "minimum": 0.11, "maximum": 0.12},
    "narrow and open": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
    "below": {"type": "number", "maximum": -0.5},
    "from": {"type": "number", "minimum": 1e6},
    "single": {"type": "number", "minimum": 2.5, "maximum": 2.5},
    "lengths": {"type": "string", "minLength": 40, "maxLength": 41},
    "short": {"type": "string", "maxLength": 1},
    "empty": {"type": "string", "maxLength": 0},
    "pattern": {"type": "string", "pattern": "^[A-Z]{3}-\\d{2,}$", "minLength": 10},
    "tuple": {
        "type": "array",
        "prefixItems": [{"type": "string"}, {"type": "integer"}],
        "items": False,
    },
    "five unique": {
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": 5},
        "minItems": 5,
        "uniqueItems": True,
    },
    "unique enum": {
        "type": "array",
        "items": {"enum": ["a", "b", "c"]},
        "minItems": 3,
        "uniqueItems": True,
    },
    "unique cities": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
        "minItems": 12,
        "uniqueItems": True,
    },
    "unique letters": {
        "type": "array",
        "items": {"type": "string", "maxLength": 1},
        "minItems": 8,
        "uniqueItems": True,
    },
    "unique dates": {
        "type": "array",
        "items": {"type": "string", "format": "date"},
        "minItems": 40,
        "uniqueItems": True,
    },
    "unique arrays": {
        "type": "array",
        "items": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        "minItems": 4,
        "uniqueItems": True,
    },
    "few unique": {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True},
    "no more": {"type": "array", "items": {"type": "string"}, "maxItems": 1},
    "required but not described": {"type": "object", "required": ["x", "y"]},
    "extra": {
        "type": "object",
        "minProperties": 3,
        "additionalProperties": {"type": "integer", "minimum": 9},
    },
    "at least two": {
        "type": "object",
        "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": False},
        "minProperties": 2,
        "additionalProperties": False,
    },
    "few properties": {
        "type": "object",
        "properties": {name: {"type": "string"} for name in "abcdef"},
        "required": ["e", "f"],
        "maxProperties": 3,
    },
    "any of, null last": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
    "any of, all null": {"anyOf": [{"type": "null"}, {"const": None}]},
    "any of nothing": {"type": "string", "anyOf": [False, {"type": "integer"}, {"minLength": 3}]},
    "one of by kind": {
        "oneOf": [
            {"properties": {"kind": {"const": "a"}, "x": {"type": "string"}}, "required": ["kind"]},
            {"properties": {"kind": {"const": "b"}, "y": {"type": "string"}}, "required": ["kind"]},
        ]
    },
    "any of integers and numbers": {"type": "number", "anyOf": [{"type": "integer"}]},
    "all of": {
        "type": "object",
        "properties": {"a": {"type": ["integer", "string"], "minimum": 1}},
        "allOf": [
            {"properties": {"a": {"type": "number", "minimum": 4}}, "required": ["a"]},
            {"properties": {"b": {"enum": [1, 2, 3]}}, "required": ["b"]},
            {"properties": {"b": {"enum": [3, 4]}}},
        ],
    },
    "all of lengths": {
        "allOf": [
            {"type": "string", "minLength": 4, "maxLength": 90},
            {"minLength": 2, "maxLength": 6},
        ]
    },
    "all of items": {
        "allOf": [
            {"type": "array", "items": {"type": "integer"}, "minItems": 1},
            {"items": {"minimum": 50}},
        ]
    },
    "all of extras": {
        "allOf": [
            {"required": ["x"], "additionalProperties": {"type": "integer"}},
            {"additionalProperties": {"minimum": 50}},
        ]
    },
    "all of, one closed": {
        "allOf": [
            {"properties": {"x": {"type": "integer"}}, "additionalProperties": False},
            {"additionalProperties": True, "minProperties": 1},
        ]
    },
    "reference": {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a~b"}, "b": {"$ref": "#/$defs/list/0"}},
        "required": ["a", "b"],
        "$defs": {"a~b": {"const": 1}, "list": {"0": {"const": 2}}},
    },
    "linked list": {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["value", "next"],
                "additionalProperties": False,
            }
        },
    },
    "tree": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#"}},
        },
        "required": ["name", "children"],
        "additionalProperties": False,
    },
    "guessed types": {
        "properties": {
            "o": {"required": ["z"]},
            "a": {"items": {"const": 1}},
            "s": {"minLength": 2},
            "n": {"maximum": 1},
        },
        "required": ["o", "a", "s", "n"],
    },
}
del WRITTEN["reference"]["$defs"]["a~b"], WRITTEN["reference"]["properties"]["a"]
WRITTEN["reference"]["required"] = ["b"]


@pytest.mark.parametrize("name", WRITTEN)
def test_values_are_valid_for_schemas_as_people_write_them(name):
    assert_valid(WRITTEN[name])


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_kept_and_differ_within_an_array(name):
    items = {"type": "string", "format": name}
    assert_valid({"type": "array", "items": items, "minItems": 20, "uniqueItems": True})


def test_references_with_escapes_lists_anchors_and_to_nowhere():
    root = {
        "$defs": {
            "a/b~c d": {"const": 1},
            "list": {"allOf": [{"const": 2}]},
            "named": {"$anchor": "here", "const": 3},
        }
    }

    def at(reference):
        return value_for({**root, "$ref": reference}, Dice(1))

    assert at("#/$defs/a~1b~0c%20d") == 1
    assert at("#/$defs/list/allOf/0") == 2
    assert at("#here") == 3
    for nowhere in ("#/$defs/none", "#none", "#/$defs/list/allOf/7", "#/$defs/list/allOf/x"):
        assert isinstance(at(nowhere), str)
    assert isinstance(at("https://example.com/schema.json"), str)
    assert isinstance(at("#/$defs/named/const/x"), str)
    assert isinstance(value_for({"$ref": "#here"}, Dice(1)), str)


def test_older_spellings_are_known():
    """Draft 4: boolean exclusive bounds, `items` as a list, `definitions`."""
    below = {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 4}
    assert value_for(below, Dice(1)) == 4
    pair = {"items": [{"const": 1}, {"const": 2}], "additionalItems": False}
    assert value_for(pair, Dice(1)) == [1, 2]
    known = {"$ref": "#/definitions/a", "definitions": {"a": {"const": 5}}}
    assert value_for(known, Dice(1)) == 5


def test_values_take_up_what_the_user_said():
    schema = {
        "type": "object",
        "properties": {
            "unit": {"enum": ["km", "miles"]},
            "query": {"type": "string"},
            "destination": {"type": "string"},
            "departure_city": {"type": "string"},
            "subject": {"type": "string"},
        },
    }
    value = value_for(schema, Dice(1), "How many MILES to Addis Ababa? Thanks")
    assert value["unit"] == "miles"
    assert value["query"] == "How many MILES to Addis Ababa? Thanks"
    assert value["destination"] == "Addis Ababa"
    assert value["departure_city"]
    assert value["subject"] == "sample subject"
    silent = value_for(schema, Dice(1), "from here to there")
    assert silent["destination"] == "sample destination"


def test_a_lean_value_has_only_what_is_required():
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "array"},
            "b": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["b"],
    }
    assert value_for(schema, Dice(1), is_lean=True) == {"b": None}
    assert set(value_for(schema, Dice(1))) == {"a", "b"}


# --- Schemas as nobody writes them --------------------------------------------------------------

_names = st.sampled_from(["a", "b", "city", "email", "count", "x y", "é"])


def _bounded(kind, low, high):
    return st.tuples(st.integers(-50, 50), st.integers(0, 30)).map(
        lambda pair: {"type": kind, low: pair[0], high: pair[0] + pair[1]}
    )


_scalars = st.one_of(
    st.sampled_from(
        [{"type": kind} for kind in ("string", "integer", "number", "boolean", "null")]
        + [{"type": "string", "format": name} for name in FORMATS]
    ),
    _bounded("integer", "minimum", "maximum"),
    _bounded("number", "minimum", "maximum"),
    st.tuples(st.integers(0, 30), st.integers(0, 30)).map(
        lambda pair: {"type": "string", "minLength": min(pair), "maxLength": max(pair)}
    ),
    st.lists(st.integers() | st.text(max_size=5) | st.none(), min_size=1).map(
        lambda members: {"enum": members}
    ),
    st.just({"$ref": "#/$defs/again"}),
)


def _objects(schemas):
    return st.tuples(
        st.dictionaries(_names, schemas, max_size=4), st.booleans(), st.sets(_names, max_size=2)
    ).map(
        lambda parts: {
            "type": "object",
            "properties": parts[0],
            "required": sorted(name for name in parts[2] if name in parts[0]),
            "additionalProperties": parts[1],
        }
    )


def _arrays(schemas):
    return st.tuples(schemas, st.integers(0, 3), st.integers(0, 3)).map(
        lambda parts: {
            "type": "array",
            "items": parts[0],
            "minItems": min(parts[1:]),
            "maxItems": max(parts[1:]),
        }
    )


_schemas = st.recursive(
    _scalars,
    lambda schemas: st.one_of(
        _objects(schemas),
        _arrays(schemas),
        st.lists(schemas, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches}),
        schemas.map(lambda schema: {"allOf": [schema, {"title": "the same"}]}),
    ),
    max_leaves=8,
)
_roots = st.tuples(_schemas, _scalars.filter(lambda schema: "$ref" not in schema)).map(
    lambda pair: {**pair[0], "$defs": {"again": pair[1]}}
)


@given(_roots)
@settings(max_examples=200, deadline=None)
def test_values_are_valid_for_any_schema_that_can_be_met(schema):
    assert_valid(schema, seeds=2)


@given(_objects(_schemas).map(lambda schema: {**schema, "$defs": {"again": {"type": "integer"}}}))
@settings(max_examples=60, deadline=None)
def test_tool_arguments_and_json_answers_are_valid_for_their_schema(sandbox, schema):
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    completion = sandbox.whole(tools=tools, tool_choice="required")
    (call,) = completion.choices[0].message.tool_calls
    assert not problems(json.loads(call.function.arguments), schema, schema)
    described = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    text = sandbox.text(response_format=described)
    assert not problems(json.loads(text), schema, schema)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(_keywords, values, max_size=5),
    max_leaves=20,
)
_keywords = st.sampled_from(
    [
        *("type", "properties", "required", "items", "prefixItems", "enum", "const", "$ref"),
        *("allOf", "anyOf", "oneOf", "minimum", "maximum", "exclusiveMinimum", "multipleOf"),
        *("minLength", "maxLength", "pattern", "format", "minItems", "uniqueItems", "$defs"),
        *("additionalProperties", "minProperties", "maxProperties", "additionalItems"),
    ]
)


@given(st.dictionaries(_keywords, _json, max_size=6))
@settings(max_examples=300, deadline=None)
def test_nonsense_for_a_schema_still_gives_a_value(schema):
    value = value_for(schema, Dice(1), "words")
    json.dumps(value)


_WIDE = {f"p{number}": {"type": "string"} for number in range(20_000)}
HOSTILE = {
    "refers to itself": {"$ref": "#"},
    "required without end": {"properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    "a tree without end": {
        "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}},
        "required": ["a", "b"],
    },
    "doubles forty times": {
        "$ref": "#/$defs/0",
        "$defs": {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)},
    },
    "fans out": {
        "$ref": "#/$defs/0",
        "$defs": {str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 20} for n in range(40)},
    },
    "a billion long strings": {
        "type": "array",
        "minItems": 10**9,
        "items": {"type": "string", "minLength": 10**9},
    },
    "a thousand unique booleans": {
        "type": "array",
        "minItems": 1000,
        "uniqueItems": True,
        "items": {"type": "boolean"},
    },
    "many properties": {"type": "object", "properties": _WIDE, "required": [*_WIDE]},
    "many required": {
        "type": "object",
        "required": [*_WIDE],
        "additionalProperties": {"$ref": "#"},
    },
    "many extras": {"type": "object", "minProperties": 10**8},
    "a long enum": {"type": "array", "minItems": 2000, "items": {"enum": list(range(30_000))}},
    "long enums at once": {"allOf": [{"enum": list(range(20_000))}] * 3},
    "tiny steps": {"type": "number", "minimum": 1e299, "multipleOf": 1e-300},
    "many patterns": {
        "type": "object",
        "properties": {
            f"p{n}": {"pattern": "[^a-z\\d]{3}" * 20, "minLength": 999} for n in range(99)
        },
    },
    "wide and merged": {"allOf": [{"properties": {f"p{n}": {} for n in range(900)}}] * 900},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_costs_little(name):
    """The bound is generous: what it guards against is seconds and gigabytes."""
    for is_lean in (False, True):
        began = time.process_time()
        value = value_for(HOSTILE[name], Dice(1), "words " * 1000, is_lean=is_lean)
        assert time.process_time() - began < 0.5
        assert len(json.dumps(value)) < 200_000


def test_less_effort_writes_less():
    schema = {"type": "array", "minItems": EFFORT_MAX, "items": {"type": "integer"}}
    assert len(value_for(schema, Dice(1), effort=50)) < 50 < len(value_for(schema, Dice(1)))
