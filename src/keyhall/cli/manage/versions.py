"""`keyhall versions`: the immutable records behind models' names. VERSION may be an alias."""

from collections.abc import Awaitable, Callable
from typing import Any, get_args

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.manage.operate.compare import compare
from keyhall.cli.manage.review.learned import scorecard
from keyhall.flows.manage import versions as manage
from keyhall.flows.models import house as own
from keyhall.flows.models.house import all_models
from keyhall.flows.models.versions import most_tokens
from keyhall.policy.catalogue import (
    SETTINGS,
    Catalogue,
    Count,
    OnDisconnect,
    Price,
    Sampling,
    Version,
    status_at,
)

PER = "per million tokens"
ON_DISCONNECT: dict[OnDisconnect, str] = {
    "abort": "abort: the engine is stopped, what was produced is charged",
    "drain": "drain: the engine goes on to its end, all of it is charged",
}
TOKENIZERS = ("o200k_base", "cl100k_base")


@click.group()
def versions() -> None:
    """List, add, deprecate, retire and price model versions.

    A version never changes what it answers: to change that, add another one and move the alias.
    """


versions.add_command(compare)
versions.add_command(scorecard)


def price_of(version: Version) -> str:
    if version.price is None:
        return "none"
    amounts = (version.price.input, version.price.output)
    return " / ".join(words.money(amount, words.MICRO_DIGITS) for amount in amounts)


def json_of(version: Version, aliases: list[str], now_us: int) -> dict[str, Any]:
    price = version.price
    return {
        "name": version.name,
        "aliases": aliases,
        "status": status_at(version, now_us),
        "engine": version.engine,
        "engine_model": version.engine_model,
        "fingerprint": version.fingerprint,
        "sampling": {name: getattr(version.sampling, name) for name in SETTINGS},
        "max_input_tokens": version.max_input_tokens,
        "max_output_tokens": version.max_output_tokens,
        "tokenizer": version.tokenizer,
        "count": version.count,
        "on_disconnect": version.on_disconnect,
        "price_micro_per_million": price and {"input": price.input, "output": price.output},
        "created_at": words.stamp(version.created_at_us),
        "deprecated_at": words.stamp(version.deprecated_at_us),
        "retires_at": words.stamp(version.retires_at_us),
        "replacement": version.replacement,
        "owned_by": version.owned_by,
    }


def _aliases_of(catalogue: Catalogue, version: Version) -> list[str]:
    return sorted(alias for alias, name in catalogue.aliases.items() if name == version.name)


@versions.command("list")
@options
def list_versions(as_json: bool, where: Where) -> None:
    """List all versions and the aliases that mean them."""

    async def work(house: House) -> tuple[Catalogue, int]:
        return await house.store.load_catalogue(), house.now_us

    catalogue, now_us = act(where, work)
    found = list(catalogue.versions.values())
    if as_json:
        show.as_json([json_of(each, _aliases_of(catalogue, each), now_us) for each in found])
        return
    show.table(
        ("Version", ("Aliases", "wrap"), "Status", "Engine", ("Price in / out", "right")),
        [
            (
                each.name,
                ", ".join(_aliases_of(catalogue, each)),
                _status(each, now_us),
                each.engine,
                price_of(each),
            )
            for each in found
        ],
    )
    show.line(f"\nPrices are units of the currency {PER}. `keyhall versions show VERSION`: more.")


def _status(version: Version, now_us: int) -> str:
    status = status_at(version, now_us)
    if status == "deprecated" and version.retires_at_us is not None:
        return f"until {words.when(version.retires_at_us)[:10]}"
    return status


@versions.command("show")
@click.argument("version")
@options
def show_version(version: str, as_json: bool, where: Where) -> None:
    """Show everything about a version."""

    async def work(house: House) -> tuple[Version, list[str], int]:
        return *await manage.find(house.store, version), house.now_us

    found, aliases, now_us = act(where, work)
    if as_json:
        show.as_json(json_of(found, aliases, now_us))
    else:
        _describe(found, aliases, now_us)


