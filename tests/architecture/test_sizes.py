"""Files are readable in one sitting. Raising a number here is a design decision."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
MODULES = sorted(SOURCE.rglob("*.py"))
LINES_PER_MODULE = 400
LINES_PER_FUNCTION = 60
FILES_PER_FOLDER = 16

# Tables, where being long is the point: one row of the error table after the other.
TABLES = {"keyhall/errors.py"}


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_fits_into_one_sitting(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if name_of(path) not in TABLES:
        assert len(text.splitlines()) <= LINES_PER_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LINES_PER_FUNCTION, node.name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_owns(path: Path) -> None:
    """The first line of the docstring is a sentence; a newcomer reads those first."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, "no module docstring"


def test_a_folder_can_be_taken_in_at_a_glance() -> None:
    folders = {path.parent for path in MODULES}
    full = {
        name_of(folder): count
        for folder in folders
        if (count := len(list(folder.glob("*.py")))) > FILES_PER_FOLDER
    }
    assert not full


def test_no_folder_has_a_name_that_says_nothing() -> None:
    """`utils` is where the second concept of a file goes to hide."""
    said_nothing = {"utils", "util", "helpers", "common", "services", "managers", "misc", "lib"}
    names = {part for path in MODULES for part in path.relative_to(SOURCE).with_suffix("").parts}
    assert not names & said_nothing
