"""`/playground`: everything that the page can know before its script asks for anything."""

from dataclasses import dataclass

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.flows.admit import SANDBOX
from keyhall.flows.playground import keys
from keyhall.policy import catalogue
from keyhall.policy.access import names
from keyhall.policy.catalogue import Version
from keyhall.ports.records import Project
from keyhall.wire.reference.fields import FIELDS


@dataclass(frozen=True, slots=True)
class Choice:
    """A name in the list of models."""

    name: str
    version: Version
    answers: bool  # an engine is there, also for live keys

    @property
    def is_sandbox(self) -> bool:
        return self.version.engine == SANDBOX


def choices(ask: Ask, projects: list[Project]) -> list[Choice]:
    """Aliases first, as `/v1/models` lists them. A key may be given fewer: then the answer says
    so, as it would to a program."""
    hall, now_us = ask.console.hall, ask.now_us
    table = hall.catalogue
    named = [(name, table.versions[target]) for name, target in table.aliases.items()]
    found = [*sorted(named, key=_first), *sorted(table.versions.items(), key=_first)]
    return [
        Choice(name, version, version.engine in hall.engines)
        for name, version in found
        if catalogue.status_at(version, now_us) != "retired"
        and any(each.models is None or names(each.models, name) for each in projects)
    ]


def _first(pair: tuple[str, Version]) -> tuple[bool, str]:
    return pair[0].startswith("sandbox/"), pair[0]


async def show(ask: Ask) -> Response:
    projects = await keys.projects_of(ask.store, ask.person.organization_id)
    return ask.page(
        "playground/playground.html",
        projects=projects,
        choices=choices(ask, projects),
        default=ask.console.hall.catalogue.default,
        says=FIELDS,
    )


ROUTES = (Page("GET", "/playground", show, "playground"),)
