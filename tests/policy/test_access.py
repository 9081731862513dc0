"""One function, one order: R13 as a truth table over all combinations of states."""

import itertools
from dataclasses import replace
from datetime import UTC
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.policy import access
from keyhall.policy.access import Denied, Grant, decide
from keyhall.policy.quotas import Quota

NOW_US = 1_795_418_880_000_000  # 2026-11-23 07:28 UTC
SECOND_US = 1_000_000

GRANT = Grant(
    key_id="key_abcdefghijkl",
    name="mine",
    masked="sk-kh_live_abc...wxyz",
    mode="live",
    lineage="key_abcdefghijkl",
    account_id="acct_1",
    project_id="proj_1",
    project_name="Project",
    organization_id="org_1",
    organization_name="Organization",
    tier="free-trial",
)
HERE = "192.0.2.7"


def ask(grant: Grant, ip: str | None = HERE, model: str | None = "v1.1") -> Denied | None:
    return decide(grant, now_us=NOW_US, ip=ip, endpoint="chat", model=model)


def networks(*texts: str) -> tuple:
    return tuple(ip_network(text) for text in texts)


# Every state, with the code it causes or None; the lists are in the order of R13.
STATES: list[list[tuple[dict, str | None]]] = [
    [({}, None), ({"revoked_at_us": NOW_US - 1}, "key_revoked")],
    [
        ({}, None),
        ({"expires_at_us": NOW_US + 1}, None),
        ({"expires_at_us": NOW_US}, "key_expired"),
        ({"expires_at_us": NOW_US - 1}, "key_expired"),
    ],
    [({}, None), ({"paused_at_us": NOW_US - 1}, "key_paused")],
    [({}, None), ({"is_organization_active": False}, "billing_not_active")],
    [
        ({}, None),
        ({"networks": networks("192.0.2.0/24", "2001:db8::/32")}, None),
        ({"networks": networks("198.51.100.0/24", "2001:db8::/32")}, "ip_not_authorized"),
        ({"networks": ()}, "ip_not_authorized"),
    ],
    [
        ({}, None),
        ({"endpoints": frozenset({"models", "chat"})}, None),
        ({"endpoints": frozenset({"models"})}, "missing_scope"),
        ({"endpoints": frozenset()}, "missing_scope"),
    ],
    [
        ({}, None),
        ({"models": ("v2", "v1*")}, None),
        ({"models": ("v1",)}, "missing_scope"),
        ({"models": ()}, "missing_scope"),
    ],
    [
        ({}, None),
        ({"project_models": ("v1.1",)}, None),
        ({"project_models": ("v2", "gpt-*")}, "model_not_found"),
        ({"project_models": ()}, "model_not_found"),
    ],
]
STATUS = {
    "key_revoked": 401,
    "key_expired": 401,
    "key_paused": 401,
    "billing_not_active": 429,
    "ip_not_authorized": 401,
    "missing_scope": 403,
    "model_not_found": 403,
}


def test_r13_every_combination_of_states_has_one_answer_in_one_order():
    """The first broken rule is told, whatever else is broken behind it."""
    tried = 0
    for states in itertools.product(*STATES):
        grant = replace(
            GRANT, **{name: value for state, _ in states for name, value in state.items()}
        )
        expected = next((code for _, code in states if code is not None), None)
        denied = ask(grant)
        assert (denied.problem.code if denied else None) == expected, states
        if denied:
            assert denied.problem.status == STATUS[expected]
        tried += 1
    assert tried == 2 * 4 * 2 * 2 * 4 * 4 * 4 * 4


def test_r13_a_denial_fills_its_sentence_and_hides_the_key():
    """Only `url` is added by the flow; every other place of the sentence has its fact."""
    for column in STATES:
        for state, code in column:
            if code is None:
                continue
            denied = ask(replace(GRANT, **state))
            assert denied is not None
            error = ApiError(denied.problem, url="http://hall/keys", **denied.facts)
            assert "{" not in str(error)
            assert error.body()["error"]["code"] == code


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (
            {"revoked_at_us": NOW_US},
            "The API key sk-kh_live_abc...wxyz was revoked on 2026-11-23 07:28 UTC. "
            "You can create another at URL.",
        ),
        (
            {"expires_at_us": NOW_US - 60 * SECOND_US},
            "The API key sk-kh_live_abc...wxyz expired on 2026-11-23 07:27 UTC. "
            "You can create another at URL.",
        ),
        (
            {"paused_at_us": NOW_US},
            "The API key sk-kh_live_abc...wxyz is paused since 2026-11-23 07:28 UTC. "
            "It works again once its owner resumes it.",
        ),
        (
            {"networks": ()},
            "Your IP 192.0.2.7 is not authorized for the API key sk-kh_live_abc...wxyz.",
        ),
        (
            {"endpoints": frozenset()},
            "You have insufficient permissions for this operation. Missing scopes: endpoint:chat. "
            "The key sk-kh_live_abc...wxyz is restricted.",
        ),
        (
            {"models": ()},
            "You have insufficient permissions for this operation. Missing scopes: model:v1.1. "
            "The key sk-kh_live_abc...wxyz is restricted.",
        ),
        ({"project_models": ()}, "Project `proj_1` does not have access to model `v1.1`."),
    ],
)
def test_r13_a_denial_says_what_is_wrong(state: dict, sentence: str):
    denied = ask(replace(GRANT, **state))
    assert denied is not None
    assert str(ApiError(denied.problem, url="URL", **denied.facts)) == sentence


