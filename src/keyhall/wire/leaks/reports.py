"""`POST /v1/keyhall/leaks`: our own form, and that of GitHub's secret scanning partners.

Ours is an object with the keys and where they were seen. GitHub's is an array of matches, signed;
it expects an array back that labels each as a true or a false positive, and takes a token's
SHA-256 in the place of the token: a key is not sent about more than it must be.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.policy import keys

BYTES_MAX = 256 * 1024
KEYS_MAX = 100
MATCHES_MAX = 2_000
TEXT_MAX = 2_000  # of what says where; a longer one is no address

State = Literal["revoked", "kept", "unknown"]

_Text = Annotated[str, Meta(max_length=TEXT_MAX)]
_REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class LeakReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys that somebody found, and where."""

    keys: Annotated[list[_Text], Meta(min_length=1, max_length=KEYS_MAX)]
    url: _Text | None = None
    source: _Text | None = None


class Match(msgspec.Struct, frozen=True):
    """One of GitHub's. It may say more than we read."""

    token: _Text
    type: _Text
    url: _Text | None = None
    source: _Text | None = None


class LeakedKey(msgspec.Struct, frozen=True):
    """`revoked`: it does not work any more, since now or before; `kept`: a test key, which this
    server leaves alone; `unknown`: no key of this server's."""

    key: str  # masked
    state: State


class LeakAnswer(msgspec.Struct, frozen=True):
    object: Literal["list"]
    data: list[LeakedKey]


class _Label(msgspec.Struct, frozen=True):
    token_hash: str
    token_type: str
    label: Literal["true_positive", "false_positive"]


_decode = msgspec.json.Decoder(LeakReport).decode
_decode_matches = msgspec.json.Decoder(
    Annotated[list[Match], Meta(min_length=1, max_length=MATCHES_MAX)]
).decode
_encode = msgspec.json.Encoder().encode


def read(body: bytes) -> LeakReport:
    """Raises LEAK_REPORT_UNREADABLE. What it says names fields, never what stands in them."""
    found: LeakReport = _read(body, _decode)
    return found


def read_github(body: bytes) -> list[Match]:
    """Raises LEAK_REPORT_UNREADABLE."""
    found: list[Match] = _read(body, _decode_matches)
    return found


def _read(body: bytes, decode: Any) -> Any:
    try:
        return decode(body)
    except _REFUSALS as error:
        is_ours = isinstance(error, msgspec.ValidationError)
        said = str(error) if is_ours else "it is not valid JSON"
    # Not in the handler: no refusal carries the exception that knows the text (I-13).
    raise ApiError(errors.LEAK_REPORT_UNREADABLE, detail=_shown(said))


def _shown(said: str) -> str:
    """msgspec repeats the name of an unknown field, which the reporter chose."""
    unknown = "Object contains unknown field"
    return f"{unknown}; keys, url and source are known" if said.startswith(unknown) else said


def encode(states: Sequence[tuple[str, State]]) -> bytes:
    data = [LeakedKey(keys.mask(text[:200]), state) for text, state in states]
    return _encode(LeakAnswer("list", data))


def encode_github(matches: Sequence[Match], ours: frozenset[str]) -> bytes:
    """A label for each match; `ours` are the texts that are keys of this server's."""
    return _encode(
        [
            _Label(
                sha256(match.token.encode("utf-8", "replace")).hexdigest(),
                match.type,
                "true_positive" if match.token in ours else "false_positive",
            )
            for match in matches
        ]
    )