def _describe(version: Version, aliases: list[str], now_us: int) -> None:
    said = version.sampling.said()
    sampling = ", ".join(f"{name.replace('_penalty', ' penalty')} {said[name]}" for name in said)
    margin = f"{version.margin_percent} % + {version.margin_per_tool} a tool are held"
    dates = (version.deprecated_at_us, version.retires_at_us)
    deprecated, retires = (words.when(at_us, "") and f"{words.when(at_us)} UTC" for at_us in dates)
    show.facts(
        (
            ("Name", version.name),
            ("Aliases", ", ".join(aliases)),
            ("Status", status_at(version, now_us)),
            ("Engine", f"{version.engine}, which calls it {version.engine_model}"),
            ("Fingerprint", version.fingerprint),
            ("Sampling", sampling or "the engine's own"),
            ("Input", f"at most {version.max_input_tokens:,} tokens"),
            ("Output", f"at most {version.max_output_tokens:,} tokens"),
            ("Counted", f"{version.count}, with {version.tokenizer}"),
            ("Margin", margin if version.count == "estimated" else ""),
            ("Disconnect", ON_DISCONNECT[version.on_disconnect]),
            ("Price", f"{price_of(version)} {PER}, input / output" if version.price else "none"),
            ("Created", f"{words.when(version.created_at_us)} UTC"),
            ("Deprecated", deprecated),
            ("Retires", retires),
            ("Use instead", version.replacement or ""),
            ("Owned by", version.owned_by),
        )
    )


def _done(
    where: Where,
    as_json: bool,
    work: Callable[[House], Awaitable[Version]],
    says: Callable[[Version, list[str]], str],
    *,
    prepares: bool = False,
) -> None:
    async def timed(house: House) -> tuple[Version, list[str], int]:
        done = await work(house)
        return *await manage.find(house.store, done.name), house.now_us

    version, aliases, now_us = act(where, timed, prepares=prepares)
    if as_json:
        show.as_json(json_of(version, aliases, now_us))
    else:
        show.line(says(version, aliases))


def _price(given: tuple[int | None, int | None]) -> Price | None:
    price_in, price_out = given
    if price_in is None and price_out is None:
        return None
    if price_in is None or price_out is None:
        raise click.UsageError("Give both prices, of input and of output.")
    return Price(price_in, price_out)


