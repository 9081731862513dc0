"""The other nouns: organizations, projects, versions, aliases, engines, usage."""

import pytest
from made_usage import made_usage

from keyhall.policy.metering import Outcome, UsageSource

FIRST = "Default organization"


def test_organizations_are_suspended_resumed_and_billed(keyhall) -> None:
    (found,) = keyhall.json("organizations", "list")
    assert (found["name"], found["state"], found["tier"]) == (FIRST, "active", None)
    assert "its keys get billing_not_active" in keyhall("organizations", "suspend", FIRST)
    assert "suspended since" in keyhall("organizations", "show", FIRST)
    assert f"Resumed {found['id']}" in keyhall("organizations", "resume", found["id"])
    said = keyhall("organizations", "activate-billing", FIRST, "--at", "2026-01-02")
    assert "is active since 2026-01-02 00:00 UTC" in said
    assert "give --at" in keyhall.refused("organizations", "activate-billing", FIRST)
    assert "active since 2026-01-02 00:00 UTC" in keyhall("organizations", "show", FIRST)


def test_billing_that_starts_later_is_not_called_active_yet(keyhall) -> None:
    said = keyhall("organizations", "activate-billing", FIRST, "--at", "2127-01-02")
    assert "is active from 2127-01-02 00:00 UTC on." in said
    assert "active from 2127-01-02 00:00 UTC on" in keyhall("organizations", "show", FIRST)
    said = keyhall.refused("organizations", "activate-billing", FIRST)
    assert "is to become active on 2127-01-02" in said


def test_an_organizations_limits_are_set_and_removed(keyhall) -> None:
    said = keyhall("organizations", "limits", FIRST, "--tier", "free-trial", "--rpm", "9")
    assert "free-trial, 9 RPM" in said
    assert "free-trial, 9 RPM" in keyhall("organizations", "list")
    found = keyhall.json("organizations", "limits", FIRST, "--tier", "none", "--rpm", "none")
    assert (found["tier"], found["limits"]["rpm"]) == (None, None)
    assert "Say what to change" in keyhall.refused("organizations", "limits", FIRST, status=2)


def test_projects_are_made_limited_and_given_models(keyhall) -> None:
    assert "keyhall keys create --project proj_" in keyhall("projects", "create", "--name", "web")
    assert "'web' already" in keyhall.refused("projects", "create", "--name", "web")
    assert "5 RPM" in keyhall("projects", "limits", "web", "--rpm", "5")
    assert "may use v1, sandbox/*" in keyhall("projects", "models", "web", "v1,sandbox/*")
    found = keyhall.json("projects", "show", "web")
    assert found["models"] == ["v1", "sandbox/*"]
    assert found["limits"] == {"rpm": 5, "tpm": None, "in_flight": None}
    assert "may use all models" in keyhall("projects", "models", "web", "all")
    assert "Say what to change" in keyhall.refused("projects", "limits", "web", status=2)
    listed = keyhall.json("projects", "list", "--organization", FIRST)
    assert {each["name"] for each in listed} == {"Default project", "web"}
    assert "web" in keyhall("projects", "list")
    assert "5 RPM" in keyhall("projects", "show", "web")
    shown = keyhall.json("organizations", "show", FIRST)
    assert shown["projects"] == [each["id"] for each in listed]


def test_a_version_is_added_found_priced_deprecated_and_retired(keyhall) -> None:
    arguments = (
        "versions", "add", "house-1", "--engine", "sandbox", "--engine-model", "sandbox",
        "--temperature", "0.5", "--price-in", "0.15", "--price-out", "0.6", "--max-input", "100",
    )  # fmt: skip
    assert "Added house-1 (fp_" in keyhall(*arguments)
    assert "a version never changes" in keyhall.refused(*arguments)
    said = keyhall("versions", "show", "house-1")
    assert "temperature 0.5" in said
    assert "0.15 / 0.60 per million tokens" in said
    assert "125 % + 32 a tool are held" in said
    found = keyhall.json("versions", "show", "house-1")
    assert found["price_micro_per_million"] == {"input": 150_000, "output": 600_000}
    assert (found["max_input_tokens"], found["count"]) == (100, "estimated")
    assert "costs 1.00 / 2.50" in keyhall(
        "versions", "price", "house-1", "--in", "1", "--out", "2.5"
    )
    said = keyhall("versions", "deprecate", "house-1", "--retires", "2127-01-01", "--use", "v1")
    assert "retires on 2127-01-01 00:00 UTC" in said
    assert "until 2127-01-01" in keyhall("versions", "list")
    assert "told to use v1" in keyhall("versions", "retire", "house-1")
    listed = {each["name"]: each for each in keyhall.json("versions", "list")}
    assert (listed["house-1"]["status"], listed["house-1"]["replacement"]) == ("retired", "v1")
    assert listed["v1-sandbox-1"]["aliases"] == ["keyhall-v1", "v1"]
    assert "Deprecated sandbox/long." in keyhall("versions", "deprecate", "sandbox/long")
    assert keyhall("versions", "retire", "sandbox/slow") == "Retired sandbox/slow.\n"
    assert " Its aliases keyhall-v1, v1 are refused too." in keyhall(
        "versions", "retire", "v1", "--use", "v1.1"
    )


