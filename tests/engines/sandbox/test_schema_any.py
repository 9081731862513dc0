"""Any schema gets a value: valid if it can be, at a bounded cost, never a crash."""

import json

import pytest
from cpu_time import cpu_seconds
from hypothesis import given, settings
from hypothesis import strategies as st
from json_validity import FORMATS, assert_valid, problems

from keyhall.engines.sandbox.dice import Dice
from keyhall.engines.sandbox.schema.values import EFFORT_MAX, value_for

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


_keywords = st.sampled_from(
    [
        *("type", "properties", "required", "items", "prefixItems", "enum", "const", "$ref"),
        *("allOf", "anyOf", "oneOf", "minimum", "maximum", "exclusiveMinimum", "multipleOf"),
        *("minLength", "maxLength", "pattern", "format", "minItems", "uniqueItems", "$defs"),
        *("additionalProperties", "minProperties", "maxProperties", "additionalItems"),
    ]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(_keywords, values, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(_keywords, _json, max_size=6))
@settings(max_examples=300, deadline=None)
def test_nonsense_for_a_schema_still_gives_a_value(schema):
    value = value_for(schema, Dice(1), "words")
    json.dumps(value)


_WIDE = {f"p{number}": {"type": "string"} for number in range(20_000)}
_LONG = [f"{'word ' * 800}{number}" for number in range(90)]
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
    "a long const again and again": {
        "type": "array",
        "minItems": 1500,
        "items": {"const": " " * 60_000},
    },
    "a deep const again and again": {
        "type": "array",
        "minItems": 1500,
        "items": {"const": {"a": [{"b": ["word"] * 40}] * 400}},
    },
    "a long member again and again": {
        "type": "array",
        "minItems": 1500,
        "items": {"enum": ["word " * 4_000, "word " * 3_999 + "last "]},
    },
    "long members, once each": {"properties": {f"p{n}": {"enum": _LONG} for n in range(400)}},
    "long members that are merged": {"allOf": [{"enum": _LONG}, {"enum": [*_LONG]}] * 400},
    "a name without end": {
        "properties": {"names" * 200_000: {"type": "array", "minItems": 1500, "items": {}}},
    },
    "names without end that are required": {
        "type": "array",
        "minItems": 1500,
        "items": {"required": [f"{n}" * 20_000 for n in range(9)]},
    },
    "many properties again and again": {
        "type": "array",
        "minItems": 1500,
        "items": {"type": "object", "properties": _WIDE},
    },
    "many required again and again": {
        "type": "array",
        "minItems": 1500,
        "items": {"type": "object", "required": [*_WIDE], "maxProperties": 0},
    },
    "long lists of what is required": {
        "allOf": [{"required": [f"{n}{m}" for m in range(20_000)]} for n in "ab"],
    },
    "long lists of types": {"allOf": [{"type": [f"{n}{m}" for m in range(20_000)]} for n in "ab"]},
    "a long list of types again and again": {
        "type": "array",
        "minItems": 1500,
        "items": {"type": [f"kind{n}" for n in range(20_000)]},
    },
    "a long list of branches again and again": {
        "type": "array",
        "minItems": 1500,
        "items": {"anyOf": [{"type": "null"}] * 20_000},
    },
    "a long reference again and again": {
        "type": "array",
        "minItems": 1500,
        "items": {"$ref": "#/" + "a/" * 300_000},
    },
    "many anchors again and again": {
        "$defs": {f"d{n}": {"$anchor": f"a{n}"} for n in range(20_000)},
        "type": "array",
        "minItems": 1500,
        "items": {"$ref": "#a19999"},
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_costs_little(name):
    """I-11. The bound is generous: what it guards against is seconds and gigabytes."""
    for is_lean in (False, True):
        found = []

        def work(is_lean=is_lean, found=found):
            found[:] = [value_for(HOSTILE[name], Dice(1), "words " * 1000, is_lean=is_lean)]

        assert cpu_seconds(work, 1.0) < 1.0
        (value,) = found
        assert len(json.dumps(value)) < 100_000


def test_less_effort_writes_less():
    schema = {"type": "array", "minItems": EFFORT_MAX, "items": {"type": "integer"}}
    assert len(value_for(schema, Dice(1), effort=50)) < 50 < len(value_for(schema, Dice(1)))
