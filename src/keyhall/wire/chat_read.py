"""Reads the body of `POST /v1/chat/completions`: a checked `ChatRequest`, or the refusal.

Two speeds. One typed decode with the bounds in its types takes nearly every request. When it finds
anything wrong, the body is decoded again without types, and `wire/checks` names the one thing that
is wrong first, in the order of OpenAI's API. Duplicate keys: the last one counts; that is safe
because nobody is ever sent these bytes, only what is encoded again from the request.
"""

from typing import Any

import msgspec

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.wire.chat import ChatRequest
from keyhall.wire.checks.chat_fields import check_fields
from keyhall.wire.checks.chat_rules import check_messages, check_model, check_whole
from keyhall.wire.checks.shapes import is_deeper_than

DEPTH_MAX = 64  # I-11: a schema of 64 levels is deeper than any known client's.
# I-11: decoding is linear in bytes, but 10 MiB of `[],` would still cost 0.6 s and 200 MB. No
# conversation has so many values; only large bodies are looked at.
SCANNED_FROM_BYTES = 128 * 1024
VALUES_MAX = 100_000

_decode = msgspec.json.Decoder(ChatRequest).decode
_decode_untyped = msgspec.json.Decoder().decode
# What msgspec raises. UnicodeDecodeError is a ValueError; ValidationError a DecodeError.
_REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read(body: bytes) -> ChatRequest:
    """Raises ApiError, always with status 400."""
    if len(body) > SCANNED_FROM_BYTES:
        _check_values(body)
    try:
        request = _decode(body)
    except _REFUSALS:
        request = None
    # Not in the handler: no refusal carries the exception that knows the text (I-13).
    if request is None:
        return _read_slowly(body)
    check_model(request.model)
    has_tool_messages = check_messages(request.messages)
    if (
        request.tools is not None
        or request.response_format is not None
        or request.functions is not None
    ):
        _check_depth(request, body)
    check_whole(request, has_tool_messages=has_tool_messages)
    return request


def _check_values(body: bytes) -> None:
    if body.count(b",") + body.count(b"[") + body.count(b"{") > VALUES_MAX:
        raise _broken(f"it has more than {VALUES_MAX} commas and brackets")


def _check_depth(request: ChatRequest, body: bytes) -> None:
    """Only schemas can be deep; a body without 64 opening brackets cannot be."""
    if body.count(b"{") + body.count(b"[") <= DEPTH_MAX:
        return
    form = request.response_format
    schemas: list[Any] = [
        [tool.function.parameters or {} for tool in request.tools or ()],
        *[function.parameters or {} for function in request.functions or ()],
        (form.json_schema.schema or {}) if form is not None and form.json_schema else {},
    ]
    # In the body two more levels stand above each of them.
    if is_deeper_than(schemas, DEPTH_MAX - 2):
        raise ApiError(errors.TOO_DEEP, bound=DEPTH_MAX)


def _read_slowly(body: bytes) -> ChatRequest:
    """The same by the long way; a request comes out of it only where keys were sent twice."""
    value = parse_object(body)
    check_fields(value)
    request = convert(value)
    check_whole(request, has_tool_messages=check_messages(request.messages))
    return request


def convert(value: dict[str, Any]) -> ChatRequest:
    """Typed, from a value that has been checked."""
    try:
        return msgspec.convert(value, ChatRequest)
    except msgspec.ValidationError:
        pass
    raise _broken("it is not shaped like a chat request")


def parse_object(body: bytes) -> dict[str, Any]:
    """Any JSON object. Raises ApiError, always with status 400."""
    value, detail, is_deep = None, "", False
    try:
        value = _decode_untyped(body)
    except RecursionError:
        is_deep = True
    except msgspec.ValidationError:
        detail = "a number is out of range"
    except UnicodeDecodeError:
        detail = "a string is not valid UTF-8"
    except msgspec.DecodeError as error:
        detail = _what_is_broken(body, str(error))
    if is_deep or (isinstance(value, dict | list) and is_deeper_than(value, DEPTH_MAX)):
        raise ApiError(errors.TOO_DEEP, bound=DEPTH_MAX)
    if detail:
        raise _broken(detail)
    if type(value) is not dict:
        raise _broken("it is not an object")
    return value


def _what_is_broken(body: bytes, message: str) -> str:
    """One clause; positions, never a piece of the body (I-13)."""
    if not body.strip():
        return "the body is empty"
    if body.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in body[:4]:
        return "it is not UTF-8, but looks like UTF-16 or UTF-32"
    if body.startswith(b"\xef\xbb\xbf"):
        return "it begins with a byte order mark"
    if "truncated" in message:
        return "it ends too early, or has half a surrogate pair"
    return message.removeprefix("JSON is malformed: ")


def _broken(detail: str) -> ApiError:
    return ApiError(errors.BROKEN_JSON, detail=detail)
