"""An answer about usage as numbers for charts and as words for readers: the same for the page, its
data and its exports.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from keyhall.console.render import THIN, count, money
from keyhall.console.words import brief
from keyhall.flows.observe.limit_lines import Line
from keyhall.flows.observe.over_time import Answer, Group
from keyhall.policy import spans
from keyhall.ports.usage import Amounts

MEASURES: dict[str, Callable[[Amounts], int]] = {
    "requests": lambda each: each.requests,
    "input_tokens": lambda each: each.input_tokens,
    "output_tokens": lambda each: each.output_tokens,
    "tokens": lambda each: each.tokens,
    "cost_nano": lambda each: each.cost_nano,
    "unanswered": lambda each: each.unanswered,
    "refused": lambda each: each.refused,
}
ROWS_MAX = 100  # points in a table: the newest; the export has them all
_FORMATS = {"minute": "%d %b %H:%M", "hour": "%d %b %H:%M", "day": "%d %b %Y", "month": "%b %Y"}


def amounts(each: Amounts) -> dict[str, int]:
    return {name: measure(each) for name, measure in MEASURES.items()}


def _columns(points: list[Amounts], *names: str) -> dict[str, list[int]]:
    return {name: [MEASURES[name](each) for each in points] for name in names or MEASURES}


def data(answer: Answer, line: Line | None, *, is_open: bool) -> dict[str, Any]:
    """For the charts, and for whoever asks for JSON."""
    span = answer.asked.span
    limits = None
    if line is not None and span.grain == "minute":
        limits = {
            "scope": line.scope,
            "requests_per_minute": line.limits.requests_per_minute,
            "tokens_per_minute": line.limits.tokens_per_minute,
        }
    return {
        "since": iso(span.begins_us),
        "until": iso(span.ends_us),
        "grain": span.grain,
        "zone": str(span.zone),
        "by": answer.asked.by,
        "is_open": is_open,
        "note": answer.note,
        "starts": [at_us // 1_000_000 for at_us in answer.starts],
        "labels": labels(answer),
        "groups": [
            {"id": group.id, "name": group.name, **_columns(group.points)}
            for group in answer.groups
        ],
        "all": _columns(answer.points),
        "total": amounts(answer.total),
        "before": None if answer.before is None else amounts(answer.before),
        "before_points": _columns(answer.points_before, "requests", "tokens")
        if answer.before is not None
        else None,
        "latency": _latency(answer),
        "limits": limits,
        "figures": figures(answer),
    }


def _latency(answer: Answer) -> dict[str, list[float | None]]:
    names = ("first_p50_us", "first_p95_us", "total_p50_us", "total_p95_us")
    return {
        name.removesuffix("_us"): [_ms(getattr(each, name)) for each in answer.latencies]
        for name in names
    }


def _ms(us: int | None) -> float | None:
    return None if us is None else us / 1000


def iso(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def labels(answer: Answer, which: Sequence[int] | None = None) -> list[str]:
    """When each point begins, on the page's clock; or these points."""
    span = answer.asked.span
    form = _FORMATS[span.grain]
    starts = answer.starts if which is None else [answer.starts[index] for index in which]
    return [
        datetime.fromtimestamp(at_us // 1_000_000, span.zone).strftime(form) for at_us in starts
    ]


# --- Words ----------------------------------------------------------------------------------------


def figures(answer: Answer) -> list[dict[str, str]]:
    """The sums above the charts."""
    total, before, late = answer.total, answer.before, answer.latency
    numbers = [
        ("requests", "Requests", count(total.requests), "admitted"),
        ("input_tokens", "Tokens in", count(total.input_tokens), ""),
        ("output_tokens", "Tokens out", count(total.output_tokens), ""),
        ("cost_nano", "Cost", brief(total.cost_nano), "units of the currency"),
        ("unanswered", "Not finished", count(total.unanswered), share(total)),
        ("refused", "Refused", count(total.refused), "used nothing"),
    ]
    found = [
        {"id": id, "name": name, "value": value, "said": said, "change": _change(id, total, before)}
        for id, name, value, said in numbers
    ]
    for id, name, p50, p95 in (
        ("first", "First byte", late.first_p50_us, late.first_p95_us),
        ("whole", "Whole answer", late.total_p50_us, late.total_p95_us),
    ):
        said = "" if p95 is None else f"p95 {took(p95)}"
        found.append(
            {"id": id, "name": f"{name}, p50", "value": took(p50), "said": said, "change": ""}
        )
    return found


def share(total: Amounts) -> str:
    if not total.unanswered:
        return "all were finished" if total.requests else ""
    return f"{100 * total.unanswered / total.requests:.1f}{THIN}% of requests"


def _change(name: str, total: Amounts, before: Amounts | None) -> str:
    if before is None:
        return ""
    was = MEASURES[name](before)
    percent = spans.change(MEASURES[name](total), was)
    shown = brief(was) if name == "cost_nano" else count(was)
    return f"{shown} before" if percent is None else f"{percent:+d}{THIN}%, {shown} before"


def took(us: int | None) -> str:
    """A duration for people: 0.8 ms, 120 ms, 3.4 s."""
    if us is None:
        return "none"
    if us < 10_000:
        return f"{us / 1000:.1f}{THIN}ms"
    if us < 1_000_000:
        return f"{us // 1000}{THIN}ms"
    if us < 10_000_000:
        return f"{us / 1_000_000:.1f}{THIN}s"
    return f"{us // 1_000_000}{THIN}s"


# --- Tables ---------------------------------------------------------------------------------------


def tables(answer: Answer) -> list[dict[str, Any]]:
    """A chart each, with the table that says the same; points without requests are left out."""
    groups = answer.groups
    split = answer.asked.by != "none"
    shown = [index for index, each in enumerate(answer.points) if each.requests or each.refused]
    newest = shown[-ROWS_MAX:][::-1]
    found = [
        ("tokens", "Tokens", _token_columns(groups, split)),
        ("requests", "Requests", _request_columns(answer, split)),
    ]
    if answer.total.cost_nano:
        columns = [_column(group.name, group.points, "cost_nano", money) for group in groups]
        found.append(("cost", "Cost", columns))
    if any(each.total_p50_us is not None for each in answer.latencies):
        found.append(("latency", "Time to answer", _latency_columns(answer)))
    starts = list(zip(labels(answer, newest), newest, strict=True))
    return [
        {
            "id": id,
            "name": name,
            "columns": columns,
            "is_empty": not newest,
            "is_cut": len(shown) > ROWS_MAX,
            "rows": [(start, [words(index) for _, words in columns]) for start, index in starts],
        }
        for id, name, columns in found
    ]


Column = tuple[str, Callable[[int], str]]  # its head, and the words for a point


def _column(
    name: str, points: list[Amounts], measure: str, words: Callable[[int], str] = count
) -> Column:
    of = MEASURES[measure]
    return name, lambda index: words(of(points[index]))


def _token_columns(groups: list[Group], split: bool) -> list[Column]:
    if split:
        return [_column(group.name, group.points, "tokens") for group in groups]
    points = groups[0].points
    return [_column("In", points, "input_tokens"), _column("Out", points, "output_tokens")]


def _request_columns(answer: Answer, split: bool) -> list[Column]:
    columns = []
    if split:
        columns = [_column(group.name, group.points, "requests") for group in answer.groups]
    else:
        columns.append(_column("Requests", answer.points, "requests"))
    columns.append(_column("Not finished", answer.points, "unanswered"))
    columns.append(_column("Refused", answer.points, "refused"))
    return columns


def _latency_columns(answer: Answer) -> list[Column]:
    names = {
        "First byte, p50": "first_p50_us",
        "First byte, p95": "first_p95_us",
        "Whole, p50": "total_p50_us",
        "Whole, p95": "total_p95_us",
    }
    late = answer.latencies

    def column(field: str) -> Callable[[int], str]:
        return lambda index: took(getattr(late[index], field))

    return [(name, column(field)) for name, field in names.items()]


def rows(answer: Answer) -> Iterator[list[object]]:
    """Every point of every group, for the export; without what is nothing."""
    for group in answer.groups:
        for at_us, each in zip(answer.starts, group.points, strict=True):
            if each != Amounts():
                yield [iso(at_us), group.id, group.name, *amounts(each).values()]


HEAD = ["since", "group", "name", *MEASURES]
