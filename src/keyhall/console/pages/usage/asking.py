"""What a page of usage is asked, read from its address: the whole state of the page is there."""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, cast, get_args
from zoneinfo import ZoneInfo

from keyhall.console.context import Ask
from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.observe import over_time
from keyhall.policy import spans
from keyhall.policy.spans import Grain
from keyhall.ports.usage import Asked, By, Filter
from keyhall.stores import organizations
from keyhall.stores.requests import seen

USUAL = "24h"
PRESETS = {
    "1h": "Last hour",
    "6h": "Last 6 hours",
    "24h": "Last 24 hours",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "90d": "Last 90 days",
    "1y": "Last year",
    "custom": "From … to",
}
GRAINS = {"minute": "Minutes", "hour": "Hours", "day": "Days", "month": "Months"}
BY = {
    "none": "Nothing",
    "key": "Key",
    "model": "Model",
    "project": "Project",
    "outcome": "Outcome",
    "person": "Person",
}
ID_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Form:
    """What the fields of the form say now."""

    range: str
    begins: str
    ends: str
    grain: str
    by: str
    key: str
    model: str
    project: str
    person: str
    zone: str
    own_zone: str  # the organization's
    compares: bool
    length_us: int
    is_open: bool  # the range ends now, so that the page goes on by itself


async def zone_of(ask: Ask) -> str:
    """The organization's, for whoever chose none."""
    async with ask.store.reading() as connection:
        found = await organizations.find_organization(connection, ask.person.organization_id)
    return found[0].time_zone if found else "UTC"


async def asked(ask: Ask) -> tuple[Asked, Form]:
    """Raises NotFound for what is not in sight, Invalid for what makes no sense."""
    own_zone = await zone_of(ask)
    zone_name = ask.query("zone")[:ID_CHARACTERS_MAX] or own_zone
    zone = ZoneInfo(checks.zone(zone_name))
    wanted = ask.query("range", USUAL)
    if wanted not in PRESETS:
        wanted = USUAL
    now_us = ask.now_us + 1  # What is admitted at this very moment is in it.
    if wanted == "custom":
        begins_us = _time_us(ask.query("from"), zone, now_us - spans.DAY_US)
        ends_us = min(_time_us(ask.query("to"), zone, now_us), now_us)
        if begins_us >= ends_us:
            raise Invalid("The range ends before it begins: look at its two times.")
    else:
        begins_us, ends_us = now_us - spans.PRESETS[wanted], now_us
    grain = ask.query("grain")
    given = cast(Grain, grain) if grain in get_args(Grain) else None
    span = spans.chosen(begins_us, ends_us, given, zone)
    by = cast(By, ask.query("by")) if ask.query("by") in get_args(By) else "none"
    filters = {
        name: ask.query(name)[:ID_CHARACTERS_MAX] for name in ("key", "model", "project", "person")
    }
    only = await over_time.only(ask.store, ask.person.sight, **filters)
    form = Form(
        range=wanted,
        begins=_field(begins_us, zone),
        ends=_field(ends_us, zone) if ends_us < now_us else "",
        grain=span.grain,
        by=by,
        zone=zone_name,
        own_zone=own_zone,
        compares=ask.query("compare") == "yes",
        length_us=ends_us - begins_us,
        is_open=ends_us >= now_us,
        **filters,
    )
    return Asked(span, by, only, form.compares), form


def _time_us(text: str, zone: tzinfo, otherwise_us: int) -> int:
    """A field of a date and a time, in the page's zone."""
    if not text:
        return otherwise_us
    try:
        at = datetime.fromisoformat(text[:32])
    except ValueError:
        raise Invalid(f"'{text[:32]}' is no time: write 2027-05-01T12:00.") from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=zone)
    try:
        found = int(at.timestamp() * 1_000_000)
    except (OverflowError, ValueError):
        raise Invalid(f"'{text[:32]}' is no time that usage has.") from None
    return max(0, found)


def _field(at_us: int, zone: tzinfo) -> str:
    return (
        datetime.fromtimestamp(at_us // 1_000_000, tz=UTC)
        .astimezone(zone)
        .strftime("%Y-%m-%dT%H:%M")
    )


async def choices(ask: Ask, form: Form) -> dict[str, Any]:
    """What the fields offer."""
    sight = ask.person.sight
    async with ask.store.reading() as connection:
        keys = await seen.newest_keys(connection, sight)
        projects = await seen.project_names(connection, sight)
        people = await seen.people_names(connection, sight)
    zones = dict.fromkeys(("UTC", form.own_zone, form.zone))
    return {
        "keys": keys,
        "projects": projects,
        "people": people,
        "models": sorted(ask.console.hall.catalogue.versions),
        "zones": list(zones),
        "presets": PRESETS,
        "grains": {
            grain: name
            for grain, name in GRAINS.items()
            if spans.fits(cast(Grain, grain), form.length_us)
        },
        "bys": BY if people else {by: name for by, name in BY.items() if by != "person"},
    }


def command(asked_for: Asked, form: Form, organization_id: str) -> str:
    """The same question on the command line."""
    by = {"key": "key", "model": "model"}.get(form.by, "day")
    words = ["keyhall", "usage", "--by", by, "--organization", organization_id]
    if form.range in spans.PRESETS and form.is_open:
        words += ["--since", _past(form.range)]
    else:
        words += ["--since", _utc(asked_for.span.begins_us)]
        words += ["--until", _utc(asked_for.span.ends_us)]
    only: Filter = asked_for.only
    for name, value in (
        ("--key", only.key_id),
        ("--model", only.version),
        ("--project", only.project_id),
    ):
        if value is not None:
            words += [name, value]
    return shlex.join([*words, "--json"])


def _past(preset: str) -> str:
    return "365d" if preset == "1y" else preset


def _utc(at_us: int) -> str:
    at = datetime.fromtimestamp(at_us // 1_000_000, tz=UTC)
    return at.strftime("%Y-%m-%dT%H:%M")
