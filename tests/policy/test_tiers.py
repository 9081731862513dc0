"""Tiers, the limits in force for a key, and how they explain themselves."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy import tiers
from keyhall.policy.access import Grant
from keyhall.policy.limits import NO_LIMITS, Limits
from keyhall.policy.tiers import BUILT_IN, FOREVER_US, HOUR_US, Stage, Tier, effective, explain

NOW_US = 1_795_418_880_000_000  # 2026-11-23 07:28 UTC
OWN = {
    "team": Tier("team", Limits(100, 60_000, 5), default_output=512),
    "steps": Tier(
        "steps",
        Limits(1),
        stages=(Stage(HOUR_US, Limits(2)), Stage(3 * HOUR_US, Limits(3))),
    ),
    "open": Tier("open", NO_LIMITS),
}
TABLE = BUILT_IN | OWN


def grant(tier: str = "free-trial", **more) -> Grant:
    return Grant(
        **{
            "key_id": "key_new",
            "name": "mine",
            "masked": "sk-kh_live_abc...wxyz",
            "mode": "live",
            "lineage": "key_first",
            "account_id": "acct_1",
            "project_id": "proj_1",
            "project_name": "Project",
            "organization_id": "org_1",
            "organization_name": "Organization",
            "tier": tier,
        }
        | more
    )


def windows(*args, **more) -> dict[str, Limits]:
    """Those that limit something."""
    found = effective(grant(*args, **more), TABLE, NOW_US).windows
    return {window.id: window.limits for window in found if window.limits != NO_LIMITS}


# --- The tiers --------------------------------------------------------------------------------


def test_r10_free_trial_is_20_requests_and_40_000_tokens_a_minute():
    assert windows() == {"key:key_first": Limits(20, 40_000, None)}
    in_force = effective(grant(), TABLE, NOW_US)
    assert (in_force.default_output, in_force.tokens_per_minute_min) == (2048, 40_000)
    assert in_force.until_us == FOREVER_US


@pytest.mark.parametrize(
    ("age_us", "expected"),
    [
        (None, Limits(60, 60_000)),  # billing is not activated
        (-HOUR_US, Limits(60, 60_000)),  # it will be
        (0, Limits(60, 60_000)),
        (48 * HOUR_US - 1, Limits(60, 60_000)),
        (48 * HOUR_US, Limits(3_500, 90_000)),
        (9_000 * HOUR_US, Limits(3_500, 90_000)),
    ],
)
def test_r11_pay_as_you_go_rises_48_hours_after_billing_was_activated(
    age_us: int | None, expected: Limits
):
    activated_at_us = None if age_us is None else NOW_US - age_us
    found = effective(
        grant("pay-as-you-go", billing_activated_at_us=activated_at_us), TABLE, NOW_US
    )
    assert found.windows[0].limits == expected
    assert found.default_output == 4096
    if age_us is None or age_us >= 48 * HOUR_US:
        assert found.until_us == FOREVER_US
    else:
        assert found.until_us == NOW_US - age_us + 48 * HOUR_US


def test_r11_a_tier_may_have_any_number_of_stages():
    """It is data: each stage holds from its age on, and names when the next one begins."""

    def at(hours: float) -> tuple[int | None, int]:
        found = effective(
            grant("steps", billing_activated_at_us=NOW_US), TABLE, NOW_US + round(hours * HOUR_US)
        )
        return found.windows[0].limits.requests_per_minute, found.until_us

    assert at(0.99) == (1, NOW_US + HOUR_US)
    assert at(1) == (2, NOW_US + 3 * HOUR_US)
    assert at(2.99) == (2, NOW_US + 3 * HOUR_US)
    assert at(3) == (3, FOREVER_US)


def test_r10_built_in_tiers_have_no_limit_on_what_is_in_flight():
    for tier in BUILT_IN.values():
        for limits in (tier.limits, *(stage.limits for stage in tier.stages)):
            assert limits.in_flight is None


# --- What is in force -------------------------------------------------------------------------


def test_r10_key_project_and_organization_each_have_a_window_of_their_own():
    found = windows(
        "team",
        project_limits=Limits(tokens_per_minute=40_000),
        organization_limits=Limits(50, 90_000),
    )
    assert found == {
        "key:key_first": Limits(100, 60_000, 5),
        "project:proj_1": Limits(None, 40_000),
        "organization:org_1": Limits(50, 90_000),
    }


def test_windows_come_in_the_order_key_project_organization():
    limits = Limits(1)
    found = effective(
        grant(project_limits=limits, organization_limits=limits), TABLE, NOW_US
    ).windows
    assert [window.scope for window in found] == ["key", "project", "organization"]


def test_r10_a_keys_window_has_the_lower_of_its_tiers_limits_and_its_own():
    found = windows("team", key_limits=Limits(7, 99_000, None))
    assert found == {"key:key_first": Limits(7, 60_000, 5)}
    assert windows("open", key_limits=Limits(7)) == {"key:key_first": Limits(7)}


def test_r10_an_organization_made_by_sign_up_carries_free_trial_itself():
    """So more keys add nothing."""
    found = windows(organization_tier="free-trial", organization_limits=Limits(10))
    assert found["organization:org_1"] == Limits(10, 40_000)


def test_r10_a_rotated_key_shares_the_window_of_its_lineage():
    for key_id in ("key_first", "key_second"):
        assert list(windows(key_id=key_id)) == ["key:key_first"]


def test_r19_test_keys_have_their_tiers_numbers_in_windows_of_their_own():
    more = {"project_limits": Limits(5), "organization_limits": Limits(6)}
    live, test = windows(**more), windows(mode="test", **more)
    assert list(test) == ["test:key:key_first", "test:project:proj_1", "test:organization:org_1"]
    assert list(test.values()) == list(live.values())


def test_scopes_without_limits_are_counted_all_the_same():
    """So that a first limit finds what was used in the minute before it."""
    found = effective(grant("open"), TABLE, NOW_US)
    assert [(each.scope, each.limits) for each in found.windows] == [
        ("key", NO_LIMITS),
        ("project", NO_LIMITS),
        ("organization", NO_LIMITS),
    ]
    assert found.tokens_per_minute_min is None


def test_r4_the_smallest_tpm_limit_in_force_is_that_of_any_scope():
    found = effective(
        grant("team", project_limits=Limits(5), organization_limits=Limits(None, 300)),
        TABLE,
        NOW_US,
    )
    assert found.tokens_per_minute_min == 300


def test_the_earliest_change_of_any_scope_ends_it():
    found = effective(
        grant("pay-as-you-go", organization_tier="steps", billing_activated_at_us=NOW_US),
        TABLE,
        NOW_US,
    )
    assert found.until_us == NOW_US + HOUR_US


@pytest.mark.parametrize("scope", ["key", "organization"])
def test_a_tier_that_is_not_configured_counts_as_free_trial_and_says_so(scope: str):
    """An operator's slip neither opens the hall nor closes it."""
    gone = grant("gone") if scope == "key" else grant(organization_tier="gone")
    found = effective(gone, TABLE, NOW_US)
    assert found.windows[0].limits == Limits(20, 40_000)
    assert found.windows[0 if scope == "key" else -1].limits == Limits(20, 40_000)
    assert "The tier gone is not configured: free-trial holds instead." in explain(found)


