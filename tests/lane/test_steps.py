"""The stepper: a coroutine goes on when what it waits for fires, and ends where it is cut."""

import asyncio

import pytest

from keyhall.lane.steps import Run, drive
from keyhall.ports.engine import Signal
from keyhall.ports.exchange import ClientLeft


class Seen:
    """Notes how a run ended."""

    def __init__(self):
        self.ends = []

    def __call__(self, result, error):
        self.ends.append((result, error))


def test_a_coroutine_that_never_waits_ends_within_its_first_step():
    async def flow():
        return 7

    seen = Seen()
    run = Run(flow(), seen)
    run.step()
    assert seen.ends == [(7, None)]
    assert run.is_over


def test_a_signal_wakes_the_coroutine_that_waits_for_it():
    signal, seen = Signal(), Seen()

    async def flow():
        await signal
        await signal
        return "woken twice"

    Run(flow(), seen).step()
    signal.fire()
    assert seen.ends == []
    signal.fire()
    assert seen.ends == [("woken twice", None)]


def test_a_signal_that_fires_before_anyone_waits_is_not_lost():
    signal, seen = Signal(), Seen()
    signal.fire()

    async def flow():
        await signal
        return "seen"

    Run(flow(), seen).step()
    assert seen.ends == [("seen", None)]


def test_a_cut_is_thrown_in_where_the_coroutine_waits():
    signal, seen, closed = Signal(), Seen(), []

    async def flow():
        try:
            await signal
        finally:
            closed.append(True)

    run = Run(flow(), seen)
    run.step()
    run.cut(ClientLeft())
    assert closed == [True]
    assert isinstance(seen.ends[0][1], ClientLeft)
    signal.fire()  # Nobody listens any more.
    run.cut(ClientLeft())  # Already over.
    assert len(seen.ends) == 1


def test_a_cut_during_a_step_takes_effect_at_the_next_wait():
    signal, seen = Signal(), Seen()

    async def flow():
        run.cut(ClientLeft())
        await signal

    run = Run(flow(), seen)
    run.step()
    assert isinstance(seen.ends[0][1], ClientLeft)


def test_a_coroutine_may_wait_again_after_a_cut_to_clean_up():
    signal, seen = Signal(), Seen()

    async def flow():
        try:
            await signal
        except ClientLeft:
            await signal
            return "cleaned up"

    run = Run(flow(), seen)
    run.step()
    run.cut(ClientLeft())
    assert seen.ends == []
    signal.fire()
    assert seen.ends == [("cleaned up", None)]


def test_asyncio_futures_are_awaited_in_the_usual_way():
    async def flow():
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, lambda: 5)

    async def main():
        return await drive(flow())

    assert asyncio.run(main()) == 5


def test_a_cut_while_a_future_is_awaited_cancels_it_and_is_not_stepped_twice():
    async def main():
        seen = Seen()
        future = asyncio.get_running_loop().create_future()

        async def flow():
            await future

        run = Run(flow(), seen)
        run.step()
        run.cut(ClientLeft())
        await asyncio.sleep(0)
        return future.cancelled(), seen.ends

    was_cancelled, ends = asyncio.run(main())
    assert was_cancelled
    assert len(ends) == 1
    assert isinstance(ends[0][1], ClientLeft)


def test_a_future_that_was_done_just_before_a_cut_does_not_step_again():
    async def main():
        seen = Seen()
        future = asyncio.get_running_loop().create_future()

        async def flow():
            try:
                await future
            except ClientLeft:
                return "left"

        run = Run(flow(), seen)
        run.step()
        future.set_result(None)  # Its callback is on its way,
        run.cut(ClientLeft())  # and the cut comes first.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return seen.ends

    assert asyncio.run(main()) == [("left", None)]


def test_a_future_that_was_done_just_before_a_cut_does_not_end_the_wait_behind_it():
    async def main():
        seen, signal = Seen(), Signal()
        future = asyncio.get_running_loop().create_future()

        async def flow():
            try:
                await future
            except ClientLeft:
                await signal
                return "cleaned up"

        run = Run(flow(), seen)
        run.step()
        future.set_result(None)
        run.cut(ClientLeft())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert seen.ends == []
        signal.fire()
        return seen.ends

    assert asyncio.run(main()) == [("cleaned up", None)]


def test_a_bare_yield_goes_on_in_the_next_turn_of_the_loop():
    async def main():
        seen = Seen()

        async def flow():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return "went on"

        Run(flow(), seen).step()
        assert seen.ends == []
        await asyncio.sleep(0.001)
        return seen.ends

    assert asyncio.run(main()) == [("went on", None)]


def test_a_cut_during_a_bare_yield_takes_effect_at_the_next_wait():
    async def main():
        seen, signal = Seen(), Signal()

        async def flow():
            await asyncio.sleep(0)
            await signal

        run = Run(flow(), seen)
        run.step()
        run.cut(ClientLeft())
        await asyncio.sleep(0.001)
        return seen.ends

    ((_, error),) = asyncio.run(main())
    assert isinstance(error, ClientLeft)


def test_a_cut_during_a_step_that_then_awaits_a_future_takes_effect_there():
    async def main():
        seen = Seen()
        future = asyncio.get_running_loop().create_future()

        async def flow():
            run.cut(ClientLeft())
            await future

        run = Run(flow(), seen)
        run.step()
        return seen.ends

    assert isinstance(asyncio.run(main())[0][1], ClientLeft)


def test_an_error_of_the_coroutine_reaches_whoever_drives_it():
    async def flow():
        raise ValueError("wrong")

    async def main():
        await drive(flow())

    with pytest.raises(ValueError, match="wrong"):
        asyncio.run(main())


def test_cancelling_the_driver_cuts_the_coroutine():
    closed = []

    async def flow():
        try:
            await Signal()
        finally:
            closed.append(True)

    async def main():
        future = drive(flow())
        future.cancel()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert closed == [True]
