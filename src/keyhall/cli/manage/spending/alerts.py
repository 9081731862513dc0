"""`keyhall quotas alerts`: thresholds that were reached, and whether somebody was told."""

import os
from datetime import UTC
from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.manage.spending import quota_text
from keyhall.cli.options import fail
from keyhall.flows.alerts import tell
from keyhall.flows.alerts.message import Message
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.manage.organizations import organization_by
from keyhall.policy.keys import draw
from keyhall.policy.quotas import FOREVER_US, Quota, span
from keyhall.ports.records import Alert
from keyhall.stores.spending import alerts as rows
from keyhall.stores.spending import quotas

LISTED = 100


class ListsByDefault(click.Group):
    """A group whose bare name lists, with the options of `list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_bare = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, ["list", *args] if is_bare else args)


@click.group(cls=ListsByDefault)
def alerts() -> None:
    """List alerts and whether somebody was told, and try how they are told.

    Where they go is set in [alerts] of the settings; the server sends them. Without a command, they
    are listed, and the options are those of `list`.
    """


@alerts.command("list")
@click.option("--organization", metavar="ORGANIZATION", help="Only this one's; id or name.")
@click.option(
    "--limit", default=LISTED, show_default=True, type=click.IntRange(1), help="At most so many."
)
@options
def list_alerts(organization: str | None, limit: int, as_json: bool, where: Where) -> None:
    """List thresholds that were reached, newest first."""

    async def work(house: House) -> tuple[list[Alert], dict[str, Quota], int]:
        async with house.store.reading() as connection:
            owner_id = None
            if organization is not None:
                owner_id = (await organization_by(connection, organization)).id
            found = await rows.newest(connection, organization_id=owner_id, limit=limit)
            known = {quota.id: quota for quota in await quotas.list_all(connection)}
        return found, known, house.now_us

    found, known, now_us = act(where, work)
    if as_json:
        show.as_json([json_of(each, known.get(each.quota_id)) for each in found])
        return
    if not found:
        show.line("No quota has reached a threshold yet.")
        return
    show.table(
        ("Reached (UTC)", "Quota", "", ("%", "right"), ("Used", "right"), ("Amount", "right"),
         ("Told", "wrap")),
        [_row(each, known.get(each.quota_id), now_us) for each in found],
    )  # fmt: skip


def _row(alert: Alert, quota: Quota | None, now_us: int) -> tuple[str, ...]:
    resource = "" if quota is None else quota.resource
    return (
        words.when(alert.at_us),
        alert.quota_id,
        "removed" if quota is None else quota_text.what(quota),
        f"{alert.threshold:,}",
        quota_text.units_of(resource, alert.used),
        quota_text.units_of(resource, alert.amount),
        _told(alert, now_us),
    )


def _told(alert: Alert, now_us: int) -> str:
    trouble = "; ".join(f"{name}: {what}" for name, what in (alert.trouble or {}).items())
    if alert.told_at_us is not None:
        return f"{words.when(alert.told_at_us)} UTC"
    if alert.next_try_us >= FOREVER_US:
        return f"given up after {words.counted(alert.attempts, 'try')}: {trouble}".replace(
            "trys", "tries"
        )
    if not alert.attempts:
        return "not yet"
    return f"again {words.ago(alert.next_try_us, now_us)}: {trouble or 'it is being sent'}"


def json_of(alert: Alert, quota: Quota | None) -> dict[str, Any]:
    is_over = alert.told_at_us is not None or alert.next_try_us >= FOREVER_US
    is_ever = quota is None or quota.period == "ever"
    return {
        "id": f"{alert.quota_id}-{alert.number}",
        "organization": alert.organization_id,
        "quota": alert.quota_id,
        "unit": None if quota is None else quota_text.UNITS[quota.resource],
        "threshold": alert.threshold,
        "used": alert.used,
        "amount": alert.amount,
        "period_begins": None if is_ever else words.stamp(alert.begins_us),
        "reached_at": words.stamp(alert.at_us),
        "told_at": words.stamp(alert.told_at_us),
        "attempts": alert.attempts,
        "next_try_at": None if is_over else words.stamp(alert.next_try_us),
        "given_up": alert.told_at_us is None and alert.next_try_us >= FOREVER_US,
        "trouble": alert.trouble,
    }


@alerts.command("test")
@options
def test_alerts(as_json: bool, where: Where) -> None:
    """Send a sample of an alert to everywhere that [alerts] in the settings names, now."""

    async def work(house: House) -> dict[str, str | None]:
        channels = tell.channels_of(house.config.alerts)
        if not channels:
            raise Invalid(
                "No way of telling is configured: set webhook_url or email_to in [alerts], see "
                "`keyhall config list`."
            )
        try:
            trouble = await tell.send(channels, _sample(house.now_us), house.now_us)
        finally:
            for channel in channels:
                await channel.close()
        return {channel.name: trouble.get(channel.name) for channel in channels}

    ends = act(where, work)
    if as_json:
        show.as_json([{"channel": name, "trouble": trouble} for name, trouble in ends.items()])
    else:
        for name, trouble in ends.items():
            show.line(f"{name}: {trouble or 'told'}")
    if any(ends.values()):
        fail("not everybody could be told.")


def _sample(now_us: int) -> Message:
    quota = Quota(
        id=f"quota_{draw(os.urandom(64), 12)}",
        organization_id="org_000000000000",
        scope="project",
        scope_id="proj_000000000000",
        resource="tokens",
        period="month",
        amount=1_000_000,
        policy="suspend",
        overage_price=0,
        thresholds=(50, 80, 100),
        zone=UTC,
    )
    begins_us = span("month", now_us, UTC).begins_us
    alert = Alert(0, quota.id, quota.organization_id, begins_us, 80, 812_345, quota.amount, now_us)
    return Message(alert, quota, "sample", "Sample organization", is_test=True)
