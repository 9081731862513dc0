"""Log lines: one form for everybody's events, bounded, and without what people sent."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import warnings

import pytest

from keyhall import logs
from keyhall.config import Log
from keyhall.logs import FIELD_CHARACTERS_MAX, FRAMES_MAX

EVIL = 'a\r\nb\x1b[31mred\x00\x9b\u202e\u2028{"level":"error"}'


@pytest.fixture(autouse=True)
def restored():
    """Logging as it was: it belongs to the whole process."""
    root, ours = logging.getLogger(), logging.getLogger("keyhall")
    before = root.handlers, root.level, ours.level, logging.raiseExceptions
    yield
    root.handlers, root.level, ours.level, logging.raiseExceptions = before
    logging.captureWarnings(False)


class Lines(io.StringIO):
    is_terminal = False

    def isatty(self):
        return self.is_terminal

    @property
    def events(self):
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def lines():
    return Lines()


def log():
    return logging.getLogger("keyhall")


def test_an_event_is_one_json_object_with_its_facts(lines):
    logs.configure(Log(), lines)
    log().warning("store_away", {"reason": "locked", "open": 3, "ratio": 0.5, "who": None})
    (event,) = lines.events
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "level": "warning",
        "event": "store_away",
        "reason": "locked",
        "open": 3,
        "ratio": 0.5,
        "who": None,
    }


@pytest.mark.parametrize("format", ["json", "console"])
def test_a19_what_a_fact_holds_can_neither_end_a_line_nor_reach_a_terminal(lines, format):
    """Attack 19: line ends, colours, reversed text, C1 controls, line separators."""
    logs.configure(Log(format=format), lines)
    log().info("request", {"path": EVIL, "parts": [EVIL]})
    logging.getLogger("uvicorn.error").warning("Invalid %s", EVIL)
    written = lines.getvalue()
    assert written.count("\n") == 2
    assert written.replace("\n", "").isprintable()
    assert "\\x1b[31m" in written
    assert "\\u202e" in written


def test_a19_a_fact_is_at_most_two_kibibytes(lines):
    logs.configure(Log(), lines)
    log().info("request", {"path": "x" * 100_000, "parts": ["y" * 100_000] * 100})
    (event,) = lines.events
    assert len(event["path"]) == FIELD_CHARACTERS_MAX + 3
    assert len(event["parts"]) == FRAMES_MAX
    assert len(event["parts"][0]) == FIELD_CHARACTERS_MAX + 3


@pytest.mark.parametrize("format", ["json", "console"])
def test_i13_an_exceptions_words_are_not_written_only_its_type_and_place(lines, format):
    """They may repeat what somebody sent."""
    logs.configure(Log(format=format), lines)
    try:
        int("a secret of the conversation")
    except ValueError:
        log().exception("request_failed", {"request_id": "req_1"})
    written = lines.getvalue()
    assert "ValueError" in written
    assert "test_logs.py:" in written
    assert "secret" not in written


def test_i13_what_a_callback_was_given_is_not_written_when_it_fails(lines):
    """asyncio's own words on a failed callback show its arguments: bytes off the wire."""
    logs.configure(Log(), lines)

    def data_received(data):
        raise ValueError(data)

    async def inside():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(logs.on_loop_error)
        loop.call_soon(data_received, b"a secret of the conversation")
        loop.call_exception_handler({"message": "Odd"})
        await asyncio.sleep(0)

    asyncio.run(inside())
    odd, failed = lines.events
    assert (odd["event"], odd["reason"]) == ("loop_error", "Odd")
    assert failed["error"] == "ValueError"
    assert "data_received" in failed["at"][-1]
    assert "secret" not in lines.getvalue()


def test_a_broken_record_is_dropped_instead_of_shown(lines):
    logs.configure(Log(), lines)
    log().info("%d", "a secret")
    assert "secret" not in lines.getvalue()


def test_uvicorns_lines_have_the_same_form_and_only_what_is_wrong_is_said(lines):
    logs.configure(Log(), lines)
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 1)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    (event,) = lines.events
    assert event["event"] == "Invalid HTTP request received."
    assert event["logger"] == "uvicorn.error"


def test_warnings_of_python_have_the_same_form(lines):
    logs.configure(Log(), lines)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning("odd", UserWarning, "file.py", 1)
    assert lines.events[0]["logger"] == "py.warnings"


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("debug", ["d", "i", "w", "e", "other i"]),
        ("info", ["i", "w", "e"]),
        ("warning", ["w", "e"]),
        ("error", ["e"]),
    ],
)
def test_what_is_less_serious_than_the_level_is_left_out(lines, level, said):
    logs.configure(Log(level=level), lines)
    for name in ("debug", "info", "warning", "error"):
        getattr(log(), name)(name[0])
    logging.getLogger("other").info("other i")
    assert [event["event"] for event in lines.events] == said


@pytest.mark.parametrize(
    ("format", "is_terminal", "is_json"),
    [("auto", False, True), ("auto", True, False), ("json", True, True), ("console", False, False)],
)
def test_auto_is_json_unless_somebody_looks(lines, format, is_terminal, is_json):
    lines.is_terminal = is_terminal
    logs.configure(Log(format=format), lines)
    log().info("started", {"url": "http://x"})
    assert lines.getvalue().startswith("{") == is_json
    assert ("\x1b[" in lines.getvalue()) == (is_terminal and not is_json)


def test_a_start_without_a_line_for_people_does_not_load_what_writes_them():
    """structlog and what it brings take as long as a tenth of a start."""
    code = (
        "import logging, sys\n"
        "from keyhall import logs\n"
        "from keyhall.config import Log\n"
        "logs.configure(Log(format='json'))\n"
        "logging.getLogger('keyhall').info('started', {'a': 1})\n"
        "print(*sorted({'structlog', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
