"""Turns: requests that came together go on together, and what they begin ends within the turn."""

import asyncio

import pytest
from patience import PATIENCE_SECONDS

from keyhall.lane.steps import Run
from keyhall.ports.engine import Signal
from keyhall.ports.exchange import ClientLeft
from keyhall.turn import COHORT_MAX, Turn


class Story:
    """Runs flows in a turn of a running loop, and what they said on the way."""

    def __init__(self):
        self.turn = Turn()
        self.said = []
        self.runs = []

    def begin(self, name, flow):
        def ended(_, error):
            self.said.append((name, "end" if error is None else type(error).__name__))

        run = Run(flow(name), ended, self.turn)
        self.runs.append(run)
        run.begin()
        return run

    async def usual(self, name):
        """The stages of a flow whose engine answers at once."""
        self.said.append((name, "begin"))
        await self.turn.hold
        self.said.append((name, "hold"))
        await self.turn.start
        self.said.append((name, "start"))
        await self.turn.settle
        self.said.append((name, "settle"))


def in_a_loop(story):
    asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS))


def test_all_take_one_stretch_before_any_takes_the_next():
    async def story():
        on = Story()
        for name in "abc":
            on.begin(name, on.usual)
        assert on.said == []
        await asyncio.sleep(0)
        steps = ["begin", "hold", "start"]
        expected = [(name, step) for step in steps for name in "abc"]
        expected += [(name, step) for name in "abc" for step in ("settle", "end")]
        assert on.said == expected

    in_a_loop(story)


def test_what_a_turn_wrote_goes_out_at_its_end_and_after_everything_is_settled():
    async def story():
        on = Story()

        async def flow(name):
            on.turn.outbox.put(lambda data: on.said.append((name, data)), b"answer")
            await on.turn.settle
            on.said.append((name, "settled"))

        for name in "ab":
            on.begin(name, flow)
        await asyncio.sleep(0)
        assert [what for _, what in on.said] == [
            "settled", "end", "settled", "end", b"answer", b"answer",
        ]  # fmt: skip

    in_a_loop(story)


def test_whoever_is_woken_goes_on_with_the_others_that_were():
    async def story():
        on, signals = Story(), {name: Signal() for name in "ab"}

        async def flow(name):
            await signals[name]
            on.said.append((name, "woken"))
            await on.turn.settle

        for name in "ab":
            on.begin(name, flow)
        await asyncio.sleep(0)
        for signal in signals.values():
            signal.fire()
        assert on.said == [], "not from within whoever fires"
        await asyncio.sleep(0)
        assert on.said == [("a", "woken"), ("b", "woken"), ("a", "end"), ("b", "end")]

    in_a_loop(story)


def test_more_than_a_cohort_is_taken_in_several_turns_and_none_is_forgotten():
    async def story():
        on = Story()
        count = 2 * COHORT_MAX + 5
        for name in range(count):
            on.begin(name, on.usual)
        for turns, done in ((1, COHORT_MAX), (2, 2 * COHORT_MAX), (3, count)):
            await asyncio.sleep(0)
            assert on.said.count((0, "end")) == 1
            assert sum(what == "end" for _, what in on.said) == done, turns

    in_a_loop(story)


@pytest.mark.parametrize("place", ["begin", "hold", "start"])
def test_one_that_is_cut_where_it_waits_ends_there_and_the_others_go_on(place):
    async def story():
        on = Story()

        async def cuts(name):
            """Cuts its neighbour from within the turn, before that gets to go on."""
            if place != "begin":
                await getattr(on.turn, place)
            on.runs[1].cut(ClientLeft())

        on.begin("a", cuts)
        on.begin("b", on.usual)
        on.begin("c", on.usual)
        await asyncio.sleep(0)
        assert on.said.count(("b", "ClientLeft")) == 1
        assert ("b", "settle") not in on.said
        assert [what for name, what in on.said if name == "c"] == [
            "begin", "hold", "start", "settle", "end",
        ]  # fmt: skip

    in_a_loop(story)


def test_one_that_was_answered_cannot_be_cut_any_more():
    """Else an answer that went out would be recorded as one that was cut short."""

    async def story():
        on = Story()

        async def flow(name):
            await on.turn.settle
            on.said.append((name, "settled"))

        async def cuts(_name):
            await on.turn.start
            run.cut(ClientLeft())

        run = on.begin("a", flow)
        on.begin("b", cuts)
        await asyncio.sleep(0)
        assert on.said == [("b", "end"), ("a", "settled"), ("a", "end")]

    in_a_loop(story)


def test_one_that_is_cut_while_woken_hears_of_it_once():
    async def story():
        on, signal = Story(), Signal()

        async def flow(_name):
            await signal

        run = on.begin("a", flow)
        await asyncio.sleep(0)
        signal.fire()
        run.cut(ClientLeft())
        assert on.said == [("a", "ClientLeft")]
        await asyncio.sleep(0)
        assert len(on.said) == 1

    in_a_loop(story)


def test_a_mistake_with_one_stops_no_other_and_is_told():
    async def story():
        on, told = Story(), []
        asyncio.get_running_loop().set_exception_handler(lambda _, said: told.append(said))

        def broken():
            raise KeyError("a mistake of ours")

        on.begin("a", on.usual)
        on.turn.begin.arm(broken)
        on.begin("b", on.usual)
        await asyncio.sleep(0)
        assert [name for name, what in on.said if what == "end"] == ["a", "b"]
        assert isinstance(told[0]["exception"], KeyError)
        on.begin("c", on.usual)
        await asyncio.sleep(0)
        assert ("c", "end") in on.said

    in_a_loop(story)


def test_a_request_that_is_alone_goes_as_far_as_it_can_by_itself():
    async def story():
        on = Story()
        on.begin("a", on.usual)
        on.turn.begin.go()  # Nothing after the first stage is needed.
        assert [what for _, what in on.said] == ["begin", "hold", "start", "settle", "end"]

    in_a_loop(story)
