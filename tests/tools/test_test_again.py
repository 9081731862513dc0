"""The second look of CI: what fails for good fails it, and what was only late is told."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "test_again.py"

LATE = """
from pathlib import Path

def test_late():
    seen = Path(__file__).with_suffix(".seen")
    was_here = seen.exists()
    seen.touch()
    assert was_here
"""


def look(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """A run that fails, and the second look at it."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    (folder / "test_it.py").write_text(text)
    first = run(folder, "-m", "pytest", "-q")
    assert first.returncode == 1, first.stdout
    return run(folder, str(TOOL))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_what_passes_alone_is_named_and_let_pass(tmp_path):
    again = look(tmp_path, LATE)
    assert again.returncode == 0
    assert "PASSED ONLY ALONE, AND IS TO BE MENDED: test_it.py::test_late" in again.stdout


def test_what_fails_again_fails(tmp_path):
    assert look(tmp_path, LATE + "\ndef test_wrong():\n    assert False\n").returncode == 1


def test_many_failures_are_no_accident(tmp_path):
    text = LATE + "\nimport pytest\n\n@pytest.mark.parametrize('n', range(3))\n"
    again = look(tmp_path, text + "def test_wrong(n, tmp_path_factory):\n    assert False\n")
    assert again.returncode == 1
    assert "4 tests failed" in again.stdout


def test_a_run_without_failures_has_nothing_to_look_at_again(tmp_path):
    """Whatever else ended it, it was no test."""
    assert run(tmp_path, str(TOOL)).returncode == 1
