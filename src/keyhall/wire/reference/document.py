"""The OpenAPI 3.1 document of the routes that exist, made of the types that read and write them."""

from collections.abc import Iterable
from typing import Any

import msgspec

from keyhall import errors
from keyhall.wire.chat import ChatRequest
from keyhall.wire.leaks.reports import LeakAnswer, LeakReport
from keyhall.wire.models import Model
from keyhall.wire.moderation.read import ModerationRequest
from keyhall.wire.moderation.within import ModeratedChunk, ModeratedCompletion
from keyhall.wire.moderation.write import Moderation
from keyhall.wire.reference.fields import FIELDS
from keyhall.wire.reference.routes import DESCRIBED, Described
from keyhall.wire.review.feedback import Given, Taken
from keyhall.wire.review.released import Pending

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_TYPES = (
    ChatRequest, ModeratedCompletion, ModeratedChunk, ModerationRequest, Moderation, Model,
    LeakReport, LeakAnswer, Given, Taken, Pending,
)  # fmt: skip
_BODIES = {
    "createChatCompletion": "ChatRequest",
    "createModeration": "ModerationRequest",
    "reportLeaks": "LeakReport",
    "giveFeedback": "Given",
}
_PLACES = {
    "model": "A name that `GET /v1/models` lists.",
    "id": "What the 202 named: `rev_` and 32 digits.",
}
_WAITING = ("createChatCompletion", "retrieveReview")


def document(url: str, version: str) -> Json:
    """All of it, for the server at that address."""
    paths: Json = {}
    for each in DESCRIBED:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Keyhall",
            "version": version,
            "summary": "OpenAI-compatible chat, metered by key.",
        },
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "responses": {f"Refused{status}": _refused(status) for status in _statuses()},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key: `Authorization: Bearer sk-kh_…`.",
                }
            },
        },
    }


# --- Schemas --------------------------------------------------------------------------------------


def _schemas() -> Json:
    _, made = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    for name, says in FIELDS.items():
        made["ChatRequest"]["properties"][name]["description"] = says
    return {
        **made,
        "Models": {
            "title": "Models",
            "type": "object",
            "properties": {
                "object": {"const": "list"},
                "data": {"type": "array", "items": {"$ref": _REF.format(name="Model")}},
            },
            "required": ["object", "data"],
        },
        "Error": {
            "title": "Error",
            "type": "object",
            "properties": {
                "error": {
                    "type": "object",
                    "properties": {
                        "message": {"type": "string"},
                        "type": {"type": "string"},
                        "param": {"type": ["string", "null"]},
                        "code": {"type": ["string", "null"]},
                    },
                    "required": ["message", "type", "param", "code"],
                }
            },
            "required": ["error"],
        },
    }


# --- Refusals -------------------------------------------------------------------------------------


def rows(statuses: Iterable[int]) -> list[errors.Problem]:
    """The rows of the error table with these statuses, by status."""
    wanted = set(statuses)
    found = [row for row in errors.TABLE.values() if row.status in wanted]
    return sorted(found, key=lambda row: row.status)


def _statuses() -> list[int]:
    return sorted({row.status for row in errors.TABLE.values()})


def _refused(status: int) -> Json:
    examples = {
        row.name: {
            "summary": row.advice,
            "value": {
                "error": {
                    "message": row.message,
                    "type": row.type,
                    "param": row.param,
                    "code": row.code,
                }
            },
        }
        for row in rows([status])
    }
    schema = {"$ref": _REF.format(name="Error")}
    names = ", ".join(f"`{name}`" for name in examples)
    return {
        "description": f"Refused: {names}.",
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }


# --- Operations -----------------------------------------------------------------------------------


def _operation(each: Described) -> Json:
    made: Json = {
        "operationId": each.name,
        "summary": each.title,
        "description": each.says,
        "responses": {"200": _answers(each)}
        | {str(status): _problem(status) for status in each.problems},
    }
    if each.name == "readyz":
        made["responses"]["503"] = _json("It cannot; the same object.", {"type": "object"})
    if each.name == "metrics":
        made["responses"]["403"] = _text("Neither from this machine nor with an admin key.")
    made["security"] = [] if each.sent == "nothing" else [{"key": []}]
    for name, says in _PLACES.items():
        if f"{{{name}}}" in each.path:
            place = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            made["parameters"] = [place | {"description": says}]
    if each.name in _WAITING:
        made["responses"]["202"] = _json(
            "A person looks at it first; `location` says where it will be.",
            {"$ref": _REF.format(name="Pending")},
        )
    if each.example is not None:
        schema = {"$ref": _REF.format(name=_BODIES[each.name])}
        content = {"schema": schema, "example": each.example}
        made["requestBody"] = {"required": True, "content": {"application/json": content}}
    return made


