"""F-17: bad JSON and naughty strings, made by others, through the whole server.

Every one is answered from the table, the connection goes on, and nothing of what was sent is in
the log or in the data folder afterwards (I-4, I-13, attack 19).
"""

import io
import json
import logging
import os
from pathlib import Path

import pytest

from keyhall import logs

BODY = b'{"model":"v1","messages":[{"role":"user","content":"hi"}],"max_tokens":1}'
CANARY = "CANARY-7f3a9c1e"
ANSWERED = {200, 400, 404}


def corpora():
    folder = os.environ.get("KEYHALL_CORPORA")
    if not folder:
        pytest.skip("KEYHALL_CORPORA is not set: bad JSON and naughty strings were not tried")
    return Path(folder)


def json_files():
    found = sorted((corpora() / "json").glob("*.json"))
    assert len(found) == 318
    return [(path.name, path.read_bytes()) for path in found]


def naughty():
    strings = json.loads((corpora() / "naughty-strings.json").read_text(encoding="utf-8"))
    assert len(strings) == 515
    return strings


@pytest.fixture
def log(door):
    """All that is logged, in the form in which a server writes it."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.JsonLines())
    handler.setLevel(logging.DEBUG)
    root = logging.getLogger()
    root.addHandler(handler)
    keyhall = logging.getLogger("keyhall")
    level = keyhall.level
    keyhall.setLevel(logging.DEBUG)
    yield written
    keyhall.setLevel(level)
    root.removeHandler(handler)
    for line in written.getvalue().splitlines():
        json.loads(line)
        assert line.isascii()
        assert line.isprintable()


async def one_by_one(door, raw, requests):
    """Answers in order on one connection, each with its name."""
    for name, request in requests:
        (answer,) = await raw.say(request)
        assert not raw.is_over, name
        yield name, answer


def clean(door, log, *words):
    """Neither the key nor these words are anywhere but in memory."""
    written = log.getvalue()
    secret = door.key.rpartition("_")[2][:43]
    for word in (secret, CANARY, *words):
        assert word not in written
        for path in door.inside.data.rglob("*"):
            if path.is_file():
                assert word.encode() not in path.read_bytes(), path.name


def test_f17_every_json_file_as_a_body_is_refused(door, log):
    """None of them is a chat request; those that are no JSON are told so."""

    async def story():
        requests = [(name, door.request(data)) for name, data in json_files()]
        async with await door.raw() as raw:
            async for name, answer in one_by_one(door, raw, requests):
                assert answer.status == 400, name
                assert answer.error["type"] == "invalid_request_error", name
                if name.startswith("n_"):
                    assert "not valid JSON" in answer.error["message"] or (
                        answer.error["code"] == "json_too_deep"
                    ), (name, answer.error)
            assert (await raw.say(door.request(BODY)))[0].status == 200

    door.run(story())
    clean(door, log)


PLACES = {
    "content": b'{"model":"v1","max_tokens":1,"messages":[{"role":"user","content":%b}]}',
    "model": b'{"model":%b,"max_tokens":1,"messages":[{"role":"user","content":"a"}]}',
    "seed": b'{"model":"v1","max_tokens":1,"seed":%b,"messages":[{"role":"user","content":"a"}]}',
    "an unknown field": b'{"model":"v1","messages":[{"role":"user","content":"a"}],"x":%b}',
    "a schema": (
        b'{"model":"v1","max_tokens":1,"messages":[{"role":"user","content":"a"}],"tools":[{"type":'
        b'"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":%b}}}}]}'
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_f17_every_json_file_as_a_value_is_answered_from_the_table(door, log, place):
    async def story():
        requests = [
            (name, door.request(PLACES[place].replace(b"%b", data))) for name, data in json_files()
        ]
        async with await door.raw() as raw:
            async for name, answer in one_by_one(door, raw, requests):
                assert answer.status in ANSWERED, (name, answer.body)
                if name.startswith("n_"):
                    assert answer.status == 400, name
                if place == "content" and name.startswith("y_string"):
                    assert answer.status in (200, 400), name

    door.run(story())
    clean(door, log)


FIELDS = {
    "content": lambda text: {"messages": [{"role": "user", "content": text}]},
    "system": lambda text: {
        "messages": [{"role": "system", "content": text}, {"role": "user", "content": "a"}]
    },
    "a text part": lambda text: {
        "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]
    },
    "model": lambda text: {"model": text},
    "user": lambda text: {"user": text},
    "a message's name": lambda text: {"messages": [{"role": "user", "content": "a", "name": text}]},
    "role": lambda text: {"messages": [{"role": text, "content": "a"}]},
    "stop": lambda text: {"stop": text},
    "a tool's name": lambda text: {"tools": [{"type": "function", "function": {"name": text}}]},
    "a tool's description": lambda text: {
        "tools": [{"type": "function", "function": {"name": "f", "description": text}}]
    },
    "a schema's key": lambda text: {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "parameters": {"type": "object", "properties": {text: {"type": "string"}}},
                },
            }
        ]
    },
    "metadata": lambda text: {"metadata": {"a": text}},
    "a metadata key": lambda text: {"metadata": {text: "a"}},
    "an unknown field": lambda text: {text: 1},
    "response_format": lambda text: {"response_format": {"type": text}},
    "service_tier": lambda text: {"service_tier": text},
    "max_tokens": lambda text: {"max_tokens": text},
    "truncation": lambda text: {"truncation": text},
    "tool_choice": lambda text: {"tool_choice": text},
}


@pytest.mark.parametrize("field", FIELDS)
def test_f17_every_naughty_string_in_every_field_is_answered_from_the_table(door, log, field):
    async def story():
        texts = [text + " " + CANARY for text in naughty()] + naughty()
        plain = {"model": "v1", "messages": [{"role": "user", "content": "a"}], "max_tokens": 1}
        requests = [
            (text, door.request(json.dumps(plain | FIELDS[field](text)).encode())) for text in texts
        ]
        async with await door.raw() as raw:
            async for text, answer in one_by_one(door, raw, requests):
                assert answer.status in ANSWERED, (text, answer.body)
                assert len(answer.body) < 16_000
                for value in answer.headers.values():
                    assert CANARY not in value
                if field in ("content", "system", "a text part"):
                    assert answer.status == 200, (text, answer.body)

    door.run(story())
    clean(door, log)


HEADERS = ["X-Client-Request-Id", "User-Agent", "OpenAI-Organization", "OpenAI-Project", "Accept"]
HEADERS += ["X-Forwarded-For", "Idempotency-Key", "Content-Type", "Host", "Origin", "Cookie"]


@pytest.mark.parametrize("header", HEADERS)
def test_attack_8_every_naughty_string_in_a_header_stays_there(door, log, header):
    """What is no header value is refused as framing; no other reaches an answer's head or a log."""

    async def story():
        extra = ["\x1b[31mred", "a\r\nX-Injected: yes", "a\nX-Injected: yes", "a\rX-Injected: yes"]
        extra += ["a\x00b", "\x7f", "'; DROP TABLE keys; --", '","level":"forged', "%0d%0aX: y"]
        extra += ["\u2028\u2029", "a" * 10_000, "\x85", "\xff\xfe", "\u202e" * 10]
        for text in [*extra, *naughty()[::7]]:
            data = door.head(f"Content-Length: {len(BODY)}\r\n\r\n")
            line = f"{header}: {text} {CANARY}\r\n".encode()
            if header in ("Host", "Content-Type"):
                lines = data.encode().split(b"\r\n")
                kept = [part for part in lines if not part.startswith(header.encode())]
                head = b"\r\n".join(kept).replace(b"\r\n", b"\r\n" + line, 1)
            else:
                head = data.encode().replace(b"\r\n", b"\r\n" + line, 1)
            answers, closed = await door.say(head + BODY)
            for answer in answers:
                assert answer.status in {200, 400, 401, 415}, (text, answer.body)
                assert "x-injected" not in {name.lower() for name in answer.headers}
                assert not any(CANARY in value for value in answer.headers.values())
                if answer.status == 400:
                    assert answer.error["code"] == "malformed_http"
                    assert closed
            assert answers

    door.run(story())
    clean(door, log)