maybe = st.none() | st.integers(1, 100)
some_limits = st.builds(Limits, maybe, maybe, maybe)


@given(some_limits, some_limits)
def test_the_lowest_of_two_is_never_above_either(one: Limits, other: Limits):
    both = tiers.lowest(one, other)
    assert both == tiers.lowest(other, one)
    for name in ("requests_per_minute", "tokens_per_minute", "in_flight"):
        given = [each for each in (getattr(one, name), getattr(other, name)) if each is not None]
        assert getattr(both, name) == min(given, default=None)


# --- Saying why -------------------------------------------------------------------------------


def test_the_limits_in_force_explain_themselves():
    found = effective(
        grant(
            "team",
            project_limits=Limits(tokens_per_minute=40_000),
            organization_tier="pay-as-you-go",
            organization_limits=Limits(None, 90_000),
            billing_activated_at_us=NOW_US - 100 * HOUR_US,
        ),
        TABLE,
        NOW_US,
    )
    assert explain(found) == [
        "100 RPM: the lowest of key 100, organization 3,500",
        "40,000 TPM: the lowest of key 60,000, project 40,000, organization 90,000",
        "5 in flight: the limit of the key",
        "The key's tier team gives 100 RPM, 60,000 TPM, 5 in flight.",
        "The project itself is limited to 40,000 TPM.",
        "The organization's tier pay-as-you-go gives 3,500 RPM, 90,000 TPM.",
        "The organization itself is limited to 90,000 TPM.",
        "Without max_tokens, an answer has at most 512 tokens.",
    ]


