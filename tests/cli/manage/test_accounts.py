"""`keyhall accounts`: the way in without mail, and without anybody in the console."""

from keyhall.parts import locked
from keyhall.stores.accounts import people

FIRST = "Default organization"


def test_the_first_run_s_account_waits_for_its_set_up_link(keyhall) -> None:
    (found,) = keyhall.json("accounts", "list")
    assert (found["state"], found["operator"]) == ("invited", False)
    first = keyhall.json("accounts", "set-up-link")["url"]
    second = keyhall.json("accounts", "set-up-link")["url"]
    assert first != second
    assert second.startswith("http://127.0.0.1:8484/set-up/")
    assert "within 7 days" in keyhall("accounts", "set-up-link")


def test_who_can_be_helped_by_a_link_gets_one(keyhall, house) -> None:
    (found,) = keyhall.json("accounts", "list")
    assert "set-up-link" in keyhall.refused("accounts", "reset-link", found["id"])

    async def named(store):
        async with store.writing() as connection:
            await people.rename(connection, found["id"], name="Ada", email="ada@example.org")

    house.run(named)
    link = keyhall.json("accounts", "reset-link", "ADA@example.org")["url"]
    assert link.startswith("http://127.0.0.1:8484/reset/")
    assert "within 30 minutes" in keyhall("accounts", "reset-link", found["id"])
    assert "No account" in keyhall.refused("accounts", "reset-link", "nobody@example.org")


def test_an_invitation_is_for_one_organization_and_role(keyhall) -> None:
    arguments = ("--email", "bo@example.org", "--role", "reader")
    link = keyhall.json("accounts", "invite", *arguments)["url"]
    assert link.startswith("http://127.0.0.1:8484/join/")
    assert "changes nothing" in keyhall("accounts", "invite", *arguments, "--organization", FIRST)
    assert "No organization" in keyhall.refused("accounts", "invite", "--organization", "other")
    assert "not an e-mail" in keyhall.refused("accounts", "invite", "--email", "nonsense")
    keyhall.refused("accounts", "invite", "--role", "root", status=2)


def test_an_account_is_suspended_and_resumed(keyhall) -> None:
    (found,) = keyhall.json("accounts", "list")
    assert "Its keys work on" in keyhall("accounts", "suspend", found["id"])
    assert "suspended since" in keyhall("accounts", "show", found["id"])
    assert keyhall.json("accounts", "suspend", found["id"])["state"] == "suspended"
    assert "Resumed" in keyhall("accounts", "resume", found["id"])
    assert keyhall.json("accounts", "resume", found["id"])["state"] == "invited"
    assert f"owner of {FIRST}" in keyhall("accounts", "show", found["id"])
    shown = keyhall.json("accounts", "show", found["id"])
    assert [each["role"] for each in shown["memberships"]] == ["owner"]
    assert found["id"] in keyhall("accounts", "list")


def test_who_cannot_sign_in_runs_no_server(keyhall) -> None:
    (found,) = keyhall.json("accounts", "list")
    assert "reset link first" in keyhall.refused("accounts", "operator", found["id"], "on")
    assert keyhall.json("accounts", "operator", found["id"], "off")["operator"] is False
    assert "does not run" in keyhall("accounts", "operator", found["id"], "off")


def test_links_lead_to_the_server_that_runs_on_the_folder(keyhall, house) -> None:
    """It may listen on another port than the settings of this shell say."""
    with locked(house.data, "http://127.0.0.1:9191"):
        link = keyhall.json("accounts", "invite")["url"]
        said = keyhall("accounts", "invite", "--role", "admin")
    assert link.startswith("http://127.0.0.1:9191/join/")
    assert "makes whoever opens it an admin" in said
    assert keyhall.json("accounts", "invite")["url"].startswith("http://127.0.0.1:8484/join/")
