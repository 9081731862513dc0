"""What each role may do in its organization, and what operators may do in the hall.

A page asks for one permission; who holds it is this table and nothing else. Members work with what
is their own; whoever may see `everything` works with all of the organization's.

>>> may("reader", False, "keys.write")
False
>>> may(None, True, "operate")
True
"""

from typing import Literal, get_args

from keyhall.policy.quotas import Hand

Role = Literal["owner", "admin", "member", "reviewer", "billing", "reader"]
Permission = Literal[
    "home",  # the organization's front page, its limits, the documentation of its keys
    "keys.read",
    "keys.write",  # create, rotate, pause, revoke, limit
    "usage.read",  # usage and requests
    "content.read",  # what was said, where it is kept; a look stands in the audit
    "everything",  # of the organization: other people's keys and what they used
    "playground",
    "asks.write",  # ask for higher limits
    "spending.read",  # budgets and statements
    "spending.write",
    "people.read",
    "people.write",  # invite, change roles, remove
    "organization.write",  # name, projects
    "audit.read",
    "review",
    "operate",  # the hall: tiers, models, engines, settings, all organizations
]

ROLES: tuple[Role, ...] = get_args(Role)
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)

_READS: frozenset[Permission] = frozenset(
    {"home", "keys.read", "usage.read", "everything", "spending.read", "people.read", "audit.read"}
)
_USES: frozenset[Permission] = frozenset(
    {
        "home",
        "keys.read",
        "keys.write",
        "usage.read",
        "content.read",
        "playground",
        "asks.write",
    }
)
_ADMINISTERS: frozenset[Permission] = (
    _READS
    | _USES
    | {
        "people.write",
        "organization.write",
        "spending.write",
        "review",
    }
)

GRANTS: dict[Role, frozenset[Permission]] = {
    "owner": _ADMINISTERS,
    "admin": _ADMINISTERS,
    "member": _USES,
    "reviewer": _USES | {"review"},
    "billing": frozenset({"home", "usage.read", "everything", "spending.read", "spending.write"}),
    "reader": _READS,
}
# In an organization that is not theirs operators see what its readers see, change what is billed
# and limited, and never act as one of its members; nor do they read there what was said.
OPERATES: frozenset[Permission] = _READS | {"operate", "spending.write", "organization.write"}

SAYS: dict[Role, str] = {
    "owner": "Everything in the organization. The last owner cannot leave.",
    "admin": "Everything in the organization, but owners stay owners.",
    "member": "Own keys, own usage, the playground.",
    "reviewer": "As a member, and reviews answers that people look at.",
    "billing": "Usage, budgets and statements. No keys.",
    "reader": "Sees everything in the organization but what was said, and changes nothing.",
}


def granted(role: Role | None, is_operator: bool) -> frozenset[Permission]:
    """What somebody may do in one organization; `role` is None where they are no member."""
    held: frozenset[Permission] = frozenset() if role is None else GRANTS[role]
    return held | OPERATES if is_operator else held


def may(role: Role | None, is_operator: bool, permission: Permission) -> bool:
    return permission in granted(role, is_operator)


def hand_of(role: Role | None, is_operator: bool, permission: Permission) -> Hand:
    """In whose name somebody acts: an operator whose own role would let them is of the house."""
    if not is_operator:
        return "organization"
    return "host" if role is not None and permission in GRANTS[role] else "operator"


def may_give(giver: Role, wanted: Role) -> bool:
    """Nobody makes an owner but an owner; who may not write people gives nothing."""
    if "people.write" not in GRANTS[giver]:
        return False
    return wanted != "owner" or giver == "owner"


def may_change(giver: Role, now: Role, wanted: Role | None) -> bool:
    """Whether a member of role `now` may be given another, or be removed (None)."""
    if now == "owner" and giver != "owner":
        return False
    return may_give(giver, wanted or "reader")
