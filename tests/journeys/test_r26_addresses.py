"""R26: whose address counts, asked through the whole server with a key that is bound to one."""

import asyncio

from hall_inside import open_inside
from plain_http import chat

from keyhall.clock import ManualClock
from keyhall.config import Server

HOME = "203.0.113.9"
ATTACKER = "198.51.100.6"
INSIDE = "10.0.0.2"  # one of the proxies


def statuses(house, trusted_proxies, lines):
    """What a key of the network 203.0.113.0/24 gets for each set of header lines."""

    async def inside():
        settings = Server(trusted_proxies=trusted_proxies)
        clock = ManualClock(house.now_us)
        async with open_inside(house.data, clock, server=settings) as server:
            fresh = await server.make_key("bound", networks=["203.0.113.0/24"])
            line = await server.line()
            found = []
            for each in lines:
                answer = await line.ask(fresh.text.reveal(), chat("Hello"), headers=each)
                if answer.status == 401:
                    assert answer.error["code"] == "ip_not_authorized"
                found.append(answer.status)
            return found

    return asyncio.run(inside())


def forwarded(*values):
    return "".join(f"X-Forwarded-For: {value}\r\n" for value in values)


SPOOFS = [
    "",
    forwarded(HOME),
    forwarded(f"{HOME}, {ATTACKER}"),
    forwarded(HOME, ATTACKER),
    forwarded(f"{HOME}:4711"),
    f"Forwarded: for={HOME}\r\n",
    f"X-Real-IP: {HOME}\r\n",
    f"True-Client-IP: {HOME}\r\nCF-Connecting-IP: {HOME}\r\nX-Client-IP: {HOME}\r\n",
]


def test_r26_without_trusted_proxies_no_header_moves_a_caller(house):
    assert set(statuses(house, [], SPOOFS)) == {401}


def test_r26_a_proxy_that_is_not_trusted_moves_nobody(house):
    assert set(statuses(house, ["10.0.0.0/8"], SPOOFS)) == {401}


MATRIX = [
    ("", 401),  # The proxy itself.
    (forwarded(HOME), 200),
    (forwarded(f"{HOME}, {INSIDE}"), 200),  # Two proxies of ours in a row.
    (forwarded(HOME, INSIDE), 200),  # The same in two lines.
    (forwarded(f"{HOME}:4711"), 200),
    (forwarded(f"::ffff:{HOME}"), 200),
    (forwarded(f"{ATTACKER}, {HOME}"), 200),  # What comes before, the client made up.
    (forwarded(f"{HOME}, {ATTACKER}"), 401),
    (forwarded(HOME, ATTACKER), 401),
    (forwarded(f"{HOME}, {ATTACKER}, {INSIDE}"), 401),
    (forwarded(f"{HOME}, nonsense"), 401),
    (forwarded(f"{HOME}, "), 401),
    (forwarded(""), 401),
    (forwarded(f"{HOME}, unknown, {INSIDE}"), 401),
    (forwarded("2001:db8::1"), 401),
    (f"Forwarded: for={HOME}\r\n", 401),  # Proxies that set one pass the other on unread.
    (f"X-Real-IP: {HOME}\r\n", 401),
]


def test_r26_the_right_most_hop_that_no_proxy_vouches_for_is_the_caller(house):
    found = statuses(house, ["127.0.0.0/8", "10.0.0.0/8"], [headers for headers, _ in MATRIX])
    assert dict(zip([headers for headers, _ in MATRIX], found, strict=True)) == dict(MATRIX)
