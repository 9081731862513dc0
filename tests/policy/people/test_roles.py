"""Roles: what each may do, and whom it may make what."""

import pytest

from keyhall.policy.people import roles
from keyhall.policy.people.roles import GRANTS, OPERATES, PERMISSIONS, ROLES, granted, hand_of, may


def test_every_role_has_its_grants_and_its_sentence() -> None:
    assert set(GRANTS) == set(ROLES) == set(roles.SAYS)
    for grants in (*GRANTS.values(), OPERATES):
        assert grants <= set(PERMISSIONS)


def test_every_permission_is_somebodys() -> None:
    assert frozenset().union(OPERATES, *GRANTS.values()) == set(PERMISSIONS)


def test_nobody_operates_the_hall_by_a_role() -> None:
    assert all("operate" not in grants for grants in GRANTS.values())
    assert may(None, True, "operate")


@pytest.mark.parametrize("role", ["reader", "billing"])
def test_who_only_looks_makes_no_key_and_no_member(role) -> None:
    assert not {"keys.write", "people.write", "playground"} & granted(role, False)


def test_who_is_no_member_and_no_operator_may_nothing() -> None:
    assert granted(None, False) == frozenset()


def test_operators_do_not_act_as_members_of_others() -> None:
    assert not {"keys.write", "people.write", "playground", "review"} & granted(None, True)


def test_operators_keep_what_their_role_gives_them() -> None:
    assert granted("member", True) == GRANTS["member"] | OPERATES


@pytest.mark.parametrize("giver", ROLES)
@pytest.mark.parametrize("wanted", ROLES)
def test_only_owners_make_owners_and_only_who_writes_people_makes_anybody(giver, wanted) -> None:
    allowed = roles.may_give(giver, wanted)
    assert allowed == (giver == "owner" or (giver == "admin" and wanted != "owner"))


@pytest.mark.parametrize("giver", ROLES)
@pytest.mark.parametrize("now", ROLES)
@pytest.mark.parametrize("wanted", [*ROLES, None])
def test_nobody_but_an_owner_changes_an_owner(giver, now, wanted) -> None:
    allowed = roles.may_change(giver, now, wanted)
    if "owner" in (now, wanted):
        assert allowed == (giver == "owner")
    else:
        assert allowed == (giver in ("owner", "admin"))


@pytest.mark.parametrize(
    ("role", "is_operator", "hand"),
    [
        ("owner", False, "organization"),
        (None, False, "organization"),
        (None, True, "operator"),
        ("reader", True, "operator"),
        ("billing", True, "host"),
    ],
)
def test_an_operator_is_of_the_house_where_their_own_role_would_let_them(
    role, is_operator, hand
) -> None:
    assert hand_of(role, is_operator, "spending.write") == hand
