"""The command line itself: what is there, what is near, and how fast it says so."""

import subprocess
import sys

import pytest

from keyhall import __version__
from keyhall.cli import COMMANDS


def test_help_lists_every_command_with_a_sentence(call):
    done = call("--help")
    assert done.status == 0
    for name, (_, says) in COMMANDS.items():
        assert f"\n  {name} " in done.output
        assert says.endswith(".")
        assert len(says) < 64  # Else it breaks on a terminal of 80 columns.


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_runs_from_where_it_is_said_to_be(call, name):
    done = call(name, "-h")
    assert done.status == 0
    assert done.output.startswith(f"Usage: main {name}")


def test_a_mistyped_command_is_met_with_the_nearest(call):
    done = call("serv")
    assert done.status == 2
    assert "No such command 'serv'. Did you mean serve?" in done.error
    assert "Did you mean" not in call("xyzzy").error


def test_the_version_is_told(call):
    assert call("--version").output == f"keyhall, version {__version__}\n"


def test_python_can_run_the_package():
    done = subprocess.run(
        [sys.executable, "-m", "keyhall", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"keyhall, version {__version__}\n"
