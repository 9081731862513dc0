"""The repository is the same for everyone: no machine, no index, no host in it."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))
DISTRIBUTIONS_MAX = 55

# Places of one machine, and hosts that packages come from. Split, so that this file does not find
# itself.
MACHINE_PATHS = re.compile("/wo" + "rk/|/ro" + "ot/|/ho" + "me/[a-z]+/|/Us" + "ers/")
PACKAGE_HOSTS = re.compile("py" + "pi[.]org|python" + "hosted|npm" + "js[.]")
OUTSIDE = "../sha" + "red"


def tracked_files() -> list[Path]:
    """What git tracks and is text; everything below the root where there is no git."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: there is no list of what belongs to the repository")
    paths = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str:
    """The text of a file; binary files (rank files, favicons) have none."""
    data = path.read_bytes()
    return "" if b"\0" in data[:8192] or path.suffix == ".gz" else data.decode("utf-8")


def requirements_of(path: Path) -> list[str]:
    """Whole requirements, continuation lines joined and comments removed."""
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.partition(" #")[0].strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def test_nothing_names_a_machine() -> None:
    for path in tracked_files():
        text = text_of(path)
        assert not MACHINE_PATHS.search(text), path
        assert not PACKAGE_HOSTS.search(text), path
        assert OUTSIDE not in text, path


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_requirements_name_no_index_and_no_host(path: Path) -> None:
    """Where packages come from is the business of whoever installs."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|file:|--index|--extra-index|--find-links|--trusted-host", text)


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_hashed(path: Path) -> None:
    for requirement in requirements_of(path):
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z0-9,_-]+\])?==\S+ ", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_the_locked_files_agree() -> None:
    """They are installed into one environment, one after the other."""
    pins: dict[str, str] = {}
    for path in REQUIREMENTS:
        for requirement in requirements_of(path):
            name, _, version = requirement.split()[0].partition("==")
            assert pins.setdefault(name, version) == version, f"{path.name}: {name}"


def test_a_core_install_stays_small() -> None:
    names = {
        requirement.split()[0].partition("==")[0]
        for name in ("core.txt", "build.txt")
        for requirement in requirements_of(ROOT / "requirements" / name)
    }
    assert len(names | {"keyhall", "pip"}) <= DISTRIBUTIONS_MAX


def test_every_dependency_is_locked_and_has_a_reason() -> None:
    """A dependency is a decision: docs/decisions/001-dependencies.md says why it is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {re.split(r"[\[<>=!;~ ]", line, maxsplit=1)[0] for line in project["dependencies"]}
    locked = {line.split("==")[0] for line in requirements_of(ROOT / "requirements" / "core.txt")}
    assert named <= locked
    reasons = (ROOT / "docs/decisions/001-dependencies.md").read_text(encoding="utf-8")
    assert not {name for name in named if f"`{name}`" not in reasons}


def test_the_version_is_written_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/keyhall/__init__.py"
    init = (ROOT / "src/keyhall/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', init, re.MULTILINE)
    assert found is not None
    assert f"## [{found[1]}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_pyproject_is_the_only_tool_configuration() -> None:
    others = (
        "setup.py", "setup.cfg", "tox.ini", "pytest.ini", ".coveragerc", "ruff.toml", ".ruff.toml",
        "mypy.ini", ".mypy.ini", ".flake8", ".importlinter", "noxfile.py",
    )  # fmt: skip
    assert not [name for name in others if (ROOT / name).exists()]


def test_the_licence_is_there() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_make_and_ci_use_the_same_words() -> None:
    """CI that runs something else proves something else."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    used = re.findall(r"run: make ([a-z-]+)", workflow)
    assert used
    assert set(used) <= words
    assert {"install", "serve", "test", "check", "bench"} <= words
    assert "exec make test" in (ROOT / ".ci/run").read_text(encoding="utf-8")
