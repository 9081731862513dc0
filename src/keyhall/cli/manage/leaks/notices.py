"""`keyhall keys notices`: what owners of keys are told, and what closes it."""

from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.flows.leaks.closing import close
from keyhall.flows.manage.checks import NotFound
from keyhall.flows.manage.keys import key_by
from keyhall.policy.leaks.finding import inert
from keyhall.policy.quotas import FOREVER_US
from keyhall.ports.notices import Notice
from keyhall.ports.records import Key
from keyhall.stores.leaks import notices as rows

LISTED = 100


@click.command()
@click.option("--all", "with_closed", is_flag=True, help="Those that were closed, too.")
@click.option("--close", "closed", type=click.IntRange(1), metavar="NO", help="Close this one.")
@click.option("--expect", "expected", type=click.IntRange(1), metavar="NO",
              help="Close it: its key is used from so many networks on purpose.")  # fmt: skip
@click.option(
    "--limit", default=LISTED, show_default=True, type=click.IntRange(1), help="At most so many."
)
@options
def notices(
    with_closed: bool,
    closed: int | None,
    expected: int | None,
    limit: int,
    as_json: bool,
    where: Where,
) -> None:
    """List which keys leaked or wander, whether their owners were told, newest first."""
    if closed is not None and expected is not None:
        raise click.UsageError("Either --close or --expect.")

    async def work(house: House) -> tuple[list[tuple[Notice, Key]], int]:
        number = closed if expected is None else expected
        if number is not None:
            await _close(house, number, is_expected=expected is not None)
        async with house.store.reading() as connection:
            return await rows.newest(connection, with_closed=with_closed, limit=limit), house.now_us

    found, now_us = act(where, work)
    if as_json:
        show.as_json([_json(notice, key) for notice, key in found])
    elif not found:
        show.line("No key leaked or wanders, as far as anybody knows.")
    else:
        show.table(
            ("No", "Since (UTC)", "Key", ("Name", "wrap"), "What", ("Evidence", "wrap"), "Told"),
            [_row(notice, key, now_us) for notice, key in found],
        )


async def _close(house: House, number: int, *, is_expected: bool) -> None:
    async with house.store.reading() as connection:
        notice = await rows.find(connection, number)
        if notice is None:
            raise NotFound(f"There is no notice {number}. `keyhall keys notices` shows them.")
        key = await key_by(connection, notice.key_id, house.now_us)
    await close(house.store, key, number, is_expected=is_expected, **house.by)


def _row(notice: Notice, key: Key, now_us: int) -> tuple[str, ...]:
    facts = notice.facts
    evidence = (
        inert(str(facts["url"]), 200)
        if notice.kind == "leaked"
        else f"{facts['networks']:,} networks in an hour, usual: {facts['usual']}"
    )
    what = notice.kind if notice.closed_at_us is None else f"{notice.kind}, closed"
    when = words.when(notice.at_us)
    return (str(notice.number), when, key.id, key.name, what, evidence, _told(notice, now_us))


def _told(notice: Notice, now_us: int) -> str:
    if notice.told_at_us is not None:
        return f"{words.ago(notice.told_at_us, now_us)}"
    trouble = "; ".join(f"{name}: {said}" for name, said in (notice.trouble or {}).items())
    if notice.next_try_us == FOREVER_US:
        return f"given up: {trouble}"
    return trouble or "not yet"


def _json(notice: Notice, key: Key) -> dict[str, Any]:
    return {
        "number": notice.number,
        "kind": notice.kind,
        "key": {"id": key.id, "name": key.name, "masked": key.masked},
        "account": notice.account_id,
        "organization": notice.organization_id,
        "at": words.stamp(notice.at_us),
        "facts": notice.facts,
        "closed_at": words.stamp(notice.closed_at_us),
        "closed_by": notice.closed_by,
        "told_at": words.stamp(notice.told_at_us),
        "attempts": notice.attempts,
        "trouble": notice.trouble,
    }
