"""Two real worker processes see one key's networks, and slow one reporter down, together."""

import http.client
import json

import pytest
from hall_process import CONFIG
from plain_http import chat
from shared_hall import until

SETTINGS = """
[wander]
networks_per_hour = 6
times_usual = 0

[leaks]
reports_per_address = 3
reports_per_minute = 10
"""


class Connection:
    """One connection, kept: it stays with the worker that took it. `place` is where its requests
    come from, as a proxy says."""

    def __init__(self, server):
        self._http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self.worker = self.ask("GET", "/healthz")[1]["worker"]

    def ask(self, method, path, body=None, place="192.0.2.1", key=None):
        headers = {"content-type": "application/json", "x-forwarded-for": place}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        self._http.request(method, path, body and json.dumps(body), headers)
        answer = self._http.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self):
        self._http.close()


@pytest.fixture
def two(shared, start_shared):
    """Premises with two workers behind a proxy, and a connection to each."""
    trusting = 'trusted_proxies = ["127.0.0.1"]\n'
    premises = shared(workers=2, settings=trusting, config=CONFIG + SETTINGS)
    server = start_shared(premises)
    connections = {}

    def both():
        one = Connection(server)
        if one.worker in connections:
            one.close()
        else:
            connections[one.worker] = one
        return len(connections) == 2

    until(both)
    yield premises, server, *connections.values()
    for each in connections.values():
        each.close()


def test_a_key_that_wanders_over_two_workers_is_flagged_once_with_the_networks_of_both(two):
    """Neither of them has seen too many: five networks and six, of which two are the same."""
    premises, server, one, other = two
    key = premises.key("app")
    for connection, thirds in ((one, range(5)), (other, range(3, 9))):
        for third in thirds:
            status, _ = connection.ask(
                "POST", "/v1/chat/completions", chat("Hi.", max_tokens=2),
                place=f"203.0.{third}.7", key=key["key"],
            )  # fmt: skip
            assert status == 200
    assert server.stop() == 0  # What they have not reported yet, they report now.
    (notice,) = premises.query("SELECT kind, key_id, facts FROM notices")
    assert (notice["kind"], notice["key_id"]) == ("wandering", key["id"])
    facts = json.loads(notice["facts"])
    assert (facts["networks"], facts["bound"]) == (9, 6)
    (row,) = premises.query("SELECT target, origin FROM audit WHERE action = 'key.wandering'")
    assert row["target"] == key["id"]


def test_reporters_are_slowed_down_by_both_workers_together(two, own_redis):
    """By place, and in all; and Redis is told of no address."""
    _, _, one, other = two

    def statuses(count, place):
        body = {"keys": ["sk-kh_live_nobody-has-this"]}
        return [
            connection.ask("POST", "/v1/keyhall/leaks", body, place=place)[0]
            for _ in range(count)
            for connection in (one, other)
        ]

    assert statuses(3, "198.51.100.9") == [200] * 3 + [429] * 3
    assert statuses(3, "198.51.100.10").count(200) == 3
    assert sum(statuses(1, f"198.51.100.{last}").count(200) for last in range(11, 20)) == 4
    names = own_redis.tell("KEYS", "*")
    assert b"leaks" in names
    assert b"198.51" not in names
