"""What an upstream's failures mean to the caller: statuses and error bodies to rows of the table.

The caller learns whether to change the request (the upstream's own words, cleaned), to wait (503
with a time) or that the operator has work to do (502). An upstream's words never carry a key, an
address or a control character out, and its headers never pass: only a retry time, in bounds.
"""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.wire.chat_answer import UpstreamError

WORDS_MAX = 300  # Enough for every known validation message; not enough to carry a document.
_WORDS_READ_MAX = 4_096
_RETRY_SECONDS_DEFAULT = 2.0
_RETRY_SECONDS_MAX = 120.0  # Clients stop retrying when they are told more.

_REFUSED_CREDENTIALS = "the engine refused Keyhall's credentials"
_NO_CREDIT = "the engine's account has no credit left"
_NO_MODEL = "the engine does not know the model or the endpoint"

_BEARER = re.compile(r"(?i)\b(bearer|basic|api[-_ ]?key)(\s*[:=]\s*|\s+)[^\s,;\"']{4,}")
_KEY = re.compile(
    r"(?i)\b(?:sk|pk|rk|gsk|hf|xai|pplx|ghp|ghu|gho|nvapi|r8|tgp)[-_][\w*.\-…]{4,}"
    r"|\bAIza[\w\-]{10,}|\beyJ[\w\-.]{10,}|\b[A-Za-z0-9_]{32,}\b"
)
_URL = re.compile(r"(?i)\b[a-z][a-z0-9+.\-]{1,15}://[^\s\"'<>]+")
_IP = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\[[0-9A-Fa-f:.]{2,}\](?::\d+)?")

_OUT_OF_CREDIT = frozenset(
    {
        "insufficient_quota",
        "billing_not_active",
        "credit_balance_exhausted",
        "project_spend_limit_exceeded",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    }
)
_OVERLOADED = frozenset(
    {
        "rate_limit_exceeded",
        "rate_limit_error",
        "requests",
        "tokens",
        "server_is_overloaded",
        "overloaded",
        "overloaded_error",
        "engine_overloaded",
        "slow_down",
        "408",
        "429",
        "503",
        "529",
    }
)
_CALLERS_FAULT = frozenset(
    {"invalid_request_error", "BadRequestError", "context_length_exceeded", "400", "413", "422"}
)
# The engine's name for the model stands in the version's record: that it is not there is never the
# caller's fault, though many servers say 400. Most name the field; some say it in words only.
_NAMES_MODEL = frozenset({"model", "model_not_found", "not_found_error", "NotFoundError"})
_MODEL_AWAY = re.compile(
    r"(?i)\bmodel\b[^.\n]{0,200}\b(?:not found|does not exist|(?:is )?not loaded|is unloaded)\b"
    r"|\bno models? (?:is |are )?(?:currently )?loaded\b"
)


class Cleaner:
    """Makes an upstream's words fit for a caller: no secret, no address, no control character."""

    __slots__ = ("_hosts", "_key")

    def __init__(self, key: str = "", host: str = "") -> None:
        # The beginning alone already tells too much: mask all that starts like the key.
        self._key = re.compile(re.escape(key[:8]) + r"\S*") if len(key) >= 8 else None
        self._hosts = re.compile(rf"(?i)\b{re.escape(host)}\b(?::\d+)?") if host else None

    def clean(self, words: str) -> str:
        if len(words) > _WORDS_READ_MAX:  # A word cut in two could hide half a key.
            words = words[:_WORDS_READ_MAX].rpartition(" ")[0]
        words = " ".join("".join(c if c.isprintable() else " " for c in words).split())
        if self._key is not None:
            words = self._key.sub("***", words)
        words = _URL.sub("(address)", words)
        words = _BEARER.sub(r"\1 ***", words)
        words = _KEY.sub("***", words)
        if self._hosts is not None:
            words = self._hosts.sub("(engine)", words)
        words = _IP.sub("(address)", words)
        return words if len(words) <= WORDS_MAX else words[: WORDS_MAX - 1] + "…"


def failed(detail: str) -> ApiError:
    return ApiError(errors.ENGINE_FAILED, detail=detail)


def timed_out(detail: str) -> ApiError:
    return ApiError(errors.ENGINE_TIMEOUT, detail=detail)


