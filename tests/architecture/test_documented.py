"""What exists is written down, and what is written down exists."""

import re
from pathlib import Path

import pytest

from keyhall import errors

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "keyhall"
DOCS = SOURCE / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TEXTS = [
    *PAGES,
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "bench").glob("*.md")),
]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def prose(path: Path) -> str:
    return CODE_BLOCK.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """The anchors that a Markdown renderer makes of the headings."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in HEADING.findall(prose(path))
    }


def test_every_folder_of_the_source_is_on_the_map() -> None:
    """A folder that ARCHITECTURE.md does not name is a folder nobody will look into."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folders = {path.parent.relative_to(SOURCE) for path in SOURCE.rglob("*.py")}
    folders.add(Path("docs"))
    missing = {f"{folder.parts[0]}/" for folder in folders if folder.parts}
    assert not {name for name in missing if f"{name}" not in text}


@pytest.mark.parametrize("name", errors.TABLE)
def test_every_error_has_a_section(name: str) -> None:
    assert name in anchors(DOCS / "errors.md")


def test_every_page_is_linked_from_the_index() -> None:
    linked = {target.partition("#")[0] for target in LINK.findall(prose(DOCS / "index.md"))}
    assert {page.name for page in PAGES} - {"index.md"} <= linked


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in LINK.findall(prose(path)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        page = path.parent / name if name else path
        assert page.exists(), f"{target} does not exist"
        if anchor and page.suffix == ".md":
            assert anchor in anchors(page), f"{target}: no such heading"
