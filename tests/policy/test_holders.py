"""What holders are told: levels, verdicts and paces, and keys in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.counters.refusal import refuse
from keyhall.policy.access import Grant
from keyhall.policy.holders import levels, words
from keyhall.policy.holders.levels import EMPTY, Level
from keyhall.policy.limits import NO_LIMITS, Limits, WindowLimits
from keyhall.policy.tiers import BUILT_IN, Tier, effective
from keyhall.policy.window import Window

NOW_US = 1_800_000_000_000_000
SECOND_US = 1_000_000


def window(limits: Limits, scope: str = "key") -> WindowLimits:
    return WindowLimits(scope, f"{scope}:1", limits)


def grant(**more: object) -> Grant:
    facts: dict[str, object] = {
        "key_id": "key_1", "name": "k", "masked": "sk-...", "mode": "live", "lineage": "key_1",
        "account_id": "a", "project_id": "p", "project_name": "P", "organization_id": "o",
        "organization_name": "O", "tier": "wide",
    }  # fmt: skip
    return Grant(**(facts | more))


TIERS = {**BUILT_IN, "wide": Tier("wide", Limits(None, 60_000)), "open": Tier("open", NO_LIMITS)}


# --- Levels ---------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 70), st.integers(0, 50), st.booleans()), max_size=30),
    st.integers(1, 12),
    st.integers(1, 300),
    st.integers(1, 3) | st.none(),
    st.integers(0, 400),
)
def test_a_verdict_is_what_the_counters_would_refuse_with(
    taken: list[tuple[int, int, bool]], rpm: int, tpm: int, in_flight: int | None, tokens: int
) -> None:
    counted = Window()
    at_us = NOW_US
    for seconds, used, is_settled in taken:
        at_us += seconds * 100_000
        counted.turn(at_us)
        counted.take(at_us, used)
        if is_settled:
            counted.settle(at_us, used, used)
    asked = (window(Limits(rpm, tpm, in_flight)),)
    level = levels.level_of(counted, at_us)
    said = levels.verdict(asked, [level], tokens, at_us)
    fits = (
        level.requests < rpm
        and level.tokens + tokens <= tpm
        and (in_flight is None or level.in_flight < in_flight)
    )
    assert said.fits == fits
    if not fits:
        refused = refuse(asked, [counted], tokens, at_us)
        assert (said.never, said.wait_us) == (refused.never, refused.wait_us)
        assert (said.resource, said.limit) == (refused.resource, refused.limit)


def test_bars_are_the_limits_in_force_and_say_when_they_are_free() -> None:
    level = Level(3, 90, 1, 30, 1, ((NOW_US + SECOND_US, 2, 60), (NOW_US + 5 * SECOND_US, 1, 30)))
    bars = levels.bars(
        [window(Limits(10, 90, 2)), window(Limits(None, 0), "project")], [level, EMPTY], NOW_US
    )
    assert [(bar.resource, bar.counted, bar.held, bar.left, bar.percent) for bar in bars] == [
        ("requests", 3, 1, 7, 30),
        ("tokens", 90, 30, 0, 100),
        ("in_flight", 1, 0, 1, 50),
        ("tokens", 0, 0, 0, 100),
    ]
    assert [(bar.some_us, bar.all_us) for bar in bars] == [
        (SECOND_US, 5 * SECOND_US),
        (SECOND_US, 5 * SECOND_US),
        (0, 0),
        (0, 0),
    ]


def test_a_slot_whose_time_has_come_is_free_now() -> None:
    level = Level(1, 10, slots=((NOW_US - 5, 1, 10),))
    said = levels.verdict([window(Limits(1))], [level], 1, NOW_US)
    assert (said.fits, said.wait_us) == (False, 0)


def test_without_limits_everything_fits_at_any_pace() -> None:
    assert levels.verdict([window(NO_LIMITS)], [EMPTY], 10**9, NOW_US).fits
    assert levels.pace([window(NO_LIMITS)], 800) is None
    assert levels.pace([window(Limits(20)), window(Limits(None, 8_000))], 800) == 10
    assert levels.pace([window(Limits(None, 100))], 0) == 100


# --- Words ----------------------------------------------------------------------------------------


def plain(text: str) -> str:
    return text.replace(words.THIN, " ")


def test_a_limit_explains_itself() -> None:
    held = effective(
        grant(
            project_limits=Limits(None, 40_000),
            organization_limits=Limits(None, 100_000, 4),
        ),
        TIERS,
        NOW_US,
    )
    assert plain(words.why(held, "tokens")) == (
        "40 000 tokens a minute: the lowest of key 60 000, project 40 000, organization 100 000"
    )
    assert words.why(held, "requests") == "No limit on requests a minute."
    assert words.why(held, "in_flight") == "4 requests at once: the limit of the organization"
    assert plain(words.limits_in_words(held)) == "40 000 tokens a minute, 4 requests at once"
    assert words.limits_in_words(effective(grant(tier="open"), TIERS, NOW_US)) == "no limits"
    assert plain(words.limits_of(Limits(1_000))) == "1 000 requests a minute"
    assert words.limits_of(NO_LIMITS) == "no limits"
    assert words.own_limits(Limits(1)) == {"requests": 1, "tokens": None, "in_flight": None}


CHOSEN = {
    "mode": "live", "project": "Course", "models": None, "endpoints": None, "networks": None,
    "limits": "20 requests a minute", "kept_days": 0,
    "expires_at_us": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "Works for the project Course, until it is revoked."),
        ({}, "Calls every model."),
        ({}, "Is taken from anywhere."),
        ({}, "Is held to 20 requests a minute."),
        ({"expires_at_us": NOW_US}, "Works for the project Course, until 2027-01-15 08:00 UTC."),
        ({"models": ("v1",)}, "Calls only v1."),
        ({"models": ("v1", "v2", "v3")}, "Calls only v1, v2 and v3."),
        ({"models": tuple("abcde")}, "Calls only 5 models."),
        ({"endpoints": ("chat",)}, "Calls every model, and cannot list them."),
        ({"endpoints": ("chat", "models")}, "Calls every model."),
        ({"endpoints": ("models",)}, "Lists the models and calls none."),
        ({"networks": ("10.0.0.0/8",)}, "Is taken from only 10.0.0.0/8."),
        ({}, "Nothing of what it says and is answered is kept."),
        ({"kept_days": 7}, "What it says and is answered is kept for 7 days, encrypted."),
        ({"mode": "test"}, 
         "A test key: the sandbox answers whatever model is named, and it costs nothing."),
        ({"mode": "admin"}, "Administers this server until it is revoked. It calls no models."),
    ],
)  # fmt: skip
def test_a_key_says_what_it_may_do(changed: dict[str, object], said: str) -> None:
    assert said in words.summary(**(CHOSEN | changed))


def test_reasons_name_the_tier_s_next_step_and_what_is_missing() -> None:
    hours_us = 3_600_000_000
    begun = grant(
        tier="pay-as-you-go", billing_activated_at_us=NOW_US - hours_us, key_limits=Limits(50)
    )
    said = [plain(each) for each in words.reasons(effective(begun, TIERS, NOW_US))]
    assert said == [
        "50 requests a minute: the limit of the key.",
        "60 000 tokens a minute: the limit of the key.",
        "The key's tier pay-as-you-go gives 60 requests a minute, 60 000 tokens a minute until "
        "2027-01-17 07:00 UTC, then 3 500 requests a minute, 90 000 tokens a minute.",
        "The key itself is limited to 50 requests a minute.",
        "Without max_tokens, an answer has at most 4 096 tokens.",
    ]
    waiting = grant(tier="pay-as-you-go", project_limits=Limits(5))
    said = words.reasons(effective(waiting, TIERS, NOW_US))
    assert any("until 48 hours after billing is activated, then" in each for each in said)
    assert "The project itself is limited to 5 requests a minute." in said
    gone = words.reasons(effective(grant(tier="gone"), TIERS, NOW_US))
    assert gone[-1] == "The tier gone is not configured: free-trial holds instead."
