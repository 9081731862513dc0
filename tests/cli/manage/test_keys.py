"""`keyhall keys`, `limits` and `tiers`: what people type and what they see."""

import json
import os
import subprocess
import sys

import pytest

from keyhall.policy import keys as form


def test_creating_prints_one_object_with_id_key_and_tier(fresh_keyhall) -> None:
    """On a folder that no server has seen."""
    made = fresh_keyhall.json("keys", "create", "--name", "app", "--tier", "pay-as-you-go")
    assert form.parse(made["key"]) == (made["id"], "live")
    assert made["tier"] == "pay-as-you-go"
    assert list(made)[:2] == ["id", "key"]
    assert made["state"] == "active"


def test_a_key_is_shown_once_alone_on_its_line(keyhall) -> None:
    said = keyhall("keys", "create", "--name", "laptop")
    (line,) = [line for line in said.splitlines() if "sk-kh_" in line]
    parsed = form.parse(line.strip())
    assert parsed is not None
    assert f"Created {parsed.id} (laptop): live, tier free-trial." in said
    for later in (("keys", "list"), ("keys", "show", "laptop"), ("limits", "laptop")):
        assert line.strip() not in keyhall(*later)
        assert line.strip() not in keyhall(*later, "--json")


def test_restrictions_are_stored_and_said(keyhall) -> None:
    arguments = (
        "keys", "create", "--name", "narrow", "--test", "--expires", "2127-05-01",
        "--models", "v1, sandbox/*", "--endpoints", "chat", "--ip", "10.0.0.0/8",
        "--ip", "192.0.2.7", "--rpm", "5", "--tpm", "9,000", "--in-flight", "2",
    )  # fmt: skip
    said = keyhall(*arguments)
    assert "test, tier free-trial, itself limited to 5 RPM, 9,000 TPM, 2 in flight" in said
    assert "for models v1, sandbox/*, for endpoints chat" in said
    assert "from 10.0.0.0/8, 192.0.2.7/32, until 2127-05-01 00:00 UTC" in said
    found = keyhall.json("keys", "show", "narrow")
    assert found["mode"] == "test"
    assert found["limits"] == {"rpm": 5, "tpm": 9000, "in_flight": 2}
    assert found["models"] == ["v1", "sandbox/*"]
    assert found["networks"] == ["10.0.0.0/8", "192.0.2.7/32"]
    assert found["expires_at"] == "2127-05-01T00:00:00Z"


def test_the_list_is_newest_first_and_keeps_ended_keys_back(keyhall) -> None:
    ids = [keyhall.json("keys", "create", "--name", f"app {number}")["id"] for number in range(3)]
    keyhall("keys", "revoke", "app 1", "--reason", "leaked")
    assert [key["id"] for key in keyhall.json("keys", "list")] == [ids[2], ids[0]]
    every = keyhall.json("keys", "list", "--all")
    assert [(key["id"], key["state"]) for key in every] == [
        (ids[2], "active"),
        (ids[1], "revoked"),
        (ids[0], "active"),
    ]
    said = keyhall("keys", "list", "--limit", "1")
    assert ids[2] in said
    assert ids[0] not in said
    assert "1 more key: --limit 2 shows all." in said
    assert "1 key revoked or expired: --all shows them too." in said
    assert "revoked on" in keyhall("keys", "show", ids[1])
    assert "leaked" in keyhall("keys", "show", ids[1])


def test_r26_an_admin_key_ends_and_calls_no_models(keyhall, house) -> None:
    made = keyhall.json("keys", "create", "--name", "metrics", "--admin")
    assert form.parse(made["key"]) == (made["id"], "admin")
    assert made["expires_at"] is not None, "90 days if not said otherwise"
    assert "calls no models" in keyhall.refused("limits", "metrics")
    said = keyhall.refused("keys", "create", "--name", "x", "--admin", "--models", "v1")
    assert "An admin key calls no models" in said
    both = keyhall.refused("keys", "create", "--name", "x", "--admin", "--test", status=2)
    assert "either a test key or an admin key" in both
    assert ": admin, until 2127-01-01" in keyhall(
        "keys", "create", "--name", "y", "--admin", "--expires", "2127-01-01"
    )
    assert " admin " in keyhall("keys", "list")
    digest = form.digest(house.peppers[0], made["key"].encode())
    assert house.run(lambda store: store.find_grant(digest)) is None, "unknown on /v1"