def _problem(status: int) -> Json:
    return {"$ref": f"#/components/responses/Refused{status}"}


def _answers(each: Described) -> Json:
    if each.name == "createChatCompletion":
        whole = _json("The answer.", {"$ref": _REF.format(name="ModeratedCompletion")})
        chunk = {"$ref": _REF.format(name="ModeratedChunk")}
        says = "With `stream`: records `data: {chunk}`, and `data: [DONE]` at the end."
        whole["content"]["text/event-stream"] = {"schema": chunk | {"description": says}}
        whole["headers"] = {name: _header(says) for name, says in HEADERS.items()}
        return whole
    if each.name == "createModeration":
        return _json("One result for each text.", {"$ref": _REF.format(name="Moderation")})
    if each.name == "listModels":
        return _json("The names.", {"$ref": _REF.format(name="Models")})
    if each.name == "retrieveModel":
        return _json("The name.", {"$ref": _REF.format(name="Model")})
    if each.name == "reportLeaks":
        return _json("What became of each.", {"$ref": _REF.format(name="LeakAnswer")})
    if each.name == "giveFeedback":
        return _json("What was taken, without its words.", {"$ref": _REF.format(name="Taken")})
    if each.name == "retrieveReview":
        return _json("The answer as decided.", {"$ref": _REF.format(name="ModeratedCompletion")})
    if each.name == "metrics":
        return _text("The numbers.")
    return _json("It is.", {"type": "object"})


def _json(says: str, schema: Json) -> Json:
    return {"description": says, "content": {"application/json": {"schema": schema}}}


def _text(says: str) -> Json:
    return {"description": says, "content": {"text/plain": {"schema": {"type": "string"}}}}


def _header(says: str) -> Json:
    return {"description": says, "schema": {"type": "string"}}


HEADERS: dict[str, str] = {
    "x-request-id": "The request's own id: quote it when you ask for help.",
    "x-ratelimit-limit-requests": "Requests that may be admitted in a minute.",
    "x-ratelimit-remaining-requests": "Requests that are left of them.",
    "x-ratelimit-reset-requests": "When all of them are back, such as `1m0s`.",
    "x-ratelimit-limit-tokens": "Tokens that may be used in a minute.",
    "x-ratelimit-remaining-tokens": "Tokens that are left of them.",
    "x-ratelimit-reset-tokens": "When all of them are back.",
    "x-keyhall-output-cap": "The most tokens that this answer could have.",
    "x-keyhall-mode": "`test`: a test key asked, and the sandbox answered.",
    "x-keyhall-review": "What people decided of the answer: `edited; id=rev_…`.",
    "x-keyhall-filter": "Which rules masked or blocked something, and how it was written if not "
    "plainly: `mask=personal/email`, `block=team.exam;view=in-base64`.",
    "x-keyhall-truncated": "What `truncation` left out: `messages=2; tokens=310`.",
}


# --- Parameters, for the page ---------------------------------------------------------------------


def parameters() -> list[tuple[str, str, bool, str]]:
    """Of a chat request: name, type in words, whether it must be there, its sentence."""
    schema = _schemas()["ChatRequest"]
    required = schema.get("required", [])
    return [
        (name, type_words(schema["properties"][name]), name in required, says)
        for name, says in FIELDS.items()
    ]


def type_words(schema: Json) -> str:
    """A schema in a few words, with its bounds: `number, 0 to 2`."""
    if "$ref" in schema:
        return "object"
    if "enum" in schema:
        return " or ".join(f'"{value}"' for value in schema["enum"] if value is not None)
    if "anyOf" in schema:
        kinds = [type_words(kind) for kind in schema["anyOf"] if kind.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    words = str(schema["type"])
    if words == "array":
        words = f"list of {type_words(schema.get('items', {'type': 'values'}))}"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None and abs(high) < 1 << 32:
        words += f", {low} to {high}"
    elif low is not None and abs(low) < 1 << 32:
        words += f", at least {low}"
    return words
