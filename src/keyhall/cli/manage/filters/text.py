"""How rules, trials and reports are shown: for people, and as JSON."""

from collections.abc import Sequence
from typing import Any

import msgspec

from keyhall.cli.manage import show, words
from keyhall.flows.filters.manage import Seen
from keyhall.flows.filters.trial import Found, Trial, around, marked
from keyhall.policy.filters.rules import Rule
from keyhall.ports.filters import ProjectCount, Report

HITS_SHOWN = 50
MARKED_CHARACTERS_MAX = 4_000  # Longer texts are not repeated on a terminal; their hits are.
ORIGINS = {
    "keyhall": "Keyhall",
    "settings": "the settings",
    "hall": "this hall",
    "tier": "the tier",
    "project": "the project",
}
STYLES = {"allow": "cyan", "flag": "yellow", "mask": "magenta", "block": "red"}


def state(rule: Rule) -> str:
    """`off`, `flag`, or `block for 10 % of requests`."""
    if not rule.is_on or not rule.percent:
        return "off"
    return rule.action if rule.percent == 100 else f"{rule.action} for {rule.percent} % of requests"


# --- JSON -----------------------------------------------------------------------------------------


def rule_json(rule: Rule) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(rule)
    return {"is_on": rule.is_on, "percent": rule.percent, "category": rule.category, **made}


def json_of(seen: Seen) -> dict[str, Any]:
    return {
        **rule_json(seen.rule),
        "origin": seen.origin,
        "hits": seen.hits,
        "reported": seen.wrong,
        "reports_open": seen.waiting,
        "changed_at": words.stamp(seen.kept.changed_at_us if seen.kept else None),
    }


def hits_json(seen: Seen) -> dict[str, Any]:
    return {
        "id": seen.rule.id,
        "is_on": seen.rule.is_on,
        "hits": seen.hits,
        "reported": seen.wrong,
        "reports_open": seen.waiting,
    }


def project_json(name: str, count: ProjectCount) -> dict[str, Any]:
    return {
        "project": count.project_id,
        "name": name,
        "hits": count.hits,
        "reported": count.false_positives,
    }


def report_json(report: Report) -> dict[str, Any]:
    return {
        "number": report.number,
        "rule": report.rule_id,
        "state": report.state,
        "organization": report.organization_id,
        "project": report.project_id,
        "said_by": report.said_by,
        "said": report.said,
        "said_at": words.stamp(report.said_at_us),
        "answered_by": report.answered_by,
        "answer": report.answer,
        "answered_at": words.stamp(report.answered_at_us),
    }


def trial_json(text: str, trial: Trial) -> dict[str, Any]:
    return {
        "action": trial.action,
        "characters": len(text),
        "hits": [
            {
                "rule": each.rule.id,
                "category": each.rule.category,
                "is_on": each.rule.is_on,
                "action": each.rule.action,
                "percent": each.rule.percent,
                "start": each.start,
                "end": each.end,
                "line": each.line,
                "column": each.column,
                "text": text[each.start : each.end],
                "view": each.view or None,
            }
            for each in trial.found
        ],
    }


# --- For people -----------------------------------------------------------------------------------


def listed(found: Sequence[Seen]) -> None:
    if not found:
        show.line("No rule is on. `keyhall filters set RULE --action flag` turns one on.")
        return
    show.table(
        ("Rule", "Category", "State", ("Hits", "right"), ("Reported", "right"), "From"),
        [
            (
                each.rule.id,
                each.rule.category or "",
                show.Shaded(state(each.rule), STYLES[each.rule.action])
                if each.rule.is_on
                else "off",
                f"{each.hits:,}" if each.hits else "",
                str(each.waiting) if each.waiting else "",
                ORIGINS[each.origin],
            )
            for each in found
        ],
    )


def hits(found: Sequence[Seen]) -> None:
    show.table(
        ("Rule", "State", ("Hits", "right"), ("Reported", "right"), ("Of hits", "right")),
        [
            (each.rule.id, state(each.rule), f"{each.hits:,}", str(each.wrong or ""), _share(each))
            for each in found
        ],
    )


