"""The form of a key: what was chosen, each field with its own fault, and the choices there are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from keyhall.console.context import Ask
from keyhall.flows.content.retention import InForce
from keyhall.flows.holders import levels, visible
from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid, NotFound, Refused
from keyhall.flows.manage.keys import NewKey
from keyhall.policy.catalogue import status_at
from keyhall.policy.holders import words
from keyhall.policy.keys import Mode
from keyhall.policy.limits import NO_LIMITS, Limits
from keyhall.policy.tiers import FREE_TRIAL
from keyhall.ports.records import Key, Organization, Project
from keyhall.stores import organizations

DAY_US = 86_400_000_000
MODELS_MAX = 40  # names to tick; of more, one writes the pattern
EXPIRIES = {"never": "Never", "7": "7 days", "30": "30 days", "90": "90 days", "date": "On a day"}
PRESETS: dict[str, dict[str, Any]] = {
    "ci": {"name": "CI", "expires": "90", "endpoints": ["chat"], "in_flight": "4"},
    "notebook": {"name": "Notebook", "expires": "30", "in_flight": "2"},
    "course": {"name": "Course", "expires": "90", "endpoints": ["chat"],
               "requests": "10", "tokens": "20000"},
}  # fmt: skip

T = TypeVar("T")


@dataclass(slots=True)
class Choices:
    """What may be chosen by this person, and what has been."""

    organization: Organization
    projects: Sequence[Project]
    tiers: Sequence[str]
    modes: Sequence[Mode]
    models: Sequence[str]
    values: Mapping[str, Any]
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def project(self) -> Project | None:
        wanted = self.values["project"]
        return next((each for each in self.projects if each.id == wanted), None)


async def choices(ask: Ask, *, given: bool) -> Choices:
    """`given`: from the form that was sent; else as a new form begins."""
    organization = await organization_of(ask)
    projects = await visible.projects(ask.store, ask.person.sight)
    allowed = tiers_for(ask, organization)
    modes: tuple[Mode, ...] = ("live", "test")
    if ask.person.may("operate"):
        modes += ("admin",)
    models = models_of(ask)
    if given:
        values = _sent(ask)
    else:
        preset = PRESETS.get(ask.query("template"), {})
        first = projects[0].id if projects else ""
        values = _blank(ask.query("project") or first, organization.tier or FREE_TRIAL.name)
        values |= preset
    return Choices(organization, projects, allowed, modes, models, values)


async def organization_of(ask: Ask) -> Organization:
    async with ask.store.reading() as connection:
        found = await organizations.find_organization(connection, ask.person.sight.organization_id)
    for each in found:
        if each.id == ask.person.sight.organization_id:
            return each
    raise Refused("You are in no organization yet, so there is no project to make a key for.")


def tiers_for(ask: Ask, organization: Organization, now: str = "") -> list[str]:
    """Operators choose any; others what is free, what is their organization's, and what the key
    has."""
    known = ask.console.tiers()
    if ask.person.may("operate"):
        return sorted(known)
    allowed = {FREE_TRIAL.name, organization.tier or "", now}
    return sorted(allowed & known.keys())


def models_of(ask: Ask) -> list[str]:
    """Names that a key may be restricted to: aliases first."""
    catalogue = ask.console.hall.catalogue
    active = [
        name
        for name, version in catalogue.versions.items()
        if status_at(version, ask.now_us) != "retired"
    ]
    return [*sorted(catalogue.aliases), *sorted(active)][:MODELS_MAX]


def _blank(project: str, tier: str) -> dict[str, Any]:
    return {
        "name": "", "project": project, "mode": "live", "tier": tier,
        "expires": "never", "expires_on": "", "models": [], "patterns": "",
        "endpoints": list(checks.ENDPOINTS), "networks": "",
        "requests": "", "tokens": "", "in_flight": "", "retention": "",
    }  # fmt: skip


def _sent(ask: Ask) -> dict[str, Any]:
    lists = {"models", "endpoints"}
    return {name: ask.texts(name) if name in lists else ask.text(name) for name in _blank("", "")}


def values_of(key: Key) -> dict[str, Any]:
    """A key's own values, for the forms that change it."""
    limits = words.own_limits(key.limits)
    return {
        "name": key.name,
        "tier": key.tier,
        "patterns": " ".join(key.models or ()),
        "models": [],
        "endpoints": list(checks.ENDPOINTS if key.endpoints is None else key.endpoints),
        "networks": "\n".join(key.networks or ()),
        "expires": "never" if key.expires_at_us is None else "date",
        "expires_on": "" if key.expires_at_us is None else day_of(key.expires_at_us),
        "retention": "" if key.retention_days is None else str(key.retention_days),
        **{name: "" if limit is None else str(limit) for name, limit in limits.items()},
    }


