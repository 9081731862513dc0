"""Templates to pages. Everything is escaped; a template gets values and the few words below."""

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2

from keyhall import __version__
from keyhall.console import static, words
from keyhall.console.context import THEME, Ask
from keyhall.console.menu import menu_of
from keyhall.policy.pricing import decimal

TEMPLATES = Path(__file__).parent / "templates"
THIN = "\N{THIN SPACE}"
THEMES = ("system", "light", "dark")
_SECOND, _MINUTE, _HOUR, _DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000


@functools.cache
def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "count": count,
        "compact": compact,
        "day": day,
        "moment": moment,
        "stamp": stamp,
        "money": money,
        "span": span,
    }
    made.filters |= words.FILTERS
    made.globals |= {"asset": static.address, "version": __version__, "query": query}
    return made


def render(ask: Ask, template: str, facts: Mapping[str, Any]) -> str:
    """The page as text."""
    theme = ask.cookie(THEME) or "system"
    return (
        environment()
        .get_template(template)
        .render(
            ask=ask,
            who=ask.who,
            csrf=ask.csrf,
            now_us=ask.now_us,
            base_url=ask.console.url,
            path=ask.request.url.path,
            theme=theme if theme in THEMES else "system",
            menu=menu_of(ask.who, ask.request.url.path),
            flash=ask.said(),
            **facts,
        )
    )


# --- Words for values -----------------------------------------------------------------------------


def count(number: int | None, none: str = "none") -> str:
    """40 000, with thin spaces."""
    return none if number is None else f"{number:,}".replace(",", THIN)


def compact(number: int) -> str:
    """1.2 M, for where there is little room; the whole number belongs into its title."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            text = f"{number / size:.1f}".removesuffix(".0")
            return f"{text}{THIN}{unit}"
    return str(number)


def money(nano: int) -> str:
    """Nano-units as units: 0.0042."""
    return decimal(nano, 9, THIN)


def _at(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / 1_000_000, tz=UTC)


def day(at_us: int) -> str:
    return _at(at_us).strftime("%Y-%m-%d")


def stamp(at_us: int) -> str:
    """For `<time datetime>`, which the browser shows in its own zone."""
    return _at(at_us).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(at_us: int | None, now_us: int, never: str = "never") -> str:
    """How long ago or ahead: 5 min ago, in 3 h."""
    if at_us is None:
        return never
    apart = now_us - at_us
    words = span(abs(apart))
    if abs(apart) < _SECOND * 10:
        return "just now"
    return f"{words} ago" if apart > 0 else f"in {words}"


def span(us: int) -> str:
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if us >= size:
            return f"{us // size}{THIN}{unit}"
    return f"{max(0, us) // _SECOND}{THIN}s"


def query(ask: Ask, **changed: str | int | None) -> str:
    """This page's address with some of its query changed; None or empty takes a part out."""
    parts = dict(ask.request.query_params) | changed
    kept = {name: value for name, value in parts.items() if value not in (None, "")}
    return ask.request.url.path + (f"?{urlencode(kept)}" if kept else "")
