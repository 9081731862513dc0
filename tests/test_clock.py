"""Time never steps back, whatever somebody does to the machine's clock."""

import time

import pytest

from keyhall.clock import ManualClock, SystemClock

HOUR_US = 3_600_000_000
YEAR_NS = 365 * 24 * 3_600_000_000_000


def wall_us() -> int:
    return time.time_ns() // 1000


def test_the_clock_tells_the_machines_time() -> None:
    before = wall_us()
    assert before - 1_000_000 <= SystemClock().now_us() <= wall_us() + 1_000_000


def test_time_goes_on_and_never_back() -> None:
    clock = SystemClock()
    times = [clock.now_us() for _ in range(1000)]
    assert times == sorted(times)


@pytest.mark.parametrize("change_ns", [-YEAR_NS, YEAR_NS], ids=["back", "forth"])
def test_r1_a_wall_clock_that_is_set_while_we_run_moves_nothing(
    monkeypatch: pytest.MonkeyPatch, change_ns: int
) -> None:
    """Otherwise whoever sets it would open every window, or close it for a year."""
    clock = SystemClock()
    before = clock.now_us()
    set_ns = time.time_ns() + change_ns
    monkeypatch.setattr(time, "time_ns", lambda: set_ns)
    assert before <= clock.now_us() < before + HOUR_US


def test_r6_a_wall_clock_behind_the_newest_record_counts_as_that_records_time() -> None:
    newest = wall_us() + HOUR_US
    for clock in (SystemClock(not_before_us=newest), SystemClock()):
        clock.not_before(newest)
        assert newest <= clock.now_us() < newest + HOUR_US


def test_r6_a_record_of_the_past_moves_nothing() -> None:
    clock = SystemClock()
    before = clock.now_us()
    clock.not_before(before - HOUR_US)
    assert before <= clock.now_us() < before + HOUR_US


def test_a_clock_for_tests_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(10)
    assert clock.now_us() == clock.now_us() == 10
    clock.advance(1.5)
    assert clock.now_us() == 1_500_010
    clock.not_before(9)
    assert clock.now_us() == 1_500_010
    clock.not_before(2_000_000)
    assert clock.now_us() == 2_000_000
    with pytest.raises(AssertionError):
        clock.advance(-1)
