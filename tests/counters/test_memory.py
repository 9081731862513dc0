"""What only the counters in memory promise: they never suspend, and they forget."""

from keyhall.clock import ManualClock
from keyhall.counters.memory import MemoryCounters, MemoryHold
from keyhall.policy.limits import Limits, Refused, WindowLimits
from keyhall.ports.counters import Past


def key(id: int | str, rpm: int = 10) -> tuple[WindowLimits, ...]:
    """A key's window below one that all keys share."""
    return (
        WindowLimits("key", f"key:{id}", Limits(requests_per_minute=rpm)),
        WindowLimits("organization", "organization:1", Limits(tokens_per_minute=10**12)),
    )


def ask(counters: MemoryCounters, windows: tuple[WindowLimits, ...]) -> MemoryHold | Refused:
    """Step the coroutine once, as the lane does; one that suspended would not have ended."""
    try:
        counters.hold(windows, 5).send(None)
    except StopIteration as ended:
        taken = ended.value
        assert isinstance(taken, MemoryHold | Refused)
        return taken
    raise AssertionError("hold suspended")


def use(counters: MemoryCounters, windows: tuple[WindowLimits, ...]) -> None:
    hold = ask(counters, windows)
    assert isinstance(hold, MemoryHold)
    counters.settle(hold, 5)


def test_a_hold_never_suspends_taken_or_refused():
    counters = MemoryCounters(ManualClock())
    windows = key("a", rpm=1)
    assert isinstance(ask(counters, windows), MemoryHold)
    assert isinstance(ask(counters, windows), Refused)


def test_windows_that_count_nothing_any_more_are_forgotten():
    """A million keys that each call once must not stay: memory follows what is in use."""
    clock = ManualClock()
    counters = MemoryCounters(clock)
    kept_max = 0
    for number in range(20_000):
        use(counters, key(number))
        clock.advance(0.1)  # 600 keys are in use in any minute
        kept_max = max(kept_max, counters.kept_windows())
    assert kept_max <= 1_500


def test_a_caller_that_brings_a_new_tuple_each_time_keeps_its_window_and_costs_no_memory():
    clock = ManualClock()
    counters = MemoryCounters(clock)
    for _ in range(10):
        use(counters, key("a"))
        for number in range(50):
            use(counters, key(f"other-{number}"))
    assert isinstance(ask(counters, key("a")), Refused)
    assert counters.kept_windows() == 52


def test_a_window_with_an_open_hold_is_kept():
    """Its request is in flight, however long ago it was admitted."""
    clock = ManualClock()
    counters = MemoryCounters(clock)
    stream = (WindowLimits("key", "key:stream", Limits(in_flight=1)),)
    hold = ask(counters, stream)
    assert isinstance(hold, MemoryHold)
    for number in range(1_000):
        clock.advance(1)
        use(counters, key(number))
    again = (WindowLimits("key", "key:stream", Limits(in_flight=1)),)
    assert isinstance(ask(counters, again), Refused)
    counters.settle(hold, 5)
    assert isinstance(ask(counters, again), MemoryHold)


def test_what_is_counted_is_kept_while_others_are_forgotten():
    clock = ManualClock()
    counters = MemoryCounters(clock)
    full = key("full", rpm=1)
    use(counters, full)
    for number in range(5_000):
        clock.advance(0.01)
        use(counters, key(number))
    assert isinstance(ask(counters, full), Refused)
    clock.advance(10)
    assert isinstance(ask(counters, full), MemoryHold)


def test_a_key_that_was_idle_for_long_starts_with_an_empty_window():
    clock = ManualClock()
    counters = MemoryCounters(clock)
    idle = key("idle", rpm=1)
    use(counters, idle)
    for number in range(1_000):
        clock.advance(1)
        use(counters, key(number))
    hold = ask(counters, idle)
    assert isinstance(hold, MemoryHold)
    assert hold.facts.remaining_requests == 0


def test_r6_many_records_rebuild_their_windows_in_order():
    """R6: plans are swept meanwhile, and that must not turn a window to the present."""
    clock = ManualClock()
    counters = MemoryCounters(clock)
    start_us = clock.now_us() - 50_000_000
    past = [Past(key("one", rpm=100), start_us + 400_000 * i, 5) for i in range(100)]
    past += [Past(key(number), start_us + 400_000 * number, 5) for number in range(100)]
    counters.rebuild(past)
    assert isinstance(ask(counters, key("one", rpm=100)), Refused)
    assert isinstance(ask(counters, key("one", rpm=101)), MemoryHold)
    clock.advance(10.8)  # The first slot has three records; the last of them leaves now.
    assert isinstance(ask(counters, key("one", rpm=98)), Refused)
    assert isinstance(ask(counters, key("one", rpm=99)), MemoryHold)
