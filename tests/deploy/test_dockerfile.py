"""The Dockerfile as text: what it may copy, who runs, and what must never be in a layer."""

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest
from dockerfile import DOCKERFILE, ROOT, stages

from keyhall import __version__
from keyhall.config import Server

TEXT = DOCKERFILE.read_text(encoding="utf-8")
COPIED = [
    source
    for stage in stages()
    for copy in stage.all("COPY")
    if "from" not in copy.flags
    for source in copy.words[:-1]
]


def is_ignored(path: str) -> bool:
    """Whether `.dockerignore` keeps a path out of the build: its last rule that fits decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!").removeprefix("**/")
        names = [path, *map(str, Path(path).parents)]
        if rule.removeprefix("!").startswith("**/"):
            names = [*Path(path).parts]
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            ignored = not rule.startswith("!")
    return ignored


@pytest.mark.parametrize("source", COPIED)
def test_what_is_copied_exists_and_is_let_in(source: str) -> None:
    assert (ROOT / source).exists()
    assert not is_ignored(source)


@pytest.mark.parametrize(
    "path",
    [
        ".env", "deploy/.env", ".git/config", "data/pepper", "keyhall.toml", "data/keyhall.db",
        ".venv/bin/python", "tests/conftest.py", "src/keyhall/__pycache__/app.cpython-313.pyc",
    ],
)  # fmt: skip
def test_what_may_be_secret_or_old_stays_out(path: str) -> None:
    assert is_ignored(path)


def test_the_build_gets_all_that_the_project_names() -> None:
    """A wheel is not made without its readme and its licence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {"pyproject.toml", "src", project["readme"], *project["license-files"]}
    assert needed <= set(COPIED)


def test_the_programs_user_is_a_number_and_not_root() -> None:
    uid, _, gid = stages()[-1].last("USER").rest.partition(":")
    assert int(uid) >= 10_000
    assert int(gid) >= 10_000
    made = stages()[-1].all("RUN")[0].rest
    assert f"--uid {uid} " in made
    assert f"--gid {gid} " in made
    assert f"-o {uid} -g {gid} -m 0700 /data" in made


def test_nothing_runs_as_root_after_the_user_is_named() -> None:
    words = [each.word for each in stages()[-1].instructions]
    assert words.count("USER") == 1
    assert not {"RUN", "COPY", "ADD"} & set(words[words.index("USER") :])


def test_every_package_is_checked_against_the_lock() -> None:
    installs = [
        part
        for stage in stages()
        for run in stage.all("RUN")
        for part in run.rest.split("&&")
        if re.search(r"\bpip\b.* install ", part)
    ]
    assert len(installs) == 3
    for part in installs:
        assert "--require-hashes" in part or "--no-index" in part, part
        assert "--no-deps" in part, part


def test_no_layer_holds_a_secret_or_names_a_host() -> None:
    """Arguments and variables of a build can be read in the image's history."""
    assert not [each for stage in stages() for each in stage.all("ARG") + stage.all("ADD")]
    names = [name for stage in stages() for name in stage.environment]
    assert not [name for name in names if re.search("KEY$|TOKEN|SECRET|PASS|URL|INDEX", name)]
    assert "://" not in TEXT
    for stage in stages():
        host = stage.base.split("/")[0]
        assert "." not in host.split(":")[0], f"{stage.base} names a host"


def test_the_base_is_pinned_to_a_version_that_is_tested() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    for stage in stages():
        found = re.fullmatch(r"python:(3\.\d+)-slim", stage.base)
        assert found is not None, stage.base
        assert f'"{found[1]}"' in workflow


def test_it_stops_by_the_signal_that_the_server_knows() -> None:
    """In the JSON form the server is process 1 itself, and no shell keeps the signal from it."""
    stage = stages()[-1]
    assert stage.last("STOPSIGNAL").rest == "SIGTERM"
    assert stage.last("ENTRYPOINT").rest.startswith("[")
    assert stage.last("CMD").rest.startswith("[")


def test_the_port_is_the_servers_own() -> None:
    stage = stages()[-1]
    assert (
        stage.last("EXPOSE").rest == str(Server().port) == stage.environment["KEYHALL_SERVER_PORT"]
    )


def test_the_tag_that_is_written_down_is_this_version() -> None:
    """In the comment, the compose files, the manifests and the instructions."""
    for path in sorted((ROOT / "deploy").rglob("*")):
        if path.is_file():
            found = re.findall(r"keyhall:(\d\S*)", path.read_text(encoding="utf-8"))
            assert set(found) <= {__version__}, path
