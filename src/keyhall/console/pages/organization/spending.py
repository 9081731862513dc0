"""Budgets: what may be used in a day or a month, what was, what fired; and prepaid credit."""

import os

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.organization.place import organization
from keyhall.flows.manage import credit
from keyhall.flows.manage import quotas as manage
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.flows.manage.quotas import Owner, Seen, Terms
from keyhall.policy import quotas as rules
from keyhall.policy.keys import ENTROPY_BYTES
from keyhall.policy.people.roles import hand_of
from keyhall.policy.quotas import Hand, Quota, QuotaPolicy, QuotaResource
from keyhall.ports.records import Alert
from keyhall.stores import organizations
from keyhall.stores.operate import places
from keyhall.stores.spending import alerts, quotas

ALERTS_SHOWN = 20
CHOICES_MAX = 500  # keys and projects in a list to choose from
RESOURCES: dict[str, QuotaResource] = {
    "tokens": "tokens",
    "requests": "requests",
    "money": "money",
}


async def show(ask: Ask) -> Response:
    return await _page(ask)


async def _page(ask: Ask, error: Refused | None = None) -> Response:
    sight = ask.person.sight
    async with ask.store.reading() as connection:
        place = await organization(connection, ask)
        fired = await alerts.newest(
            connection, organization_id=sight.organization_id, limit=ALERTS_SHOWN
        )
        names = await _named(connection, fired)
    seen = await manage.listed(ask.store, Owner("organization", place.id), ask.now_us)
    budgets = [each for each in seen if each.standing.quota.period != "ever"]
    balance = await credit.find(ask.store, place.id, ask.now_us)
    return ask.page(
        "organization/spending.html",
        400 if error else 200,
        place=place,
        budgets=[
            (each, _may_set(ask, each.standing.quota)) for each in sorted(budgets, key=_order)
        ],
        fired=[(each, names.get(each.quota_id)) for each in fired],
        balance=balance,
        faults=given.faults_of(error),
        form=given.sent(ask, amount="", note=""),
        may_write=ask.person.may("spending.write"),
        may_credit=ask.person.may("operate"),
    )


def _hand(ask: Ask) -> Hand:
    return hand_of(ask.person.role, ask.person.sign_in.is_operator, "spending.write")


def _may_set(ask: Ask, quota: Quota) -> bool:
    return ask.person.may("spending.write") and rules.may_set(quota, _hand(ask))


def _order(seen: Seen) -> tuple[int, str, str]:
    quota = seen.standing.quota
    return ("organization", "project", "key").index(quota.scope), seen.owner_name, quota.period


async def _named(connection: AsyncConnection, fired: list[Alert]) -> dict[str, tuple[Quota, str]]:
    """Budgets that are still there, with the name of whose they are."""
    found: dict[str, tuple[Quota, str]] = {}
    for quota_id in {each.quota_id for each in fired}:
        quota = await quotas.find(connection, quota_id)
        if quota is not None:
            names = await quotas.owner_names(connection, [quota.scope_id])
            found[quota_id] = quota, names.get(quota.scope_id, quota.scope_id)
    return found


# --- Budgets --------------------------------------------------------------------------------------


async def show_new(ask: Ask) -> Response:
    return await _new_page(ask)


async def _new_page(ask: Ask, error: Refused | None = None) -> Response:
    async with ask.store.reading() as connection:
        place = await organization(connection, ask)
        projects = await organizations.list_projects(
            connection, organization_id=place.id, limit=CHOICES_MAX
        )
        keys = await places.live_keys(connection, place.id, None, CHOICES_MAX)
    fields = {"amount": "", "overage": "", "thresholds": "50, 80, 100", "resource": "tokens"}
    fields |= {"period": "month", "policy": "suspend", "of": ask.query("of", place.id)}
    return ask.page(
        "organization/budget_new.html",
        400 if error else 200,
        place=place,
        projects=projects,
        keys=keys,
        form=given.sent(ask, **fields),
        faults=given.faults_of(error),
    )


async def create(ask: Ask) -> Response:
    try:
        async with ask.store.reading() as connection:
            owner = await _owner(connection, ask, ask.text("of"))
        resource = RESOURCES.get(ask.text("resource"), "tokens")
        seen, is_new = await manage.put(
            ask.store,
            owner,
            resource,
            "day" if ask.text("period") == "day" else "month",
            _terms(ask, resource),
            entropy=os.urandom(ENTROPY_BYTES),
            hand=_hand(ask),
            **ask.by,
        )
    except NotFound:
        raise
    except Refused as error:
        return await _new_page(ask, error)
    did = "holds from now on" if is_new else "was there already and is changed"
    return ask.go("/spending", f"The budget of {seen.owner_name} {did}.")


async def _owner(connection: AsyncConnection, ask: Ask, wanted: str) -> Owner:
    """Whose budget it shall be: the organization, or a project or key of it."""
    place = await organization(connection, ask)
    if wanted == place.id:
        return Owner("organization", wanted)
    sight = ask.person.sight
    if await places.find_project(connection, sight, wanted, ask.now_us) is not None:
        return Owner("project", wanted)
    if await places.has_key(connection, sight, wanted):
        return Owner("key", wanted)
    raise NotFound("There is no such project or key in this organization.")