def _sampling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each setting. How far it may go is checked where the version is made."""
    for name, bounds in reversed(SETTINGS.items()):
        word = f"--{name.replace('_', '-')}"
        where = f"{bounds.low:,} to {bounds.high:,}."
        kind = int if bounds.is_whole else float
        command = click.option(word, type=kind, help=f"{bounds.does} {where}")(command)
    return command


@versions.command()
@click.argument("name")
@click.option("--engine", required=True, help="`keyhall engines list` shows them.")
@click.option("--engine-model", metavar="MODEL", help="What the engine calls it.")
@click.option("--max-input", type=int, help="Most tokens in.  [4096; what fits into a model]")
@click.option("--max-output", type=int, help="Most tokens out.  [4096; what fits into a model]")
@_sampling_options
@click.option("--tokenizer", type=click.Choice(TOKENIZERS), default=TOKENIZERS[0],
              show_default=True, help="What counts its tokens.")  # fmt: skip
@click.option("--count", type=click.Choice(get_args(Count)), default="estimated",
              show_default=True, help="exact: the tokenizer is its own.")  # fmt: skip
@click.option(
    "--on-disconnect",
    type=click.Choice(get_args(OnDisconnect)),
    default="abort",
    show_default=True,
    help="When a client leaves. drain: the answer goes on, and all of it is charged.",
)
@click.option("--price-in", type=words.PriceType(), help=f"Units of the currency {PER}.")
@click.option("--price-out", type=words.PriceType(), help="Likewise, of output.")
@click.option("--owned-by", default="keyhall", show_default=True, help="What /v1/models says.")
@options
def add(
    name: str,
    engine: str,
    engine_model: str | None,
    as_json: bool,
    where: Where,
    **given: Any,
) -> None:
    """Add a version: an immutable record with a name of its own, such as v1-house-2.

    Temperature, top p and the frequency and presence penalties are defaults for requests that do
    not say. The settings after them are no part of OpenAI's protocol and go with every request to
    the engine, which must know them.

    A model in a file (`keyhall models`) counts its own tokens: say no tokenizer.
    """
    sampling = Sampling(**{name: given[name] for name in SETTINGS})
    price = _price((given["price_in"], given["price_out"]))

    async def work(house: House) -> Version:
        known = await all_models(house.store, house.config)
        model = next((each for each in known if each.name == engine), None)
        if model is None and not engine_model:
            raise click.UsageError("Say what the engine calls the model: --engine-model MODEL.")
        most_in, most_out = most_tokens(model, given["max_input"], given["max_output"])
        version = Version(
            number=0,
            name=name,
            engine=engine,
            engine_model=engine_model or engine,
            created_at_us=house.now_us,
            sampling=sampling,
            max_input_tokens=most_in,
            max_output_tokens=most_out,
            tokenizer=given["tokenizer"],
            count=given["count"],
            on_disconnect=given["on_disconnect"],
            price=price,
            owned_by=given["owned_by"],
        )
        return await manage.add(house.store, version, own=own.of(house.config), **house.by)

    _done(
        where,
        as_json,
        work,
        lambda version, _: f"Added {version.name} ({version.fingerprint}). "
        f"`keyhall aliases move ALIAS {version.name}` lets callers find it under another name.",
        prepares=True,
    )


@versions.command()
@click.argument("version")
@click.option("--retires", type=words.MomentType(), help="When it stops: 30d, or a date (UTC).")
@click.option("--use", "replacement", metavar="VERSION", help="What to use instead.")
@options
def deprecate(
    version: str,
    retires: words.Moment | None,
    replacement: str | None,
    as_json: bool,
    where: Where,
) -> None:
    """Announce a version's end. It still answers, with Deprecation and Sunset headers."""
    _done(
        where,
        as_json,
        lambda house: manage.deprecate(
            house.store,
            version,
            retires_at_us=retires.after(house.now_us) if retires else None,
            replacement=replacement,
            **house.by,
        ),
        lambda found, _: f"Deprecated {found.name}"
        + (
            f", which retires on {words.when(found.retires_at_us)} UTC"
            if found.retires_at_us
            else ""
        )
        + ".",
    )


@versions.command()
@click.argument("version")
@click.option("--use", "replacement", metavar="VERSION", help="What to use instead.")
@options
def retire(version: str, replacement: str | None, as_json: bool, where: Where) -> None:
    """End a version now: it refuses, and says what to use instead."""
    _done(
        where,
        as_json,
        lambda house: manage.retire(house.store, version, replacement=replacement, **house.by),
        lambda found, aliases: f"Retired {found.name}"
        + (f"; callers are told to use {found.replacement}" if found.replacement else "")
        + f".{_refused_too(aliases)}",
    )


def _refused_too(aliases: list[str]) -> str:
    if not aliases:
        return ""
    what, are = ("alias", "is") if len(aliases) == 1 else ("aliases", "are")
    return f" Its {what} {', '.join(aliases)} {are} refused too."


@versions.command("price")
@click.argument("version")
@click.option("--in", "price_in", required=True, type=words.PriceType(),
              help=f"Units of the currency {PER}.")  # fmt: skip
@click.option("--out", "price_out", required=True, type=words.PriceType(), help="Likewise.")
@options
def set_price(version: str, price_in: int, price_out: int, as_json: bool, where: Where) -> None:
    """Price a version's tokens, for requests from now on."""
    _done(
        where,
        as_json,
        lambda house: manage.set_price(
            house.store, version, Price(price_in, price_out), **house.by
        ),
        lambda found,
        _: f"{found.name} costs {price_of(found)} {PER}, input / output, from now on.",
    )
