"""`POST /v1/keyhall/feedback`: what a caller says of an answer."""

from typing import Literal

import msgspec

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.wire.chat_read import parse_object
from keyhall.wire.checks.shapes import Fields, OneOf, Text, Whole, refuse

# An answer has 4,096 tokens at most: a correction of it fits. A comment is a paragraph.
CORRECTION_CHARACTERS_MAX = 32_768
COMMENT_CHARACTERS_MAX = 4_096
THUMBS = ("up", "down")
# Words of ours, so that they can be counted; what else there is to say is the comment's.
CATEGORIES = ("wrong", "incomplete", "unclear", "harmful", "off-topic", "style", "slow", "other")
_ID = r"chatcmpl-[0-9a-f]{32}"


class Given(msgspec.Struct, frozen=True):
    """What was sent. Nothing but the id is required, and something of the rest."""

    completion_id: str
    thumb: Literal["up", "down"] | None = None
    score: int | None = None
    category: str | None = None
    correction: str | None = None
    comment: str | None = None

    @property
    def request_id(self) -> str:
        return self.completion_id.removeprefix("chatcmpl-")


_SHAPE = Fields(
    {
        "completion_id": Text(pattern=_ID),
        "thumb": OneOf(*THUMBS),
        "score": Whole(1, 5),
        "category": OneOf(*CATEGORIES),
        "correction": Text(characters_min=1, characters_max=CORRECTION_CHARACTERS_MAX),
        "comment": Text(characters_min=1, characters_max=COMMENT_CHARACTERS_MAX),
    },
    required=("completion_id",),
)


def read(body: bytes) -> Given:
    """Raises ApiError, always with status 400."""
    value = parse_object(body)
    _SHAPE.find_unknown(value, "")
    _SHAPE.check(value, "")
    given = msgspec.convert(value, Given)
    said = (given.thumb, given.score, given.category, given.correction, given.comment)
    if all(each is None for each in said):
        raise ApiError(errors.MISSING_PARAMETER, param="thumb", param_path="thumb")
    for name in ("correction", "comment"):
        if "\0" in (getattr(given, name) or ""):
            refuse(errors.STRING_PATTERN, name, pattern=r"[^\0]*")
    return given


class Taken(msgspec.Struct, frozen=True):
    """The answer. `created` in seconds since 1970; the words are not repeated."""

    id: str
    completion_id: str
    created: int
    model: str
    object: str = "keyhall.feedback"
    thumb: str | None = None
    score: int | None = None
    category: str | None = None
    has_correction: bool = False
    has_comment: bool = False
    replaces: int = 0  # how many of this completion came before


_encode = msgspec.json.Encoder().encode


def encode(taken: Taken) -> bytes:
    return _encode(taken)