def _terms(ask: Ask, resource: QuotaResource) -> Terms:
    is_money = resource == "money"
    amount = given.money(ask, "amount") if is_money else given.whole(ask, "amount", "amount")
    if amount is None:
        raise given.Fault("amount", "Say how much may be used.")
    policy: QuotaPolicy = "overage" if ask.text("policy") == "overage" else "suspend"
    price = _overage(ask, is_money) if policy == "overage" else None
    return Terms(amount, policy, price, given.percents(ask, "thresholds"))


def _overage(ask: Ask, is_money: bool) -> int:
    """Of money, tenths of a percent on top of it; else micro-units per million units."""
    found = given.tenths(ask, "overage") if is_money else given.price(ask, "overage")
    if found is None:
        what = "how many percent more" if is_money else "what a million of them costs"
        raise given.Fault("overage", f"Say {what}; 0 charges nothing extra.")
    return found


async def _find(ask: Ask) -> Seen:
    """Another organization's budget answers as one that is not there; credit is no budget."""
    async with ask.store.reading() as connection:
        quota = await quotas.find(connection, ask.path("quota"))
    own = ask.person.sight.organization_id
    if quota is None or quota.organization_id != own or quota.period == "ever":
        raise NotFound("There is no such budget in this organization.")
    return await manage.find(ask.store, quota.id, ask.now_us)


async def show_one(ask: Ask) -> Response:
    return await _one_page(ask, await _find(ask))


async def _one_page(ask: Ask, seen: Seen, error: Refused | None = None) -> Response:
    quota = seen.standing.quota
    async with ask.store.reading() as connection:
        fired = await alerts.of_quota(connection, quota.id, ALERTS_SHOWN)
    return ask.page(
        "organization/budget.html",
        400 if error else 200,
        seen=seen,
        fired=fired,
        form=given.sent(
            ask,
            amount=given.written_amount(quota.amount, quota.resource),
            policy=quota.policy,
            overage=given.written_overage(quota) if quota.policy == "overage" else "",
            thresholds=", ".join(map(str, quota.thresholds)),
        ),
        faults=given.faults_of(error),
        may_write=_may_set(ask, quota),
    )


async def change(ask: Ask) -> Response:
    seen = await _find(ask)
    quota = seen.standing.quota
    try:
        await manage.put(
            ask.store,
            Owner(quota.scope, quota.scope_id),
            quota.resource,
            quota.period,
            _terms(ask, quota.resource),
            entropy=os.urandom(ENTROPY_BYTES),
            hand=_hand(ask),
            **ask.by,
        )
    except Refused as error:
        return await _one_page(ask, seen, error)
    return ask.go("/spending", f"The budget of {seen.owner_name} is changed.")


async def remove(ask: Ask) -> Response:
    seen = await _find(ask)
    await manage.remove(ask.store, seen.standing.quota.id, hand=_hand(ask), **ask.by)
    said = f"Removed the budget of {seen.owner_name}. Its overage stays on the statements."
    return ask.go("/spending", said)


# --- Credit ---------------------------------------------------------------------------------------


async def add_credit(ask: Ask) -> Response:
    """By whoever runs the hall: nobody pays themselves in."""
    try:
        amount = given.money(ask, "amount")
        if amount is None:
            raise given.Fault("amount", "Say how much.")
        is_back = ask.text("way") == "take"
        async with ask.store.reading() as connection:
            place = await organization(connection, ask)
        balance = await credit.add(
            ask.store,
            place.id,
            -amount if is_back else amount,
            ask.text("note"),
            entropy=os.urandom(ENTROPY_BYTES),
            **ask.by,
        )
    except NotFound:
        raise
    except Refused as error:
        return await _page(ask, error)
    left = given.written_amount(balance.standing.remaining if balance.standing else 0, "money")
    return ask.go("/spending", f"{'Took back' if is_back else 'Added'}. {left} is left.")


async def end_credit(ask: Ask) -> Response:
    async with ask.store.reading() as connection:
        place = await organization(connection, ask)
        quota = await credit.quota_of(connection, place.id)
    if quota is None:
        raise NotFound(f"{place.name} is not prepaid.")
    await manage.remove(ask.store, quota.id, **ask.by)
    return ask.go("/spending", f"{place.name} is no longer held to what it has paid.")


ROUTES = (
    Page("GET", "/spending", show, "spending.read"),
    Page("GET", "/spending/budgets/new", show_new, "spending.write"),
    Page("POST", "/spending/budgets/new", create, "spending.write"),
    Page("GET", "/spending/budgets/{quota}", show_one, "spending.read"),
    Page("POST", "/spending/budgets/{quota}", change, "spending.write"),
    Page("POST", "/spending/budgets/{quota}/remove", remove, "spending.write"),
    Page("POST", "/spending/credit", add_credit, "operate"),
    Page("POST", "/spending/credit/end", end_credit, "operate"),
)
