"""Somebody owns every organization, and somebody runs the hall."""

from keyhall.policy.people.leaving import (
    Standing,
    deletion_problem,
    last_operator_problem,
    last_owner_problem,
)


def test_the_last_owner_stays_and_one_of_two_may_go():
    assert "needs an owner" in last_owner_problem(Standing("Acme", "owner", 1, 5))
    assert last_owner_problem(Standing("Acme", "owner", 2, 5)) is None
    assert last_owner_problem(Standing("Acme", "admin", 1, 5)) is None


def test_the_last_operator_stays():
    assert "accounts operator" in last_operator_problem(True, 0)
    assert last_operator_problem(True, 1) is None
    assert last_operator_problem(False, 0) is None


def test_an_account_is_deleted_unless_others_depend_on_it():
    alone = Standing("Own", "owner", 1, 1)
    shared = Standing("Acme", "owner", 1, 2)
    assert deletion_problem([alone], False, 0) is None
    assert "last owner of Acme" in deletion_problem([alone, shared], False, 0)
    assert "Nobody else runs" in deletion_problem([alone], True, 0)
    assert deletion_problem([Standing("Acme", "member", 1, 2)], True, 1) is None
