"""Starting is fast, and importing does nothing but define."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in (SOURCE / "keyhall").rglob("*.py")
    if path.name != "__main__.py" and "migrations" not in path.parts
)

# Whatever `keyhall --version` does not need and what costs most to import.
HEAVY = {"sqlalchemy", "alembic", "starlette", "uvicorn", "tiktoken", "rich", "requests", "ssl"}

OBSERVE = """
import socket, sys, threading
opened = []
create = socket.socket.__init__
def watched(self, *arguments, **options):
    opened.append(arguments)
    create(self, *arguments, **options)
socket.socket.__init__ = watched
before = threading.active_count()
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert not opened, f"{name} opened a socket"
    assert threading.active_count() == before, f"{name} started a thread"
"""


def python(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def median_seconds(*arguments: str) -> float:
    """Of seven runs; the first, which may compile, does not count."""
    took = []
    for _ in range(8):
        started = time.perf_counter()
        python(*arguments)
        took.append(time.perf_counter() - started)
    return statistics.median(took[1:])


def test_importing_any_module_opens_nothing_and_starts_nothing() -> None:
    """No connection, no thread, no registration by side effect: parts are joined in app.py."""
    python("-W", "error", "-c", OBSERVE, *MODULES)


def test_version_is_told_without_loading_the_server() -> None:
    code = (
        "import sys; sys.argv = ['keyhall', '--version']\n"
        "from keyhall.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print('loaded:', *sorted({HEAVY!r} & set(sys.modules)))"
    )
    assert python("-c", code).rstrip().endswith("loaded:")


def test_version_is_told_at_once() -> None:
    """100 ms where the machine is quiet; here relative to Python's own start, because it is not."""
    bare = median_seconds("-c", "pass")
    ours = median_seconds("-m", "keyhall", "--version")
    click = median_seconds("-c", "import click")
    assert ours < 2 * max(click, bare) + 0.05, f"{ours:.3f} s; python {bare:.3f}, click {click:.3f}"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_program_explains_itself(option: str) -> None:
    assert "keyhall" in python("-m", "keyhall", option).lower()
