"""Aliases: names that move from version to version. A move is looked at before it is made."""

from typing import Any, NamedTuple

from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.differences import Change, changes
from keyhall.console.gate import Page
from keyhall.console.pages.operate.models import (
    ACTS_SHOWN,
    CALLERS_SHOWN,
    WEEK_US,
    answering,
)
from keyhall.console.words import price
from keyhall.flows.manage import versions as manage
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.policy.catalogue import SETTINGS, Version, status_at
from keyhall.policy.forms import written
from keyhall.ports.records import AuditRow
from keyhall.stores import catalogue as rows
from keyhall.stores.operate import acts, traffic
from keyhall.stores.operate.acts import Wanted


class Row(NamedTuple):
    what: str
    now: str
    then: str


def compare(now: Version | None, then: Version) -> list[Row]:
    """What of an answer, its limits and its price differs between two versions."""
    old, new = {} if now is None else _facts(now), _facts(then)
    return [
        Row(what, old.get(what, ""), text) for what, text in new.items() if old.get(what) != text
    ]


def _facts(version: Version) -> dict[str, str]:
    def said(value: Any) -> str:
        return "the engine's own" if value is None else str(value)

    return {
        "Version": version.name,
        "Engine": version.engine,
        "Its name for the model": version.engine_model,
        "Most tokens in": f"{version.max_input_tokens:,}",
        "Most tokens out": f"{version.max_output_tokens:,}",
        **{
            name.replace("_", " ").capitalize(): said(getattr(version.sampling, name))
            for name in SETTINGS
        },
        "Counted with": f"{version.tokenizer}, {version.count}",
        "When a client leaves": version.on_disconnect,
        "Price in / out": price(version.price),
    }


async def show(ask: Ask) -> Response:
    return await _page(ask, ask.path("alias"))


async def _page(ask: Ask, name: str, error: Refused | None = None) -> Response:
    """One alias; with `to`, what would change if it moved there. A name that is none yet may be
    made by moving it."""
    async with ask.store.reading() as connection:
        catalogue = await rows.load(connection)
        alias = await rows.find_alias(connection, name)
        if alias is None and not (ask.query("to") or ask.text("to")):
            raise NotFound(f"There is no alias {name}.")
        now = catalogue.versions.get(alias.version) if alias else None
        callers = []
        if now is not None:
            since_us = ask.now_us - WEEK_US
            callers = await traffic.callers_of(connection, now.name, since_us, CALLERS_SHOWN)
        done = await acts.page(connection, None, Wanted("alias", target=name), ACTS_SHOWN)
        names = await acts.names(connection, [each.who.removeprefix("account:") for each in done])
    to = catalogue.versions.get(ask.query("to") or ask.text("to"))
    return ask.page(
        "operate/alias.html",
        400 if error else 200,
        name=name,
        alias=alias,
        now=now,
        standing=status_at(now, ask.now_us) if now else "",
        to=to,
        rows=[] if to is None else compare(now, to),
        callers=callers,
        choices=answering(catalogue.versions.values(), ask.now_us, alias.version if alias else ""),
        history=_history([each for each in done if each.target == name], names),
        form=given.sent(ask, fallbacks=", ".join(alias.fallbacks) if alias else ""),
        faults=given.faults_of(error),
    )


def _history(
    done: list[AuditRow], names: dict[str, str]
) -> list[tuple[AuditRow, str, list[Change]]]:
    return [
        (
            each,
            names.get(each.who.removeprefix("account:"), each.who),
            [row for row in changes(each.before, each.after) if row.field in _TOLD],
        )
        for each in done
    ]


_TOLD = ("version", "fallbacks")


async def move(ask: Ask) -> Response:
    name, to = ask.text("alias").strip(), ask.text("to")
    try:
        now, before = await manage.move_alias(ask.store, name, to, **ask.by)
    except NotFound:
        raise
    except Refused as error:
        return await _page(ask, name, error)
    was = f" It meant {before.version}." if before and before.version != now.version else ""
    return ask.go(f"/models/alias/{name}", f"{name} means {now.version} now.{was}")


async def set_fallbacks(ask: Ask) -> Response:
    name = ask.text("alias")
    try:
        after = await manage.set_fallbacks(
            ask.store, name, written.listed(ask.text("fallbacks")), **ask.by
        )
    except NotFound as error:
        async with ask.store.reading() as connection:
            if await rows.find_alias(connection, name) is None:
                raise
        return await _page(ask, name, given.Fault("fallbacks", str(error)))
    except Refused as error:
        return await _page(ask, name, given.Fault("fallbacks", str(error)))
    said = ", ".join(after.fallbacks) or "nobody"
    return ask.go(f"/models/alias/{name}", f"While its engine cannot, {said} answers.")


async def choose(ask: Ask) -> Response:
    """From the list of models to the look before a new name is made."""
    name, to = ask.query("alias").strip(), ask.query("to")
    if not name:
        raise given.Fault("alias", "Say the alias's name.")
    return ask.go(f"/models/alias/{name}?to={to}")


ROUTES = (
    Page("GET", "/models/alias", choose, "operate"),
    Page("GET", "/models/alias/{alias:path}", show, "operate"),
    Page("POST", "/models/move", move, "operate"),
    Page("POST", "/models/fallbacks", set_fallbacks, "operate"),
)
