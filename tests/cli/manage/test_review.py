"""`keyhall review` and `keyhall versions scorecard`, on a folder with items in its queue."""

import json
import os

import pytest

from keyhall.clock import SystemClock
from keyhall.flows.content import conversation
from keyhall.flows.content.keeper import Keeper
from keyhall.flows.review.enter import item_of
from keyhall.flows.review.texts import Answer, Texts
from keyhall.policy.review.rules import Rules
from keyhall.ports.review import Answered
from keyhall.stores.content.sealing import Vault
from keyhall.stores.review import items
from keyhall.wire.chat import AnswerMessage, ChatRequest, Choice, Completion, Message

ESCAPE = "\x1b[2J"


@pytest.fixture
def item(house, keyhall):
    """An answer that waits for a person, of a project that gave leave to export."""
    key = keyhall.json("keys", "create", "--name", "app")
    keyhall("review", "rules", "Default project", "--hold", "always", "--export")
    now_us = SystemClock().now_us()
    answered = Answered(
        os.urandom(16).hex(), key["organization"], key["project"], key["id"], "acct_1",
        "v1-sandbox-1", now_us, False,
    )  # fmt: skip
    made = item_of(answered, Rules(hold="always"), ("required",), now_us, is_held=True)
    asked = ChatRequest("v1", [Message("user", f"Is it green?{ESCAPE}")])
    answers = [Choice(0, AnswerMessage(content="It is green."))]

    async def write(store):
        content = Keeper(store, Vault(house.peppers), SystemClock())
        document = conversation.encode(asked, answers)
        await Texts(content).write_held(made, Answer(Completion(choices=answers)), document)
        async with store.writing() as connection:
            await items.add(connection, made)

    house.run(write)
    return made


def test_an_item_is_listed_claimed_read_corrected_and_exported(keyhall, item, tmp_path) -> None:
    assert item.id in keyhall("review", "list")
    assert "green" not in keyhall("review", "show", item.id)
    assert "not claimed" in keyhall.refused("review", "decide", item.id, "release", "--score", "3")
    assert keyhall("review", "claim", item.id) == f"{item.id}: claimed\n"
    shown = keyhall("review", "show", item.id)
    assert "Is it green?<U+001B>" in shown
    assert ESCAPE not in shown
    better = tmp_path / "better.txt"
    better.write_text("It is blue.")
    keyhall("filters", "set", "personal/email", "--action", "block")
    better.write_text("Ask ada@example.org.")
    edit = ("review", "decide", item.id, "edit", "--score", "2", "--text", str(better))
    assert "its rule personal/email finds “ada@example.org”" in keyhall.refused(*edit)
    better.write_text("It is blue.")
    done = keyhall.json(*edit, "--note", "Sky.")
    assert done["outcome"] == "edited"
    shown = keyhall("review", "show", item.id)
    assert "It is [-green-][+blue+]." in shown
    assert "Sky." in shown
    line = json.loads(keyhall("review", "export"))
    assert line["messages"][-1] == {"role": "assistant", "content": "It is blue."}
    assert line["metadata"]["review"] == item.id
    (told,) = keyhall.json("review", "list", "--which", "closed")
    assert told["outcome"] == "edited"
    work = keyhall.json("review", "work")
    assert (work["reviewers"][0]["edited"], work["kappa"]) == (1, None)
    assert "Half take at most" in keyhall("review", "work")
    (card,) = keyhall.json("versions", "scorecard", "v1")
    assert (card["version"], card["edited"], card["review_score_mean"]) == ("v1-sandbox-1", 1, 2.0)
    assert "Corrected" in keyhall("versions", "scorecard")
    viewed = keyhall.json("audit", "--action", "content.view")
    assert len(viewed) == 2, "what was not shown leaves no row"


def test_a_decision_is_taken_back_and_an_item_given_back(keyhall, item) -> None:
    keyhall("review", "claim", item.id)
    keyhall("review", "decide", item.id, "refuse", "--score", "1")
    assert keyhall("review", "undo") == f"{item.id}: claimed\n"
    assert keyhall("review", "skip", item.id) == f"{item.id}: waiting\n"
    assert "decided nothing" in keyhall.refused("review", "undo")
    assert "no such review item" in keyhall.refused("review", "claim", "rev_1")


def test_rules_are_shown_and_only_what_is_given_changes(keyhall) -> None:
    keyhall("keys", "create", "--name", "app")
    assert "none" in keyhall("review", "rules", "Default project")
    keyhall("review", "rules", "Default project", "--sample", "2.5", "--people", "2")
    found = keyhall.json("review", "rules", "Default project", "--deadline", "8h")
    assert (found["sample_percent"], found["people"]) == (2.5, 2)
    assert (found["deadline_seconds"], found["hold"]) == (8 * 3_600, "never")
    assert "from one minute" in keyhall.refused(
        "review", "rules", "Default project", "--deadline", "10s"
    )
    told = keyhall.json("review", "webhook", "Default project", "https://example.org/hook")
    assert told["secret"].startswith("whsec_")
    assert "link-local" in keyhall.refused(
        "review", "webhook", "Default project", "http://169.254.169.254/"
    )
    assert keyhall.json("review", "webhook", "Default project", "")["secret"] is None
    assert "gave leave" in keyhall.refused("review", "export")


def test_an_edit_needs_its_text_and_nothing_else_has_one(keyhall, item) -> None:
    keyhall.refused("review", "decide", item.id, "edit", "--score", "3", status=2)
    keyhall.refused("review", "decide", item.id, "release", "--score", "3", "--text", "-", status=2)
    assert keyhall("review", "list", "--which", "mine") == "There is none.\n"
