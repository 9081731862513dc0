"""Versions: the immutable records behind models' names, added, priced, deprecated and retired."""

from collections.abc import Iterable
from typing import Any, get_args

from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.flows.manage import versions as manage
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.flows.models import house
from keyhall.policy.catalogue import (
    EARLIEST,
    LATER,
    SETTINGS,
    Count,
    OnDisconnect,
    Price,
    Sampling,
    Version,
    status_at,
)
from keyhall.stores import catalogue as rows
from keyhall.stores.operate import acts, traffic
from keyhall.stores.operate.acts import Wanted

WEEK_US = 7 * 86_400_000_000
CALLERS_SHOWN = 20
ACTS_SHOWN = 20
TOKENIZERS = ("o200k_base", "cl100k_base")


async def show_all(ask: Ask) -> Response:
    async with ask.store.reading() as connection:
        catalogue = await rows.load(connection)
        aliases = await rows.list_aliases(connection)
        week = await traffic.requests_by_version(connection, ask.now_us - WEEK_US)
    named = set(catalogue.aliases.values())
    return ask.page(
        "operate/models.html",
        versions=[
            (
                version,
                status_at(version, ask.now_us),
                sorted(name for name, to in catalogue.aliases.items() if to == version.name),
                week.get(version.name, 0),
            )
            for version in sorted(
                catalogue.versions.values(),
                key=lambda each: (
                    status_at(each, ask.now_us) == "retired",
                    each.name not in named,  # What callers get comes before what stands by.
                    -each.number,
                ),
            )
        ],
        aliases=aliases,
        engines=ask.console.hall.engines,
        default=catalogue.default,
    )


# --- One version ----------------------------------------------------------------------------------


async def show(ask: Ask) -> Response:
    return await _page(ask, ask.path("version"))


async def _page(ask: Ask, name: str, error: Refused | None = None, act: str = "") -> Response:
    async with ask.store.reading() as connection:
        version = await rows.find_version(connection, name)
        if version is None:
            raise NotFound(f"There is no version {name}.")
        catalogue = await rows.load(connection)
        callers = await traffic.callers_of(connection, name, ask.now_us - WEEK_US, CALLERS_SHOWN)
        prices = await traffic.prices_of(connection, version.number)
        done = await acts.page(connection, None, Wanted("version", target=name), ACTS_SHOWN)
        names = await acts.names(connection, [each.who.removeprefix("account:") for each in done])
    return ask.page(
        "operate/version.html",
        400 if error else 200,
        found=version,
        standing=status_at(version, ask.now_us),
        aliases=sorted(alias for alias, to in catalogue.aliases.items() if to == name),
        others=answering(catalogue.versions.values(), ask.now_us, name),
        callers=callers,
        prices=prices,
        done=[each for each in done if each.target == name],
        names=names,
        has_engine=version.engine in ask.console.hall.engines,
        form=given.sent(ask, price_in="", price_out="", retires="", replacement=""),
        faults=given.faults_of(error),
        act=act,
    )


def answering(versions: Iterable[Version], now_us: int, but: str = "") -> list[str]:
    """The names of those that are not retired."""
    return sorted(
        each.name for each in versions if each.name != but and status_at(each, now_us) != "retired"
    )


async def deprecate(ask: Ask) -> Response:
    name = ask.text("version")
    try:
        await manage.deprecate(
            ask.store,
            name,
            retires_at_us=given.day_us(ask.text("retires"), "retires"),
            replacement=ask.text("replacement") or None,
            **ask.by,
        )
    except NotFound:
        raise
    except Refused as error:
        return await _page(ask, name, error, "deprecate")
    return ask.go(f"/models/version/{name}", f"{name} is deprecated; callers are told.")


async def retire(ask: Ask) -> Response:
    name = ask.text("version")
    try:
        await manage.retire(ask.store, name, replacement=ask.text("replacement") or None, **ask.by)
    except NotFound:
        raise
    except Refused as error:
        return await _page(ask, name, error, "retire")
    return ask.go(f"/models/version/{name}", f"{name} is retired: it refuses from now on.")


