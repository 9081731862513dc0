"""Long work takes turns: whoever has milliseconds of it lets others go between its pieces."""

import asyncio

from keyhall.lane.steps import drive
from keyhall.turn import Turn


async def work(turn, name, pieces, done):
    for piece in range(pieces):
        await turn.long_work
        done.append(f"{name}{piece}")


def worked(names, *, pieces, long_work_seconds):
    """What was done in which order, and how much of it after each turn of the event loop."""
    done, seen = [], []

    async def main():
        turn = Turn(long_work_seconds=long_work_seconds)
        running = [drive(work(turn, name, pieces, done)) for name in names]
        while not all(each.done() for each in running):
            seen.append(len(done))
            await asyncio.sleep(0)

    asyncio.run(main())
    return done, seen


def test_a_turn_does_one_piece_when_that_takes_all_its_time():
    done, seen = worked("a", pieces=3, long_work_seconds=0.0)
    assert done == ["a0", "a1", "a2"]
    assert {0, 1, 2} <= set(seen)


def test_those_with_long_work_go_one_after_the_other():
    done, seen = worked("abc", pieces=2, long_work_seconds=0.0)
    assert done == ["a0", "b0", "c0", "a1", "b1", "c1"]
    assert set(seen) >= {0, 1, 2, 3, 4, 5}


def test_a_turn_does_one_piece_of_each_while_it_has_time():
    done, seen = worked("abc", pieces=2, long_work_seconds=60.0)
    assert done == ["a0", "b0", "c0", "a1", "b1", "c1"]
    assert set(seen) <= {0, 3, 6}


def test_one_that_is_cut_while_it_waits_is_forgotten():
    done = []

    async def main():
        turn = Turn(long_work_seconds=0.0)
        stays, leaves = (drive(work(turn, name, 1, done)) for name in "ab")
        leaves.cancel()
        await stays
        assert leaves.cancelled()

    asyncio.run(main())
    assert done == ["a0"]