def _share(seen: Seen) -> str:
    return f"{seen.wrong / seen.hits:.1%}" if seen.hits and seen.wrong else ""


def projects(found: Sequence[tuple[str, ProjectCount]]) -> None:
    show.table(
        ("Project", "Id", ("Hits", "right"), ("Reported", "right")),
        [
            (name, each.project_id, f"{each.hits:,}", str(each.false_positives or ""))
            for name, each in found
        ],
    )


def shown(seen: Seen, said: Sequence[Report]) -> None:
    rule = seen.rule
    show.facts(
        [
            ("Rule", rule.id),
            ("Category", rule.category or "none of OpenAI's"),
            ("State", state(rule)),
            ("Direction", {"in": "prompts", "out": "answers", "both": "both"}[rule.direction]),
            ("Reason", rule.reason),
            ("Owner", rule.owner),
            ("From", ORIGINS[seen.origin]),
            ("Hits", f"{seen.hits:,}"),
            ("Reported as wrong", str(seen.wrong) if seen.wrong else ""),
            ("Changed", f"{words.when(seen.kept.changed_at_us)} UTC" if seen.kept else ""),
        ]
    )
    for title, sentences in (
        ("Looks for", [*rule.phrases, *rule.terms, rule.pattern]),
        ("Must find", rule.finds),
        ("Must leave alone", rule.passes),
        ("Is known to find wrongly", rule.mistakes),
        ("What was said", [f"{each.said} ({each.state})" for each in said]),
    ):
        some = [each for each in sentences if each]
        if some:
            show.line()
            show.line(f"{title}:")
            for sentence in some:
                show.line(f"  {sentence}")


def reports(found: Sequence[Report]) -> None:
    show.table(
        (("No.", "right"), "State", "Rule", ("Said", "wrap"), "By", "At (UTC)", ("Answer", "wrap")),
        [
            (
                str(each.number),
                each.state,
                each.rule_id,
                each.said,
                each.organization_id or each.said_by,
                words.when(each.said_at_us),
                each.answer or "",
            )
            for each in found
        ],
    )


def trial(text: str, trial: Trial) -> None:
    from rich.text import Text

    out = show.console()
    if out.is_terminal and trial.found and len(text) <= MARKED_CHARACTERS_MAX:
        actions = {each.rule.id: each.rule.action for each in trial.found}
        made = Text()
        for piece, rules in marked(text, trial.found):
            hardest = max((STYLES[actions[rule]] for rule in rules), default="")
            made.append(piece, f"{hardest} reverse" if hardest else "")
        out.print(made)
        show.line()
    if trial.found:
        show.table(
            ("Line", ("Column", "right"), "Rule", "State", "Found"),
            [_hit(text, each) for each in trial.found[:HITS_SHOWN]],
        )
        if len(trial.found) > HITS_SHOWN:
            show.line(f"... and {len(trial.found) - HITS_SHOWN} more; --json tells all.")
    show.line(_verdict(text, trial))


def _hit(text: str, hit: Found) -> tuple[str, ...]:
    before, inside, behind = around(text, hit)
    return str(hit.line), str(hit.column), hit.rule.id, state(hit.rule), (
        f"{before}\u00bb{inside}\u00ab{behind}{f' ({hit.view})' if hit.view else ''}"
    )  # fmt: skip


def _verdict(text: str, trial: Trial) -> str:
    characters = words.counted(len(text), "character")
    if not trial.found:
        return f"Nothing found in {characters}."
    hits = words.counted(len(trial.found), "hit")
    on = sum(each.is_on for each in trial.found)
    if not on:
        return f"{hits} in {characters}, none by a rule that is on: it would pass."
    done = {
        "allow": "it would pass, and be counted",
        "flag": "it would be flagged",
        "mask": "it would be masked",
        "block": "it would be blocked",
    }
    return f"{hits} in {characters}, {on} by rules that are on: {done[trial.action]}."
