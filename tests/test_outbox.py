"""The outbox: what is written in one turn of the event loop leaves together, in order."""

import asyncio
from collections.abc import Callable

import pytest

from keyhall.outbox import HELD_BYTES_MAX, Outbox


class Line:
    """A transport's `write` that remembers, in a list shared with others, what it was given."""

    def __init__(self, name: str, sent: list[tuple[str, bytes]]) -> None:
        self.name = name
        self.sent = sent
        self.is_closed = False

    def write(self, data: bytes) -> None:
        if self.is_closed:
            raise RuntimeError("unable to perform operation on a closed transport")
        self.sent.append((self.name, data))


def in_a_loop(story: Callable[[Outbox, list[tuple[str, bytes]]], None]) -> list[tuple[str, bytes]]:
    """What was sent once the turn in which the story ran is over."""
    sent: list[tuple[str, bytes]] = []

    async def run() -> None:
        story(Outbox(), sent)
        await asyncio.sleep(0)

    asyncio.run(run())
    return sent


def test_nothing_leaves_before_the_turn_ends() -> None:
    def story(outbox: Outbox, sent: list[tuple[str, bytes]]) -> None:
        outbox.put(Line("a", sent).write, b"1")
        outbox.put(Line("b", sent).write, b"2")
        assert sent == []

    assert in_a_loop(story) == [("a", b"1"), ("b", b"2")]


def test_order_is_kept_across_connections() -> None:
    def story(outbox: Outbox, sent: list[tuple[str, bytes]]) -> None:
        a, b = Line("a", sent), Line("b", sent)
        for line, data in ((a, b"1"), (b, b"2"), (a, b"3"), (b, b"4"), (a, b"5")):
            outbox.put(line.write, data)

    assert in_a_loop(story) == [("a", b"1"), ("b", b"2"), ("a", b"3"), ("b", b"4"), ("a", b"5")]


def test_every_turn_is_sent_at_its_own_end() -> None:
    async def run() -> None:
        outbox, sent = Outbox(), []
        line = Line("a", sent)
        for turn in range(3):
            outbox.put(line.write, b"%d" % turn)
            await asyncio.sleep(0)
            assert len(sent) == turn + 1

    asyncio.run(run())


def test_as_much_as_may_be_held_is_held() -> None:
    def story(outbox: Outbox, sent: list[tuple[str, bytes]]) -> None:
        outbox.put(Line("a", sent).write, bytes(HELD_BYTES_MAX))
        assert sent == []

    assert len(in_a_loop(story)) == 1


@pytest.mark.parametrize("last", [1, HELD_BYTES_MAX + 1])
def test_more_than_may_be_held_leaves_at_once_and_in_order(last: int) -> None:
    """What is held back here no transport can bound, so it does not grow."""

    def story(outbox: Outbox, sent: list[tuple[str, bytes]]) -> None:
        line = Line("a", sent)
        outbox.put(line.write, bytes(HELD_BYTES_MAX))
        outbox.put(line.write, b"x" * last)
        assert [len(data) for _, data in sent] == [HELD_BYTES_MAX, last]
        outbox.put(line.write, b"later")  # The count begins anew.
        assert len(sent) == 2

    assert in_a_loop(story)[2:] == [("a", b"later")]


def test_flushing_sends_now_and_only_once() -> None:
    """A connection is closed behind its last bytes: they must be gone by then."""

    def story(outbox: Outbox, sent: list[tuple[str, bytes]]) -> None:
        outbox.put(Line("a", sent).write, b"goodbye")
        outbox.flush()
        assert sent == [("a", b"goodbye")]
        outbox.flush()

    assert in_a_loop(story) == [("a", b"goodbye")]


def test_a_closed_connection_keeps_nothing_from_the_others() -> None:
    def story(outbox: Outbox, sent: list[tuple[str, bytes]]) -> None:
        gone = Line("gone", sent)
        outbox.put(Line("a", sent).write, b"1")
        outbox.put(gone.write, b"2")
        outbox.put(Line("b", sent).write, b"3")
        gone.is_closed = True

    assert in_a_loop(story) == [("a", b"1"), ("b", b"3")]


def test_what_a_write_brings_about_is_sent_behind_what_was_there() -> None:
    """A transport may answer a write with an event that writes: nothing is lost, none is twice."""

    async def run() -> None:
        outbox, sent = Outbox(), []
        second = Line("second", sent)

        def echo(data: bytes) -> None:
            sent.append(("first", data))
            outbox.put(second.write, b"echo")

        outbox.put(echo, b"1")
        outbox.put(second.write, b"2")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sent == [("first", b"1"), ("second", b"2"), ("second", b"echo")]

    asyncio.run(run())
