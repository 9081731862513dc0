"""I-13: of what callers and engines say, nothing stays: in no log, no row, no error of ours."""

import logging
import socket

import pytest

from keyhall.engines.upstream.engine import UpstreamEngine
from keyhall.flows.filters import counts
from keyhall.flows.observe.request_log import RequestLog
from keyhall.logs import JsonLines
from keyhall.policy.filters.rules import Rule
from keyhall.ports.engine import Signal
from keyhall.ports.filters import StoredRule

CANARY = "canary-4c1f-of-the-prompt"
ANSWER = "canary-9e7b-of-the-answer"
SECRET = "sk-canary-5d2a-of-the-upstream"


class Lines(logging.Handler):
    """What the program's log would have written."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.setFormatter(JsonLines())
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def log():
    root = logging.getLogger()
    handler, level = Lines(), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level)


def canaries(stage, **body):
    return {"messages": [{"role": "user", "content": CANARY}], "user": CANARY, **body}


def assert_silent(lines):
    text = "\n".join(lines)
    for canary in (CANARY, ANSWER, SECRET):
        assert canary not in text


PLACES = ["start", "whole", "reply", "begin_stream", "write", "write_last"]


@pytest.mark.parametrize("place", PLACES)
def test_a_mistake_anywhere_is_logged_by_its_place_and_not_by_its_words(on_stage, log, place):
    """What the lane logs for an exception that is no row of the table."""

    async def main(stage):
        key = await stage.key()
        stage.upstream.script = [ANSWER]
        broken = ValueError(f"{CANARY} {ANSWER} {SECRET}")
        if place == "start":
            stage.upstream.breaks_at_start = broken
        elif place == "whole":
            stage.upstream.script = [broken]
        exchange = stage.exchange(key, **canaries(stage, stream=place.startswith(("w", "b"))))
        exchange.fails_at = place
        await stage.begin(exchange).end()
        assert isinstance(exchange.error, ValueError | RuntimeError)
        stage.hall.log_failure(exchange.request_id.hex(), exchange.error)
        await stage.assert_nothing_is_left()
        assert key not in "\n".join(log)

    on_stage(main)
    events = [line for line in log if "request_failed" in line]
    assert len(events) == 1
    assert type_of(place) in events[0]
    assert "complete.py" in events[0]
    assert_silent(log)


def type_of(place):
    return "ValueError" if place in ("start", "whole") else "RuntimeError"


def test_the_wide_line_of_a_request_has_numbers_and_no_text(on_stage, log):
    """`log.requests = "all"`."""

    async def main(stage):
        key = await stage.key()
        stage.hall.every_request = wide = RequestLog(stage.clock)
        stage.upstream.script = [ANSWER]
        for body in ({}, {"stream": True}, {"n": 0}, {"model": CANARY}):
            exchange = await stage.ask(key, **canaries(stage, **body))
            wide.ended(exchange, exchange.error)
        assert wide._settled == {}
        assert key not in "\n".join(log)

    on_stage(main)
    lines = [line for line in log if '"event":"request"' in line]
    assert len(lines) == 4
    assert '"outcome":"answered"' in lines[0]
    assert_silent(log)


def test_a_mistake_while_counting_does_not_tell_the_text(on_stage, log, monkeypatch):
    def breaks(request, *_):
        raise ValueError(repr(request.messages))

    for counting in ("count_plain", "count_request"):
        monkeypatch.setattr(f"keyhall.wire.chat_count.{counting}", breaks)

    async def main(stage):
        for words in (CANARY, CANARY * 1000):  # On the loop, and in a thread.
            exchange = await stage.ask(
                await stage.key(), messages=[{"role": "user", "content": words}]
            )
            assert CANARY in str(exchange.error)
            stage.hall.log_failure(exchange.request_id.hex(), exchange.error)

    on_stage(main)
    assert sum("request_failed" in line for line in log) == 2
    assert_silent(log)


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_of_a_conversation_is_in_the_data_folder(on_stage, house, log, stream):
    async def main(stage):
        key = await stage.key()
        stage.upstream.script = [ANSWER]
        answered = await stage.ask(key, **canaries(stage, stream=stream))
        assert answered.text == ANSWER
        assert (await stage.ask(key, **canaries(stage, n=0))).error is not None
        stage.upstream.script = [Signal()]
        stage.begin(stage.exchange(key, **canaries(stage)))
        await stage.until_open(1)
        _assert_not_on_disk(house.data, key)  # In the journal neither.
        stage.cut_all(key)
        await stage.assert_nothing_is_left()
        await stage.usage()
        _assert_not_on_disk(house.data, key)

    on_stage(main)
    assert_silent(log)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("action", ["flag", "mask", "block"])
def test_what_the_filter_hits_is_counted_and_not_written_down(on_stage, house, log, action, stream):
    """Neither a value behind a mask nor the text around a hit, wherever it was found."""

    async def main(stage):
        for way, word in (("in", CANARY), ("out", ANSWER)):
            rule = Rule(id=f"r-{way}", stage="terms", action=action, direction=way, terms=(word,))
            stage.hall.filters.take([StoredRule("hall", "", rule, 1, 1)])
            stage.hall.callers.rules_changed()
            key = await stage.key()
            stage.upstream.script = [f"so {ANSWER} it is"]
            asked = await stage.ask(key, **canaries(stage, stream=stream))
            if asked.error is not None:
                assert CANARY not in f"{asked.refusal} {asked.refusal.facts} {asked.headers}"
            await counts.flush(stage.hall.filters, stage.store)
            await stage.usage()
            _assert_not_on_disk(house.data, key)

    on_stage(main)
    assert_silent(log)


def _assert_not_on_disk(data, key):
    for path in data.iterdir():
        stored = path.read_bytes()
        for canary in (CANARY, ANSWER, key[-49:]):
            assert canary.encode() not in stored, path.name


def test_i16_a_refusal_names_neither_the_upstream_nor_its_key(on_stage, log):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]  # Free, and nobody listens, once the socket is closed.

    async def main(stage):
        key = await stage.key()
        engine = UpstreamEngine("upstream", f"http://127.0.0.1:{port}/v1", SECRET)
        stage.hall.engines["upstream"] = engine
        for stream in (False, True):
            refused = await stage.ask(key, **canaries(stage, stream=stream))
            said = f"{refused.refusal} {refused.refusal.headers}"
            for hidden in ("127.0.0.1", str(port), SECRET, CANARY):
                assert hidden not in said
            assert refused.refusal.problem.status in (502, 503)
        assert {(row.input_tokens, row.output_tokens) for row in await stage.usage()} == {(0, 0)}
        await engine.close()
        stage.hall.engines["upstream"] = stage.upstream
        await stage.assert_nothing_is_left()

    on_stage(main)
    assert_silent(log)
