"""The project's own documentation, cut into pieces: text to read, so that the words are known."""

import re
from collections.abc import Iterator
from pathlib import Path

import keyhall

DOCS = Path(keyhall.__file__).parent / "docs"
# Generated pages repeat the command line's help and the settings; their tables teach little.
LEFT_OUT = {"cli.md", "settings.md"}
CHARACTERS_MAX = 1_400


def _prose(page: str) -> str:
    """Without code, comments and links' addresses."""
    page = re.sub(r"```.*?```", "", page, flags=re.S)
    page = re.sub(r"<!--.*?-->", "", page, flags=re.S)
    page = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", page)
    return re.sub(r"\n{3,}", "\n\n", page)


def pages() -> Iterator[tuple[str, str]]:
    """(heading, text) of each section, cut at paragraphs."""
    for path in sorted(DOCS.glob("*.md")):
        if path.name in LEFT_OUT:
            continue
        title = ""
        for section in re.split(r"(?m)^(?=#{1,4} )", _prose(path.read_text(encoding="utf-8"))):
            heading, _, body = section.partition("\n")
            heading = heading.lstrip("# ").strip()
            title = title or heading
            piece = ""
            for paragraph in (each.strip() for each in body.split("\n\n") if each.strip()):
                paragraph = re.sub(r"(?<!\|)\n(?!\||-)", " ", paragraph)
                if piece and len(piece) + len(paragraph) > CHARACTERS_MAX:
                    yield f"{title}: {heading}", piece
                    piece = ""
                piece += ("\n" if piece else "") + paragraph
            if piece:
                yield f"{title}: {heading}", piece
