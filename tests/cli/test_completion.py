"""`keyhall completion`: scripts that each shell understands."""

import os
import shutil
import subprocess
import sys

import pytest

CHECKS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


@pytest.mark.parametrize("shell", CHECKS)
def test_the_script_says_what_it_completes_and_how(call, shell):
    script = call("completion", shell).output
    assert "_KEYHALL_COMPLETE" in script
    assert "keyhall" in script


@pytest.mark.parametrize("shell", CHECKS)
def test_the_script_is_valid_where_the_shell_is_there(call, shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(call("completion", shell).output)
    subprocess.run([*CHECKS[shell], str(script)], check=True, capture_output=True)


def test_commands_and_options_are_completed():
    """As bash asks: with the words so far in the environment."""
    code = "import sys; sys.argv = ['keyhall']; from keyhall.cli import main; main()"

    def completed(words):
        environ = {
            **os.environ,
            "_KEYHALL_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
        )
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert completed("keyhall se") == ["serve"]
    assert "--tls-cert" in completed("keyhall serve --")
    assert "create" in completed("keyhall keys ")


def test_a_shell_that_is_not_known_is_refused(call):
    done = call("completion", "tcsh")
    assert done.status == 2
    assert "'bash', 'fish', 'zsh'" in done.error
