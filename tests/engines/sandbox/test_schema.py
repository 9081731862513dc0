"""Values written for a JSON schema are valid for it, as people write schemas."""

import pytest
from json_validity import FORMATS, assert_valid

from keyhall.engines.sandbox.dice import Dice
from keyhall.engines.sandbox.schema.values import value_for

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
        "properties": {"a": {"$ref": "#/$defs/a"}, "b": {"$ref": "#/$defs/b", "minimum": 7}},
        "required": ["a", "b"],
        "$defs": {"a": {"const": 1}, "b": {"type": "integer", "maximum": 8}},
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