def test_a_version_says_what_becomes_of_an_answer_that_is_left(keyhall) -> None:
    add = ("versions", "add", "--engine", "sandbox", "--engine-model", "sandbox")
    keyhall(*add, "house-1")
    assert "abort: the engine is stopped" in keyhall("versions", "show", "house-1")
    keyhall(*add, "house-2", "--on-disconnect", "drain")
    assert "drain: the engine goes on to its end" in keyhall("versions", "show", "house-2")
    listed = {each["name"]: each["on_disconnect"] for each in keyhall.json("versions", "list")}
    assert (listed["house-1"], listed["house-2"]) == ("abort", "drain")
    assert "'abort', 'drain'" in keyhall.refused(*add, "x", "--on-disconnect", "wait", status=2)


def test_settings_against_repetition_are_part_of_a_version(keyhall) -> None:
    add = ("versions", "add", "--engine", "sandbox", "--engine-model", "sandbox")
    keyhall(*add, "house-1", "--dry-multiplier", "0.8", "--min-p", "0.05", "--top-k", "40")
    shown = keyhall("versions", "show", "house-1")
    assert "top_k 40, min_p 0.05, dry_multiplier 0.8" in shown
    found = keyhall.json("versions", "show", "house-1")["sampling"]
    assert (found["min_p"], found["dry_multiplier"], found["dry_base"]) == (0.05, 0.8, None)
    refused = keyhall.refused(*add, "house-2", "--repetition-penalty", "2.5")
    assert "repetition penalty of 2.5 is not in 0.1...2" in refused
    assert "not a valid integer" in keyhall.refused(*add, "x", "--top-k", "1.5", status=2)


@pytest.mark.parametrize(
    ("price", "sentence"),
    [
        (("--price-in", "1"), "Give both prices"),
        (("--price-in", "0.0000001", "--price-out", "1"), "at most 6 decimals"),
        (("--price-in", "-1", "--price-out", "1"), "is no price"),
        (("--price-in", "NaN", "--price-out", "1"), "is no price"),
        (("--price-in", "cheap", "--price-out", "1"), "is no price"),
    ],
)
def test_a_price_is_exact_or_refused(keyhall, price, sentence) -> None:
    said = keyhall.refused(
        "versions", "add", "x-1", "--engine", "sandbox", "--engine-model", "x", *price, status=2
    )
    assert sentence in said


def test_an_unpriced_version_says_so(keyhall) -> None:
    keyhall("versions", "add", "x-1", "--engine", "sandbox", "--engine-model", "x")
    assert "Price        none" in keyhall("versions", "show", "x-1")
    assert keyhall.json("versions", "show", "x-1")["price_micro_per_million"] is None


def test_aliases_are_listed_and_moved(keyhall) -> None:
    assert "v1 now means v1.1-sandbox-1 (before: v1-sandbox-1)." in keyhall(
        "aliases", "move", "v1", "v1.1"
    )
    assert "means v1.1-sandbox-1 already" in keyhall("aliases", "move", "v1", "v1.1")
    assert "(before: nothing)" in keyhall("aliases", "move", "fast", "v1")
    assert keyhall.json("aliases", "move", "fast", "v1-sandbox-1") == {
        "name": "fast",
        "version": "v1-sandbox-1",
        "before": "v1.1-sandbox-1",
    }
    listed = {alias["name"]: alias["version"] for alias in keyhall.json("aliases", "list")}
    assert (listed["fast"], listed["v1"]) == ("v1-sandbox-1", "v1.1-sandbox-1")
    assert "fast" in keyhall("aliases", "list")
    assert "No version or alias nosuch" in keyhall.refused("aliases", "move", "v1", "nosuch")


def test_an_alias_is_given_versions_that_answer_instead(keyhall) -> None:
    said = keyhall("aliases", "fallback", "v1", "v1.1", "sandbox/long")
    assert said == "v1 means v1-sandbox-1 and falls back to v1.1-sandbox-1, sandbox/long.\n"
    listed = {alias["name"]: alias["fallbacks"] for alias in keyhall.json("aliases", "list")}
    assert listed["v1"] == ["v1.1-sandbox-1", "sandbox/long"]
    assert listed["keyhall-v1"] == []
    assert "v1.1-sandbox-1" in keyhall("aliases", "list")
    assert keyhall("aliases", "fallback", "v1", "--none") == (
        "v1 means v1-sandbox-1 and falls back to nobody.\n"
    )
    assert keyhall.json("aliases", "fallback", "v1", "v1.1") == {
        "name": "v1",
        "version": "v1-sandbox-1",
        "fallbacks": ["v1.1-sandbox-1"],
    }
    for given in ((), ("v1.1", "--none")):
        said = keyhall.refused("aliases", "fallback", "v1", *given, status=2)
        assert "or say --none" in said


