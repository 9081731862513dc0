"""People as values: accounts, memberships, sessions, links. None of them holds a secret."""

from dataclasses import dataclass, field
from typing import Literal

from keyhall.policy.people.letting_in import LinkKind
from keyhall.policy.people.roles import Permission, Role
from keyhall.ports.records import Account

AskState = Literal["open", "granted", "declined"]


@dataclass(frozen=True, slots=True)
class SignIn:
    """How an account signs in. Its password's hash and second factor stay in the store."""

    account: Account
    has_password: bool = False
    is_operator: bool = False
    has_totp: bool = False
    email_verified_at_us: int | None = None
    suspended_at_us: int | None = None
    terms_version: str | None = None
    last_seen_us: int | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    organization_id: str
    organization_name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in. `id` is public; what its cookie holds is known to it alone."""

    id: str
    account_id: str
    organization_id: str | None
    is_pending: bool
    created_at_us: int
    seen_at_us: int
    ends_at_us: int
    ip: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever looks at a page: the account, where they are a member, and the organization that
    they look at. Read anew for every page, so that what was taken away is gone at once."""

    sign_in: SignIn
    session: Session
    memberships: tuple[Membership, ...]
    organization_id: str
    organization_name: str
    role: Role | None  # None: an operator in somebody else's organization
    permissions: frozenset[Permission] = field(default_factory=frozenset)

    @property
    def account(self) -> Account:
        return self.sign_in.account

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    @property
    def sight(self) -> "Sight":
        """What of the organization's they may see."""
        own = None if self.may("everything") else self.account.id
        return Sight(self.organization_id, own)


@dataclass(frozen=True, slots=True)
class Sight:
    """Which rows a page may show: an organization's, and of these all, or one account's only.
    Every query of the console takes one."""

    organization_id: str
    account_id: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time link as lists show it."""

    id: str
    kind: LinkKind
    account_id: str | None
    organization_id: str | None
    email: str | None
    role: Role | None
    made_by: str
    created_at_us: int
    ends_at_us: int
    used_at_us: int | None = None
    facts: str | None = None  # JSON: the class it is of


@dataclass(frozen=True, slots=True)
class Member:
    """A person in an organization, as lists show them."""

    sign_in: SignIn
    role: Role
    since_us: int
    keys: int = 0


@dataclass(frozen=True, slots=True)
class SchoolClass:
    """People who were imported together, each with a key."""

    id: str
    name: str
    made_at_us: int
    people: int
    joined: int  # of them, who have followed their invitation or needed none
    keys: int = 0  # that can be used
    paused: int = 0
    ends_at_us: int | None = None  # of its keys, when they were made


@dataclass(frozen=True, slots=True)
class Ask:
    """A holder's wish for higher limits."""

    number: int
    organization_id: str
    account_id: str
    key_id: str | None
    wanted: str
    why: str
    state: AskState
    asked_at_us: int
    answered_by: str | None = None
    answer: str | None = None
    answered_at_us: int | None = None
