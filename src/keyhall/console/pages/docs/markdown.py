"""Markdown to HTML: HTML inside it is text, pictures are links, code is coloured by classes.

A page's own links lead to pages of the console. Anchors are those that forges make of headings, so
that a link works in both places.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

_PAGE = re.compile(r"^([a-z-]+)\.md(#.*)?$")
_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")
_PRETTY = HtmlFormatter(nowrap=True)
_ALIASES = {"sh": "bash", "": "text"}
_LANGUAGES = {"sh": "Shell", "python": "Python", "json": "JSON", "toml": "TOML", "text": "Text"}
REPOSITORY = "https://github.com/keyhall/keyhall/blob/main/"


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    anchor: str
    title: str


@dataclass(slots=True)
class Rendered:
    html: str
    headings: list[Heading] = field(default_factory=list)


def anchor(heading: str) -> str:
    """`## [a]` and `` ## `a` `` are both #a."""
    return _NOT_IN_ANCHOR.sub("", heading.lower()).strip().replace(" ", "-")


def render(text: str, fill: tuple[str, str] | None = None) -> Rendered:
    """`fill` puts a word of the reader's in the place of another, in code."""
    parser = _parser()
    tokens = parser.parse(text)
    headings: list[Heading] = []
    taken: dict[str, int] = {}
    codes = tables = 0
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            inline = tokens[place + 1]
            name = _free(anchor(inline.content), taken)
            token.attrSet("id", name)
            token.attrSet("tabindex", "-1")
            headings.append(Heading(int(token.tag[1]), name, _plain(inline)))
        elif token.type == "fence":
            codes += 1
            token.meta["number"] = codes
            if fill is not None:
                token.content = token.content.replace(*fill)
        elif token.type == "table_open":
            tables += 1
            token.meta["name"] = f"Table {tables}" + (f": {headings[-1].title}" if headings else "")
        elif token.type == "inline":
            _lead(token)
    return Rendered(parser.renderer.render(tokens, parser.options, {}), headings)


def _free(name: str, taken: dict[str, int]) -> str:
    """A second heading of the same words is `name-1`."""
    count = taken.get(name, 0)
    taken[name] = count + 1
    return f"{name}-{count}" if count else name


def _plain(inline: Token) -> str:
    children = inline.children or []
    return "".join(child.content for child in children if child.type in ("text", "code_inline"))


def _lead(inline: Token) -> None:
    """Links: to other pages of ours, to the repository, or out."""
    for child in inline.children or []:
        if child.type != "link_open":
            continue
        target = str(child.attrGet("href") or "")
        page = _PAGE.match(target)
        if page:
            name = "" if page[1] == "index" else f"/{page[1]}"
            child.attrSet("href", f"/docs{name}{page[2] or ''}")
        elif target.startswith("../../../"):
            child.attrSet("href", REPOSITORY + target.removeprefix("../../../"))
        if str(child.attrGet("href")).startswith("http"):
            child.attrSet("rel", "noopener noreferrer")


@functools.cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("th_open", _th_open)
    parser.add_render_rule("td_open", _td_open)
    return parser


def code(text: str, language: str, number: int | str) -> str:
    """A block of code with its button."""
    name = escape(_LANGUAGES.get(language, language) or "Text")
    return (
        f'<div class="code"><pre tabindex="0" role="region" aria-label="{name}, {number}">'
        f'<code id="code-{number}" class="hl">{coloured(text, language)}</code></pre>'
        f'<button class="btn" type="button" data-variant="ghost" data-size="sm" '
        f'data-copy-from="#code-{number}" aria-label="Copy {name}, {number}">Copy</button></div>\n'
    )


def coloured(text: str, language: str) -> str:
    """Code as spans with classes."""
    try:
        lexer = get_lexer_by_name(_ALIASES.get(language, language))
    except ClassNotFound:
        return escape(text)
    return str(highlight(text, lexer, _PRETTY))


def _fence(_: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    token = tokens[place]
    return code(token.content, token.info.strip(), token.meta["number"])


def _table_open(_: RendererHTML, tokens: Sequence[Token], place: int, *rest: Any) -> str:
    name = escape(tokens[place].meta["name"])
    scrolls = f'<div class="table-container" tabindex="0" role="region" aria-label="{name}">'
    return f'{scrolls}<table class="table">'


def _table_close(_: RendererHTML, tokens: Sequence[Token], place: int, *rest: Any) -> str:
    return "</table></div>\n"


def _th_open(_: RendererHTML, tokens: Sequence[Token], place: int, *rest: Any) -> str:
    is_empty = not tokens[place + 1].content
    return "<td>" if is_empty else '<th scope="col">'


def _td_open(_: RendererHTML, tokens: Sequence[Token], place: int, *rest: Any) -> str:
    return "<td>"
