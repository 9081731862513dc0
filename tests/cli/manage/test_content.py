"""`keyhall content` and the commands that say how long is kept what is said."""

import os

import msgspec
import pytest

from keyhall.clock import SystemClock
from keyhall.flows.content import conversation
from keyhall.ports.content import Kept
from keyhall.stores.content import rows
from keyhall.stores.content.sealing import Vault
from keyhall.wire.chat import AnswerMessage, ChatRequest, Choice

DAY_US = 86_400_000_000
CANARY = "canary-5f0e-of-the-prompt"
ESCAPE = "\x1b[2J"


@pytest.fixture
def kept(house, keyhall):
    """A conversation of a key of the default project, which keeps for 30 days."""
    key = keyhall.json("keys", "create", "--name", "app")
    keyhall("projects", "retention", "Default project", "30d")
    now_us = SystemClock().now_us()
    asked = ChatRequest("v1", [{"role": "user", "content": CANARY + ESCAPE}])
    asked = msgspec.convert(msgspec.to_builtins(asked), ChatRequest)
    said = conversation.encode(asked, [Choice(0, AnswerMessage(content="As you say."))])
    made = Kept(
        id=os.urandom(16).hex(),
        organization_id=key["organization"],
        project_id=key["project"],
        key_id=key["id"],
        account_id="acct_1",
        version="v1-sandbox-1",
        created_at_us=now_us,
        keep_until_us=now_us + 30 * DAY_US,
        conversation=said,
    )

    async def write(store):
        async with store.writing() as connection:
            await rows.write(connection, Vault(house.peppers), [made], now_us)

    house.run(write)
    return made


def test_projects_keys_and_organizations_say_how_long(keyhall) -> None:
    keyhall("keys", "create", "--name", "app")
    assert "keeps none: the project says nothing" in keyhall("keys", "retention", "app", "project")
    said = keyhall("projects", "retention", "Default project", "30d")
    assert said.endswith("keeps conversations: 30 days.\n")
    assert "keeps 30 days: the project says 30 days." in keyhall(
        "keys", "retention", "app", "project"
    )
    assert "30 days" in keyhall("projects", "show", "Default project")
    found = keyhall.json("keys", "retention", "app", "7d")
    assert (found["retention_days"], found["retention_in_force_days"]) == (7, 7)
    assert "Retention" in keyhall("keys", "show", "app")
    said = keyhall("organizations", "retention", "Default organization", "1d")
    assert said.endswith("keep conversations at most: 1 day.\n")
    said = keyhall("keys", "retention", "app", "none")
    assert "keeps none: the project says 30 days, the key says none, the organization at" in said
    assert keyhall.json("organizations", "retention", "Default organization", "any")[
        "retention_days_max"
    ] is None  # fmt: skip
    refused = keyhall.refused("keys", "retention", "app", "400d", status=2)
    assert "write none, or 1d to 365d, or project." in refused
    made = keyhall.json("keys", "create", "--name", "web", "--retention", "none")
    assert made["retention_days"] == 0
    acts = [each["action"] for each in keyhall.json("audit", "--action", "key.retention")]
    assert acts == ["key.retention"] * 2


def test_what_is_kept_is_listed_without_its_words_and_shown_with_a_reason(keyhall, kept) -> None:
    listed = keyhall("content", "list")
    assert f"req_{kept.id}" in listed
    assert CANARY not in listed
    (found,) = keyhall.json("content", "list", "--organization", kept.organization_id)
    assert (found["key"], found["kind"]) == (kept.key_id, "conversation")
    assert "Missing option '--why'" in keyhall.refused("content", "show", kept.id, status=2)
    assert keyhall.json("audit", "--action", "content.view") == []
    shown = keyhall("content", "show", f"chatcmpl-{kept.id}", "--why", "a complaint")
    assert CANARY in shown
    assert "answer (stop): As you say.\n" in shown
    assert "\x1b" not in shown  # What strangers wrote does nothing to a terminal.
    (row,) = keyhall.json("audit", "--organization", kept.organization_id, "--action", "content")
    assert (row["target"], row["after"]["why"]) == (f"req_{kept.id}", "a complaint")
    shown = keyhall.json("content", "show", kept.id, "--why", "again")
    assert shown["messages"][0]["content"] == CANARY + ESCAPE
    assert "Nothing is kept of req_0" in keyhall.refused("content", "show", "req_0", "--why", "x")


@pytest.mark.parametrize("what", ["request", "key", "project", "organization"])
def test_what_is_kept_is_erased(keyhall, kept, what) -> None:
    name = kept.id if what == "request" else getattr(kept, f"{what}_id")
    assert keyhall("content", "erase", what, name) == "Erased 1 conversation.\n"
    assert keyhall("content", "list") == "Nothing is kept.\n"
    assert "Nothing is kept" in keyhall.refused("content", "erase", "request", kept.id)
    (row,) = keyhall.json("audit", "--organization", kept.organization_id, "--action", "content")
    assert row["after"] == {"organization_id": kept.organization_id, "rows": 1}


def test_rules_are_tried_on_what_is_kept_and_nothing_of_it_is_shown(
    keyhall, kept, tmp_path
) -> None:
    told = keyhall.json("filters", "try", "--since", "1d")
    assert (told["kept"], told["looked_at"], told["hit"]) == (1, 1, 0)
    assert len(told["rules"]) > 20
    file = tmp_path / "own.toml"
    file.write_text(
        '[[rules]]\nid = "canary"\nreason = "r"\nowner = "o"\nterms = ["canary*"]\n'
        f'finds = ["{CANARY}"]\n'
    )
    (rule,) = keyhall.json("filters", "try", "--rules", str(file))["rules"]
    assert (rule["prompts"], rule["answers"], rule["rate"]) == (1, 0, 1.0)
    assert rule["examples"] == [f"req_{kept.id}"]
    shown = keyhall("filters", "try", "--rules", str(file), "--project", "Default project")
    assert "1 conversation of 1 would have been hit." in shown
    assert f"req_{kept.id}" in shown
    assert CANARY not in shown
    assert "tried rules on what is kept of" in keyhall("audit")
    named = keyhall.json("filters", "try", "hate.degrading")
    assert [each["rule"] for each in named["rules"]] == ["hate.degrading"]


def test_where_nothing_is_kept_it_says_why(keyhall) -> None:
    keyhall("keys", "create", "--name", "app")
    shown = keyhall("filters", "try")
    assert "by default Keyhall keeps no conversation" in shown
    assert "keyhall projects retention" in shown