def test_an_empty_list_says_how_to_begin(keyhall) -> None:
    assert "keyhall keys create --name NAME" in keyhall("keys", "list")
    assert keyhall.json("keys", "list") == []


def test_a_list_can_be_of_one_project(keyhall) -> None:
    keyhall("projects", "create", "--name", "web")
    keyhall("keys", "create", "--name", "one")
    made = keyhall.json("keys", "create", "--name", "two", "--project", "web")
    assert [key["id"] for key in keyhall.json("keys", "list", "--project", "web")] == [made["id"]]
    said = keyhall("keys", "list")
    assert "Project" in said, "said where keys belong to several"
    assert "Project" not in keyhall("keys", "list", "--project", "web")


def test_a_life_from_pause_to_revocation(keyhall) -> None:
    key_id = keyhall.json("keys", "create", "--name", "app")["id"]
    assert f"Paused {key_id} (app)." in keyhall("keys", "pause", "app")
    assert "State         paused since" in keyhall("keys", "show", "app")
    assert f"Resumed {key_id} (app)." in keyhall("keys", "resume", key_id[4:])
    assert f"{key_id} is now called better." in keyhall("keys", "rename", key_id, "better")
    assert "expires on 2127-01-02 03:04 UTC" in keyhall(
        "keys", "expire", "better", "--at", "2127-01-02T03:04"
    )
    assert "never expires" in keyhall("keys", "expire", "better", "--at", "never")
    assert "for good" in keyhall("keys", "revoke", "better")
    assert "never works again" in keyhall.refused("keys", "resume", key_id)


def test_rotating_shows_the_new_key_and_until_when_the_old_one_works(keyhall) -> None:
    old = keyhall.json("keys", "create", "--name", "app")
    said = keyhall("keys", "rotate", "app")
    assert f"the successor of {old['id']}" in said
    assert "The old key works until" in said
    (new,) = [key for key in keyhall.json("keys", "list") if key["id"] != old["id"]]
    assert (new["rotated_from"], new["lineage"]) == (old["id"], old["id"])
    assert keyhall.json("keys", "show", old["id"])["rotated_to"] == new["id"]
    assert "Rotated from" in keyhall("keys", "show", new["id"])
    again = keyhall.json("keys", "rotate", new["id"], "--overlap", "0")
    assert form.parse(again["key"]).id == again["id"]
    assert again["replaces"]["id"] == new["id"]
    assert keyhall.json("keys", "show", new["id"])["state"] == "expired"
    last = keyhall("keys", "rotate", again["id"], "--overlap", "0")
    assert "The old key no longer works" in last


def test_scopes_networks_and_limits_are_changed_and_cleared(keyhall) -> None:
    keyhall("keys", "create", "--name", "app")
    assert "v1; chat" in keyhall("keys", "scopes", "app", "--models", "v1", "--endpoints", "chat")
    changed = keyhall.json("keys", "scopes", "app", "--models", "all")
    assert (changed["models"], changed["endpoints"]) == (None, ["chat"])
    assert "used from 10.0.0.0/8" in keyhall("keys", "networks", "app", "--ip", "10.0.0.0/8")
    assert keyhall.json("keys", "networks", "app", "--any")["networks"] is None
    said = keyhall("keys", "limits", "app", "--tier", "pay-as-you-go", "--rpm", "5")
    assert "tier pay-as-you-go, itself limited to 5 RPM" in said
    assert keyhall.json("keys", "limits", "app", "--rpm", "none")["limits"]["rpm"] is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("keys", "limits", "app"), "Say what to change"),
        (("keys", "scopes", "app"), "Say what to change"),
        (("keys", "networks", "app"), "Give --ip once or more, or --any"),
        (("keys", "networks", "app", "--any", "--ip", "10.0.0.0/8"), "Give --ip once or more"),
        (("keys", "limits", "app", "--rpm", "many"), "'many' is no limit"),
        (
            ("keys", "limits", "app", "--tpm", "9" * 20),
            "is too large for a limit: at most 1,000,000,000,000, or none.",
        ),
        (("keys", "create", "--name", "x", "--expires", "soon"), "'soon' is no time: write 30d"),
        (("keys", "create", "--name", "x", "--expires", "never"), "'never' is no time"),
        (("keys", "rotate", "app", "--overlap", "1y"), "'1y' is no span"),
        (("keys", "create"), "Missing option '--name'"),
        (("keys", "frobnicate"), "No such command 'frobnicate'"),
    ],
)
def test_a_wrong_command_line_is_status_2(keyhall, arguments, sentence) -> None:
    assert sentence in keyhall.refused(*arguments, status=2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("keys", "show", "key_000000000000"), "No key with id key_000000000000."),
        (("keys", "create", "--name", "x", "--tier", "free"), "There is no tier 'free'."),
        (("keys", "create", "--name", "x", "--ip", "10.0.0.1/8"), "did you mean 10.0.0.0/8?"),
        (("keys", "create", "--name", "x", "--expires", "2020-01-01"), "which has passed"),
        (("keys", "expire", "app", "--at", "2020-01-01"), "2020-01-01 00:00 UTC has passed"),
        (("keys", "list", "--project", "nosuch"), "`keyhall projects list` shows them"),
        (("limits", "nosuch"), "`keyhall keys list` shows them"),
        (("usage", "--key", "nosuch"), "No key with id or name nosuch"),
        (("usage", "--since", "1d", "--until", "2d"), "end before it begins"),
    ],
)
def test_a_refusal_teaches_and_is_status_1(keyhall, arguments, sentence) -> None:
    said = keyhall.refused(*arguments)
    assert sentence in said
    assert said.startswith("Error: ")
    assert "Traceback" not in said


