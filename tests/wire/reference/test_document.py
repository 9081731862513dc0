"""The OpenAPI document: whole, consistent, and made of the types."""

import json
import re

import pytest

from keyhall import errors
from keyhall.wire.reference import document as openapi
from keyhall.wire.reference.routes import DESCRIBED

MADE = openapi.document("https://keyhall.example", "1.2.3")


def _refs(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from _refs(each)
    elif isinstance(value, list):
        for each in value:
            yield from _refs(each)


def test_it_is_json_for_the_reader_s_own_server():
    assert json.loads(json.dumps(MADE))["servers"] == [{"url": "https://keyhall.example"}]
    assert MADE["openapi"] == "3.1.0"


def test_every_reference_leads_somewhere():
    for ref in set(_refs(MADE)):
        place = MADE
        for part in ref.removeprefix("#/").split("/"):
            place = place[part]


def test_every_row_of_the_error_table_is_an_example_of_its_status():
    told = {}
    for name, response in MADE["components"]["responses"].items():
        for row, example in response["content"]["application/json"]["examples"].items():
            told[row] = (int(name.removeprefix("Refused")), example["value"]["error"]["code"])
    assert told == {name: (row.status, row.code) for name, row in errors.TABLE.items()}


def test_each_operation_says_what_it_needs_and_what_it_answers():
    for each in DESCRIBED:
        operation = MADE["paths"][each.path][each.method.lower()]
        assert operation["operationId"] == each.name
        assert "200" in operation["responses"]
        assert operation["security"] == ([] if each.sent == "nothing" else [{"key": []}])
        places = re.findall(r"\{(\w+)\}", each.path)
        assert [each["name"] for each in operation.get("parameters", [])] == places


def test_each_operation_has_a_place_of_its_own_on_the_page():
    anchors = [each.anchor for each in DESCRIBED]
    assert "listmodels" in anchors
    assert len(set(anchors)) == len(anchors)


def test_parameters_come_with_their_type_and_bounds_in_words():
    words = {name: (kind, needed) for name, kind, needed, _ in openapi.parameters()}
    assert words["model"] == ("string", True)
    assert words["messages"][0] == "list of object"
    assert words["temperature"] == ("number, 0 to 2", False)
    assert words["max_tokens"][0] == "integer, at least 1"
    assert words["truncation"][0] == '"auto" or "disabled"'


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/a"}, "object"),
        ({"type": "array"}, "list of values"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string"),
        ({"type": "integer", "minimum": -(1 << 40), "maximum": 1 << 40}, "integer"),
    ],
)
def test_a_schema_is_told_in_a_few_words(schema, words):
    assert openapi.type_words(schema) == words
