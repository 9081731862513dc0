"""What is not `/v1`: the front page, and refusals in the table's shape."""

import logging
import re

import pytest
from plain_http import chat

from keyhall.config import Console, Server


async def ask(server, method, path, headers=""):
    line = await server.line()
    return await line.ask(None, None, path, method=method, headers=headers)


def test_without_a_console_the_front_page_says_how_to_call_and_runs_nothing(inside):
    async def story(server):
        answer = await ask(server, "GET", "/")
        assert answer.status == 200
        assert f"{server.url}/v1" in answer.body.decode()
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert b"<script" not in answer.body

    inside(story, console=Console(enabled=False))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/healthz/", 404),
        ("GET", "/metrics/", 404),
        ("POST", "/healthz", 405),
        ("DELETE", "/metrics", 405),
        ("TRACE", "/healthz", 405),
        ("TRACE", "/", 405),
        ("TRACE", "/v1/models", 405),
        ("PUT", "/", 405),
    ],
)
def test_what_is_not_there_is_refused_in_the_tables_shape(inside, method, path, status):
    async def story(server):
        answer = await ask(server, method, path)
        assert answer.status == status
        assert set(answer.error) == {"message", "type", "param", "code"}
        assert ("allow" in answer.headers) == (status == 405)

    inside(story)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/healthz"),
        ("HEAD", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/docs"),
        ("POST", "/healthz"),
        ("GET", "/v1/models"),
    ],
)
def test_every_answer_carries_an_id_of_its_own_and_no_sniffing(inside, method, path):
    async def story(server):
        ids = set()
        for _ in range(2):
            line = await server.line()
            answer = (await line.send(None, None, path, method=method)).reply
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert re.fullmatch("req_[0-9a-f]{32}", answer.headers["x-request-id"])
            ids.add(answer.headers["x-request-id"])
        assert len(ids) == 2

    inside(story)


ANYTHING = ["/", "/healthz", "/metrics", "/nothing", "/static/keyhall.svg", "/docs/keys.md"]


@pytest.mark.parametrize("path", [*ANYTHING, "/v1/models", "/v1/nothing"])
def test_every_answer_stands_in_nobodys_frame_says_its_type_and_is_kept_by_nobody(inside, path):
    async def story(server):
        answer = await ask(server, "GET", path)
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "default-src 'none'" in policy or "object-src 'none'" in policy
        assert "access-control-allow-origin" not in answer.headers
        kind = answer.headers["content-type"]
        assert kind == "application/json" or kind.endswith("; charset=utf-8")
        if not path.startswith("/static/"):
            assert answer.headers["cache-control"] == "no-store"

    inside(story)


@pytest.mark.parametrize("path", [*ANYTHING, "/v1/models"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://keys.example.org", "max-age=31536000; includeSubDomains"),
        ("https://192.0.2.7:8484", None),
        ("https://localhost:8484", None),
        ("http://keys.example.org", None),
    ],
)
def test_a_name_that_is_reached_over_tls_is_reached_in_no_other_way(inside, path, url, said):
    async def story(server):
        answer = await ask(server, "GET", path)
        assert answer.headers.get("strict-transport-security") == said

    inside(story, server=Server(url=url))


def test_a_body_beyond_the_setting_is_refused(inside):
    async def story(server):
        key = (await server.make_key()).text.reveal()
        line = await server.line()
        assert (await line.ask(key, chat("Hello"))).status == 200
        refused = await line.ask(key, chat("Hello " * 200))
        assert refused.status == 413
        assert "1000" in refused.error["message"] or "1,000" in refused.error["message"]

    inside(story, server=Server(body_bytes_max=1000))


def test_a3_the_host_header_sends_nobody_anywhere(inside):
    """Attack 3: no redirect is made of what a caller says the host is."""

    async def story(server):
        for target in ("/healthz/", "//evil.example/healthz", "http://evil.example/healthz"):
            request = f"GET {target} HTTP/1.1\r\nHost: evil.example\r\n\r\n"
            answer = await (await (await server.line()).raw(request.encode())).rest()
            assert answer.status in (200, 400, 404)
            assert "location" not in answer.headers

    inside(story)


def test_i16_a_mistake_of_ours_is_told_as_one_with_an_id_that_is_in_the_log(inside, caplog):
    def broken():
        raise RuntimeError("secret words")

    async def story(server):
        server.house.health.ledger_problem = broken
        answer = await ask(server, "GET", "/readyz")
        assert answer.status == 500
        assert "secret words" not in answer.body.decode()
        ours = [record for record in caplog.records if record.name == "keyhall"]
        assert ours[0].args["request_id"] in answer.error["message"]
        assert ours[0].args["request_id"] == answer.headers["x-request-id"]

    with caplog.at_level(logging.ERROR):
        inside(story)
