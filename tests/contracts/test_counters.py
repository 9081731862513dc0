"""What every adapter of the counters port promises, as stories. A new adapter is a new row of
`ADAPTERS`; it passes them all or it is none."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from keyhall.clock import Clock, ManualClock
from keyhall.counters.memory import MemoryCounters
from keyhall.lane.steps import drive
from keyhall.policy.holders.levels import Level
from keyhall.policy.limits import NO_LIMITS, WINDOW_US, Facts, Limits, Refused, WindowLimits
from keyhall.ports.counters import Counters, Hold, Past

ADAPTERS = ("memory", "redis")

SCOPES = ("key", "project", "organization")


class World:
    """The counters of one adapter, and a clock that the story moves."""

    def __init__(self, make: Callable[[Clock], Counters]) -> None:
        self._make = make
        self._runner = asyncio.Runner()
        self.clock = ManualClock()
        self.counters = make(self.clock)

    def ask(self, windows: tuple[WindowLimits, ...], tokens: int = 1) -> Hold | Refused:
        async def ask() -> Hold | Refused:
            taken: Hold | Refused = await drive(self.counters.hold(windows, tokens))
            return taken

        return self._runner.run(ask())

    def admit(self, windows: tuple[WindowLimits, ...], tokens: int = 1) -> Hold:
        hold = self.ask(windows, tokens)
        assert not isinstance(hold, Refused), hold
        return hold

    def refuse(self, windows: tuple[WindowLimits, ...], tokens: int = 1) -> Refused:
        refused = self.ask(windows, tokens)
        assert isinstance(refused, Refused)
        return refused

    def use(self, windows: tuple[WindowLimits, ...], tokens: int = 1) -> None:
        """A request that is admitted, and used all that it held."""
        self.counters.settle(self.admit(windows, tokens), tokens)

    def restart(self, *past: Past) -> None:
        self.counters.close()
        self.counters = self._make(self.clock)
        self.counters.rebuild(past)

    def close(self) -> None:
        self.counters.close()
        self._runner.close()


@pytest.fixture(params=ADAPTERS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """After a restart nothing is remembered but what the records tell."""
    if request.param == "memory":
        world = World(MemoryCounters)
    else:
        world = World(request.getfixturevalue("redis_server").counters)
    yield world
    world.close()


def window(
    scope: str = "key",
    rpm: int | None = None,
    tpm: int | None = None,
    in_flight: int | None = None,
    id: str = "1",
) -> WindowLimits:
    return WindowLimits(scope, f"{scope}:{id}", Limits(rpm, tpm, in_flight))


def level(*keys: str, rpm: int | None = None, tpm: int | None = None) -> list[tuple]:
    """Tuples of one window for each of these keys."""
    return [(window(rpm=rpm, tpm=tpm, id=key),) for key in keys]


# --- One request, several windows -------------------------------------------------------------


@pytest.mark.parametrize("full", SCOPES)
@pytest.mark.parametrize("limit", ["rpm", "tpm", "in_flight"])
def test_a_request_is_counted_in_every_window_or_in_none(world: World, full: str, limit: str):
    """I-2: what one scope refuses costs the others nothing."""
    roomy = {"rpm": 10, "tpm": 100, "in_flight": 10}
    tight = {"rpm": 1, "tpm": 10, "in_flight": 1}
    windows = tuple(
        window(scope, **(roomy | ({limit: tight[limit]} if scope == full else {})))
        for scope in SCOPES
    )
    world.admit(windows, 10)
    for _ in range(20):
        assert world.refuse(windows, 10).scope == full
    for other in SCOPES:
        if other != full:
            facts = world.admit((window(other, **roomy),), 10).facts
            assert (facts.remaining_requests, facts.remaining_tokens) == (8, 80)


def test_a_refused_request_uses_up_neither_requests_nor_tokens(world: World):
    windows = (window(rpm=2, tpm=100),)
    world.admit(windows, 60)
    for _ in range(5):
        world.refuse(windows, 41)
    assert world.admit(windows, 40).facts.remaining_tokens == 0
    assert world.refuse(windows, 1).resource == "requests"


def test_keys_of_one_organization_share_its_window_and_have_their_own(world: World):
    organization = window("organization", rpm=3)
    ann = (window(rpm=2, id="ann"), organization)
    bob = (window(rpm=2, id="bob"), organization)
    world.admit(ann)
    world.admit(ann)
    assert world.refuse(ann).scope == "key"
    world.admit(bob)
    assert world.refuse(bob).scope == "organization"


def test_r10_a_rotated_key_and_its_successor_share_one_window(world: World):
    """They carry the same lineage, so they name the same window, each in a tuple of its own."""
    old, new = level("lineage", "lineage", rpm=2)
    assert old is not new
    world.admit(old)
    world.admit(new)
    world.refuse(old)
    world.refuse(new)


def test_r19_test_keys_have_windows_of_their_own(world: World):
    live = (window(rpm=1),)
    test = (WindowLimits("key", "test:key:1", Limits(1)),)
    world.admit(live)
    world.admit(test)
    world.refuse(live)
    world.refuse(test)


def test_windows_without_limits_admit_everything(world: World):
    for windows in ((), (WindowLimits("key", "key:1", NO_LIMITS),)):
        for _ in range(100):
            facts = world.admit(windows, 1_000_000).facts
            assert facts.limit_requests is None
            assert facts.limit_tokens is None


@pytest.mark.parametrize("scope", SCOPES)
def test_a_first_limit_counts_what_was_admitted_before_it(world: World, scope: str):
    """R1: in every interval of 60 s, whenever the limit was set."""
    for _ in range(10):
        world.use((window(scope),), tokens=9)
    assert world.refuse((window(scope, rpm=10),)).used == 10
    assert world.refuse((window(scope, tpm=98),), tokens=9).used == 90
    world.admit((window(scope, rpm=11, tpm=99),), tokens=9)


def test_the_limits_that_are_passed_are_the_truth(world: World):
    """A limit that is lowered or raised holds from the next request on, for what was admitted
    under the old one too."""
    for _ in range(3):
        world.admit((window(rpm=4, tpm=100),), 10)
    lowered = world.refuse((window(rpm=2, tpm=100),), 10)
    assert (lowered.limit, lowered.held, lowered.remaining) == (2, 3, 0)
    assert world.refuse((window(tpm=29),), 1).resource == "tokens"
    assert world.admit((window(rpm=40, tpm=100),), 10).facts.remaining_requests == 36
    assert world.refuse((window(in_flight=4),)).resource == "in_flight"


# --- The boundary, in every scope -------------------------------------------------------------


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("limit", [1, 2, 20])
@pytest.mark.parametrize(
    ("resource", "windows_of"),
    [
        ("requests", lambda scope, limit: window(scope, rpm=limit)),
        ("in_flight", lambda scope, limit: window(scope, in_flight=limit)),
        ("tokens", lambda scope, limit: window(scope, tpm=limit)),
    ],
    ids=["requests", "in flight", "tokens one by one"],
)
def test_r1_as_many_as_the_limit_are_admitted_and_no_more(
    world: World, scope: str, limit: int, resource: str, windows_of
):
    windows = (windows_of(scope, limit),)
    for admitted in range(1, limit + 1):  # ..., limit - 1, limit
        facts = world.admit(windows).facts
        left = {"requests": facts.remaining_requests, "tokens": facts.remaining_tokens}
        assert left.get(resource, limit - admitted) == limit - admitted
    refused = world.refuse(windows)  # limit + 1
    assert (refused.resource, refused.scope, refused.limit) == (resource, scope, limit)
    assert refused.remaining == 0


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("before", [0, 1, 39_999])
@pytest.mark.parametrize(("more", "fits"), [(-1, True), (0, True), (1, False)])
def test_r1_tokens_fit_up_to_the_limit_and_not_one_more(
    world: World, scope: str, before: int, more: int, fits: bool
):
    windows = (window(scope, tpm=40_000),)
    if before:
        world.use(windows, before)
    asked = 40_000 - before + more
    if fits:
        assert world.admit(windows, asked).facts.remaining_tokens == -more
    else:
        refused = world.refuse(windows, asked)
        assert (refused.requested, refused.fits_now) == (asked, 40_000 - before)
        assert refused.never == (before == 0)


# --- The window -------------------------------------------------------------------------------


def test_r2_a_slot_leaves_sixty_seconds_after_its_last_admission(world: World):
    windows = (window(rpm=2),)
    world.use(windows)
    world.clock.advance(0.9)
    world.use(windows)
    world.clock.advance(59.1)  # the first one is 60 s old, the last one of its second is not
    assert world.refuse(windows).wait_us == 900_000
    world.clock.advance(0.899_999)
    assert world.refuse(windows).wait_us == 1
    world.clock.advance(0.000_001)
    assert world.admit(windows).facts.remaining_requests == 1


def test_r2_slots_leave_one_by_one(world: World):
    windows = (window(rpm=3),)
    for _ in range(3):
        world.use(windows)
        world.clock.advance(10)
    assert world.refuse(windows).wait_us == 30_000_000
    world.clock.advance(30)
    assert world.admit(windows).facts.remaining_requests == 0
    assert world.refuse(windows).wait_us == 10_000_000


@pytest.mark.parametrize(("tokens", "slots"), [(30, 1), (31, 2), (60, 2), (61, 3), (100, 3)])
def test_r2_a_retry_after_the_wait_succeeds_and_a_microsecond_earlier_does_not(
    world: World, tokens: int, slots: int
):
    """10 of 100 are free, and slots of 20, 30 and 40 leave one after the other."""
    windows = (window(tpm=100),)
    for used in (20, 30, 40):
        world.use(windows, used)
        world.clock.advance(7)
    refused = world.refuse(windows, tokens)
    assert refused.wait_us == (60 - 21 + 7 * (slots - 1)) * 1_000_000
    world.clock.advance((refused.wait_us - 1) / 1_000_000)
    assert world.refuse(windows, tokens).wait_us == 1
    world.clock.advance(0.000_001)
    world.admit(windows, tokens)


def test_r2_the_wait_is_right_after_a_limit_was_lowered(world: World):
    """More than one request has to leave before there is room for another."""
    for _ in range(4):
        world.use((window(rpm=4),))
        world.clock.advance(7)
    lowered = (window(rpm=2),)
    refused = world.refuse(lowered)
    assert refused.wait_us == (60 - 28 + 14) * 1_000_000
    world.clock.advance(refused.wait_us / 1_000_000)
    world.admit(lowered)


def test_r2_no_wait_is_longer_than_sixty_seconds(world: World):
    windows = (window(rpm=1, tpm=10),)
    world.admit(windows, 10)
    assert world.refuse(windows, 10).wait_us == WINDOW_US


def test_r2_the_wait_is_the_longest_of_all_limits_and_names_the_one_that_binds_longest(
    world: World,
):
    """Else the retry would be refused again, by the next limit."""
    key, project = window(rpm=1), window("project", tpm=10)
    world.use((key,), 1)
    world.clock.advance(20)
    world.use((project,), 10)
    refused = world.refuse((key, project), 5)
    assert (refused.scope, refused.resource) == ("project", "tokens")
    assert refused.wait_us == WINDOW_US
    world.clock.advance(60)
    world.admit((key, project), 5)


def test_r2_a_request_above_the_limit_itself_is_refused_for_good(world: World):
    windows = (window(rpm=5, tpm=1000), window("project", tpm=100))
    refused = world.refuse(windows, 101)
    assert refused.never
    assert (refused.scope, refused.resource, refused.limit) == ("project", "tokens", 100)
    assert (refused.wait_us, refused.fits_now, refused.requested) == (0, 100, 101)


def test_r2_what_can_never_fit_says_so_even_where_another_limit_only_has_to_be_waited_for(
    world: World,
):
    windows = (window(rpm=1), window("project", tpm=100))
    world.admit(windows, 100)
    refused = world.refuse(windows, 101)
    assert refused.never
    assert (refused.scope, refused.limit, refused.wait_us) == ("project", 100, 0)


@pytest.mark.parametrize(
    ("limits", "resource"),
    [({"rpm": 0}, "requests"), ({"tpm": 0}, "tokens"), ({"in_flight": 0}, "in_flight")],
)
def test_r2_a_limit_of_zero_never_admits_anything(world: World, limits: dict, resource: str):
    refused = world.refuse((window(**limits),))
    assert (refused.resource, refused.never, refused.wait_us) == (resource, True, 0)


# --- Settling ---------------------------------------------------------------------------------


def test_r3_settle_replaces_the_hold_in_its_own_slot(world: World):
    """Given back where it was taken: nothing is refunded into the second of the settlement."""
    windows = (window(rpm=10, tpm=1000),)
    hold = world.admit(windows, 1000)
    world.clock.advance(30)
    world.counters.settle(hold, 100)
    facts = world.admit(windows, 900).facts
    assert (facts.remaining_tokens, facts.remaining_requests) == (0, 8)
    world.clock.advance(30)  # the slot of the first leaves, with the 100 that it used
    assert world.refuse(windows, 101).remaining == 100
    assert world.admit(windows, 100).facts.remaining_tokens == 0


def test_r3_a_hold_settles_once_and_later_calls_do_nothing(world: World):
    windows = (window(tpm=100, in_flight=2),)
    first, second = world.admit(windows, 40), world.admit(windows, 40)
    world.counters.settle(first, 10)
    world.counters.settle(first, 40)
    world.counters.cancel(first)
    world.counters.cancel(second)
    world.counters.settle(second, 40)
    assert world.counters.open_holds() == 0
    assert world.admit(windows, 1).facts.remaining_tokens == 89


def test_r3_once_the_slot_has_left_settling_changes_no_counter(world: World):
    windows = (window(tpm=100),)
    hold = world.admit(windows, 100)
    world.clock.advance(60)
    world.use(windows, 70)
    world.counters.settle(hold, 20)
    assert world.counters.open_holds() == 0
    assert world.refuse(windows, 31).remaining == 30


def test_r3_a_hold_finds_its_own_slot_among_many(world: World):
    windows = (window(tpm=1000),)
    holds = []
    for _ in range(5):
        holds += [world.admit(windows, 100), world.admit(windows, 100)]
        world.clock.advance(1.5)
    for index in (5, 0, 8, 3):
        world.counters.settle(holds[index], index)
    # By the second of their admission: 0 + 100, 100 + 3, 100 + 5, 100 + 100, 8 + 100.
    world.clock.advance(52.5)
    for free in (1000 - 516, 1000 - 413, 1000 - 308, 1000 - 108, 1000):
        assert world.refuse(windows, 1001).remaining == free
        world.clock.advance(1.5)


def test_r1_what_was_used_beyond_the_hold_is_charged_to_the_same_slot(world: World):
    """An engine that breaks the cap: the excess counts, and the headers never go below zero."""
    windows = (window(rpm=9, tpm=100),)
    hold = world.admit(windows, 50)
    world.clock.advance(10)
    world.counters.settle(hold, 130)
    refused = world.refuse(windows, 1)
    assert (refused.used, refused.remaining, refused.fits_now) == (130, 0, 0)
    assert refused.wait_us == 50_000_000
    assert refused.facts.remaining_tokens == 0


def test_r5_cancel_gives_the_tokens_back_and_the_request_stays_counted(world: World):
    windows = (window(rpm=2, tpm=100),)
    world.counters.cancel(world.admit(windows, 100))
    facts = world.admit(windows, 100).facts
    assert (facts.remaining_requests, facts.remaining_tokens) == (0, 0)
    assert world.refuse(windows, 1).resource in ("requests", "tokens")


def test_a_hold_knows_when_it_was_admitted_and_what_it_holds(world: World):
    world.clock.advance(1.234567)
    hold = world.admit((window(rpm=1),), 17)
    assert (hold.admitted_at_us, hold.tokens) == (world.clock.now_us(), 17)


def test_open_holds_are_counted_until_they_end(world: World):
    windows = (window(rpm=2),)
    holds = [world.admit(windows), world.admit(windows)]
    world.refuse(windows)
    assert world.counters.open_holds() == 2
    world.counters.settle(holds[0], 1)
    world.counters.cancel(holds[1])
    assert world.counters.open_holds() == 0


def test_counters_that_work_are_not_degraded(world: World):
    assert not world.admit((window(rpm=1),)).facts.is_degraded
    assert world.counters.degraded() is None


# --- Requests in flight -----------------------------------------------------------------------


def test_an_open_request_is_in_flight_until_it_ends_however_long_that_takes(world: World):
    windows = (window(in_flight=2),)
    stream, other = world.admit(windows), world.admit(windows)
    for _ in range(3):
        refused = world.refuse(windows)
        assert (refused.resource, refused.limit, refused.used) == ("in_flight", 2, 2)
        assert (refused.held, refused.requested, refused.remaining) == (0, 1, 0)
        assert refused.wait_us == 1_000_000
        world.clock.advance(50)
    world.counters.settle(other, 1)
    assert not isinstance(world.ask(windows), Refused)
    world.refuse(windows)
    world.counters.cancel(stream)
    world.admit(windows)


# --- What refusals and headers say ------------------------------------------------------------


def test_a_refusal_tells_used_from_held_and_what_fits_now_in_all_scopes(world: World):
    key, project = window(tpm=100), window("project", tpm=80)
    world.use((key,), 30)
    world.clock.advance(2)
    world.admit((key, project), 25)
    refused = world.refuse((key, project), 60)
    assert (refused.scope, refused.resource) == ("project", "tokens")
    assert (refused.used, refused.held, refused.remaining) == (0, 25, 55)
    assert refused.fits_now == 45  # what the key has left
    assert world.refuse((key,), 46).used == 30
    assert world.refuse((key,), 46).held == 25
    world.admit((key, project), refused.fits_now)


def test_a_refusal_for_requests_tells_finished_from_open_ones(world: World):
    windows = (window(rpm=4, tpm=100),)
    world.use(windows)
    world.admit(windows)
    world.clock.advance(5)
    world.use(windows)
    world.admit(windows)
    refused = world.refuse(windows)
    assert (refused.resource, refused.used, refused.held) == ("requests", 2, 2)
    assert (refused.requested, refused.remaining, refused.fits_now) == (1, 0, 0)


def test_r20_headers_show_the_scope_with_the_least_remaining(world: World):
    """Requests and tokens each their own: here the key has few requests, the project few tokens."""
    key, project = window(rpm=3, tpm=1000), window("project", rpm=60, tpm=200)
    world.use((project,), 50)
    world.clock.advance(10)
    facts = world.admit((key, project), 100).facts
    assert facts == Facts(
        limit_requests=3,
        remaining_requests=2,
        reset_requests_us=WINDOW_US,
        limit_tokens=200,
        remaining_tokens=50,
        reset_tokens_us=WINDOW_US,
    )


def test_r20_a_refusal_shows_what_is_left_without_it_and_when_each_window_is_empty(world: World):
    key, project = window(rpm=3, tpm=1000), window("project", rpm=60, tpm=200)
    world.admit((project,), 150)
    world.clock.advance(10)
    world.admit((key,), 10)
    world.clock.advance(5)
    assert world.refuse((key, project), 100).facts == Facts(
        limit_requests=3,
        remaining_requests=2,
        reset_requests_us=55_000_000,
        limit_tokens=200,
        remaining_tokens=50,
        reset_tokens_us=45_000_000,
    )


def test_r20_a_refusal_by_one_window_shows_the_others_as_they_are_now(world: World):
    """Also those that were not looked at any more once the first had refused."""
    key, project = window(rpm=1), window("project", tpm=100)
    world.use((project,), 100)
    world.clock.advance(30)
    world.use((key,))
    world.clock.advance(30)
    facts = world.refuse((key, project)).facts
    assert (facts.remaining_tokens, facts.reset_tokens_us) == (100, 0)


def test_r20_an_empty_window_resets_at_once(world: World):
    facts = world.refuse((window(rpm=0, tpm=5),)).facts
    assert facts == Facts(0, 0, 0, 5, 5, 0)


def test_r20_a_limit_that_nobody_has_is_not_shown(world: World):
    facts = world.admit((window(rpm=5), window("project", in_flight=5)), 10).facts
    assert (facts.limit_requests, facts.remaining_requests) == (5, 4)
    assert (facts.limit_tokens, facts.remaining_tokens) == (None, 0)
    facts = world.refuse((window("project", tpm=5),), 6).facts
    assert (facts.limit_requests, facts.limit_tokens) == (None, 5)


# --- Restart ----------------------------------------------------------------------------------


def test_r6_a_restart_admits_nothing_extra(world: World):
    """The windows come back from the records of the last 61 s: settled, in any order."""
    windows = (window(rpm=4, tpm=100), window("organization", tpm=90))
    past = []
    for tokens in (30, 20, 0):
        hold = world.admit(windows, 30)
        world.counters.settle(hold, tokens)
        past.append(Past(windows, hold.admitted_at_us, tokens))
        world.clock.advance(7.7)
    before = world.refuse(windows, 60)
    world.restart(*reversed(past))
    after = world.refuse(windows, 60)
    assert after == before
    world.admit(windows, after.fits_now)
    assert world.refuse(windows, 1).resource == "requests"


def test_r6_records_older_than_their_window_count_no_more(world: World):
    windows = (window(rpm=3),)
    ages_us = (61_000_000, 60_400_000, 59_600_000)
    world.restart(*(Past(windows, world.clock.now_us() - age_us, 5) for age_us in ages_us))
    assert world.admit(windows).facts.remaining_requests == 1


def test_r6_a_slot_that_is_in_the_window_comes_back_whole(world: World):
    """Its oldest request may be 61 s old: it leaves with the newest of its second."""
    windows = (window(rpm=2),)
    world.clock.advance(0.5)
    start_us = world.clock.now_us() - WINDOW_US
    world.restart(Past(windows, start_us - 400_000, 5), Past(windows, start_us + 400_000, 5))
    assert world.refuse(windows).wait_us == 400_000


def test_r6_a_clock_behind_the_newest_record_counts_as_that_records_time(world: World):
    windows = (window(rpm=1),)
    newest_us = world.clock.now_us() + 3_600_000_000
    world.restart(Past(windows, newest_us, 1))
    assert world.refuse(windows).wait_us == WINDOW_US
    world.clock.advance(60)
    assert world.admit(windows).admitted_at_us == newest_us + WINDOW_US


def test_r6_without_records_everything_is_free(world: World):
    world.restart()
    assert world.admit((window(rpm=1),)).facts.remaining_requests == 0


def test_r6_what_came_back_is_settled_and_not_in_flight(world: World):
    windows = (window(rpm=9, tpm=50, in_flight=1),)
    world.restart(Past(windows, world.clock.now_us(), 40))
    refused = world.refuse(windows, 11)
    assert (refused.used, refused.held) == (40, 0)
    assert world.counters.open_holds() == 0
    world.admit(windows, 10)


# --- Levels ---------------------------------------------------------------------------------------


def levels(world: World, windows: tuple[WindowLimits, ...]) -> list[Level]:
    async def look() -> list[Level]:
        return await world.counters.levels(windows)

    return world._runner.run(look())


def test_levels_are_what_is_used_and_held_and_say_when_it_leaves(world: World) -> None:
    windows = (window(rpm=10, tpm=1_000, in_flight=5), window("project", tpm=5_000))
    world.use(windows, 100)
    first_us = world.clock.now_us()
    world.clock.advance(1.5)
    hold = world.admit(windows, 300)
    last_us = hold.admitted_at_us
    for level in levels(world, windows):
        assert (level.requests, level.tokens) == (2, 400)
        assert (level.held_requests, level.held_tokens) == (1, 300)
        assert level.slots == ((first_us + WINDOW_US, 1, 100), (last_us + WINDOW_US, 1, 300))
    assert levels(world, windows)[0].in_flight == 1
    world.counters.settle(hold, 50)
    assert [each.tokens for each in levels(world, windows)] == [150, 150]
    assert levels(world, windows)[0].in_flight == 0
    world.clock.advance(WINDOW_US / 1_000_000)
    assert [each.requests for each in levels(world, windows)] == [0, 0]


def test_looking_at_levels_takes_and_holds_nothing(world: World) -> None:
    windows = (window(rpm=2, tpm=100, in_flight=1),)
    assert levels(world, windows)[0].slots == ()  # Of a window that nobody has used.
    for _ in range(5):
        levels(world, windows)
    assert world.counters.open_holds() == 0
    world.use(windows, 100)
    before = levels(world, windows)
    refused = world.refuse(windows, 1)
    assert levels(world, windows) == before
    assert refused.used == 100
