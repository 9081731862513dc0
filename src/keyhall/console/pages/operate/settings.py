"""Every setting with its value, where it came from, and what it means. Changed where it is set."""

from itertools import groupby

from starlette.responses import Response

from keyhall.config import SECTIONS
from keyhall.config.shown import as_file, shown
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.policy.secrets import MASK


async def show(ask: Ask) -> Response:
    config = ask.console.config
    wanted = ask.query("search").strip().lower()
    only = ask.query("only") == "given"
    found = [
        each
        for each in shown(config)
        if wanted in f"{each.section}.{each.name} {each.meaning}".lower()
        and not (only and each.source == "default")
    ]
    sections = [
        (name, (SECTIONS[name].__doc__ or "").split("\n\n")[0], list(each))
        for name, each in groupby(found, key=lambda each: each.section)
    ]
    return ask.page(
        "operate/settings.html",
        sections=sections,
        data=str(config.data),
        file=as_file(config),
        mask=MASK,
        only=only,
    )


ROUTES = (Page("GET", "/settings", show, "operate"),)