def test_r13_a_key_without_lists_may_do_everything():
    assert ask(GRANT) is None
    assert ask(GRANT, ip=None, model=None) is None
    assert decide(GRANT, now_us=NOW_US, ip="nonsense", endpoint="anything", model="any") is None


def test_r13_where_no_model_is_named_the_models_scope_does_not_matter():
    """Before the body is read, and for `GET /v1/models`."""
    assert ask(replace(GRANT, models=(), project_models=()), model=None) is None


def test_r14_a_revocation_holds_at_once_whatever_time_it_bears():
    """The clock of the process that revoked may be ahead of ours."""
    denied = ask(replace(GRANT, revoked_at_us=NOW_US + 3600 * SECOND_US))
    assert denied is not None
    assert denied.problem is errors.KEY_REVOKED


@pytest.mark.parametrize(
    ("ip", "allowed", "is_in"),
    [
        ("192.0.2.7", "192.0.2.7/32", True),
        ("192.0.2.8", "192.0.2.7/32", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "0.0.0.0/0", True),
        ("10.1.2.3", "::/0", False),
        ("2001:db8::1", "2001:db8::/32", True),
        ("2001:DB8:0::1", "2001:db8::/32", True),
        ("2001:db9::1", "2001:db8::/32", False),
        ("2001:db8::1", "0.0.0.0/0", False),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("::ffff:a01:203", "10.0.0.0/8", True),
        ("::ffff:11.1.2.3", "10.0.0.0/8", False),
        ("::ffff:10.1.2.3", "::ffff:0:0/96", True),
        ("fe80::1%eth0", "fe80::/10", True),
        ("127.0.0.1", "127.0.0.0/8", True),
        ("::1", "127.0.0.0/8", False),
    ],
)
def test_r13_addresses_are_compared_as_numbers_and_mapped_ones_as_ipv4_too(
    ip: str, allowed: str, is_in: bool
):
    denied = ask(replace(GRANT, networks=networks(allowed)), ip=ip)
    assert (denied is None) == is_in


@pytest.mark.parametrize("ip", [None, "", "unknown", "10.1.2", "10.1.2.3, 10.0.0.1", "\x00", "{}"])
def test_r13_an_address_that_makes_no_sense_is_in_no_list(ip: str | None):
    """And it is not echoed: it may be anything that a proxy passed on."""
    denied = ask(replace(GRANT, networks=networks("0.0.0.0/0", "::/0")), ip=ip)
    assert denied is not None
    assert denied.facts["ip"] == "(unknown)"


@pytest.mark.parametrize(
    ("pattern", "name", "is_one"),
    [
        ("v1", "v1", True),
        ("v1", "v1.1", False),
        ("v1", "V1", False),
        ("v1*", "v1", True),
        ("v1*", "v1.1", True),
        ("*", "", True),
        ("*", "anything", True),
        ("**", "anything", True),
        ("*-mini", "gpt-4o-mini", True),
        ("*-mini", "gpt-4o-mini-2", False),
        ("gpt-*-mini", "gpt-4o-mini", True),
        ("gpt-*-mini", "gpt-mini", False),
        ("gpt*mini", "gptmini", True),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "abc", True),
        ("a*b*c", "acb", False),
        ("a*b*c", "a-c-c", False),
        ("aa*aa", "aaa", False),
        ("*a*a*", "a", False),
        ("*a*a*", "aa", True),
        ("v?", "v1", False),
        ("v[12]", "v1", False),
        ("v[12]", "v[12]", True),
        ("sandbox/*", "sandbox/slow", True),
    ],
)
def test_in_a_pattern_only_the_star_is_special(pattern: str, name: str, is_one: bool):
    assert access.names((pattern,), name) == is_one
    assert access.names(("other", pattern), name) == is_one


def slow_fits(pattern: str, name: str) -> bool:
    """The definition: a star is nothing, or one character more."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return slow_fits(pattern[1:], name) or (bool(name) and slow_fits(pattern, name[1:]))
    return bool(name) and pattern[0] == name[0] and slow_fits(pattern[1:], name[1:])


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_patterns_match_as_their_definition_says(pattern: str, name: str):
    assert access.names((pattern,), name) == slow_fits(pattern, name)


def test_a_hostile_name_does_not_stall_a_pattern():
    """Backtracking would take years here."""
    assert not access.names(("*a" * 30 + "*b",), "a" * 100_000)


@pytest.mark.parametrize(("resource", "does"), [("money", True), ("tokens", False)])
def test_i6_a_quota_of_money_makes_prices_necessary(resource, does):
    quota = Quota("q", "o", "key", "k", resource, "month", 1, "suspend", 0, (), UTC)
    assert replace(GRANT, quotas=(quota,)).has_budget is does
    assert not GRANT.has_budget


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_attack_3_only_names_of_this_machine_name_it(host: str, is_ours: bool) -> None:
    assert access.names_this_machine(host) is is_ours
