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
    *sorted((ROOT / "deploy").glob("*.md")),
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
    names = {f"{part}/" for folder in folders for part in folder.parts}
    assert not {name for name in names if f"`{name}`" not in text}


def test_every_module_beside_the_folders_is_on_the_map() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    names = {path.name for path in SOURCE.glob("[!_]*.py")}
    assert not {name for name in names if f"`{name}`" not in text}


def test_the_map_shows_nothing_that_is_not_there() -> None:
    """What a reader looks up in vain costs more than what was never written."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([a-z_/]+(?:/|\.py))`", text):
        assert list(SOURCE.rglob(name.rstrip("/"))) or (ROOT / name).exists(), name


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
