"""`keyhall quotas`: what may be used in a day or a month, and what happens beyond it."""

import os
from typing import Any, Literal

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.manage.spending import quota_text
from keyhall.cli.manage.spending.alerts import alerts
from keyhall.cli.manage.spending.credit import credit
from keyhall.flows.manage import quotas as manage
from keyhall.flows.manage.quotas import Owner, Seen, Terms
from keyhall.policy.catalogue import Version
from keyhall.policy.keys import ENTROPY_BYTES
from keyhall.policy.quotas import QuotaPolicy, QuotaResource

NAMES_SHOWN = 3  # of versions without a price


@click.group()
def quotas() -> None:
    """Set what may be used in a day or a month, see what was, and add credit.

    A quota is of a key, a project or an organization, and counts requests, tokens (input and
    output) or money. Days and months are those of the organization's time zone.
    """


quotas.add_command(credit)
quotas.add_command(alerts)


def owner_options(command: Any) -> Any:
    for name, what in (
        ("organization", "an organization"),
        ("project", "a project"),
        ("key", "a key and of what it is rotated into"),
    ):
        command = click.option(
            f"--{name}", metavar=name.upper(), help=f"Of {what}: its id or name."
        )(command)
    return command


def _owner(key: str | None, project: str | None, organization: str | None) -> Owner | None:
    given: list[Owner] = []
    if key is not None:
        given.append(Owner("key", key))
    if project is not None:
        given.append(Owner("project", project))
    if organization is not None:
        given.append(Owner("organization", organization))
    if len(given) > 1:
        raise click.UsageError("Say one of --key, --project and --organization.")
    return given[0] if given else None


@quotas.command("list")
@owner_options
@options
def list_quotas(
    key: str | None, project: str | None, organization: str | None, as_json: bool, where: Where
) -> None:
    """List quotas with what is used of them. Those of an organization include those within it."""
    owner = _owner(key, project, organization)
    found = act(where, lambda house: manage.listed(house.store, owner, house.now_us))
    if as_json:
        show.as_json([quota_text.json_of(each) for each in found])
    elif found:
        show.table(quota_text.COLUMNS, [quota_text.row(each) for each in found])
    else:
        show.line("There are no quotas. `keyhall quotas set --help` tells how to make one.")


@quotas.command("show")
@click.argument("quota")
@options
def show_quota(quota: str, as_json: bool, where: Where) -> None:
    """Show a quota and how far it is used. QUOTA is its id."""
    found = act(where, lambda house: manage.find(house.store, quota, house.now_us))
    if as_json:
        show.as_json(quota_text.json_of(found))
    else:
        describe(found)


def describe(seen: Seen) -> None:
    standing = seen.standing
    quota = standing.quota
    used = f"{quota_text.amount(quota, standing.used)} ({quota_text.percent(standing):,} %)"
    told = ", ".join(f"{percent} %" for percent in quota.thresholds)
    is_ever = quota.period == "ever"
    begins_us = quota.created_at_us if is_ever else standing.begins_us
    show.facts(
        (
            ("Id", quota.id),
            ("Of", f"{quota_text.owner(seen)} ({quota.scope_id})"),
            ("Quota", f"{quota_text.amount(quota, quota.amount)} {quota_text.unit(quota)}"),
            ("Used", used),
            ("Held", quota_text.amount(quota, standing.held) if standing.held else ""),
            ("Left", quota_text.amount(quota, standing.remaining)),
            ("Beyond it", quota_text.beyond(quota)),
            ("Alerts at", told or "none"),
            ("Since", words.when_in(begins_us, quota.zone)),
            ("Resets", quota_text.resets(standing)),
            ("Time zone", str(quota.zone)),
        )
    )


class OverageType(click.ParamType):  # type: ignore[type-arg]
    """A price as micro-units per million, or a percentage on top of money: 10% is 100."""

    name = "price"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Literal["price", "percent"], int]:
        if isinstance(value, tuple):
            return value
        number = value.removesuffix("%").rstrip()
        if number == value:
            return "price", words.PriceType().convert(value, param, ctx)
        found = words.MoneyType().convert(number, param, ctx)
        tenths, rest = divmod(found, 10 ** (words.NANO_DIGITS - 1))
        if rest:
            self.fail(f"'{value}' is too fine: a percentage has at most one decimal.")
        return "percent", tenths


class PercentsType(click.ParamType):  # type: ignore[type-arg]
    """`50,80,100`, or none."""

    name = "percents"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        texts = () if value == "none" else words.listed(value.replace("%", "")) or ()
        if any(not (text.isascii() and text.isdigit()) or len(text) > 6 for text in texts):
            self.fail(f"'{value}' are no percentages: write 50,80,100, or none.")
        return tuple(int(text) for text in texts)