def day_of(at_us: int) -> str:
    """The last day of a key that ends then: its end is the first instant of the next one."""
    return datetime.fromtimestamp((at_us - 1) / 1_000_000, tz=UTC).date().isoformat()


# --- Reading it -----------------------------------------------------------------------------------


def new_key(ask: Ask, chosen: Choices) -> NewKey:
    """What was chosen; what is wrong stands in `faults`, and has a harmless value here."""
    values = chosen.values

    def read(name: str, reader: Callable[[], T], otherwise: T) -> T:
        try:
            return reader()
        except Refused as error:
            chosen.faults[name] = str(error)
            return otherwise

    def mode() -> Mode:
        for each in chosen.modes:
            if each == values["mode"]:
                return each
        raise Invalid("Choose what kind of key it is.")

    def project() -> str:
        if chosen.project is None:
            raise NotFound("There is no such project.")
        return chosen.project.id

    otherwise: Mode = "live"
    kind = read("mode", mode, otherwise)
    new = NewKey(
        name=read("name", lambda: checks.name(values["name"]), "New key"),
        mode=kind,
        tier=read("tier", lambda: checks.tier(values["tier"], chosen.tiers), chosen.tiers[0]),
        project=read("project", project, ""),
        expires_at_us=read("expires", lambda: expiry(values, ask.now_us), None),
        account_id=ask.person.account.id,
    )
    if kind == "admin":
        return new
    return NewKey(
        new.name, kind, new.tier, new.project, new.expires_at_us,
        models=read("models", lambda: models(values), None),
        endpoints=read("endpoints", lambda: endpoints(values), None),
        networks=read("networks", lambda: networks(values), None),
        limits=read("limits", lambda: limits(values), NO_LIMITS),
        account_id=new.account_id,
        retention_days=read("retention", lambda: retention(values), None),
    )  # fmt: skip


def models(values: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Nothing ticked and nothing written means every model."""
    written = values["patterns"].replace(",", " ").split()
    return checks.models([*values["models"], *written] or None)


def endpoints(values: Mapping[str, Any]) -> tuple[str, ...] | None:
    wanted = values["endpoints"]
    if not wanted:
        raise Invalid("Choose at least one; to stop a key, pause it.")
    return None if set(wanted) == set(checks.ENDPOINTS) else checks.endpoints(wanted)


def networks(values: Mapping[str, Any]) -> tuple[str, ...] | None:
    return checks.networks(values["networks"].replace(",", " ").split() or None)


def limits(values: Mapping[str, Any]) -> Limits:
    names = (("requests", "requests a minute"), ("tokens", "tokens a minute"),
             ("in_flight", "requests at once"))  # fmt: skip
    return checks.limits(Limits(*(amount(values[name], said) for name, said in names)))


def retention(values: Mapping[str, Any]) -> int | None:
    """Days; empty: as its project."""
    return checks.retention(amount(values["retention"], "days"))


def amount(text: str, what: str) -> int | None:
    """A whole number as people write it; empty is no limit."""
    digits = "".join(text.replace(",", "").split())
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 15:
        raise Invalid(f"'{text[:40]}' is not a whole number of {what}.")
    return int(digits)


def expiry(values: Mapping[str, Any], now_us: int) -> int | None:
    wanted = values["expires"]
    if wanted == "never":
        return None
    if wanted != "date":
        if wanted not in EXPIRIES:
            raise Invalid("Choose when it ends.")
        return now_us + int(wanted) * DAY_US
    try:
        day = date.fromisoformat(values["expires_on"]) + timedelta(days=1)
        ends = datetime(day.year, day.month, day.day, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Invalid("Choose the last day on which it works.") from None
    ends_us = int(ends.timestamp()) * 1_000_000
    if ends_us <= now_us:
        raise Invalid("That day has passed.")
    return ends_us


def told(ask: Ask, chosen: Choices, new: NewKey) -> list[str]:
    """The summary: what the key will be able to do."""
    project = chosen.project
    held, kept_days = "no limits", 0
    if project is not None:
        kept_days = in_force(ask, new.retention_days, project, chosen.organization).days
        tiers = ask.console.tiers()
        now = levels.preview(new, project, chosen.organization, tiers, ask.now_us)
        held = words.limits_in_words(now)
    return words.summary(
        mode=new.mode,
        project=project.name if project else "you choose",
        models=new.models,
        endpoints=None if new.endpoints is None else tuple(new.endpoints),
        networks=new.networks,
        limits=held,
        expires_at_us=new.expires_at_us,
        kept_days=kept_days,
    )


def in_force(ask: Ask, days: int | None, project: Project, organization: Organization) -> InForce:
    bound = ask.console.config.privacy.retention_days_max
    return InForce(days, project.retention_days, organization.retention_days_max, bound)