def test_engines_are_added_listed_and_removed(keyhall) -> None:
    said = keyhall("engines", "add", "vllm", "--url", "http://10.0.0.5/v1", "--key-env", "VLLM_KEY")
    assert "Added vllm at http://10.0.0.5/v1." in said
    assert "$VLLM_KEY (not set in this shell)" in keyhall("engines", "list")
    keyhall("engines", "add", "open", "--url", "http://10.0.0.6/v1", "--json")
    assert [each["name"] for each in keyhall.json("engines", "list")] == ["sandbox", "open", "vllm"]
    assert "Removed vllm" in keyhall("engines", "remove", "vllm")
    assert keyhall.json("engines", "remove", "open")["url"] == "http://10.0.0.6/v1"
    assert "No engine vllm" in keyhall.refused("engines", "remove", "vllm")
    said = keyhall.refused("engines", "add", "x", "--url", "http://10.0.0.5", "--key-env", "sk-abc")
    assert "not a key" in said


# --- Usage ----------------------------------------------------------------------------------------


def used(number, **more):
    counted = {"input_tokens": 1_000, "output_tokens": 200, "cost_nano": 1_500_000}
    return made_usage(number, **(counted | more))


def test_usage_is_a_table_with_totals(keyhall, house) -> None:
    key_id = keyhall.json("keys", "create", "--name", "app")["id"]
    batch = [used(1, key_id=key_id), used(2, key_id=key_id, outcome=Outcome.STALLED), used(3)]
    house.run(lambda store: store.record_usage(batch))
    rows = [" ".join(line.split()) for line in keyhall("usage").splitlines()]
    assert rows == [
        "Key Name Requests Input tokens Output tokens Cost Not finished",
        f"{key_id} app 2 2,000 400 0.003 1",
        "key_000000000000 key_000000000000 1 1,000 200 0.0015",
        "Total 3 3,000 600 0.0045 1",
    ]
    assert all(line == line.rstrip() for line in keyhall("usage").splitlines())


def test_a_request_of_no_tokens_is_not_called_estimated(keyhall, house) -> None:
    nothing = {"input_tokens": 0, "output_tokens": 0, "usage_source": UsageSource.ESTIMATED}
    batch = [used(1, **nothing), used(2, usage_source=UsageSource.ESTIMATED)]
    house.run(lambda store: store.record_usage(batch))
    assert keyhall.json("usage")["total"]["estimated"] == 1


def test_usage_by_day_and_model_since_and_until(keyhall, house) -> None:
    batch = [used(1), used(2, admitted_at_us=1_800_100_000_000_000, version="v1.1-sandbox-1")]
    house.run(lambda store: store.record_usage(batch))
    assert [line["day"] for line in keyhall.json("usage", "--by", "day")["lines"]] == [
        "2027-01-15",
        "2027-01-16",
    ]
    models = keyhall.json("usage", "--by", "model", "--since", "2027-01-16")
    assert models["lines"] == [
        {
            "model": "v1.1-sandbox-1",
            "requests": 1,
            "input_tokens": 1_000,
            "output_tokens": 200,
            "cost_nano": 1_500_000,
            "not_finished": 0,
            "estimated": 0,
        }
    ]
    assert (models["since"], models["total"]["requests"]) == ("2027-01-16T00:00:00Z", 1)
    said = keyhall("usage", "--by", "day", "--since", "2027-01-15T07:30", "--until", "2027-01-16")
    assert "Admitted from 2027-01-15 07:00 UTC until 2027-01-16 00:00 UTC." in said
    assert "Name" not in said


def test_nothing_used_is_a_sentence(keyhall) -> None:
    assert keyhall("usage") == "Nothing was used.\n"
    keyhall("keys", "create", "--name", "app")
    assert "Nothing was used from" in keyhall("usage", "--key", "app", "--since", "7d")
    assert " until " in keyhall("usage", "--since", "7d ago", "--until", "1d ago")
    assert keyhall.json("usage")["lines"] == []


def test_usage_of_one_organization_project_or_model_alone(keyhall, house) -> None:
    house.run(lambda store: store.record_usage([used(1), used(2)]))
    owner = keyhall.json("organizations", "list")[0]["id"]
    for option, name, count in (
        ("--model", "nothing", 0),
        ("--organization", owner, 0),  # The rows are of no organization that there is.
    ):
        assert keyhall.json("usage", option, name)["total"]["requests"] == count
    version = keyhall.json("usage", "--by", "model")["lines"][0]["model"]
    assert keyhall.json("usage", "--model", version)["total"]["requests"] == 2