@quotas.command("set")
@owner_options
@click.option("--requests", type=words.AmountType(), help="So many requests.")
@click.option("--tokens", type=words.AmountType(), help="So many tokens, input and output.")
@click.option("--money", type=words.MoneyType(), help="So much of the currency, such as 12.50.")
@click.option("--per", "period", type=click.Choice(("day", "month")), required=True)
@click.option("--suspend", is_flag=True, help="Refuse what lies beyond it.  [a new quota does]")
@click.option("--overage", metavar="PRICE", type=OverageType(),
              help="Allow what lies beyond it and charge it extra: units of the currency per "
              "million requests or tokens, or 10% on top of money.")  # fmt: skip
@click.option("--alert-at", "thresholds", metavar="PERCENTS", type=PercentsType(),
              help="When somebody is told, or none.  [a new quota: 50,80,100]")  # fmt: skip
@options
def set_quota(
    key: str | None,
    project: str | None,
    organization: str | None,
    requests: words.NoneOr | None,
    tokens: words.NoneOr | None,
    money: int | None,
    period: Literal["day", "month"],
    suspend: bool,
    overage: tuple[Literal["price", "percent"], int] | None,
    thresholds: tuple[int, ...] | None,
    as_json: bool,
    where: Where,
) -> None:
    """Make a quota, or change the one that is there.

    \b
    keyhall quotas set --project web --tokens 1000000 --per month
    keyhall quotas set --key app --money 12.50 --per day
    keyhall quotas set --organization acme --tokens 5000000 --per month --overage 0.50
    """
    owner = _owner(key, project, organization)
    if owner is None:
        raise click.UsageError("Say whose quota it is: --key, --project or --organization.")
    resource, amount = _amount(requests, tokens, money)
    policy, price = _beyond(resource, suspend, overage)
    terms = Terms(amount, policy, price, thresholds)

    async def work(house: House) -> tuple[Seen, bool, list[Version]]:
        entropy = os.urandom(ENTROPY_BYTES)
        seen, is_new = await manage.put(
            house.store, owner, resource, period, terms, entropy=entropy, **house.by
        )
        unpriced = []
        if resource == "money":
            unpriced = manage.unpriced(await house.store.load_catalogue(), house.now_us)
        return seen, is_new, unpriced

    seen, is_new, unpriced = act(where, work)
    if as_json:
        more = {"unpriced": [version.name for version in unpriced]} if resource == "money" else {}
        show.as_json(quota_text.json_of(seen) | more)
        return
    show.line(f"{'Made' if is_new else 'Set'} {seen.standing.quota.id}: {_says(seen)}")
    if unpriced:
        show.line(_warning(unpriced))


def _amount(
    requests: words.NoneOr | None, tokens: words.NoneOr | None, money: int | None
) -> tuple[QuotaResource, int]:
    given: list[tuple[QuotaResource, int | None]] = []
    if requests is not None:
        given.append(("requests", requests[0]))
    if tokens is not None:
        given.append(("tokens", tokens[0]))
    if money is not None:
        given.append(("money", money))
    if len(given) != 1:
        raise click.UsageError("Say how much it allows: one of --requests, --tokens and --money.")
    resource, amount = given[0]
    if amount is None:
        raise click.UsageError("`keyhall quotas remove QUOTA` ends a quota.")
    return resource, amount


def _beyond(
    resource: QuotaResource, suspend: bool, overage: tuple[str, int] | None
) -> tuple[QuotaPolicy | None, int | None]:
    if overage is None:
        return ("suspend" if suspend else None), None
    if suspend:
        raise click.UsageError("Say one of --suspend and --overage.")
    kind, price = overage
    if (kind == "percent") != (resource == "money"):
        raise click.UsageError(
            "Overage of money is a percentage on top of it, such as 10%."
            if resource == "money"
            else f"Overage of {resource} is a price per million, such as 0.50; only money has %."
        )
    return "overage", price


def _says(seen: Seen) -> str:
    standing = seen.standing
    quota = standing.quota
    used = quota_text.amount(quota, standing.used)
    after = "refused" if quota.policy == "suspend" else f"charged as {quota_text.beyond(quota)}"
    return (
        f"{quota_text.sentence(seen)}, {used} of it used until now. What lies beyond is {after}. "
        f"It resets {quota_text.resets(standing)}."
    )


def _warning(unpriced: list[Version]) -> str:
    names = ", ".join(version.name for version in unpriced[:NAMES_SHOWN])
    rest = len(unpriced) - NAMES_SHOWN
    more = f" and {rest} more" if rest > 0 else ""
    have = "has" if len(unpriced) == 1 else "have"
    return (
        f"Warning: {names}{more} {have} no price, so keys under this quota are refused there "
        f"(model_without_price). `keyhall versions price {unpriced[0].name} --in P --out P`."
    )


@quotas.command()
@click.argument("quota")
@options
def remove(quota: str, as_json: bool, where: Where) -> None:
    """End a quota. Its overage stays on the statements. QUOTA is its id."""
    found = act(where, lambda house: manage.remove(house.store, quota, **house.by))
    if as_json:
        show.as_json(quota_text.json_of(found))
    else:
        show.line(f"Removed {quota}: {quota_text.sentence(found)}.")
