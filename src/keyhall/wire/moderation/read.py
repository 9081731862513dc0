"""Reads the body of `POST /v1/moderations`: the texts to look at, or the refusal."""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.wire.checks import shapes
from keyhall.wire.checks.shapes import refuse

INPUTS_MAX = 1_024  # texts in one request; as many results come back
PARTS_MAX = 1_024
CHARACTERS_MAX = 1024 * 1024  # of all texts together: a scan of them takes tens of milliseconds
DEFAULT_MODEL = "omni-moderation-latest"

# What a caller may ask for. Whatever it is, the rules answer and say so in `model`.
_MODELS = ("omni-moderation-", "text-moderation-", "keyhall-rules")
_MODEL = shapes.Text(characters_min=1, characters_max=256)
_PART = "an object with `type` and `text`"

_KINDS = {
    dict: "an object",
    list: "an array",
    bool: "a boolean",
    type(None): "null",
    str: "a string",
}

_decode = msgspec.json.Decoder().decode


class Part(msgspec.Struct, frozen=True):
    """A part of a message; pictures are refused."""

    type: Literal["text"]
    text: str


class ModerationRequest(msgspec.Struct, frozen=True):
    """The body as the API's description has it."""

    input: str | list[str | Part]
    model: str = DEFAULT_MODEL


@dataclass(frozen=True, slots=True)
class Asked:
    """The texts, one result each. The parts of a message make one text together."""

    model: str
    texts: tuple[str, ...]


def read(body: bytes) -> Asked:
    """Raises ApiError, always with status 400 or 404."""
    value = _parsed(body)
    for name in value:
        if name not in ("input", "model"):
            refuse(errors.UNKNOWN_PARAMETER, shapes.shown(name))
    model = value.get("model")
    if model is None:
        model = DEFAULT_MODEL
    _MODEL.check(model, "model")
    check_model(model)
    if value.get("input") is None:
        refuse(errors.MISSING_PARAMETER, "input")
    texts = _texts(value["input"])
    length = sum(map(len, texts))
    if length > CHARACTERS_MAX:
        refuse(errors.STRING_TOO_LONG, "input", bound=CHARACTERS_MAX, got=length)
    return Asked(model, texts)


def check_model(name: str, path: str = "model") -> None:
    """Whether a caller may ask for it."""
    if not name.startswith(_MODELS):
        raise ApiError(errors.MODERATION_MODEL, param=path, model=shapes.shown(name))


def _parsed(body: bytes) -> dict[str, Any]:
    detail = ""
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        value, detail = None, "it nests too deep" if isinstance(error, RecursionError) else ""
        detail = detail or str(error).partition("(")[0].strip()
    # Not in the handler: no refusal carries the exception that knows the text (I-13).
    if detail:
        raise ApiError(errors.BROKEN_JSON, detail=detail)
    if type(value) is not dict:
        raise ApiError(errors.BROKEN_JSON, detail="it is not an object")
    return value


def _texts(given: Any) -> tuple[str, ...]:
    if type(given) is str:
        return (given,)
    if type(given) is not list:
        refuse(errors.INVALID_TYPE, "input", expected="a string or an array", got=_kind(given))
    if not given:
        refuse(errors.EMPTY_ARRAY, "input")
    if len(given) > INPUTS_MAX:
        refuse(errors.ARRAY_TOO_LONG, "input", bound=INPUTS_MAX, got=len(given))
    if type(given[0]) is str:
        for index, each in enumerate(given):
            if type(each) is not str:
                path = f"input[{index}]"
                refuse(errors.INVALID_TYPE, path, expected="a string", got=_kind(each))
        return tuple(given)
    return ("\n".join(_part(each, f"input[{index}]") for index, each in enumerate(given)),)


def _part(part: Any, path: str) -> str:
    if type(part) is not dict:
        refuse(errors.INVALID_TYPE, path, expected=_PART, got=_kind(part))
    kind = part.get("type")
    if kind == "image_url":
        # A result would say that the picture is harmless, and nobody has looked at it.
        raise ApiError(errors.MODERATION_IMAGE, param=path)
    if kind != "text":
        supported = shapes.listed(["text"])
        got = shapes.shown(kind)
        refuse(errors.INVALID_VALUE, f"{path}.type", got=got, supported=supported)
    shapes.Text().check(part.get("text"), f"{path}.text")
    text: str = part["text"]
    return text


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a number")
