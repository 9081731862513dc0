"""GET /v1/models: the names a key may use, with the day on which each is shut down (R8, R19)."""

from urllib.parse import unquote_to_bytes

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.admit import engine_of, retired
from keyhall.flows.authenticate import authenticate
from keyhall.flows.callers import Caller
from keyhall.flows.hall import Hall
from keyhall.policy import access, catalogue
from keyhall.policy.catalogue import Version
from keyhall.ports.exchange import Exchange
from keyhall.wire import models

NAME_CHARACTERS_MAX = 256  # of a name that is looked for and repeated


async def list_models(exchange: Exchange, hall: Hall) -> None:
    caller = await authenticate(exchange, hall, "models")
    now_us = exchange.started_us
    cards = [
        _card(name, version)
        for name, version in _named(hall)
        if _may_use(name, version, caller, now_us) and _has_engine(version, caller, hall)
    ]
    exchange.reply(200, caller.lines, models.encode_models(cards))


async def show_model(exchange: Exchange, hall: Hall) -> None:
    caller = await authenticate(exchange, hall, "models")
    # Clients write a slash inside a name as it is, or as `%2F`.
    encoded = exchange.path.removeprefix(b"/v1/models/")
    name = unquote_to_bytes(encoded).decode("utf-8", "replace")[:NAME_CHARACTERS_MAX]
    version = hall.catalogue.find(name)
    if version is None or not _in_scope(name, caller):
        raise ApiError(errors.MODEL_UNKNOWN, model=name)
    if catalogue.status_at(version, exchange.started_us) == "retired":
        raise retired(name, version)
    if not _has_engine(version, caller, hall):
        engine_of(version, hall)  # Refuses, as it would a request.
    exchange.reply(200, caller.lines, models.encode_model(_card(name, version)))


def _named(hall: Hall) -> list[tuple[str, Version]]:
    """Aliases first, then the records' own names."""
    table = hall.catalogue
    aliases = [(name, table.versions[target]) for name, target in table.aliases.items()]
    return sorted(aliases, key=lambda pair: pair[0]) + sorted(
        table.versions.items(), key=lambda pair: pair[0]
    )


def _may_use(name: str, version: Version, caller: Caller, now_us: int) -> bool:
    if name.startswith("sandbox/") and caller.grant.mode != "test":
        return False  # Live keys may call the scripts; the list is not cluttered with them.
    if catalogue.status_at(version, now_us) == "retired":
        return False
    return _in_scope(name, caller)


def _has_engine(version: Version, caller: Caller, hall: Hall) -> bool:
    """Somebody would answer now; test keys are answered by the sandbox whatever they name (R19)."""
    return version.engine in hall.engines or caller.grant.mode == "test"


def _in_scope(name: str, caller: Caller) -> bool:
    grant = caller.grant
    return (grant.models is None or access.names(grant.models, name)) and (
        grant.project_models is None or access.names(grant.project_models, name)
    )


def _card(name: str, version: Version) -> models.Model:
    return models.Model(
        id=name,
        created=version.created_at_us // 1_000_000,
        owned_by=version.owned_by,
        shutdown_date=catalogue.shutdown_date(version),
    )
