"""Logs: one line per event on standard error, as JSON for machines or text for people.

Everybody writes with the standard library, `logging.getLogger("keyhall")`: an event's name and a
dictionary of its facts, as in `log.warning("store_away", {"reason": said})`. This module gives
those, and what uvicorn and asyncio say, their one form. A fact is at most 2 KiB and has no control
character in it; of an exception, only its type and where it came from are written, because its
words may repeat what a caller sent. Never a key, never a header, never text of a conversation.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

from keyhall.config import Log

FIELD_CHARACTERS_MAX = 2048
FRAMES_MAX = 12

Facts = dict[str, Any]


def configure(settings: Log, stream: TextIO | None = None) -> None:
    """Send everything, uvicorn's lines included, to standard error in one form."""
    stream = stream or sys.stderr
    is_terminal = stream.isatty()
    as_json = settings.format == "json" or (settings.format == "auto" and not is_terminal)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if as_json else Console(colors=is_terminal))
    level = getattr(logging, settings.level.upper())
    root = logging.getLogger()
    root.handlers = [handler]
    # Of others, what is wrong; that all is well they say in ten lines where we say it in one.
    root.setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))
    logging.getLogger("keyhall").setLevel(level)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # It would print a record's arguments as they are.


class JsonLines(logging.Formatter):
    """One JSON object per line, ASCII only: whatever a fact holds, it cannot end the line."""

    def format(self, record: logging.LogRecord) -> str:
        facts = facts_of(record)
        said = {
            "timestamp": _timestamp(record.created),
            "level": record.levelname.lower(),
            "event": facts.pop("event"),
        }
        return json.dumps(said | facts, separators=(",", ":"), default=_shown)


class Console(logging.Formatter):
    """Coloured columns for people."""

    def __init__(self, *, colors: bool) -> None:
        super().__init__()
        self._colors = colors
        self._render: Any = None

    def format(self, record: logging.LogRecord) -> str:
        if self._render is None:
            import structlog.dev  # Not at the top: it loads more than a start can spare.

            self._render = structlog.dev.ConsoleRenderer(colors=self._colors)
        facts = facts_of(record)
        facts["timestamp"] = time.strftime("%H:%M:%S", time.localtime(record.created))
        facts["level"] = record.levelname.lower()
        text: str = self._render(None, "", facts)
        return text


def facts_of(record: logging.LogRecord) -> Facts:
    """The event and its facts, each bounded; what others log is an event of their words."""
    facts: Facts = {"event": _shown(record.getMessage())}
    if record.name != "keyhall":
        facts["logger"] = record.name
    if isinstance(record.args, Mapping):
        facts |= {name: _shown(value) for name, value in record.args.items()}
    if record.exc_info and record.exc_info[0] is not None:
        facts["error"] = record.exc_info[0].__name__
        facts["at"] = frames_of(record.exc_info[2])
    return facts


def frames_of(trace: TracebackType | None) -> list[str]:
    """Where it happened, innermost last, and nothing of what it happened on."""
    frames = traceback.extract_tb(trace)[-FRAMES_MAX:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value[:FRAMES_MAX]]
    text = str(value)
    if len(text) > FIELD_CHARACTERS_MAX:
        text = text[:FIELD_CHARACTERS_MAX] + "..."
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _timestamp(seconds: float) -> str:
    milliseconds = int(seconds * 1000) % 1000
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"


def on_loop_error(_loop: object, context: Mapping[str, Any]) -> None:
    """An event loop's exception handler: asyncio's own, and the message it is given, show callbacks
    with their arguments, and those may be bytes that somebody sent."""
    error = context.get("exception")
    facts: Facts = {"reason": str(context.get("message")).partition("(")[0]}
    if isinstance(error, BaseException):
        facts["error"] = type(error).__name__
        facts["at"] = frames_of(error.__traceback__)
    logging.getLogger("keyhall").error("loop_error", facts)