def test_limits_explain_themselves(keyhall) -> None:
    keyhall("keys", "create", "--name", "app", "--tpm", "60,000", "--tier", "pay-as-you-go")
    keyhall("projects", "limits", "Default project", "--tpm", "40000")
    keyhall("organizations", "limits", "Default organization", "--tpm", "90000")
    said = keyhall("limits", "app")
    assert "40,000 TPM: the lowest of key 60,000, project 40,000, organization 90,000" in said
    found = keyhall.json("limits", "app")
    assert [window["scope"] for window in found["windows"]] == ["key", "project", "organization"]
    assert [window["tpm"] for window in found["windows"]] == [60_000, 40_000, 90_000]
    assert found["windows"][0]["rpm"] == 60
    assert found["explanation"] == [line.strip() for line in said.splitlines()[2:]]


def test_tiers_are_listed_with_their_stages_and_the_operators_own(keyhall_with_tiers) -> None:
    said = keyhall_with_tiers("tiers")
    rows = [" ".join(line.split()) for line in said.splitlines()]
    assert "free-trial 20 40,000 none 2,048" in rows
    assert "pay-as-you-go not, or under 48 hours 60 60,000 none 4,096" in rows
    assert "48 hours or longer 3,500 90,000 none 4,096" in rows
    assert "team 7 none 2 100" in rows
    names = [(tier["name"], tier["built_in"]) for tier in keyhall_with_tiers.json("tiers")]
    assert names == [("free-trial", True), ("pay-as-you-go", True), ("team", False)]


def test_a_key_may_have_a_tier_of_the_settings_file(keyhall_with_tiers) -> None:
    made = keyhall_with_tiers.json("keys", "create", "--name", "app", "--tier", "team")
    assert made["tier"] == "team"
    assert "7 RPM" in keyhall_with_tiers("limits", "app")


def test_names_are_printed_as_they_are_and_never_as_markup(keyhall) -> None:
    keyhall("keys", "create", "--name", "[red]x[/] :smile: 日本")
    assert "[red]x[/] :smile: 日本" in keyhall("keys", "list")


def test_what_is_piped_is_whole_and_without_colours(keyhall) -> None:
    keyhall("keys", "create", "--name", "x" * 100, "--expires", "30d")
    said = keyhall("keys", "list")
    assert "x" * 100 in said
    assert "\x1b" not in said
    assert len(said.splitlines()) == 2


def test_a_folder_of_somebody_elses_is_said_in_one_line(keyhall) -> None:
    (keyhall.data / "pepper").chmod(0o644)
    assert "can be read by other users" in keyhall.refused("keys", "list")


