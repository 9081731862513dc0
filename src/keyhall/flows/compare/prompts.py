"""A file of prompts: one a line, or lines of JSON with whole conversations."""

from pathlib import Path
from typing import Any

import msgspec

from keyhall.flows.manage.checks import Invalid

Messages = list[dict[str, Any]]

PROMPTS_MAX = 10_000
FILE_BYTES_MAX = 32 * 1024 * 1024


def read(path: Path) -> list[Messages]:
    """The conversations of a file. A line that begins with `{` or `[` is JSON: an object with
    `messages`, or the messages themselves. Raises Invalid with the number of a line."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise Invalid(f"{path} is larger than 32 MB.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid(f"{path} is not UTF-8 text.") from None
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from None
    found = [
        _conversation(line.strip(), f"{path}, line {number}")
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    ]
    if not found:
        raise Invalid(f"{path} has no prompts: write one a line, or JSON with `messages`.")
    if len(found) > PROMPTS_MAX:
        raise Invalid(f"{path} has {len(found):,} prompts; {PROMPTS_MAX:,} can be compared.")
    return found


def _conversation(line: str, where: str) -> Messages:
    if line[0] not in "{[":
        return [{"role": "user", "content": line}]
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        raise Invalid(f"{where}: it begins like JSON and is none.") from None
    messages = value.get("messages") if isinstance(value, dict) else value
    if not isinstance(messages, list) or not messages:
        raise Invalid(f'{where}: write {{"messages": [...]}}.')
    if not all(isinstance(message, dict) and "role" in message for message in messages):
        raise Invalid(f"{where}: each message needs a `role` and its `content`.")
    return messages


def title(messages: Messages) -> str:
    """What a conversation is called: the last words of its user."""
    for message in reversed(messages):
        content = message.get("content")
        if message.get("role") == "user" and isinstance(content, str):
            return content
    return "(a conversation)"