def test_the_explanation_says_when_a_tier_changes_by_itself():
    running = effective(
        grant("pay-as-you-go", billing_activated_at_us=NOW_US - HOUR_US), TABLE, NOW_US
    )
    assert (
        "The key's tier pay-as-you-go gives 60 RPM, 60,000 TPM until 2026-11-25 06:28 UTC, "
        "then 3,500 RPM, 90,000 TPM."
    ) in explain(running)
    waiting = effective(grant("pay-as-you-go"), TABLE, NOW_US)
    assert (
        "The key's tier pay-as-you-go gives 60 RPM, 60,000 TPM until 48 hours after billing is "
        "activated, then 3,500 RPM, 90,000 TPM."
    ) in explain(waiting)


def test_without_any_limit_the_explanation_says_so():
    assert explain(effective(grant("open"), TABLE, NOW_US)) == [
        "No limits are in force.",
        "The key's tier open gives no limits.",
        "Without max_tokens, an answer has at most 4,096 tokens.",
    ]


# --- The operator's own -----------------------------------------------------------------------


def parse(text: str) -> dict[str, Tier]:
    return tiers.parse_tiers(tomllib.loads(text).get("tiers", {}))


def test_operators_add_tiers_of_their_own():
    found = parse("""
        [tiers.team]
        limits = { requests_per_minute = 100, tokens_per_minute = 60_000, in_flight = 5 }
        default_output = 512

        [tiers.lab-2]
        limits = { tokens_per_minute = 1_000_000 }

        [tiers.open]
    """)
    assert found == {
        "team": Tier("team", Limits(100, 60_000, 5), default_output=512),
        "lab-2": Tier("lab-2", Limits(None, 1_000_000, None), default_output=4096),
        "open": Tier("open", NO_LIMITS),
    }
    assert parse("") == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tiers = 3", "[tiers] must hold tables: [tiers.NAME] with limits = "),
        ("tiers.team = 3", "[tiers.team] must be a table with limits, default_output."),
        (
            "[tiers.team]\nlimits = 60",
            "[tiers.team] limits must be a table with requests_per_minute, tokens_per_minute, "
            "in_flight.",
        ),
        (
            "[tiers.team]\nlimit = {}",
            "[tiers.team] has no setting 'limit'; expected limits, default_output.",
        ),
        (
            "[tiers.team]\nlimits = { rpm = 60 }",
            "[tiers.team] limits has no setting 'rpm'; expected requests_per_minute, "
            "tokens_per_minute, in_flight.",
        ),
        *(
            (
                f"[tiers.team]\nlimits = {{ in_flight = {value} }}",
                "[tiers.team] limits.in_flight must be a whole number from 1 to "
                "1,000,000,000,000; leave it out for no limit.",
            )
            for value in ("0", "-1", "1.5", '"5"', "true", "1_000_000_000_001")
        ),
        (
            "[tiers.team]\ndefault_output = 0",
            "[tiers.team] default_output must be a whole number from 1 to 1,000,000,000,000.",
        ),
        (
            "[tiers.free-trial]\nlimits = { requests_per_minute = 60 }",
            "[tiers.free-trial] is built in and stays as it is; choose another name.",
        ),
        *(
            (f'[tiers."{name}"]', f"[tiers.{name}] is not a name: use at most 64 small letters")
            for name in ("", "Team", "-team", "team-", "my team", "ü", "x" * 65, "a.b")
        ),
    ],
)
def test_a_mistake_in_a_tier_is_told_in_one_line(text: str, problem: str):
    with pytest.raises(ValueError, match=r"^\[tiers") as caught:
        parse(text)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(problem)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ValueError, match="limits") as caught:
        parse("""
            [tiers.Team]
            default_output = -1
            [tiers.lab]
            limits = { in_flight = 0, tokens_per_minute = 0 }
            colour = "red"
        """)
    assert len(str(caught.value).splitlines()) == 5