def busy(detail: str, retry_seconds: float = _RETRY_SECONDS_DEFAULT) -> ApiError:
    """503 with the time to wait, between 1 s and 120 s."""
    if not math.isfinite(retry_seconds):
        retry_seconds = _RETRY_SECONDS_DEFAULT
    wait_ms = math.ceil(min(max(retry_seconds, 1.0), _RETRY_SECONDS_MAX) * 1000)
    return ApiError(
        errors.ENGINE_BUSY,
        detail=detail,
        headers=(
            (b"retry-after", b"%d" % -(-wait_ms // 1000)),
            (b"retry-after-ms", b"%d" % wait_ms),
        ),
    )


def from_status(
    status: int, headers: Mapping[bytes, bytes], body: bytes, cleaner: Cleaner
) -> ApiError:
    """The error for an answer whose status is not 200. `headers` have lower-case names."""
    words, marks = _read(body)
    if status in (400, 413, 422):
        if words is None:
            return failed(f"it answered with status {status} and no reason that can be read")
        if _lacks_model(words, marks):
            return failed(_NO_MODEL)
        return ApiError(errors.ENGINE_REJECTED, detail=cleaner.clean(words))
    if status in (402, 429) and (status == 402 or marks & _OUT_OF_CREDIT):
        return failed(_NO_CREDIT)
    if status in (408, 429, 503, 529):
        return busy("The engine asks to be called later.", retry_seconds(headers))
    if status in (401, 403):
        return failed(_REFUSED_CREDENTIALS)
    if status == 404:
        return failed(_NO_MODEL)
    if 300 <= status < 400:
        return failed("it answered with a redirect, which Keyhall never follows")
    return failed(f"it answered with status {status}")


def from_error(error: UpstreamError, cleaner: Cleaner) -> ApiError:
    """The error that an answer of status 200, or an event of a stream, turned out to be."""
    marks = frozenset(filter(None, (error.type, error.code, error.param)))
    if marks & _OUT_OF_CREDIT:
        return failed(_NO_CREDIT)
    if marks & _OVERLOADED:
        return busy("The engine asks to be called later.")
    if _lacks_model(error.message, marks):
        return failed(_NO_MODEL)
    if marks & _CALLERS_FAULT and error.message.strip():
        return ApiError(errors.ENGINE_REJECTED, detail=cleaner.clean(error.message))
    return failed("it reported an error of its own")


def _lacks_model(words: str, marks: frozenset[str]) -> bool:
    return bool(marks & _NAMES_MODEL or _MODEL_AWAY.search(words[:_WORDS_READ_MAX]))


def retry_seconds(headers: Mapping[bytes, bytes]) -> float:
    """What `retry-after-ms` or `retry-after` say, not yet in bounds. A date counts from the
    answer's own `Date`, so that no clock is needed and none can be wrong."""
    milliseconds = _number(headers.get(b"retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get(b"retry-after", b"")
    seconds = _number(text)
    if seconds is not None:
        return seconds
    try:
        until = parsedate_to_datetime(text.decode("latin-1"))
        now = parsedate_to_datetime(headers.get(b"date", b"").decode("latin-1"))
        return (until - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return _RETRY_SECONDS_DEFAULT


def _number(text: bytes | None) -> float | None:
    if not text or len(text) > 32:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _read(body: bytes) -> tuple[str | None, frozenset[str]]:
    """The message and the marks (code, type, param) of an error body in one of the forms in use:
    OpenAI's `{"error": {...}}`, a bare `{"message": ...}`, FastAPI's `{"detail": ...}`."""
    try:
        decoded: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, frozenset()
    if not isinstance(decoded, dict):
        return None, frozenset()
    error = decoded.get("error") or decoded
    if isinstance(error, str):
        return error, frozenset()
    if not isinstance(error, dict):
        return None, frozenset()
    marks = frozenset(
        str(error[name])
        for name in ("code", "type", "param")
        if isinstance(error.get(name), str | int)
    )
    words = error.get("message") or error.get("detail")
    if isinstance(words, list) and words and isinstance(words[0], dict):
        words = words[0].get("msg")
    return (words if isinstance(words, str) and words.strip() else None), marks
