"""Imports point inward, and the pure core imports nothing that acts."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "keyhall"

# What would let a rule or a protocol read a clock, draw luck or touch the world.
ACTING = {
    "asyncio", "concurrent", "logging", "os", "pathlib", "random", "requests", "secrets", "select",
    "shutil", "signal", "socket", "sqlalchemy", "sqlite3", "ssl", "starlette", "structlog",
    "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uvicorn", "uvloop",
}  # fmt: skip
PURE = sorted([*(SOURCE / "policy").rglob("*.py"), *(SOURCE / "wire").rglob("*.py")])


def imports_of(path: Path) -> set[str]:
    """Top names of everything a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_arrows_point_inward() -> None:
    """The contracts of pyproject.toml, as import-linter reads them."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "120"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_the_core_cannot_act(path: Path) -> None:
    """`policy` and `wire` get time, luck and data as arguments, so their tests need no world."""
    assert not imports_of(path) & ACTING
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree))


def test_the_client_stands_alone() -> None:
    """What a key holder installs must not bring the server with it."""
    for path in (SOURCE / "client").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            else:
                continue
            ours = [name for name in modules if name.partition(".")[0] == "keyhall"]
            assert all(name.startswith("keyhall.client") for name in ours), path
