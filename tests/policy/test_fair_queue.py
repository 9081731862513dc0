"""The queue before a model's slots: places are never given twice, none stays free while somebody
waits, and nobody waits longer than the share of others makes necessary."""

import heapq

from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.engines.backoff import MOST_SECONDS, restart_seconds
from keyhall.policy.engines.fair_queue import FairQueue

KEYS = st.sampled_from("abcd")
ARRIVALS = st.lists(st.tuples(KEYS, st.integers(1, 4), st.integers(1, 5)), max_size=60)


def queue(places=2, most=100, most_of_key=100):
    return FairQueue(places, most=most, most_of_key=most_of_key)


def pump(fair):
    gone = []
    while (item := fair.next()) is not None:
        gone.append(item)
    return gone


@given(ARRIVALS, st.integers(4, 6), st.data())
def test_places_are_never_given_twice_and_none_is_free_while_one_that_fits_waits(
    arrivals, places, data
) -> None:
    fair = queue(places)
    running, waiting = {}, {}
    for number, (key, wide, _) in enumerate(arrivals):
        if fair.enter(key, number, wide) == "goes":
            running[number] = (key, wide)
        else:
            waiting[number] = (key, wide)
        if running and data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(sorted(running)))
            fair.done(*running.pop(gone))
        elif waiting and data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(sorted(waiting)))
            assert fair.leave(waiting.pop(gone)[0], gone)
        for item in pump(fair):
            running[item] = waiting.pop(item)
        held = sum(wide for _, wide in running.values())
        assert fair.free == places - held >= 0
        assert fair.count == len(waiting)
        assert {item for _, item in fair.waiting()} == set(waiting)
        if waiting and not held:
            raise AssertionError("everything is free and somebody waits")
    while running or waiting:
        for key, wide in running.values():
            fair.done(key, wide)
        running = {item: waiting.pop(item) for item in pump(fair)}
    assert fair.free == places
    assert not fair._since


@given(st.integers(1, 4), st.integers(0, 12), st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_whoever_comes_alone_beside_a_crowd_goes_at_the_next_end(places, more, takes) -> None:
    """Beside a key with any number of clients, each of which asks again at once: so its wait is the
    shortest of what runs, whatever is waiting."""
    fair = queue(places)
    ends = []  # Of what the crowd has running: when, and a number.
    for client in range(places + more):
        entered = fair.enter("crowd", client)
        assert entered == ("goes" if client < places else "waits")
        if entered == "goes":
            heapq.heappush(ends, (takes[client % len(takes)], client))
    for round in range(8):
        assert fair.enter("alone", f"alone{round}") == "waits"
        now, _ = heapq.heappop(ends)
        fair.enter("crowd", f"again{round}")
        fair.done("crowd")
        assert pump(fair) == [f"alone{round}"]
        fair.done("alone")
        (again,) = pump(fair)
        heapq.heappush(ends, (now + takes[round % len(takes)], hash(again)))


def test_two_keys_with_work_share_the_places_by_halves() -> None:
    fair = queue(4)
    for number in range(8):
        fair.enter("a", f"a{number}")
    for number in range(8):
        fair.enter("b", f"b{number}")
    for _ in range(2):
        fair.done("a")
    assert pump(fair) == ["b0", "b1"]
    fair.done("a")
    assert pump(fair) == ["a4"]


def test_of_keys_that_hold_the_same_the_one_served_longest_ago_is_next() -> None:
    fair = queue(1)
    assert fair.enter("x", "x0") == "goes"
    for key in "abc":
        for number in range(2):
            assert fair.enter(key, f"{key}{number}") == "waits"
    order, holder = [], "x"
    for _ in range(6):
        fair.done(holder)
        (item,) = pump(fair)
        holder = item[0]
        order.append(item)
    assert order == ["a0", "b0", "c0", "a1", "b1", "c1"]


def test_one_that_needs_several_places_gets_them_and_others_wait_for_it() -> None:
    fair = queue(3)
    assert [fair.enter("a", number) for number in range(3)] == ["goes"] * 3
    assert fair.enter("b", "wide", 3) == "waits"
    assert fair.enter("c", "narrow") == "waits"
    fair.done("a")
    assert pump(fair) == []
    fair.done("a")
    fair.done("a")
    assert pump(fair) == ["wide"]


def test_i11_what_waits_is_bounded_for_each_key_and_for_all() -> None:
    fair = queue(1, most=5, most_of_key=3)
    assert [fair.enter("a", number) for number in range(5)] == ["goes", *["waits"] * 3, "key_full"]
    assert [fair.enter("b", number) for number in range(3)] == ["waits", "waits", "full"]
    assert not fair.leave("a", "unknown")
    assert not fair.leave("c", "unknown")


def test_who_leaves_takes_nobody_of_the_same_key_along() -> None:
    fair = queue(1)
    assert [fair.enter("a", number) for number in range(3)] == ["goes", "waits", "waits"]
    assert fair.leave("a", 1)
    assert fair.count == 1


def test_while_it_is_closed_nobody_goes_and_one_that_comes_back_is_first() -> None:
    fair = queue(2)
    assert fair.enter("a", "a0") == "goes"
    fair.is_open = False
    assert [fair.enter("a", "a1"), fair.enter("b", "b0")] == ["waits", "waits"]
    fair.done("a")
    fair.back("a", "a0")
    fair.back("c", "c0")
    assert pump(fair) == []
    fair.is_open = True
    assert pump(fair) == ["b0", "c0"]
    fair.done("b")
    fair.done("c")
    assert pump(fair) == ["a0", "a1"]


def test_the_place_in_the_queue_is_told_by_turns() -> None:
    fair = queue(1)
    assert fair.ahead("a") == 0
    for number in range(4):
        fair.enter("a", number)
    assert fair.ahead("a") == 3  # Those that wait.
    assert fair.ahead("b") == 1  # One of the others, then it.
    fair.enter("b", "b0")
    assert fair.ahead("b") == 3
    assert fair.ahead("c") == 2


def test_a_process_is_started_again_at_once_and_then_ever_more_rarely() -> None:
    waits = [restart_seconds(failures) for failures in range(1, 12)]
    assert waits[:4] == [0.0, 0.5, 1.0, 2.0]
    assert waits == sorted(waits)
    assert restart_seconds(1_000) == MOST_SECONDS


def test_a_crowd_is_not_starved_by_keys_that_come_one_by_one() -> None:
    fair = queue(1)
    fair.enter("b", "b")
    for number in range(3):
        fair.enter("crowd", f"crowd{number}")
    fair.enter("c", "c")
    order, holder = [], "b"
    for _ in range(6):
        fair.done(holder)
        if holder != "crowd":
            fair.enter(holder, holder)
        (item,) = pump(fair)
        order.append(item)
        holder = item if item in "bc" else "crowd"
    assert order == ["crowd0", "c", "b", "crowd1", "c", "b"]
