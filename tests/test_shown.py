"""Settings for people: masked, and as a file that gives the same again."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from keyhall import config
from keyhall.config.shown import as_file, shown, tier_toml, toml
from keyhall.policy.limits import Limits
from keyhall.policy.secrets import MASK
from keyhall.policy.tiers import Tier

FILE = """
[server]
port = 9000
trusted_proxies = ["10.0.0.0/8"]

[console]
enabled = false

[tiers.course]
limits = { in_flight = 3 }
default_output = 512
"""


def parsed(text, environ=None):
    return config.parse(text, environ or {}, Path("/data"), {})


def test_a_settings_file_gives_the_same_settings_again() -> None:
    first = parsed(FILE, {"KEYHALL_LOG_LEVEL": "debug", "KEYHALL_SANDBOX_TOKENS_PER_SECOND": "7"})
    again = parsed(as_file(first))
    assert (again.server, again.console, again.log) == (first.server, first.console, first.log)
    assert (again.tiers, again.sandbox) == (first.tiers, first.sandbox)


def test_a_secret_is_shown_nowhere_and_the_file_names_its_variable() -> None:
    secret = "postgres://user:hush@host/name"
    found = parsed("", {"KEYHALL_DATABASE_URL": secret})
    (row,) = [each for each in shown(found) if (each.section, each.name) == ("database", "url")]
    assert (row.value, row.source) == (MASK, "environment")
    assert 'url = "${KEYHALL_DATABASE_URL}"' in as_file(found)
    assert "hush" not in as_file(found)


def test_what_is_left_to_its_default_needs_no_file() -> None:
    assert as_file(parsed("")).startswith("# Everything")


def test_a_tier_without_limits_is_declared_too() -> None:
    assert parsed(tier_toml(Tier("roomy", Limits()))).tiers == {"roomy": Tier("roomy", Limits())}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_the_same_text_again(text: str) -> None:
    import tomllib

    assert tomllib.loads(f"x = {toml(text)}")["x"] == text
