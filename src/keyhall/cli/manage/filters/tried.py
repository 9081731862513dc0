"""`keyhall filters try`: rules on what was said yesterday, where it is kept."""

from pathlib import Path
from typing import Any

import click

from keyhall.cli import progress
from keyhall.cli.manage import show, words
from keyhall.cli.manage.filters.reading import rules_of_file
from keyhall.cli.manage.filters.text import state
from keyhall.cli.manage.filters.whose import owner_of, project_option, seen_by
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.options import fail
from keyhall.flows.filters import manage, past
from keyhall.flows.filters.past import Counted, Past
from keyhall.policy.filters.rules import Rule, RuleRefused
from keyhall.stores.content.sealing import Vault
from keyhall.stores.content.walking import Span

WHY_NOTHING = (
    "Nothing is kept of that time, so there is nothing to try rules on: by default Keyhall keeps "
    "no conversation. `keyhall projects retention PROJECT 1d` keeps those of a project from now "
    "on, and `keyhall filters set RULE --action allow` counts without keeping anything."
)


@click.command("try")
@click.argument("rules", nargs=-1, metavar="[RULE]...")
@click.option("--since", type=words.MomentType(is_past=True), default="1d", show_default=True,
              help="From when on: 1d, 12h, 2027-05-01.")  # fmt: skip
@click.option("--rules", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Try the rules of this file.")  # fmt: skip
@project_option
@options
def try_past(
    rules: tuple[str, ...],
    since: words.Moment,
    path: Path | None,
    project: str | None,
    as_json: bool,
    where: Where,
) -> None:
    """Try rules on the conversations that are kept: in how many each would have hit.

    Without a RULE all are tried, those that are off too. Nothing of what was said is shown: of
    each rule some requests are named, and `keyhall content show` shows one with a reason. Owners
    see in their audit that rules were tried on what they keep.
    """
    written = None if path is None else rules_of_file(str(path))
    if written is not None and rules:
        raise click.UsageError("Name rules, or a file with --rules, not both.")

    async def work(house: House) -> Past:
        owner = await owner_of(house, project, None)
        used = written if written is not None else await _named(house, project, rules)
        whose = None if project is None else owner.id
        span = Span(since.before(house.now_us) or 0, project_id=whose)
        with progress.shown(is_wanted=not as_json) as step:
            return await past.tried(
                house.store,
                Vault(house.peppers),
                used,
                span,
                progress=lambda done, all_: step("looked at", done, all_),
                **house.by,
            )

    try:
        found = act(where, work)
    except RuleRefused as error:
        fail(str(error))
    if as_json:
        show.as_json(_json(found))
    else:
        _told(found)


async def _named(house: House, project: str | None, wanted: tuple[str, ...]) -> list[Rule]:
    seen = await seen_by(house, await owner_of(house, project, None))
    there = [each.rule for each in seen]
    return [manage.named(there, name) for name in wanted] if wanted else there


def _json(found: Past) -> dict[str, Any]:
    return {
        "kept": found.kept,
        "looked_at": found.looked,
        "unreadable": found.unreadable,
        "hit": found.hit,
        "rules": [
            {
                "rule": each.rule.id,
                "is_on": each.rule.is_on,
                "prompts": each.asked,
                "answers": each.answered,
                "conversations": each.either,
                "rate": round(found.share(each.either), 6),
                "examples": [f"req_{one.id}" for one in each.examples],
            }
            for each in found.rules.values()
        ],
    }


def _told(found: Past) -> None:
    if not found.kept:
        show.line(WHY_NOTHING)
        return
    if found.hitting:
        show.table(
            ("Rule", "State", ("Prompts", "right"), ("Answers", "right"), ("Of all", "right"),
             "For example"),
            [_row(found, each) for each in found.hitting],
        )  # fmt: skip
    said = f"{words.counted(found.hit, 'conversation')} of {found.looked:,} would have been hit."
    if found.kept > found.looked + found.unreadable:
        said += f" {found.kept:,} are kept; the newest were looked at."
    if found.unreadable:
        said += f" {found.unreadable:,} could not be read."
    show.line(said)
    if found.hitting:
        show.line("`keyhall content show REQUEST --why ...` shows one; its owner sees that.")


def _row(found: Past, each: Counted) -> tuple[str, ...]:
    example = f"req_{each.examples[0].id}" if each.examples else ""
    share = f"{found.share(each.either):.1%}"
    return each.rule.id, state(each.rule), f"{each.asked:,}", f"{each.answered:,}", share, example
