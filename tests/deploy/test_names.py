"""Every setting and command that `deploy/` speaks of is one: a misspelt one refuses to start."""

import re
from pathlib import Path

import click
import pytest
from dockerfile import ROOT, stages

from keyhall.cli import main
from keyhall.config import variables

FOLDER = ROOT / "deploy"
FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".pyc")
# Read by the program and no setting of a section.
OTHERS = {"KEYHALL_DATA", "KEYHALL_CONFIG"}
SPOKEN_OF = sorted(
    {
        name
        for path in FILES
        for name in re.findall(r"\bKEYHALL_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
    }
)


@pytest.mark.parametrize("name", SPOKEN_OF)
def test_every_variable_is_a_setting(name: str) -> None:
    assert name in {*variables(), *OTHERS}


def commands_of(path: Path) -> set[str]:
    """`keyhall NOUN VERB` in the code of a page or a comment, and the arguments of containers."""
    text = path.read_text(encoding="utf-8")
    code = re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    code += re.findall(r"(?:args|command): \[(.*)\]", text)
    code += re.findall(r"^#   (docker .*)$", text, re.MULTILINE)
    found = set()
    for line in "\n".join(code).replace(", ", " ").replace("--namespace keyhall", "").splitlines():
        said = re.search(
            r"(?:^|[ :])(?:keyhall )+([a-z]+(?: [a-z-]+)?)(?: [A-Z]+)?$", line.split(" --name")[0]
        )
        bare = re.fullmatch(r"(serve|[a-z]+ upgrade)", line)
        if said or bare:
            found.add((said or bare)[1])
    return found


COMMANDS = sorted({command for path in FILES for command in commands_of(path)})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists(command: str) -> None:
    group: click.Command | None = main
    for word in command.split():
        assert isinstance(group, click.Group), command
        group = group.get_command(click.Context(group), word)
    assert group is not None, command


def test_commands_and_settings_are_found_at_all() -> None:
    """A pattern that finds nothing proves nothing."""
    assert {"serve", "database upgrade", "keys create", "keys list", "doctor"} <= set(COMMANDS)
    assert "KEYHALL_DATABASE_URL" in SPOKEN_OF
    assert set(stages()[-1].environment) - {"PATH", "PYTHONDONTWRITEBYTECODE"} <= set(SPOKEN_OF)
