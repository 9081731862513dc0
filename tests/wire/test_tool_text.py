"""Tools as TypeScript: what a schema says is said, and nothing of it is lost."""

import json
from typing import Any

import pytest
from cpu_time import cpu_seconds
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall.wire.chat import FunctionDefinition
from keyhall.wire.tool_text import DEPTH_MAX, namespace


def signature(schema: dict[str, Any] | None, name: str = "f") -> str:
    """What is between the first and the last line of the namespace."""
    text = namespace([FunctionDefinition(name, parameters=schema)])
    assert text.startswith("namespace functions {\n\n")
    assert text.endswith("\n\n} // namespace functions")
    return text.removeprefix("namespace functions {\n\n").removesuffix(
        "\n\n} // namespace functions"
    )


def member(schema: Any) -> str:
    """How one optional property is written."""
    text = signature({"type": "object", "properties": {"p": schema}})
    return text.removeprefix("type f = (_: {\n").removesuffix(",\n}) => any;")


def test_a_namespace_lists_its_functions() -> None:
    look = FunctionDefinition("look", description="See.\nTwice.")
    go = FunctionDefinition(
        "go",
        parameters={
            "type": "object",
            "properties": {"to": {"type": "string"}, "fast": {"type": "boolean"}},
            "required": ["to"],
        },
    )
    assert namespace([look, go]) == (
        "namespace functions {\n\n"
        "// See.\n// Twice.\ntype look = () => any;\n\n"
        "type go = (_: {\nto: string,\nfast?: boolean,\n}) => any;\n\n"
        "} // namespace functions"
    )


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        {"type": "object"},
        {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
        {"title": "F", "$schema": "https://json-schema.org/draft/2020-12/schema"},
    ],
)
def test_a_function_that_asks_for_nothing_takes_nothing(schema: dict[str, Any] | None) -> None:
    assert signature(schema) == "type f = () => any;"


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"type": "string"}, "string"),
        ({"type": "integer"}, "number"),
        ({"type": "null"}, "null"),
        ({"type": "array"}, "any[]"),
        ({"type": "object"}, "object"),
        ({"type": ["string", "null"]}, "string | null"),
        ({}, "any"),
        (True, "true"),
        ({"type": "array", "items": {"type": "number"}}, "number[]"),
        ({"items": True}, "any"),
        ({"enum": ["a", 1, None]}, '"a" | 1 | null'),
        ({"type": "string", "const": "x"}, '"x"'),
        ({"anyOf": [{"type": "string"}, True, {"type": "null"}]}, "string | true | null"),
        ({"oneOf": [{"const": 1}, {"const": 2}]}, "1 | 2"),
        ({"properties": {"q": {"type": "number"}}, "required": ["q"]}, "{\nq: number,\n}"),
    ],
)
def test_a_type_is_written_as_typescript_writes_it(schema: Any, written: str) -> None:
    assert member(schema) == f"p?: {written}"


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"type": "string", "description": "A\nB"}, "// A\n// B\np?: string"),
        (
            {"default": "c", "title": "T", "description": "D", "type": "string"},
            '// D\n// title: T\n// default: "c"\np?: string',
        ),
        ({"type": "string", "minLength": 3}, "// minLength: 3\np?: string"),
        ({"type": "text"}, '// type: "text"\np?: any'),
        ({"type": [["string"]]}, '// type: [["string"]]\np?: any'),
        ({"description": ["odd"]}, '// description: ["odd"]\np?: any'),
        ({"enum": "odd", "anyOf": "odd"}, '// enum: "odd"\n// anyOf: "odd"\np?: any'),
        ({"properties": ["odd"]}, '// properties: ["odd"]\np?: any'),
        (
            {"properties": {"q": {}}, "required": ["q", "gone", {}]},
            '// required: ["gone",{}]\np?: {\nq: any,\n}',
        ),
        ({"properties": {"q": {}}, "required": "q"}, '// required: "q"\np?: {\nq?: any,\n}'),
        (
            {"items": {"type": "string", "format": "date"}},
            'p?: string\n// format: "date"\n[]',
        ),
        ({"enum": ["a"], "properties": {"q": {}}}, '// properties: {"q":{}}\np?: "a"'),
    ],
)
def test_what_typescript_cannot_say_is_a_comment(schema: Any, written: str) -> None:
    assert member(schema) == written


def test_what_is_said_of_the_parameters_as_a_whole_stands_behind_the_brace() -> None:
    schema = {"description": "D", "$defs": {"a": 1}, "properties": {"p": {"type": "string"}}}
    assert signature(schema) == ('type f = (_: { // D\n// $defs: {"a":1}\np?: string,\n}) => any;')
    assert signature({"description": "D"}) == "type f = (_: any // D\n) => any;"


def test_only_short_titles_at_the_top_are_free() -> None:
    long = "T" * 65
    assert signature({"title": "T" * 64}) == "type f = () => any;"
    assert long in signature({"title": long})
    assert "odd" in signature({"title": ["odd"]})


def test_a_schema_deeper_than_any_is_counted_as_json() -> None:
    schema: dict[str, Any] = {"description": "the bottom"}
    for _ in range(DEPTH_MAX + 8):
        schema = {"properties": {"p": schema}}
    assert "the bottom" in signature(schema)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "required", "items", "enum", "const", "anyOf", "title", "x"]
            )
            | st.text(max_size=3),
            inner,
            max_size=5,
        ),
        max_leaves=20,
    )
)
def test_r12_no_text_in_a_schema_goes_uncounted(value: Any) -> None:
    """Any JSON is taken, and every text in it is in what is counted: nothing can be smuggled."""
    marked = _marked(value)
    written = signature({"properties": {"p": marked}})
    for text in _texts(marked):
        assert text in written


def _marked(value: Any, key: str = "") -> Any:
    """Makes every text and key findable, and keeps the words of JSON schema."""
    if isinstance(value, str):
        return f"mark{len(value)}" + "".join(filter(str.isalnum, value))
    if isinstance(value, list):
        return [_marked(one) for one in value]
    if isinstance(value, dict):
        return {name: _marked(one, name) for name, one in value.items()}
    return value


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [json.dumps(value, ensure_ascii=False)[1:-1]]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    return []


def test_r12_a_huge_schema_is_written_in_time() -> None:
    """Linear in its size: a name is looked up among the required ones, not searched for."""
    names = [f"property_{number}" for number in range(30_000)]
    schema = {"properties": {name: {"type": "string"} for name in names}, "required": names}
    assert "property_29999: string," in signature(schema)
    assert cpu_seconds(lambda: signature(schema), 1.0) < 1