def test_i4_no_way_of_sending_a_key_puts_it_into_a_log_or_an_answer(door, log):
    async def story():
        key = door.key
        body = BODY
        targets = [
            f"/v1/chat/completions?key={key}",
            f"/v1/{key}",
            f"/v1/models/{key}",
            f"/{key}",
            f"/healthz?{key}",
        ]
        for target in targets:
            for head in (door.head("", target), f"POST {target} HTTP/1.1\r\nHost: a\r\n"):
                for method in ("POST", "GET"):
                    data = f"{head}Content-Length: {len(body)}\r\n\r\n".replace("POST", method, 1)
                    answers, _ = await door.say(data.encode() + body)
                    assert answers
        for lines in (f"X-Client-Request-Id: {key}\r\n", f"Cookie: key={key}\r\n"):
            answers, _ = await door.say(
                f"GET /v1/models HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()
            )
            assert [answer.status for answer in answers] == [401]
        schemes = ["Basic ", "bearer ", "Token ", "", "Bearer Bearer ", "Bearer  ", "Bearer\t"]
        for scheme in schemes:
            data = (
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
                f"Authorization: {scheme}{key}x\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            answers, _ = await door.say(data.encode() + body)
            assert [answer.status for answer in answers] == [401], scheme
            assert key.rpartition("_")[2][:40].encode() not in answers[0].body

    door.run(story())
    clean(door, log)


def test_i13_what_a_mistake_of_ours_says_is_in_no_log(door, log, monkeypatch, caplog):
    """Its words may repeat a prompt; its place is enough."""
    engine = door.inside.hall.engines["sandbox"]

    def broken(job):
        raise ValueError(job.request.messages[0].content)

    async def story():
        monkeypatch.setattr(engine, "start", broken, raising=False)
        request = json.dumps(
            {"model": "v1", "messages": [{"role": "user", "content": CANARY}], "stream": True}
        ).encode()
        answers, closed = await door.say(door.request(request) * 2)
        assert [answer.status for answer in answers] == [500, 500]
        assert not closed
        assert CANARY.encode() not in answers[0].body
        identity = answers[0].headers["x-request-id"]
        assert identity in answers[0].error["message"]
        assert identity in log.getvalue()

    door.run(story())
    clean(door, log)
    caplog.clear()
