"""The pages of the documentation: Markdown files of the package, in the order of their index.

Read once. What a reader sees has this server's own address in it; nothing else differs from the
file.
"""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import keyhall

FOLDER = Path(keyhall.__file__).parent / "docs"
INDEX = "index"
WRITTEN_URL = "http://127.0.0.1:8484/v1"  # what the files say where a reader needs the address

_TITLE = re.compile(r"^# +(.+)$", re.MULTILINE)
_COMMENT = re.compile(r"^<!--.*?-->\n?", re.MULTILINE | re.DOTALL)
_GROUP = re.compile(r"^## +(.+)$|\]\(([a-z-]+)\.md\)", re.MULTILINE)
_LINK_LINE = re.compile(r"\[[^\]]*\]\(([a-z-]+)\.md\): *((?:.|\n(?! *[-\n#]))+)")


@dataclass(frozen=True, slots=True)
class Doc:
    name: str
    title: str
    source: str

    @property
    def path(self) -> str:
        return "/docs" if self.name == INDEX else f"/docs/{self.name}"

    def filled(self, url: str) -> str:
        """The file, with the reader's own address."""
        return self.source.replace(WRITTEN_URL, f"{url}/v1")

    def shown(self, url: str) -> str:
        """That without its comments, which are for the tests and the tools."""
        return _COMMENT.sub("", self.filled(url))


@functools.cache
def docs() -> dict[str, Doc]:
    """All pages by name, in the order of the index, which comes first."""
    made = {path.stem: _doc(path) for path in sorted(FOLDER.glob("*.md"))}
    order = [INDEX, *(name for names in _groups(made[INDEX].source).values() for name in names)]
    order += [name for name in made if name not in order]
    return {name: made[name] for name in order if name in made}


def _doc(path: Path) -> Doc:
    source = path.read_text(encoding="utf-8")
    title = _TITLE.search(source)
    assert title is not None, path.name
    return Doc(path.stem, "Documentation" if path.stem == INDEX else title[1], source)


@functools.cache
def groups() -> dict[str, list[Doc]]:
    """The pages by the headings of the index, for the list beside each page."""
    known = docs()
    named = _groups(known[INDEX].source)
    return {
        heading: [known[name] for name in names if name in known]
        for heading, names in named.items()
        if names
    }


def _groups(source: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    heading, seen = "", set()
    for match in _GROUP.finditer(source):
        if match[1]:
            heading = match[1]
            found[heading] = []
        elif heading and match[2] not in seen:
            seen.add(match[2])
            found[heading].append(match[2])
    return found


@functools.cache
def summaries() -> dict[str, str]:
    """What the index says of each page, in one line."""
    pairs = _LINK_LINE.findall(docs()[INDEX].source)
    return {name: " ".join(said.split()) for name, said in pairs}


def neighbours(name: str) -> tuple[Doc | None, Doc | None]:
    """The pages before and after one."""
    order = list(docs().values())
    place = next(number for number, doc in enumerate(order) if doc.name == name)
    before = order[place - 1] if place else None
    after = order[place + 1] if place + 1 < len(order) else None
    return before, after
