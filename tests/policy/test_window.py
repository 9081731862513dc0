"""The window's arithmetic, step by step; what it adds up to is in tests/counters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.window import SECOND_US, Window

START_US = 1_800_000_000_000_000


def at(seconds: float) -> int:
    return START_US + round(seconds * 1_000_000)


def filled(*admissions: tuple[float, int]) -> Window:
    """A window with these holds: (second, tokens)."""
    window = Window()
    for seconds, tokens in admissions:
        window.turn(at(seconds))
        window.take(at(seconds), tokens)
    return window


def counted(window: Window, seconds: float) -> tuple[int, int]:
    """Requests and tokens at a time."""
    if at(seconds) >= window.turn_us:
        window.turn(at(seconds))
    return (
        window.past_requests + window.requests,
        window.past_tokens + window.tokens,
    )


def test_r2_slots_count_until_sixty_seconds_after_their_last_admission():
    window = filled((0.0, 5), (0.5, 7), (1.0, 11), (3.2, 13))
    assert counted(window, 60.499_999) == (4, 36)
    assert counted(window, 60.5) == (2, 24)
    assert counted(window, 61) == (1, 13)
    assert counted(window, 63.2) == (0, 0)
    assert window.is_idle() is False  # four holds are open
    assert window.open_holds() == 4


def test_the_sums_are_true_until_the_time_that_the_window_names():
    """The counters rely on it: before `turn_us` they read without asking."""
    window = filled((0.25, 5), (30.5, 7))
    window.turn(at(30.5))
    assert window.turn_us == at(31)
    window.turn(at(60))
    assert window.turn_us == at(60.25)
    window.turn(at(60.25))
    assert window.turn_us == at(61)


def test_r3_a_hold_settles_in_the_newest_slot_in_an_older_one_or_in_none():
    window = filled((0, 100), (0.5, 50), (2, 30), (5, 20))
    window.settle(at(5), 20, 1)
    window.settle(at(0), 100, 2)
    assert counted(window, 6) == (4, 83)
    assert (window.held_tokens(), window.held_requests()) == (80, 2)
    assert counted(window, 60.5) == (2, 31)
    window.settle(at(0.5), 50, 3)
    assert counted(window, 61) == (2, 31)
    window.settle(at(2), 30, 30)
    assert window.open_holds() == 0
    assert counted(window, 65) == (0, 0)
    assert window.is_idle()


def test_r3_a_hold_whose_slot_has_left_finds_none_among_the_others():
    """Neither an older neighbour nor a younger one is touched."""
    window = filled((0, 100), (60, 40))
    window.turn(at(62))
    window.settle(at(0), 100, 1)
    assert counted(window, 62) == (1, 40)
    assert window.held_tokens() == 40


def test_it_knows_when_enough_will_be_free():
    window = filled((0, 10), (1, 20), (2, 30))
    assert window.requests_free_at_us(1) == at(60)
    assert window.requests_free_at_us(3) == at(62)
    assert window.tokens_free_at_us(10) == at(60)
    assert window.tokens_free_at_us(11) == at(61)
    assert window.tokens_free_at_us(60) == at(62)


def test_it_knows_when_it_will_be_empty():
    window = filled((0, 10), (1.5, 20))
    assert window.empty_at_us() == at(61.5)
    window.turn(at(3))
    assert window.empty_at_us() == at(61.5)
    window.turn(at(61.5))
    assert window.empty_at_us() == 0


def test_a_new_window_is_idle_and_empty():
    window = Window()
    assert window.is_idle()
    assert window.empty_at_us() == 0
    assert (window.held_requests(), window.held_tokens(), window.open_holds()) == (0, 0, 0)


@pytest.mark.parametrize("idle_seconds", [61, 3_600, 86_400 * 365])
def test_after_any_idle_time_it_is_empty(idle_seconds: int):
    window = filled(*((second, 1) for second in range(61)))
    assert counted(window, 60 + idle_seconds) == (0, 0)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 70 * SECOND_US),  # time since the last step
            st.integers(0, 1000),  # tokens held
            st.integers(0, 200),  # which open hold to settle, if there are so many
        ),
        max_size=120,
    )
)
def test_the_running_sums_are_the_sums_of_the_slots(steps: list[tuple[int, int, int]]):
    """Whatever happens, the sums that are kept up to date are those that a recount gives."""
    window = Window()
    now_us = START_US
    log: dict[int, list[int]] = {}  # second -> [last admission, requests, tokens, held, open]
    open_holds: list[tuple[int, int]] = []
    for passed_us, tokens, which in steps:
        now_us += passed_us
        window.turn(now_us)
        window.take(now_us, tokens)
        slot = log.setdefault(now_us // SECOND_US, [0, 0, 0, 0, 0])
        slot[0] = now_us
        for column, more in ((1, 1), (2, tokens), (3, tokens), (4, 1)):
            slot[column] += more
        open_holds.append((now_us, tokens))
        if which < len(open_holds):
            admitted_us, held = open_holds.pop(which)
            window.settle(admitted_us, held, held // 2)
            slot = log[admitted_us // SECOND_US]
            for column, more in ((2, held // 2 - held), (3, -held), (4, -1)):
                slot[column] += more
        live = [slot for slot in log.values() if slot[0] + 60 * SECOND_US > now_us]
        assert window.past_requests + window.requests == sum(slot[1] for slot in live)
        assert window.past_tokens + window.tokens == sum(slot[2] for slot in live)
        assert window.held_tokens() == sum(slot[3] for slot in live)
        assert window.held_requests() == sum(slot[4] for slot in live)
        assert window.open_holds() == len(open_holds)
        assert window.empty_at_us() == max(slot[0] for slot in live) + 60 * SECOND_US
