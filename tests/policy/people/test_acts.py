"""Acts of the audit, in words."""

import re
from pathlib import Path

from keyhall.policy.people.acts import ALONE, SAYS, says, says_alone

SOURCE = Path(__file__).parents[3] / "src" / "keyhall"
_KINDS = "|".join({act.partition(".")[0] for act in SAYS})
_ACT = re.compile(rf'"((?:{_KINDS})\.[a-z][a-z_-]*)"')


def test_every_act_that_is_audited_has_words() -> None:
    files = [*(SOURCE / "flows").rglob("*.py"), *(SOURCE / "stores").rglob("*.py")]
    found = {act for file in files for act in _ACT.findall(file.read_text())}
    # What webhooks are called by; nobody's acts.
    found -= {"quota.threshold_reached", "review.decided"}
    assert {"key.create", "member.withdraw", "ask.write"} <= found
    assert found <= set(SAYS), found - set(SAYS)
    assert set(ALONE) <= set(SAYS)


def test_an_act_without_words_is_told_by_its_name() -> None:
    assert says("key.create") == "created the key"
    assert says("door.paint_it-red") == "door: paint it red"


def test_what_somebody_did_to_themselves_names_nobody_again() -> None:
    assert says_alone("account.sign-in", "account:acct_1", "acct_1") == "signed in"
    assert says_alone("member.join", "account:acct_1", "org_1/acct_1") == "joined"
    assert says_alone("member.join", "account:acct_2", "org_1/acct_1") == ""
    assert says_alone("member.role", "account:acct_1", "org_1/acct_1") == ""