def test_a_setting_that_is_wrong_is_said_before_anything_is_opened(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "keyhall", "keys", "list", "--data", str(tmp_path / "new")],
        env={**os.environ, "KEYHALL_SERVER_PORT": "high"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "port" in done.stderr.lower()
    assert not (tmp_path / "new").exists()


def test_data_names_the_folder_on_the_command_line_too(fresh_keyhall, tmp_path) -> None:
    other = tmp_path / "other"
    fresh_keyhall("keys", "create", "--name", "app", "--data", str(other))
    assert json.loads(fresh_keyhall("keys", "list", "--json", "--data", str(other)))
    assert "There is no Keyhall data" in fresh_keyhall.refused("keys", "list")


@pytest.mark.parametrize(
    "arguments",
    [
        ("usage",),
        ("tiers",),
        ("keys", "list"),
        ("keys", "revoke", "app"),
        ("limits", "app"),
        ("projects", "create", "--name", "web"),
        ("organizations", "list"),
        ("versions", "list"),
        ("versions", "retire", "v1"),
        ("aliases", "move", "v1", "v1.1"),
        ("engines", "list"),
    ],
)
def test_a_folder_without_data_is_told_and_left_as_it_is(fresh_keyhall, arguments) -> None:
    """It is a mistyped one: nothing is made there."""
    data = fresh_keyhall.data
    assert fresh_keyhall.refused(*arguments) == (
        f"Error: There is no Keyhall data in {data}: name its folder with --data. `keyhall serve` "
        "or `keyhall keys create` makes a new one.\n"
    )
    assert not data.exists()
    data.mkdir()
    fresh_keyhall.refused(*arguments)
    assert list(data.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "create", "--name", "app"),
        ("engines", "add", "vllm", "--url", "http://127.0.0.1:8000/v1"),
        ("versions", "add", "x-1", "--engine", "sandbox", "--engine-model", "x"),
    ],
)
def test_what_a_first_start_needs_may_come_before_it(fresh_keyhall, arguments) -> None:
    fresh_keyhall(*arguments)
    assert (fresh_keyhall.data / "keyhall.db").exists()


def into_a_full_disk(data, *arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "keyhall", *arguments],
            env={**os.environ, "KEYHALL_DATA": str(data), "NO_COLOR": "1"},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith("Error: The output cannot be written: No space left on device.")
    return line


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_key_that_nobody_could_see_is_revoked(keyhall, more) -> None:
    line = into_a_full_disk(keyhall.data, "keys", "create", "--name", "unseen", *more)
    (key,) = keyhall.json("keys", "list", "--all")
    assert line.endswith(f"Nobody saw the key, so {key['id']} was revoked.")
    assert (key["state"], key["name"]) == ("revoked", "unseen")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_successor_that_nobody_could_see_is_revoked_and_the_old_key_can_be_kept(keyhall) -> None:
    old = keyhall.json("keys", "create", "--name", "app")["id"]
    line = into_a_full_disk(keyhall.data, "keys", "rotate", "app")
    states = {key["id"]: key["state"] for key in keyhall.json("keys", "list", "--all")}
    assert (states.pop(old), *states.values()) == ("active", "revoked")
    command = line.rpartition("`keyhall ")[2].partition("`")[0]
    assert "never expires" in keyhall(*command.split())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [("keys", "list"), ("tiers", "--json"), ("--help",)])
def test_output_that_cannot_be_written_is_one_line(keyhall, arguments) -> None:
    into_a_full_disk(keyhall.data, *arguments)


@pytest.mark.parametrize("state", ["paused", "expired", "revoked"])
def test_the_limits_of_a_key_that_is_refused_say_so(keyhall, state) -> None:
    key_id = keyhall.json("keys", "create", "--name", "app")["id"]
    assert keyhall.json("limits", key_id)["state"] == "active"
    act = {"paused": ["pause"], "expired": ["expire", "--at", "0"], "revoked": ["revoke"]}[state]
    keyhall("keys", *act, key_id)
    assert f"The key is {state}: its requests are refused." in keyhall("limits", key_id)
    assert keyhall.json("limits", key_id)["state"] == state


@pytest.mark.parametrize("option", ["--models", "--endpoints"])
def test_an_empty_list_makes_no_key(keyhall, option) -> None:
    said = keyhall.refused("keys", "create", "--name", "app", option, " , ", status=2)
    assert f"{option} is empty: give names, or leave the option out." in said


def test_an_admin_key_has_no_tier(keyhall) -> None:
    made = keyhall.json("keys", "create", "--name", "metrics", "--admin")
    assert made["tier"] is None
    assert "Tier" not in keyhall("keys", "show", "metrics")