async def set_price(ask: Ask) -> Response:
    name = ask.text("version")
    try:
        price = _price(ask)
        if price is None:
            raise given.Fault("price_in", "Say both prices; 0 is a price too.")
        await manage.set_price(ask.store, name, price, **ask.by)
    except NotFound:
        raise
    except Refused as error:
        return await _page(ask, name, error, "price")
    return ask.go(f"/models/version/{name}", "The price holds for requests from now on.")


def _price(ask: Ask) -> Price | None:
    price_in, price_out = given.price(ask, "price_in"), given.price(ask, "price_out")
    if price_in is None and price_out is None:
        return None
    if price_in is None or price_out is None:
        missing = "price_in" if price_in is None else "price_out"
        raise given.Fault(missing, "Give both prices, of input and of output.")
    return Price(price_in, price_out)


# --- A new one ------------------------------------------------------------------------------------


async def show_add(ask: Ask) -> Response:
    return await _add_page(ask)


async def _add_page(ask: Ask, error: Refused | None = None) -> Response:
    texts = ("name", "engine_model", *SETTINGS, "price_in", "price_out")
    fields = dict.fromkeys(texts, "") | {
        "engine": ask.query("engine"),
        "max_input_tokens": "4,096",
        "max_output_tokens": "4,096",
        "tokenizer": TOKENIZERS[0],
        "count": "estimated",
        "on_disconnect": "abort",
        "owned_by": "keyhall",
    }
    return ask.page(
        "operate/version_new.html",
        400 if error else 200,
        engines=sorted(ask.console.hall.engines),
        tokenizers=TOKENIZERS,
        settings=SETTINGS,
        earliest=EARLIEST,
        later=LATER,
        counts=get_args(Count),
        disconnects=get_args(OnDisconnect),
        form=given.sent(ask, **fields),
        faults=given.faults_of(error),
    )


async def add(ask: Ask) -> Response:
    try:
        own = house.of(ask.console.config)
        made = await manage.add(ask.store, _new(ask), own=own, **ask.by)
    except Refused as error:
        return await _add_page(ask, error)
    said = f"Added {made.name}. Move an alias to it, and callers get it under that name."
    return ask.go(f"/models/version/{made.name}", said)


def _new(ask: Ask) -> Version:
    count: Count = "exact" if ask.text("count") == "exact" else "estimated"
    on_disconnect: OnDisconnect = "drain" if ask.text("on_disconnect") == "drain" else "abort"
    tokenizer = ask.text("tokenizer")
    if tokenizer not in TOKENIZERS:
        raise given.Fault("tokenizer", "Choose one of the list.")
    engine_model = ask.text("engine_model").strip()
    if not engine_model:
        raise given.Fault("engine_model", "Say what the engine calls the model.")
    return Version(
        number=0,
        name=ask.text("name").strip(),
        engine=ask.text("engine"),
        engine_model=engine_model,
        created_at_us=ask.now_us,
        sampling=_sampling(ask),
        max_input_tokens=given.whole(ask, "max_input_tokens", "maximum") or 4096,
        max_output_tokens=given.whole(ask, "max_output_tokens", "maximum") or 4096,
        tokenizer=tokenizer,
        count=count,
        on_disconnect=on_disconnect,
        price=_price(ask),
        owned_by=ask.text("owned_by").strip() or "keyhall",
    )


def _sampling(ask: Ask) -> Sampling:
    found: dict[str, Any] = {}
    for name, bounds in SETTINGS.items():
        value = given.number(ask, name, bounds.low, bounds.high)
        if value is not None and bounds.is_whole:
            if value != int(value):
                raise given.Fault(name, "Write a whole number.")
            value = int(value)
        found[name] = value
    return Sampling(**found)


ROUTES = (
    Page("GET", "/models", show_all, "operate"),
    Page("GET", "/models/add", show_add, "operate"),
    Page("POST", "/models/add", add, "operate"),
    Page("GET", "/models/version/{version:path}", show, "operate"),
    Page("POST", "/models/deprecate", deprecate, "operate"),
    Page("POST", "/models/retire", retire, "operate"),
    Page("POST", "/models/price", set_price, "operate"),
)
